"""The button below answers to choose from: the one that its asker finds better takes the place of all."""

import asyncio
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.language import _
from bot.slack.blocks import Block
from bot.slack.calls import Calls
from bot.slack.turns.answer_choice import CHOOSE, build_private, split_private
from bot.slack.turns.answering import Answering
from bot.slack.turns.layout import Layout
from bot.slack.turns.pressing import stands_in
from bot.slack.turns.whisper import tell_gone, whisper
from bot.slack.turns.words import tell_cut
from bot.storage.answers import AnswerRecord, answers_another, load_answer
from bot.storage.askings import Chosen, choose, is_private
from bot.storage.db import Database
from bot.storage.tables import now

DAY = timedelta(days=1)
MOST_CHOICES = 20  # of one person a day that are learned from


def register_choosing(app: AsyncApp, *, database: Database, calls: Calls, answering: Answering) -> None:
    """Register the button."""
    app.action(CHOOSE)(ChoiceButtons(database, calls, answering).handle_choose)


class ChoiceButtons:
    """What somebody does with the answers to their own question."""

    def __init__(self, database: Database, calls: Calls, answering: Answering) -> None:
        self._database = database
        self._calls = calls
        self._answering = answering
        self._layout = Layout(database, calls)
        self._one_by_one: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle_choose(
        self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """Keep the answer that whoever asked finds better, and put it in the place of all of them."""
        user_id, pressed_id = body["user"]["id"], str(action.get("value"))
        answer_id = pressed_id
        outcome = Chosen.NOTHING
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id, is_locked=True)
            is_here = record is not None and stands_in(record, body)
            is_askers = record is not None and record.message.user_id == user_id
            if is_here and is_askers:
                since = now() - DAY
                outcome, answer_id = await choose(session, answer_id, user_id=user_id, since=since, most=MOST_CHOICES)
                record = await load_answer(session, answer_id)
        await ack()
        if record is None:
            await whisper(self._calls, body, tell_gone())
        elif is_here and not is_askers:
            await whisper(self._calls, body, _("Only whoever asked can choose."))
        elif outcome is not Chosen.NOTHING:
            async with self._one_by_one.setdefault(record.message.id, asyncio.Lock()):
                await self._show(record, body, respond, is_again=outcome is Chosen.KNOWN)
        if outcome is Chosen.UNSTORED:
            text = _("It stands. You have chosen a lot today, so I do not learn from this one.")
            await whisper(self._calls, body, text)
        elif outcome is Chosen.KNOWN and answer_id != pressed_id:
            await whisper(self._calls, body, _("You have chosen another one before; it stands."))
        elif outcome is Chosen.STORED and record is not None and answers_another(record.message, record.answer):
            text = _("It stands. You have edited the question since, so I do not learn from this choice.")
            await whisper(self._calls, body, text)

    async def _show(self, record: AnswerRecord, body: dict[str, Any], respond: AsyncRespond, *, is_again: bool) -> None:
        """Show the chosen answer alone, with the buttons of any answer."""
        text = await self._layout.read(record)
        if is_private(record.place):
            above, last = split_private(text)
            first, *more = [*above, self._private(record, body, last)]
            said, thread_ts = _("Your answer, for you alone"), (body.get("container") or {}).get("thread_ts")
            await respond(text=said, blocks=first, replace_original=True)
            for blocks in more:
                await respond(
                    text=said, blocks=blocks, replace_original=False, response_type="ephemeral", thread_ts=thread_ts
                )
            return
        await self._layout.show(record, text, is_explained=self._answering.writing.explains, is_again=is_again)

    def _private(self, record: AnswerRecord, body: dict[str, Any], text: str) -> list[Block]:
        return build_private(
            record.answer.id,
            text,
            thread_ts=str((body.get("container") or {}).get("thread_ts") or ""),
            can_share=not record.place.channel_id.startswith("D"),
            is_explained=self._answering.writing.explains,
            note=tell_cut(record.answer.finish_reason, is_private=True),
        )
