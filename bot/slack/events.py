"""Slack's events: what wants an answer is committed to the inbox before Slack hears that we have it."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.errors import DeliveryError
from bot.slack.calls import Calls
from bot.slack.commands.turns import tell_who_stops
from bot.slack.home.page import Home
from bot.slack.home.suggestions import Suggestions
from bot.slack.intake import IN_LINE, Intake
from bot.slack.people.access import Access
from bot.slack.people.directory import Directory
from bot.slack.people.rights import HEARD_AT, STOOD_STILL
from bot.slack.turns.answering import Answering
from bot.slack.turns.elsewhere import Elsewhere, Ended, stop_here
from bot.slack.turns.past import OPENED
from bot.slack.turns.status import end_status
from bot.slack.turns.turns import Turns
from bot.storage.db import Database

log = logging.getLogger(__name__)


def register_intake(app: AsyncApp, intake: Intake, directory: Directory) -> None:
    """Register what comes before everything else: a message is on the disk before anybody is asked about anything."""

    @app.middleware  # Before the next: a turn may begin as soon as its message is on the disk.
    async def hear(
        body: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002 - Bolt's name
    ) -> None:
        context[HEARD_AT], context[STOOD_STILL] = time.monotonic(), intake.standstill.is_just_over()
        event = body.get("event")
        try:
            if isinstance(event, dict) and event.get("type") == "message":
                await directory.hear(event)
        except Exception as error:  # noqa: BLE001 - an event is never lost for this
            log.warning("events: a channel could not be closed (%s)", type(error).__name__)
        await next()

    @app.middleware  # Bolt acknowledges an event before it runs the listener: only a middleware comes before that.
    async def accept(
        body: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002 - Bolt's name
    ) -> BoltResponse | None:
        heard = intake.hear(body, bot_user_id=context.bot_user_id or "", bot_id=context.bot_id or "")
        if heard is not None:
            context[IN_LINE] = True
            try:
                if not await intake.put(heard):
                    return BoltResponse(status=200)
            except Exception as error:  # noqa: BLE001 - not acknowledged, so Slack sends it again
                intake.doubt.begin()
                log.warning("events: one could not be stored (%s); Slack will send it again", type(error).__name__)
                return BoltResponse(status=503)
        await next()
        return None


def register_events(app: AsyncApp, *, turns: Turns, home: Home, suggestions: Suggestions) -> None:
    """Register what the assistant does about messages and its two tabs.

    Before most others: Bolt asks one listener after the other, and most of what Slack says are messages.
    """

    async def is_said(event: dict[str, Any]) -> bool:
        return event.get("subtype") not in OPENED  # which another listener hears

    @app.event("message", matchers=[is_said])
    @app.event("app_mention")
    async def handle_message() -> None:
        turns.wake()

    @app.event("app_context_changed")
    async def handle_context_changed(body: dict[str, Any], event: dict[str, Any]) -> None:
        place = str(event["user"]), str(body.get("team_id") or ""), str(event.get("channel") or "")
        await suggestions.look(*place, event.get("context") or {})

    @app.event("app_home_opened")
    async def handle_home_opened(body: dict[str, Any], event: dict[str, Any]) -> None:
        if event.get("tab") == "messages":
            await suggestions.open(str(event["user"]), str(body.get("team_id") or ""), str(event["channel"]))
        elif event.get("tab") == "home":
            await home.publish(str(event["user"]))


def register_stop(app: AsyncApp, *, database: Database, answering: Answering, calls: Calls, access: Access) -> None:
    """Register Slack's Stop button, which waits for nothing; Slack shows it to everybody in a thread."""
    elsewhere = Elsewhere(database)

    @app.event("agent_session_stopped")
    async def handle_stop(event: dict[str, Any]) -> None:
        pressed_ts = str(event.get("event_ts") or "")  # Slack tells again, and late, what was not acknowledged
        channel_id, thread_ts = str(event.get("channel")), str(event.get("thread_ts"))
        user_id, draft = str(event.get("user")), answering.running(channel_id, thread_ts)
        if draft is not None and pressed_ts and pressed_ts < draft.question.parts[0].ts:
            return  # it was asked since
        if draft is not None:
            is_theirs = user_id == draft.question.user_id or await access.is_admin(user_id)
            ended = Ended.ASKED if is_theirs else Ended.REFUSED
            if is_theirs:
                await stop_here(database, draft, user_id)
        else:
            is_admin = partial(access.is_admin, user_id)
            ended = await elsewhere.stop(
                channel_id, thread_ts=thread_ts, user_id=user_id, is_admin=is_admin, until_ts=pressed_ts
            )
            if ended is Ended.ASKED and (draft := answering.running(channel_id, thread_ts)) is not None:
                draft.stop_by(user_id)  # it was begun meanwhile
        if ended in {Ended.NOTHING, Ended.DROPPED}:
            with suppress(DeliveryError):  # while Slack is away
                await end_status(calls, channel_id, thread_ts)  # nothing is written, so nothing may say so
        elif ended is Ended.REFUSED:
            place = {"channel": channel_id, "thread_ts": thread_ts, "user": user_id}
            await calls.call_if_possible("chat.postEphemeral", text=tell_who_stops(), **place)
