"""What people are told of a run: messages on change, issues, heartbeats. Nothing here decides anything."""
