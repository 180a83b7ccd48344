"""The app at Slack: its manifest, its installations, and whether all is as it must be."""
