"""The page's own API: what a person in the browser sees and does. Slack's apps never use it."""
