"""Whether what was fixed is better: two buttons below each before and after, which count once."""

import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.language import _
from bot.slack.blocks import Block, build_button, context
from bot.storage.db import Database
from bot.storage.opinions import save_verdict
from bot.storage.tables import Vote

VERDICT = "verdict"


def build_verdict_buttons(correction_id: str, adapter: str) -> Block:
    """Build the buttons by which the author of a correction says whether it helped."""
    value = f"{correction_id}:{adapter}"
    buttons = [
        build_button(_("Yes, better"), f"{VERDICT}:{Vote.UP}", value),
        build_button(_("No"), f"{VERDICT}:{Vote.DOWN}", value),
    ]
    return {"type": "actions", "block_id": f"{VERDICT}:{correction_id}", "elements": buttons}


def register_verdicts(app: AsyncApp, database: Database) -> None:
    """Register the two buttons."""

    @app.action(re.compile(f"^{VERDICT}:"))
    async def handle_verdict(
        ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        correction_id, _colon, adapter = str(action.get("value")).partition(":")
        vote = Vote(str(action["action_id"]).partition(":")[2])
        async with database.begin() as session:
            known = {"user_id": body["user"]["id"], "vote": vote, "adapter": adapter}
            is_new = await save_verdict(session, correction_id, **known)
        await ack()
        yes, no = _("Thank you, noted: better."), _("Thank you, noted: not better. I go on learning your correction.")
        text = (yes if vote is Vote.UP else no) if is_new else _("You have said so already, or it is gone.")
        message = body.get("message") or {}
        blocks = [
            context(text) if block.get("block_id") == action.get("block_id") else block
            for block in message.get("blocks") or []
        ]
        await respond(text=str(message.get("text") or text), blocks=blocks, replace_original=True)
