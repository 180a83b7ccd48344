"""Notes which kinds of events come at all, so that the doctor can tell what was never subscribed to."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.storage.db import Database
from bot.storage.sightings import note_sighting

FRESH_S = 3600.0
KINDS = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim", "app_home": "im"}

log = logging.getLogger(__name__)


def name_event(event: Mapping[str, Any]) -> str:
    """Return an event's name as the manifest has it; empty for what is none."""
    kind = event.get("type")
    if kind != "message":
        return kind if isinstance(kind, str) and len(kind) <= 64 else ""
    where = KINDS.get(str(event.get("channel_type")))
    return f"message.{where}" if where else ""


def register_sightings(app: AsyncApp, database: Database) -> None:
    """Note every kind of event once an hour."""
    noted: dict[str, float] = {}

    @app.middleware
    async def note(body: dict[str, Any], next: Callable[[], Awaitable[None]]) -> None:  # noqa: A002 - Bolt's name
        await next()
        event = body.get("event")
        name = name_event(event) if isinstance(event, dict) else ""
        if not name or time.monotonic() - noted.get(name, -FRESH_S) < FRESH_S:
            return
        noted[name] = time.monotonic()
        try:
            async with database.begin() as session:
                await note_sighting(session, name)
        except Exception as error:  # noqa: BLE001 - an event is never lost for this
            log.info("sightings: not noted (%s)", type(error).__name__)
