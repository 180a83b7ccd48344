"""What a user feels, measured side by side with a named peer; never a test."""
