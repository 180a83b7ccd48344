"""`/apprentice ask`: an answer that only its asker sees until they share it. `!ask` is a message like any other."""

import asyncio
import html
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from bot.conversation.candidates import join
from bot.conversation.draft import STOPPED, Draft, Question
from bot.conversation.turn import Assistant
from bot.errors import ContextOverflow
from bot.language import _
from bot.slack.blocks import Block, build_note, build_stop_button, build_text, section
from bot.slack.commands.asking import ASK, OPTIONS, USAGE, read_ask
from bot.slack.commands.orders import SILENCE, Call, Command, Reply
from bot.slack.delivery.render import escape
from bot.slack.files.desk import list_files
from bot.slack.people.directory import Directory
from bot.slack.text import mentioned_users, parse_message
from bot.slack.turns.admission import Admission, Asker
from bot.slack.turns.answer_choice import build_choice, build_private, make_safe, split_private, tell_choice, tell_same
from bot.slack.turns.answering import Answering
from bot.slack.turns.asides import tell_edited_since
from bot.slack.turns.place import render_place
from bot.slack.turns.words import tell_apology, tell_unstored
from bot.storage import inbox
from bot.storage.answers import answers_another, load_answer
from bot.storage.asking_tables import PRIVATE
from bot.storage.db import Database
from bot.storage.forgetting import forget_message
from bot.storage.tables import AnswerState, Audience, new_id
from bot.storage.threads import Place, find_thread

PATIENCE_S = 1.0  # an answer that comes sooner needs no word before it
TOKEN = re.compile(r"(<[@#!][^<>\n]{1,120}>|<https?://[^<>\n]{1,2000}>)")

log = logging.getLogger(__name__)


def build_ask_commands(
    database: Database, assistant: Assistant, answering: Answering, admission: Admission, *, directory: Directory
) -> list[Command]:
    """Build the command."""
    orders = AskOrders(database, assistant, answering, admission, directory=directory)
    return [
        Command(
            name=ASK,
            usage=USAGE,
            purpose=_("ask me; only you see the answer until you share it, in a thread everybody does"),
            run=orders.ask,
            is_written=True,
            group=_("Ask me"),
            words=OPTIONS.names,
            example=_("ask --short -n 2 What is a code review?"),
        )
    ]


