"""What is done beside an answer: note what its asker shows by what they do, and remind them of the thumbs, seldom."""

from datetime import timedelta
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.conversation.draft import Draft
from bot.language import _
from bot.slack.blocks import build_button, build_note
from bot.slack.calls import Calls
from bot.storage.db import Database
from bot.storage.feedback_tables import Sign
from bot.storage.hints import is_hint_due
from bot.storage.implicit import note_rephrasing, note_sign
from bot.storage.preferences import save_preferences
from bot.storage.tables import AnswerState, now

NO_HINTS = "no_hints"


class Afterwards:
    """Knows whether an admin wants signs kept, and after how many answers, and weeks, somebody is reminded."""

    def __init__(
        self, database: Database, calls: Calls, *, keeps_signs: bool, hint_answers: int, hint_weeks: float
    ) -> None:
        self._database = database
        self._calls = calls
        self._keeps_signs = keeps_signs
        self._hint_answers = hint_answers
        self._rest = timedelta(weeks=hint_weeks)

    async def begin(self, draft: Draft, *, again_id: str = "", by: str = "") -> None:
        """Note that an answer was asked for again, in its place (*again_id*, *by* whom) or by the same question."""
        if not self._keeps_signs or not draft.wish.stores:
            return
        async with self._database.begin() as session:
            if not again_id:
                await note_rephrasing(session, draft.answer_id)
            elif draft.is_another and by == draft.question.user_id:
                await note_sign(session, again_id, user_id=by, sign=Sign.REGENERATED)

    async def end(self, draft: Draft, state: AnswerState) -> None:
        """Note that whoever asked stopped it; remind them of the thumbs when it is time."""
        asker = draft.question.user_id
        if self._keeps_signs and draft.wish.stores and draft.stopped_by == asker:
            async with self._database.begin() as session:
                await note_sign(session, draft.answer_id, user_id=asker, sign=Sign.STOPPED)
        if state is AnswerState.COMPLETE and self._hint_answers and draft.wish.stores and draft.wish.has_hints:
            await self._hint(draft)

    async def _hint(self, draft: Draft) -> None:
        asker, place = draft.question.user_id, draft.question.place
        async with self._database.read() as session:
            if not await is_hint_due(session, asker, answers=self._hint_answers, rest=self._rest):
                return
        async with self._database.begin() as session:
            if not await is_hint_due(session, asker, answers=self._hint_answers, rest=self._rest):
                return
            await save_preferences(session, asker, hinted_at=now())
        text = _("A 👍 or 👎 below an answer helps me to give better ones.")
        button = build_button(_("Don't remind me"), NO_HINTS, asker)
        await self._calls.call_if_possible(
            "chat.postEphemeral",
            channel=place.channel_id,
            thread_ts=place.thread_ts,
            user=asker,
            text=text,
            blocks=[*build_note(text), {"type": "actions", "elements": [button]}],
        )


def register_hints(app: AsyncApp, database: Database) -> None:
    """Register the button below a reminder."""

    @app.action(NO_HINTS)
    async def handle_no_hints(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        async with database.begin() as session:
            await save_preferences(session, body["user"]["id"], has_hints=False)
        await ack()
        await respond(text=_("I will not remind you again."), replace_original=True)
