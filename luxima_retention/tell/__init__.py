"""What a run tells to those who watch; it never decides how a run ends."""
