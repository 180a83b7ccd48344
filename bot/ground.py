"""What everything else stands on: prompts, engine, database, and Slack as whom we are there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation.prompt_book import PromptBook
from bot.conversation.prompt_watch import fresh_prompts
from bot.running_engine import RunningEngine, running_engine
from bot.settings import Settings
from bot.shipped import shipped
from bot.slack.calls import Calls
from bot.slack.connection import log_in, slack_client
from bot.slack.setup.installing import open_workspaces
from bot.slack.workspaces import Workspaces
from bot.storage.db import Database, open_database


@dataclass(frozen=True)
class Ground:
    """What everything else stands on."""

    prompts: PromptBook
    running: RunningEngine
    database: Database
    client: AsyncWebClient
    calls: Calls
    identity: AuthorizeResult
    workspaces: Workspaces | None


@asynccontextmanager
async def grounded(settings: Settings) -> AsyncIterator[Ground]:
    """Open prompts, engine, database and Slack for as long as the block runs."""
    token = settings.slack_bot_token.get_secret_value()
    async with (
        fresh_prompts(shipped("prompts"), settings.prompts_dir) as prompts,
        running_engine(settings) as running,
        open_database(settings.database()) as database,
        slack_client(token, settings.slack_api_url) as client,
    ):
        identity = await log_in(client)
        calls = Calls(client, bot_user_id=identity.bot_user_id or "")
        workspaces = await open_workspaces(settings.token_encryption_keys, database, identity, calls)
        yield Ground(prompts, running, database, client, calls, identity, workspaces)
