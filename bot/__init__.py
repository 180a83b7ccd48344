"""Apprentice: a Slack assistant that a team runs on its own hardware, and that learns from the team's feedback."""

__version__ = "0.1.0"
