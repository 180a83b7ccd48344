"""Summaries, action items, translations, explanations: by command and from the menu of a message."""
