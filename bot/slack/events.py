"""Slack's events: what wants an answer is committed to the inbox before Slack hears that we have it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.learning.control import Learning
from bot.slack.blocks import section
from bot.slack.calls import Calls
from bot.slack.commands.orders import Role
from bot.slack.intake import IN_LINE, Intake
from bot.slack.learning.home import publish_home
from bot.slack.people.access import Access, tell_refusal
from bot.slack.setup.manifest import list_suggestions
from bot.slack.turns.answering import Answering
from bot.slack.turns.turns import Turns

log = logging.getLogger(__name__)


def register_intake(app: AsyncApp, intake: Intake) -> None:
    """Register what comes before everything else: a message is on the disk before anybody is asked about anything."""

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
                await intake.put(heard)
            except Exception as error:  # noqa: BLE001 - not acknowledged, so Slack sends it again
                log.warning("events: one could not be stored (%s); Slack will send it again", type(error).__name__)
                return BoltResponse(status=503)
        await next()
        return None


def register_events(
    app: AsyncApp,
    *,
    turns: Turns,
    answering: Answering,
    calls: Calls,
    access: Access,
    learning: Learning | None = None,
) -> None:
    """Register what the assistant does about messages, its two tabs and Slack's Stop button."""

    @app.event("message")
    @app.event("app_mention")
    async def handle_message() -> None:
        turns.wake()

    @app.event("app_context_changed")
    async def handle_context_changed() -> None:
        """Hear which conversation somebody looks at, and keep nothing of it."""

    @app.event("app_home_opened")
    async def handle_home_opened(event: dict[str, Any]) -> None:
        if event.get("tab") == "messages":
            await calls.call_if_possible(
                "assistant.threads.setSuggestedPrompts", channel_id=event["channel"], prompts=list_suggestions()
            )
        elif event.get("tab") == "home" and learning is not None:
            role = await access.role_of(event["user"])
            if role is Role.NOBODY:
                closed = {"type": "home", "blocks": [section(tell_refusal(role, Role.MEMBER))]}
                await calls.call_if_possible("views.publish", user_id=event["user"], view=closed)
                return
            await publish_home(calls, event["user"], learning, role >= Role.ADMIN)

    @app.event("agent_session_stopped")
    async def handle_stop(event: dict[str, Any]) -> None:
        draft = answering.running(str(event.get("channel")), str(event.get("thread_ts")))
        user_id = str(event.get("user"))
        if draft is not None and (user_id == draft.question.user_id or await access.is_admin(user_id)):
            draft.stop.set()
