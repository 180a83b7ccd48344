"""Files that people share: fetched from Slack alone, read, told about in words."""
