"""What becomes of an answer when its question is edited: begun anew while it is written, offered anew afterwards."""

import time
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.slack.blocks import ANSWER_EDITED, build_note
from bot.slack.commands.bang import ORDER, is_order
from bot.slack.intake import Intake
from bot.slack.turns.answering import Answering
from bot.slack.turns.asides import OFFER
from bot.slack.turns.turns import Turns
from bot.slack.turns.whisper import tell_gone
from bot.storage import inbox
from bot.storage.answers import AnswerRecord, load_answer
from bot.storage.askings import is_asked_openly, is_private
from bot.storage.db import Database, Session
from bot.storage.forgetting import Stump, find_stump, forget_message
from bot.storage.stopping import EDIT
from bot.storage.tables import AnswerState
from bot.storage.threads import Place

OFTEN_S = 60.0


class Edits:
    """Answers questions again that say something else now."""

    def __init__(self, database: Database, turns: Turns, answering: Answering, intake: Intake) -> None:
        self._database = database
        self._turns = turns
        self._answering = answering
        self._intake = intake

    async def turn_to_order(self, place: Place, ts: str, message: Mapping[str, Any], *, bot_user_id: str) -> bool:
        """Forget a question that its author made an order, and owe them a word: no edit orders anything.

        It could be carried out twice, and who reads along would see the answer to what was meant for its author alone.
        False: the message is no order, or was one before.
        """
        if not self._intake.is_order(str(message.get("text") or ""), bot_user_id=bot_user_id):
            return False
        where = place.team_id, place.channel_id
        stump = await self._find_stump(*where, ts)
        async with self._database.begin() as session:
            if not (await is_asked_openly(session, *where, ts=ts) or await inbox.is_known(session, *where, ts=ts)):
                return False
            await inbox.drop_waiting(session, *where, ts=ts)
            await forget_message(session, *where, ts=ts)
            word = {"user_id": str(message.get("user")), "is_order": True, "is_reply": place.thread_ts != ts}
            await _put(session, place, OFFER, f"{OFFER}:{place.channel_id}:{ts}:{inbox.edit_of(message)}", word)
        if (draft := self._answering.running_question(place.channel_id, ts)) is not None:
            draft.lose(ts)
        elif stump is not None:
            await self._answering.take_away(stump)
        self._turns.wake()
        return True

    async def forget(self, team_id: str, channel_id: str, ts: str) -> None:
        """Forget a message that is gone, and end its answer; what else that answers is answered anew, without it."""
        draft = self._answering.running_question(channel_id, ts)
        if draft is not None and len(draft.question.parts) == 1:
            draft.stop.set()
        stump = await self._find_stump(team_id, channel_id, ts)
        async with self._database.begin() as session:
            await inbox.drop_waiting(session, team_id, channel_id, ts=ts)
            await forget_message(session, team_id, channel_id, ts=ts)
        if draft := draft or self._answering.running_question(channel_id, ts):
            draft.lose(ts)  # once it is gone, for the others are read again
        elif stump is not None:
            await self._answering.take_away(stump)

    async def _find_stump(self, team_id: str, channel_id: str, ts: str) -> Stump | None:
        """Return what a process that ended has shown of an answer to a message that nobody goes on with yet."""
        if self._answering.running_question(channel_id, ts) is not None:
            return None
        async with self._database.read() as session:
            return await find_stump(session, team_id, channel_id, ts=ts, worker_id=self._turns.worker_id)

    async def queue_word(self, event: Mapping[str, Any], team_id: str, *, bot_user_id: str) -> None:
        """Owe whoever edits an order a word, once: it could be carried out twice, so it is not done again.

        What only looks like one, such as an order to another bot, gets no word.
        """
        if not _edits_order(event, bot_user_id=bot_user_id):
            return
        message = event["message"]
        ts, thread_ts = str(message["ts"]), message.get("thread_ts")
        place = Place(team_id, str(event["channel"]), str(thread_ts or ts))
        async with self._database.read() as session:
            if not await inbox.is_known(session, team_id, place.channel_id, ts=ts, kind=ORDER):
                return
        word = {"user_id": str(message.get("user")), "is_order": True, "is_reply": bool(thread_ts)}
        async with self._database.begin() as session:
            await _put(session, place, OFFER, f"{OFFER}:{place.channel_id}:{ts}", word)
        self._turns.wake()

    async def queue(self, session: Session, channel_id: str, ts: str, answer_id: str | None) -> None:
        """Put an edited question in line again while its answer is written, or else the offer to its author."""
        draft = self._answering.running_question(channel_id, ts)
        answer_id = draft.answer_id if draft is not None else answer_id
        record = await load_answer(session, answer_id) if answer_id is not None else None
        if record is None:
            return
        is_written = draft is not None or record.answer.state == AnswerState.WRITING
        if not is_private(record.place):
            await (_queue if is_written else _queue_offer)(session, record)
        elif not is_written:  # what one person sees stands in no thread, and says by itself that its question changed
            await _queue_offer(session, record, is_private=True)

    def begin(self, channel_id: str, ts: str) -> None:
        """Stop the answer that is being written to a question that was edited, and go on with what is in line."""
        draft = self._answering.running_question(channel_id, ts)
        if draft is not None and not is_private(draft.question.place):
            (draft.give_way if draft.wish.stores else draft.begin_anew)()
        self._turns.wake()

    def is_unstored(self, channel_id: str, ts: str) -> bool:
        """Return whether the answer to a question is being written of which nothing is stored."""
        draft = self._answering.running_question(channel_id, ts)
        return draft is not None and not draft.wish.stores

    async def handle_press(
        self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """Put the edited question in the thread's queue again, for its author alone; say so where there is nothing."""
        async with self._database.begin() as session:
            record = await load_answer(session, str(action.get("value")))
            is_authors = (
                record is not None
                and body["user"]["id"] == record.message.user_id
                and (body.get("channel") or {}).get("id") == record.place.channel_id
            )
            if record is not None and is_authors:
                await _queue(session, record)
        await ack()
        if record is None:  # said in the offer's place: Slack shows no whisper in a thread that has no reply any more
            await respond(text=tell_gone(), blocks=build_note(tell_gone()), replace_original=True)
            return
        await respond(delete_original=True)
        self._turns.wake()


def register_edits(app: AsyncApp, edits: Edits) -> None:
    """Register the button under the offer."""
    app.action(ANSWER_EDITED)(edits.handle_press)


def _edits_order(event: Mapping[str, Any], *, bot_user_id: str) -> bool:
    """Return whether the words of an order were changed, and not to a question, which Slack tells of as a mention."""
    said, before = event.get("message"), event.get("previous_message")
    if not isinstance(said, dict) or not isinstance(before, dict):
        return False
    was, text = str(before.get("text") or ""), str(said.get("text") or "")
    is_asked = f"<@{bot_user_id}>" in text and not is_order(text, bot_user_id=bot_user_id)
    if is_asked and not str(event.get("channel")).startswith("D"):
        return False
    return text != was and said.get("subtype") != "tombstone" and is_order(was, bot_user_id=bot_user_id)


async def _queue(session: Session, record: AnswerRecord) -> None:
    """Put the question in the line of its thread, once for each answer that an edit has outdated."""
    await _put_again(session, record, "again", f"{EDIT}{record.answer.id}", is_edit=True)


async def _queue_offer(session: Session, record: AnswerRecord, **more: bool) -> None:
    """Put the offer in line, once a minute for one answer: the same button stands for whatever comes after it."""
    await _put_again(session, record, OFFER, f"{OFFER}:{record.answer.id}:{time.time() // OFTEN_S:.0f}", **more)


async def _put_again(session: Session, record: AnswerRecord, kind: str, event_id: str, **more: bool) -> None:
    payload = {"answer_id": record.answer.id, "user_id": record.message.user_id, **more}
    await _put(session, record.place, kind, event_id, payload)


async def _put(session: Session, place: Place, kind: str, event_id: str, payload: dict[str, Any]) -> None:
    arrival = inbox.Arrival(
        event_id=event_id,
        team_id=place.team_id,
        channel_id=place.channel_id,
        ts=f"{time.time():.6f}",
        thread_ts=place.thread_ts,
        kind=kind,
        payload=payload,
    )
    await inbox.accept(session, arrival)
