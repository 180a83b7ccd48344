"""Slack's Web API, one module per method family; this table is all that exists."""

from bot.playground.web_api import (
    agents,
    apps,
    assistant,
    auth,
    bots,
    chat,
    chat_scheduled,
    chat_streams,
    conversations,
    files,
    oauth,
    reactions,
    team,
    users,
    views,
)
from bot.playground.web_api.method import Method

FAMILIES = (
    auth,
    apps,
    oauth,
    bots,
    team,
    users,
    conversations,
    chat,
    chat_scheduled,
    chat_streams,
    files,
    reactions,
    agents,
    assistant,
    views,
)
METHODS: dict[str, Method] = {method.name: method for family in FAMILIES for method in family.METHODS}
