"""From an accepted event to its one visible outcome: an answer, a refusal, or an error with an id and Retry."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.conversation.draft import Draft, Question
from bot.conversation.turn import Assistant
from bot.errors import AnswerRemoved, ApprenticeError, DeliveryError, QuestionChanged
from bot.language import _
from bot.signals import rest
from bot.slack.calls import Calls, is_locked_out, is_passing
from bot.slack.commands.asking import read_question
from bot.slack.delivery.delivery import Delivery
from bot.slack.delivery.pace import Pace
from bot.slack.delivery.posts import Target
from bot.slack.feedback.afterwards import Afterwards
from bot.slack.files.desk import list_files
from bot.slack.people.directory import Directory
from bot.slack.text import mentioned_users, parse_message
from bot.slack.turns.carriers import Carriers
from bot.slack.turns.place import place_shown
from bot.slack.turns.status import end_status, working
from bot.slack.turns.whisper import tell_gone, whisper
from bot.slack.turns.words import tell_apology
from bot.slack.turns.writing import Writing
from bot.slack.workspaces import own_user_id
from bot.storage.askings import Put, is_private
from bot.storage.forgetting import Stump
from bot.storage.inbox import edit_of
from bot.storage.tables import AnswerState, Audience, Inbox
from bot.storage.threads import SLACK_TS, Place
from bot.storage.troubles import is_away

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0, 60.0, 60.0)  # before each try to show a written answer

log = logging.getLogger(__name__)


class Answering:
    """Answers one event at a time per thread, and knows what is being written where."""

    def __init__(
        self,
        assistant: Assistant,
        writing: Writing,
        *,
        calls: Calls,
        directory: Directory,
        afterwards: Afterwards,
        is_stopping: Callable[[int], Awaitable[bool]],
        bot_user_id: str,
    ) -> None:
        self._assistant = assistant
        self._calls = calls
        self._directory = directory
        self.writing = writing
        self._afterwards = afterwards
        self._is_stopping = is_stopping
        self._bot_user_id = bot_user_id
        self._pace = Pace()
        self._running: dict[Place, Draft] = {}

    def running(self, channel_id: str, thread_ts: str) -> Draft | None:
        """Return the answer that is being written in a thread."""
        here = (channel_id, thread_ts)
        under_way = self._running.items()
        return next((draft for place, draft in under_way if (place.channel_id, place.thread_ts) == here), None)

    @asynccontextmanager
    async def known(self, draft: Draft) -> AsyncIterator[None]:
        """Let an answer that is written elsewhere be stopped like any other."""
        self._running[draft.question.place] = draft
        try:
            yield
        finally:
            del self._running[draft.question.place]

    def running_for(self, user_id: str, channel_id: str, *, only_private: bool = False) -> Draft | None:
        """Return an answer that is being written for somebody in a channel, or one that nobody else will see."""
        mine = (draft for draft in self._running.values() if draft.question.user_id == user_id)
        here = (draft for draft in mine if draft.question.place.channel_id == channel_id)
        return next((draft for draft in here if is_private(draft.question.place) or not only_private), None)

    def running_answer(self, answer_id: str) -> Draft | None:
        """Return the answer *answer_id* while it is being written."""
        return next((draft for draft in self._running.values() if draft.answer_id == answer_id), None)

    def running_question(self, channel_id: str, ts: str) -> Draft | None:
        """Return the answer that is being written to a message."""
        under_way = self._running.values()
        here = [draft for draft in under_way if draft.question.place.channel_id == channel_id]
        return next((draft for draft in here if ts in {part.ts for part in draft.question.parts}), None)

    def running_in(self, channel_id: str, ts: str) -> Draft | None:
        """Return the answer that is being written into a message."""
        here = [draft for draft in self._running.values() if draft.question.place.channel_id == channel_id]
        return next((draft for draft in here if ts in draft.reply_ts), None)

    async def read(self, message: Mapping[str, Any], *, channel_id: str, audience: Audience) -> Mapping[str, Any]:
        """Return a message of a channel without what it quotes of places that not all who read there may read."""
        are_ours = partial(self.writing.are_ours, str(message.get("user")), channel_id)
        return await self._directory.readable(message, channel_id=channel_id, audience=audience, are_ours=are_ours)

    async def read_words(self, message: Mapping[str, Any], *, channel_id: str, audience: Audience) -> str:
        """Return what a message asks, as it is stored: people by their names, without how it is put."""
        said = await self.read(message, channel_id=channel_id, audience=audience)
        own = own_user_id(self._bot_user_id)
        names = await self._directory.names([own, *mentioned_users(said)])
        return read_question(parse_message(said, bot_user_id=own, names=names)).question

    async def answer(self, rows: Sequence[Inbox], *, attempts: int) -> None:
        """Bring *rows*, which are one turn, to their outcome; raise a passing *DeliveryError* while Slack is away.

        Raises *QuestionChanged*, with nothing begun, when one of them was edited since it was read.
        """
        asked = rows[-1].payload
        again_id, by = str(asked.get("answer_id") or ""), str(asked.get("user_id") or "")
        draft = await self._begin(rows)
        if draft is not None:
            if any(row.is_stopping for row in rows):  # before it began, or a crash: whoever stopped it sees that
                draft.stop.set()
            draft.payer_id = by
            await self._afterwards.begin(draft, again_id=again_id, by=by)
            await self._answer(draft, rows[-1].id, attempts=attempts)
        else:  # it has its outcome, but whoever brought it may have gone before the line of the status ended
            await end_status(self._calls, rows[-1].channel_id, rows[-1].thread_ts)
            if again_id and by and not await self._assistant.is_there(again_id):  # deleted since somebody pressed
                place = {"channel": {"id": rows[-1].channel_id}, "container": {"thread_ts": rows[-1].thread_ts}}
                await whisper(self._calls, {**place, "user": {"id": by}}, tell_gone())

    async def apologise(self, row: Inbox, *, error_id: str) -> None:
        """Say that an event could not even be begun; raise a passing *DeliveryError* while Slack is away."""
        again = _("Please send it again. (error {error_id})").format(error_id=error_id)
        text = f":warning: {tell_apology(ApprenticeError())} {again}"
        waits_in_line = SLACK_TS.fullmatch(row.thread_ts) is not None  # an order stands in no thread's line
        thread_ts = row.thread_ts if waits_in_line else str(row.payload.get("thread_ts") or row.ts)
        try:
            await self._calls.post(
                f"{row.event_id}/sorry", looks_first=True, channel=row.channel_id, thread_ts=thread_ts, text=text
            )
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            raise DeliveryError(is_passing=is_passing(error)) from error

    async def _begin(self, rows: Sequence[Inbox]) -> Draft | None:
        row = rows[-1]
        if row.kind != "message":
            wish = {name: bool(row.payload.get(name)) for name in ("is_edit", "is_shorter")}
            current = await self._directory.audience_now(row.channel_id)
            return await self._assistant.begin_again(str(row.payload["answer_id"]), current, **wish)
        *before, question = [await self._question(part) for part in rows]
        put = next((part.put for part in (question, *reversed(before)) if part.put != Put()), Put())
        return await self._assistant.begin(replace(question, before=tuple(before), put=put))

    async def _question(self, row: Inbox) -> Question:
        event: Mapping[str, Any] = row.payload["event"]
        user_id = str(event.get("user") or event.get("bot_id"))
        audience = await self._directory.audience(
            row.channel_id, channel_type=event.get("channel_type"), is_shared=bool(row.payload.get("is_shared"))
        )
        event = await self.read(event, channel_id=row.channel_id, audience=audience)
        own = own_user_id(self._bot_user_id)
        names = await self._directory.names([user_id, own, *mentioned_users(event)])
        asked = read_question(parse_message(event, bot_user_id=own, names=names))
        return Question(
            place=Place(row.team_id, row.channel_id, row.thread_ts),
            ts=row.ts,
            user_id=user_id,
            user_name=names[user_id],
            text=asked.question or "(an empty message)",
            audience=audience,
            files=tuple(list_files(event)),
            put=asked.put,
            edited_ts=edit_of(event),
        )

    async def _answer(self, draft: Draft, row_id: int, *, attempts: int) -> None:
        """Write and show an answer; one that is written is kept while Slack or the database are away for some minutes.

        The model would say something else, under the eyes of whoever has read some of it.
        """
        self._running[draft.question.place] = draft
        pauses = iter(PAUSES_S)
        try:
            while True:
                try:
                    return await self._show(draft, row_id, attempts=attempts)
                except Exception as error:
                    passes = error.is_passing if isinstance(error, DeliveryError) else is_away(error)
                    is_ours = is_locked_out(error.__cause__)  # another token may count by now, which is looked up anew
                    pause = next(pauses, None)
                    if is_ours or not passes or not draft.is_written or draft.has_ended or pause is None:
                        raise
                log.warning("turns: a written answer could not be shown or stored; trying again in %.0f s", pause)
                await rest(pause)
                draft.is_resumed = True
        finally:
            del self._running[draft.question.place]

    async def _show(self, draft: Draft, row_id: int, *, attempts: int) -> None:
        place = draft.question.place
        target = Target(
            channel_id=place.channel_id,
            thread_ts=place.thread_ts,
            user_id=draft.question.user_id,
            team_id=place.team_id,
            is_direct=not draft.question.is_group,
            streams=draft.wish.streams,
        )
        own = own_user_id(self._bot_user_id)
        carriers = Carriers(
            self._calls, draft, own_user_id=own, load_known=lambda: self._assistant.load_carriers(draft)
        )
        if draft.is_resumed:
            draft.reply_ts = await carriers.find()
            if await carriers.was_stopped():
                draft.stop.set()
        delivery = Delivery(
            self._calls,
            target,
            answer_id=draft.answer_id,
            reply_ts=draft.reply_ts,
            pace=self._pace,
            on_reply=lambda ts: self._assistant.remember_reply(draft, ts),
            on_removed=draft.remove,
            is_resumed=draft.is_resumed,
            find_lost=carriers.find_stream,
        )
        if await self._is_stopping(row_id):  # since it was begun, when nobody could be told
            draft.stop.set()
        if not await self._assistant.is_there(draft.answer_id):  # its question was deleted since it was begun
            draft.remove(draft.question.ts)
        title = draft.question.parts[0].text
        async with (
            working(self._calls, target, title=title, may_be_shown=draft.is_resumed),
            place_shown(self._calls, target, draft, delivery, pace=self._pace),
        ):
            try:
                draft.raise_if_removed()
                await self.writing.write(draft, delivery, attempts=attempts)
            except AnswerRemoved:
                await self._assistant.finish(draft, state=AnswerState.STOPPED)  # nothing of it is kept
            except QuestionChanged:
                if draft.is_forgotten:
                    await self._take_back(draft, delivery)
                raise
            if draft.removed_ts:
                log.info("turns: somebody deleted an answer while it was written; it is not said again")
                await self._take_back(draft, delivery)
        if delivery.says_working:
            await end_status(self._calls, place.channel_id, place.thread_ts)

    async def take_away(self, stump: Stump) -> None:
        """Delete what is shown of an answer that nobody will go on with, and let nothing say that it is written."""
        place = stump.place
        for ts in stump.shown:
            await self._calls.call_if_possible("chat.delete", channel=place.channel_id, ts=ts)
        await end_status(self._calls, place.channel_id, place.thread_ts)

    async def _take_back(self, draft: Draft, delivery: Delivery) -> None:
        """Delete what is shown of an answer that nobody knows any more."""
        await delivery.abandon()
        for ts in draft.reply_ts:
            await self._calls.call_if_possible("chat.delete", channel=draft.question.place.channel_id, ts=ts)
