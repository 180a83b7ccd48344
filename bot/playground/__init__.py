"""A small Slack on this machine: a double for tests, a tool for developers, a stage for the demo.

It imports no other room of the bot; apps reach it through SLACK_API_URL and nothing else.
"""
