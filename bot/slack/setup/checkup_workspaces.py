"""What Slack tells about the workspaces that installed the app by OAuth: a token may have ended unheard."""

import asyncio
from collections.abc import Sequence

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ConfigError
from bot.findings import Finding, ok, skipped, wrong
from bot.slack.calls import LOCKED_OUT
from bot.slack.setup.checkup_questions import Refusal, ask
from bot.slack.setup.manifest import INSTALL_PATH
from bot.storage.db import Database
from bot.storage.installations import Installed, list_installations
from bot.storage.keyring import Keyring

TIMEOUT_S = 15
AT_ONCE = 20
MOST_NAMED = 10


async def check_workspaces(database: Database, keys: Sequence[str], api_url: str, install_url: str) -> Finding:
    """Look whether the keys open every token and Slack takes it; *install_url* is where the app is installed."""
    topic, where = "Workspaces", f"{install_url.rstrip('/')}{INSTALL_PATH}"
    try:
        async with database.read() as session:
            installed = await list_installations(session, Keyring(keys))
    except ConfigError as error:
        return wrong(topic, str(error), "set TOKEN_ENCRYPTION_KEYS to the keys of before, the newest first.")
    said = await _ask_each(installed, api_url)
    refused = [f"{_name(one)}: {code}" for one, code in zip(installed, said, strict=True) if code in LOCKED_OUT]
    if refused:
        sentence = f"{len(installed)} have installed it, and Slack refuses the token of {_list(refused)}."
        return wrong(topic, sentence, f"let an admin of that workspace install it there again: {where}.")
    untold = [_name(one) for one, code in zip(installed, said, strict=True) if code]
    if untold:
        return skipped(topic, f"{len(installed)} have installed it; Slack does not tell of {_list(untold)}.")
    return ok(topic, f"{len(installed)} have installed it; {where} is where others do.")


async def _ask_each(installed: Sequence[Installed], api_url: str) -> list[str]:
    """Return Slack's word for what is wrong with each token; empty: nothing."""
    line = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:

        async def look(one: Installed) -> str:
            client = AsyncWebClient(one.token, base_url=api_url, session=session, retry_handlers=[], timeout=TIMEOUT_S)
            try:
                async with line:
                    await ask(client.auth_test())
            except Refusal as refusal:
                return refusal.code
            return ""

        return await asyncio.gather(*(look(one) for one in installed))


def _name(one: Installed) -> str:
    return f"{one.name} ({one.team_id or one.enterprise_id})"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
