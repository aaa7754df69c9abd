"""Settings, where they come from, and their reference page."""
