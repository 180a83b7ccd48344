"""The learning as Slack shows it: reports, news, orders, and why an answer is as it is."""
