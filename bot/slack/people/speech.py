"""In which language somebody is spoken to: the one they chose, else Slack's, else English."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.language import ENGLISH, read_language, speak
from bot.slack.intake import IN_LINE
from bot.slack.people.directory import Directory
from bot.storage.db import Database
from bot.storage.preferences import load_language

log = logging.getLogger(__name__)


class Speech:
    """Knows the language of everybody."""

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory

    async def language_of(self, user_id: str) -> str:
        """Return the language in which somebody is spoken to; whatever prevents to know it, they are answered."""
        if not user_id:
            return ENGLISH
        try:
            async with self._database.read() as session:
                chosen = await load_language(session, user_id)
            return chosen or read_language(await self._directory.locale(user_id))
        except Exception as error:  # noqa: BLE001 - a message is not lost because of its language
            log.info("speech: a language could not be read (%s)", type(error).__name__)
            return ENGLISH

    async def address(self, user_id: str) -> None:
        """Speak somebody's language from here on in this task."""
        speak(await self.language_of(user_id))


def register_speech(app: AsyncApp, speech: Speech) -> None:
    """Let every listener speak the language of whoever is heard; Bolt's tasks inherit it."""

    @app.middleware
    async def address(
        body: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002 - Bolt's name
    ) -> None:
        if not context.get(IN_LINE):  # a message is acknowledged before Slack is asked who its author is
            await speech.address(who(body))
        await next()


def who(body: Mapping[str, Any]) -> str:
    """Return the id of whoever a request of Slack comes from; empty where nobody does."""
    event = body.get("event") or {}
    person = body.get("user") or body.get("user_id") or event.get("user") or ""
    return str(person.get("id") or "") if isinstance(person, Mapping) else str(person)