class AskOrders:
    """Answers questions for one pair of eyes."""

    def __init__(
        self,
        database: Database,
        assistant: Assistant,
        answering: Answering,
        admission: Admission,
        *,
        directory: Directory,
    ) -> None:
        self._database = database
        self._assistant = assistant
        self._answering, self._writing = answering, answering.writing
        self._admission = admission
        self._directory = directory

    async def ask(self, call: Call) -> Reply:
        """Answer a question so that only its asker sees it."""
        asked = read_ask(call.words)
        refusal = await self._admission.find_refusal(Asker(call.user_id, call.channel_id, call.team_id))
        if refusal:
            return Reply(refusal, is_done=False)
        event = {"text": "".join(_quote(part) for part in TOKEN.split(asked.question)), "files": [*call.files]}
        names = await self._directory.names([call.user_id, *mentioned_users(event)])
        question = Question(
            # The message that asks, which its author can edit and delete; there is none of a slash command.
            place=Place(call.team_id, call.channel_id, f"{PRIVATE}{call.ts or new_id()}"),
            ts=call.ts or f"{time.time():.6f}",
            user_id=call.user_id,
            user_name=names[call.user_id],
            text=parse_message(event, bot_user_id="", names=names),
            audience=Audience.DIRECT,
            files=tuple(list_files(event)),
            put=replace(asked.put, is_private=True),
        )
        draft = await self._assistant.begin(question)
        if draft is None:
            raise AssertionError("unreachable: the question is new")
        if call.ts and await self._forget_gone(question):
            return SILENCE
        await self._join_thread(draft, call)
        async with self._answering.known(draft), _told(call, draft):
            return await self._write(draft, call)

    async def _forget_gone(self, question: Question) -> bool:
        """Forget a question whose message was deleted before it was stored; return whether it was.

        One that is deleted from here on is found, and forgotten by whoever hears of it.
        """
        place = question.place
        async with self._database.begin() as session:
            is_gone = await inbox.is_gone(session, place.team_id, place.channel_id, ts=question.ts)
            if is_gone:
                await forget_message(session, place.team_id, place.channel_id, ts=question.ts)
        return is_gone

    async def _join_thread(self, draft: Draft, call: Call) -> None:
        """Let whoever asks within a thread of ours go on from what was said there, which they can read."""
        if call.thread_ts:
            async with self._database.read() as session:
                thread = await find_thread(session, Place(call.team_id, call.channel_id, call.thread_ts))
            draft.within_id = thread.id if thread is not None else ""

    async def _write(self, draft: Draft, call: Call) -> Reply:
        candidates, wanted = self._writing.offers.candidates, draft.question.put.candidates
        try:
            draft.is_ours = await self._writing.are_ours(call.user_id, call.channel_id, Audience.DIRECT)
            await self._writing.files.read_new(draft)
            await self._assistant.prepare(draft)
            draft.pictures = await self._writing.files.fetch_pictures(draft) if draft.sees else []
            drafts = await candidates.write(draft, count=wanted if draft.wish.stores else 1)
        except asyncio.CancelledError:  # this process ends; whoever gave the order is told so
            await self._assistant.finish(draft, state=AnswerState.FAILED, error_id=new_id())
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the person must see an outcome
            error_id = new_id()
            log.warning("ask: error %s: %s", error_id, type(error).__name__)
            await self._assistant.finish(draft, state=AnswerState.FAILED, error_id=error_id)
            again = "" if isinstance(error, ContextOverflow) else _("(error {error_id})").format(error_id=error_id)
            return Reply(f"⚠️ {tell_apology(error, is_kept=draft.wish.stores)} {again}".strip(), is_done=False)
        join(drafts)
        is_stopped = draft.finish_reason == STOPPED
        await self._assistant.finish(draft, state=AnswerState.STOPPED if is_stopped else AnswerState.COMPLETE)
        safe = [(one, make_safe(one.text, asked=draft.asked_text())) for one in drafts]
        async with self._database.read() as session:
            record = await load_answer(session, draft.answer_id)
        if record is None and call.ts and draft.wish.stores:  # its author deleted it meanwhile
            return SILENCE
        is_outdated = record is not None and answers_another(record.message, record.answer)
        edited = build_note(tell_edited_since()) if is_outdated else []
        if len(safe) > 1:
            told = tell_choice(draft)
            return Reply(told, [section(told), *build_choice(safe), *edited])
        below = edited if is_stopped else self._writing.build_ground(draft) + edited
        below += build_note(tell_same()) if wanted > 1 and draft.wish.stores and not is_stopped else []
        stopped = "_" + _("Stopped.") + "_" if is_stopped or not safe[0][1] else ""
        return await self._show(draft, call, "\n\n".join(filter(None, [safe[0][1], stopped])), below)

    async def _show(self, draft: Draft, call: Call, text: str, below: list[Block]) -> Reply:
        above, text = split_private(text)
        for part in above:
            await call.tell(Reply(_("Your answer, for you alone"), part))
        if not draft.wish.stores:
            note = build_note(tell_unstored(wanted=draft.question.put.candidates))
            return Reply(_("Your answer, for you alone"), [*build_text(text), *below, *note])
        said, *rest = build_private(
            draft.answer_id,
            text,
            thread_ts=call.thread_ts or "",
            can_share=not call.channel_id.startswith("D"),
            is_explained=self._writing.explains,
        )
        return Reply(_("Your answer, for you alone"), [said, *below, *rest])


@asynccontextmanager
async def _told(call: Call, draft: Draft) -> AsyncIterator[None]:
    """Say once that an answer is being written, if it does not come at once; what only one sees cannot grow."""
    telling = asyncio.create_task(_tell(call, draft))
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


async def _tell(call: Call, draft: Draft) -> None:
    await asyncio.sleep(PATIENCE_S)
    place = render_place(draft.place)
    said = _("I am writing your answer; it comes here.")
    if place:
        said = _("You are {place}. Your answer comes here.").format(place=place)
    await call.tell(Reply(said, [section(said), *build_stop_button(draft.answer_id)]))


def _quote(part: str) -> str:
    """Return a part of what was typed as Slack's events have it; people, channels and links are so already."""
    return part if TOKEN.fullmatch(part) else escape(html.unescape(part))
