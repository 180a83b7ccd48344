"""Buttons that give an order: to do what has to be confirmed, and to undo what was done.

A button's value is the order as one would write it, so a press takes the same way as the command: who presses it must
have the role themselves, now. One that undoes also says when that was done: it undoes nothing that was decided since.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.language import _
from bot.slack.blocks import ORDER, Block, build_button, confirm, section
from bot.slack.commands.order_words import YES
from bot.slack.commands.orders import Call, Reply
from bot.slack.commands.table import Desk
from bot.slack.listeners import acknowledge_done
from bot.storage.audit import is_decided_since
from bot.storage.db import Database
from bot.storage.inbox import Arrival
from bot.storage.pledged import claim_press, release_press
from bot.storage.tables import new_id

VALUE_LENGTH = 2000
UNDO = "undo:"
OF_THE_BUTTON = re.compile(r" --to=\w+")  # which nobody writes: for what they were asked
SUBJECT = re.compile(r"[UWCG][A-Z0-9]{2,}")
# What the audit log calls the decisions that an order takes back.
DECISIONS = {
    "users": ("users.",),
    "budget": ("budget.",),
    "channels": ("channel", "training."),
    "data": ("data.retention",),
    "model": ("model.",),
}


def ask(question: str, order: str, *, label: str = "", is_danger: bool = True) -> Reply:
    """Ask before *order* is carried out; Slack asks once more when the button is pressed."""
    text, short = label or _("Do it"), _("What it does stands above the button.")
    button = build_button(text, f"{ORDER}:yes", f"{order} {YES}"[:VALUE_LENGTH]) | {
        "style": "danger" if is_danger else "primary",
        "confirm": confirm(_("Are you sure?"), short, text, _("Cancel"), is_danger=is_danger),
    }
    return Reply(question, [section(question), {"type": "actions", "elements": [button]}], is_done=False)


def done(text: str, undo: str = "", *, label: str = "") -> Reply:
    """Say what was done, with a button that undoes it by the order *undo*."""
    if not undo:
        return Reply(text)
    return Reply(text, [section(text), build_undo(undo, label=label)])


def build_undo(order: str, *, label: str = "") -> Block:
    """Build the button that gives *order*."""
    button = build_button(label or _("Undo"), f"{ORDER}:undo", f"{order} {YES}"[:VALUE_LENGTH])
    return {"type": "actions", "block_id": f"{UNDO}{new_id()}", "elements": [button]}


async def is_overtaken(database: Database, action: Mapping[str, Any]) -> bool:
    """Return whether what a button undoes was decided about anew since: by its block's id, which says when."""
    order, block_id = str(action.get("value") or ""), str(action.get("block_id") or "")
    actions = DECISIONS.get(order.partition(" ")[0])
    if actions is None or not block_id.startswith(UNDO):
        return False
    subjects = [word for word in order.split() if SUBJECT.fullmatch(word)]
    targets = [*subjects, *(f"channel:{subject}" for subject in subjects)]
    async with database.read() as session:
        return await is_decided_since(session, block_id.removeprefix(UNDO), actions=actions, targets=targets)


def register_order_buttons(app: AsyncApp, *, desk: Desk, database: Database) -> None:
    """Register the buttons."""

    @app.action(re.compile(rf"^{ORDER}:"))
    async def handle_order(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond) -> None:
        message = body.get("message") or {}
        call = Call(
            user_id=str(body["user"]["id"]),
            team_id=str((body.get("team") or {}).get("id") or ""),
            channel_id=str((body.get("channel") or {}).get("id") or ""),
            words="",
            thread_ts=message.get("thread_ts"),
            trigger_id=str(body.get("trigger_id") or ""),
        )
        press = read_press(body, action, call)
        if press is not None and not await _claim(database, press):
            await ack()
            text = tell_pressed(str(action.get("value") or ""))
            await respond(text=text, blocks=[section(text)], replace_original=False, response_type="ephemeral")
            return
        reply = await acknowledge_done(ack, _press(desk, database, action, call))
        if reply.text:
            blocks = reply.blocks or [section(reply.text)]
            await respond(text=reply.text, blocks=blocks, replace_original=True, response_type="ephemeral")
        if press is not None and not reply.is_done:  # last, for a full disk must take nobody the word of it
            async with database.begin() as session:
                await release_press(session, press.event_id)


def read_press(body: Mapping[str, Any], action: Mapping[str, Any], call: Call) -> Arrival | None:
    """Return what a press of a button in a message is known by, however often it comes; None where nothing tells."""
    ts = str((body.get("container") or {}).get("message_ts") or "")
    if not ts:
        return None
    pressed = "\n".join((call.channel_id, ts, call.user_id, str(action.get("value") or "")))
    name = sha256(pressed.encode()).hexdigest()
    kind = f"press:{name[:8]}"  # of one message several may be
    return Arrival(f"press:{name[:32]}", call.team_id, call.channel_id, ts, thread_ts="press", kind=kind, payload={})


async def _claim(database: Database, press: Arrival) -> bool:
    async with database.begin() as session:
        return await claim_press(session, press)


async def _press(desk: Desk, database: Database, action: Mapping[str, Any], call: Call) -> Reply:
    order = str(action.get("value") or "")
    if await is_overtaken(database, action):
        return Reply(tell_overtaken(order), is_done=False)
    return await desk.take(order, call)


def tell_pressed(order: str) -> str:
    """Say that a button does once what it does."""
    sentence = _("You have pressed this already. If nothing comes of it, order it again: {order}")
    return sentence.format(order=f"`{OF_THE_BUTTON.sub('', order.removesuffix(YES)).strip()}`")


def tell_overtaken(order: str) -> str:
    """Say why a button undoes nothing any more."""
    sentence = _(
        "Something else was decided about this since, so nothing was undone. If you mean it, order it: {order}"
    )
    return sentence.format(order=f"`{order.removesuffix(YES).strip()}`")
