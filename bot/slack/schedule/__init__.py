"""Reminders and digests: what people plan, and what is said at its time."""
