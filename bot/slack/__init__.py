"""The only room that knows Slack: events in, answers out, buttons and commands."""
