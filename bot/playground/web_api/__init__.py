"""Slack's Web API, one module per method family; this table is all that exists."""

from bot.playground.web_api import apps, auth, bots, chat, conversations, reactions, team, users
from bot.playground.web_api.method import Method

METHODS: dict[str, Method] = {
    method.name: method
    for family in (auth, apps, bots, chat, conversations, reactions, team, users)
    for method in family.METHODS
}
