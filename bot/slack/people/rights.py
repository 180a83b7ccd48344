"""The door in front of every button, form, shortcut and command: who may not, hears so, and nothing else happens.

A command's role stands in its row of the table of commands; those of buttons and forms stand here.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.errors import DeliveryError
from bot.language import _
from bot.slack import blocks
from bot.slack.calls import Calls
from bot.slack.commands.orders import Role
from bot.slack.feedback.afterwards import NO_HINTS
from bot.slack.feedback.lesson_words import LESSON, LESSON_NO, LESSON_YES
from bot.slack.feedback.verdicts import VERDICT
from bot.slack.home.controls import HOME
from bot.slack.learning import report as learning_report
from bot.slack.learning.words import ALLOW
from bot.slack.people.access import Access, tell_refusal
from bot.slack.people.channel_modal import CHANNEL_FORM
from bot.slack.setup.manifest import SHORTCUTS
from bot.slack.turns import answer_choice

HEARD_AT = "heard_at"  # in Bolt's context: when a request came in, by the clock that nobody sets
STOOD_STILL = "stood_still"  # whether it may have come while this process stood still
SLACK_WAITS_S = 3.0  # after that whoever ordered something was told that it failed, and may order it again
INTERACTIVE = ("block_actions", "view_submission", "view_closed", "message_action", "shortcut", "block_suggestion")
BUTTONS: dict[str, Role] = {
    blocks.FEEDBACK: Role.MEMBER,
    blocks.UNDO_VOTE: Role.MEMBER,
    blocks.CORRECTION: Role.MEMBER,
    blocks.REGENERATE: Role.MEMBER,
    blocks.SHORTER: Role.MEMBER,
    blocks.RETRY: Role.MEMBER,
    blocks.STOP: Role.MEMBER,
    blocks.WHY: Role.MEMBER,
    answer_choice.CHOOSE: Role.MEMBER,
    answer_choice.SHARE: Role.MEMBER,
    HOME: Role.BARRED,  # the order behind the element has a role of its own
    learning_report.NO_NEWS: Role.MEMBER,
    VERDICT: Role.MEMBER,  # only for the author of what was corrected
    NO_HINTS: Role.MEMBER,
    LESSON: Role.MEMBER,
    LESSON_YES: Role.MEMBER,  # only for the author of what was written
    LESSON_NO: Role.MEMBER,
    learning_report.PROMOTE: Role.ADMIN,
    learning_report.ROLLBACK: Role.ADMIN,
    learning_report.VETO: Role.ADMIN,
    ALLOW: Role.ADMIN,
    blocks.QUIET: Role.MEMBER,
    blocks.FOLLOW: Role.MEMBER,
    blocks.ANSWER_MENU: Role.MEMBER,
    blocks.ANSWER_EDITED: Role.MEMBER,
    CHANNEL_FORM: Role.MEMBER,  # whoever made a channel may also fill it in
    blocks.ORDER: Role.MEMBER,  # the order behind the button has a role of its own
    f"{blocks.ORDER}:yes": Role.BARRED,  # as what is confirmed has: `forget-me`
    blocks.REVIEW: Role.REVIEWER,
    blocks.REVIEW_REJECT: Role.REVIEWER,
    blocks.REVIEW_NEXT: Role.REVIEWER,
    **{shortcut["callback_id"]: Role.MEMBER for shortcut in SHORTCUTS},
}

log = logging.getLogger(__name__)


def needed_role(body: Mapping[str, Any]) -> Role | None:
    """Return the role that a request of Slack needs; None for an event, which nobody presses.

    What is not in the table needs a member at least: guests and strangers press nothing. Commands have roles of
    their own.
    """
    if "command" in body:
        return Role.BARRED
    if body.get("type") not in INTERACTIVE:
        return None
    names = [str(action.get("action_id")) for action in body.get("actions") or []]
    names += [str(body[key]) for key in ("callback_id", "action_id") if body.get(key)]
    names += [str((body.get("view") or {}).get("callback_id"))] if str(body["type"]).startswith("view_") else []
    return max((find_button_role(name) for name in names), default=Role.MEMBER)


def find_button_role(name: str) -> Role:
    """Return the role that a button, form or shortcut needs; what follows a colon only tells one from another."""
    return BUTTONS.get(name, BUTTONS.get(name.partition(":")[0], Role.MEMBER))


def register_rights(app: AsyncApp, *, access: Access, calls: Calls) -> None:
    """Register the door; it must be the first thing that is registered."""

    @app.middleware
    async def check(
        body: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002 - Bolt's name
    ) -> BoltResponse | None:
        needed = needed_role(body)
        if needed is not None:
            user_id = _who(body)
            try:
                role = await access.role_for(user_id, needed)
            except DeliveryError as error:
                return await _refuse(calls, body, user_id, str(error))
            if role < needed:
                return await _refuse(calls, body, user_id, tell_refusal(role, needed))
            if context.get(STOOD_STILL):
                log.warning("orders: one came while this process stood still, and Slack may have said that it failed")
                return _hold_form(body, tell_stood_still()) or await _refuse(calls, body, user_id, tell_stood_still())
            if time.monotonic() - context.get(HEARD_AT, math.inf) > SLACK_WAITS_S:
                log.warning("orders: one came through too late, and Slack has said that it did not work")
                return BoltResponse(status=200)
        await next()
        return None


def tell_stood_still() -> str:
    """Say that nothing was done of what Slack may have called failed, so that nothing is done twice or too late."""
    return _("I stood still for a moment, and have done nothing of this. If you have not done it again, please do.")


def _who(body: Mapping[str, Any]) -> str:
    user = body.get("user") or {}
    user_id = user.get("id") if isinstance(user, Mapping) else user
    return str(user_id or body.get("user_id") or "")


def _hold_form(body: Mapping[str, Any], text: str) -> BoltResponse | None:
    """Answer a form so that it stays open with every word in it; None for what has no field to say *text* at."""
    fields = ((body.get("view") or {}).get("state") or {}).get("values") or {}
    if body.get("type") != "view_submission" or not fields:
        return None
    return BoltResponse(status=200, body={"response_action": "errors", "errors": {next(iter(fields)): text}})


async def _refuse(calls: Calls, body: Mapping[str, Any], user_id: str, text: str) -> BoltResponse:
    """Acknowledge, and tell only the person who asked, where they asked."""
    if "command" in body:
        return BoltResponse(status=200, body={"response_type": "ephemeral", "text": text})
    if body["type"] == "view_submission":
        view = {
            "type": "modal",
            "title": blocks.plain(_("Not allowed")),
            "close": blocks.plain(_("Close")),
            "blocks": [blocks.section(text)],
        }
        return BoltResponse(status=200, body={"response_action": "update", "view": view})
    if body["type"] == "block_suggestion":
        return BoltResponse(status=200, body={"options": []})
    channel_id = (body.get("channel") or {}).get("id") or (body.get("container") or {}).get("channel_id")
    message = body.get("message") or {}
    if channel_id and body["type"] != "view_closed":
        thread = {"thread_ts": message["thread_ts"]} if message.get("thread_ts") else {}
        await calls.call_if_possible("chat.postEphemeral", channel=channel_id, user=user_id, text=text, **thread)
    elif body["type"] != "view_closed":
        await calls.call_if_possible("chat.postMessage", channel=user_id, text=text)
    return BoltResponse(status=200)
