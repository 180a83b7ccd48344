"""What one person wrote becomes something to learn when another asks for it and its author agrees."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError

from bot.language import _
from bot.slack.blocks import section
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.commands.orders import Role
from bot.slack.feedback.lesson_words import (
    LESSON,
    LESSON_NO,
    LESSON_YES,
    QUESTION,
    QUESTION_LENGTH,
    Asked,
    build_end,
    build_form,
    build_request,
    tell_unfit,
    tell_unheard,
    tell_unlearned,
    tell_unstored,
)
from bot.slack.people.access import Access
from bot.slack.people.directory import Directory
from bot.slack.people.rooms import LONGEST_LOOK_S, Rooms, tell_left
from bot.slack.rates import POST
from bot.slack.standing import REPLIES, find_standing
from bot.slack.text import mentioned_users, parse_message, read_typed
from bot.storage import inbox, lessons
from bot.storage.audit import record
from bot.storage.correction_index import is_same
from bot.storage.db import Database, Session
from bot.storage.feedback_tables import Lesson
from bot.storage.privacy import is_stored
from bot.storage.tables import Audience, Inbox, new_id, now
from bot.storage.threads import Place, narrow

REQUEST = "lesson_request"  # the inbox's word for an author who is to be asked
UNASKED = "lesson_unasked"  # for whoever is to hear that this was not possible
AGREED = "lesson_agreed"  # and that the author said yes
LATE = timedelta(seconds=5)  # what is said so long after the form may have been overtaken meanwhile
TEXT_LENGTH = 2000  # it travels in the form, where Slack has room for 3000 characters

log = logging.getLogger(__name__)


class Lessons:
    """Asks authors, and teaches what they agree to."""

    def __init__(
        self,
        database: Database,
        calls: Calls,
        *,
        access: Access,
        directory: Directory,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._calls = calls
        self._access = access
        self._directory = directory
        self._wake = wake
        self._rooms = Rooms(calls, access).for_orders()

    async def propose(self, body: Mapping[str, Any]) -> str:
        """Open the form about a person's message; return in words why not, if not."""
        message, user_id = body["message"], body["user"]["id"]
        team_id, channel_id = str((body.get("team") or {}).get("id") or ""), str(body["channel"]["id"])
        audience = await self._directory.audience(channel_id, channel_type=None, is_shared=False)
        text, author_id = await self._read(message, channel_id, audience), str(message.get("user") or "")
        if not text or len(json.dumps(text, ensure_ascii=False)) > TEXT_LENGTH:
            return _("I can be taught by a message with text, of at most {most} characters.").format(most=TEXT_LENGTH)
        place = Place(team_id, channel_id, str(message.get("thread_ts") or message["ts"]))
        async with self._database.read() as session:
            if await lessons.is_known(session, place, ts=str(message["ts"])):
                return _("Somebody has asked for this message before.")
            if refusal := await refuse_teacher(session, user_id):
                return refusal
            if author_id != user_id and not await lessons.may_ask(session, user_id):
                return _("You have asked for many messages already: please wait until some authors have answered.")
            is_willing = author_id == user_id or await lessons.may_be_asked(session, author_id)
            question = await lessons.find_question(session, place, user_id=user_id, before_ts=str(message["ts"]))
        is_member = not message.get("bot_id") and await self._access.role_of(author_id, team_id) >= Role.MEMBER
        is_heard = await self._directory.is_in(channel_id)
        if not is_heard or not is_willing or not is_member or audience is Audience.SHARED:
            return tell_unfit() if is_heard else tell_unheard()
        said_at = str(message["ts"])
        asked = Asked(team_id, channel_id, place.thread_ts, said_at, author_id, str(audience), text)
        view = build_form(asked, question=question, is_own=author_id == user_id)
        await self._calls.open_form(user_id, trigger_id=body["trigger_id"], view=view)
        return ""

    async def _read(self, message: Mapping[str, Any], channel_id: str, audience: Audience) -> str:
        """Return the words of a message as everybody who reads there may read them."""
        are_ours = partial(self._rooms.are_ours_in, channel_id)
        message = await self._directory.readable(message, channel_id=channel_id, audience=audience, are_ours=are_ours)
        names = await self._directory.names(mentioned_users(message))
        return parse_message(message, bot_user_id="", names=names).strip()

    async def handle_form(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Keep the lesson, and owe its author the question, or learn it at once where whoever asks wrote it."""
        asked, user_id = Asked(**json.loads(view["private_metadata"])), body["user"]["id"]
        question = read_typed(view["state"]["values"][QUESTION][QUESTION].get("value"))[:QUESTION_LENGTH]
        refusal, audience = await self._weigh(asked, user_id)
        taught = lessons.Taught(
            place=Place(asked.team_id, asked.channel_id, asked.thread_ts),
            ts=asked.ts,
            author_id=asked.author_id,
            asked_by=user_id,
            audience=audience,
            question=question,
            text=asked.text,
        )
        async with self._database.begin() as session:
            refusal = refusal or await refuse_teacher(session, user_id)
            is_known = bool(refusal) or await lessons.is_known(session, taught.place, ts=taught.ts)
            lesson = None if is_known or not question else await lessons.save_lesson(session, taught)
            if lesson is not None and asked.author_id == user_id:
                record(session, "lesson.teach", by=user_id, target=await lessons.teach(session, lesson))
            elif lesson is not None:
                await inbox.accept(session, _owe_request(asked, lesson.id))
        if refusal:
            text = refusal
        elif lesson is None:
            text = _("Somebody has asked for this message before.")
        elif asked.author_id == user_id:
            text = _("Thank you. I keep it as a correction of yours.")
        else:
            text = _("I ask {person}, and learn it if they agree.").format(person=f"<@{asked.author_id}>")
        await ack(response_action="update", view=build_end(text))
        self._wake()

    async def _weigh(self, asked: Asked, asked_by: str) -> tuple[str, Audience]:
        """Return in words what has come between a form and now, empty where nothing has, and who may read there."""
        (is_gone, is_edited), audience, has_left, is_author_gone = await asyncio.gather(
            self._look(asked),
            self._find_audience(asked),
            self._rooms.has_left(asked.channel_id, asked_by),
            self._rooms.has_left(asked.channel_id, asked.author_id),
        )
        refusal = ""
        if is_gone:
            refusal = _("This message is gone, so I keep nothing of it.")
        elif is_edited:
            refusal = _("This message was edited meanwhile, so I keep nothing of its old words: choose it once more.")
        elif has_left:
            refusal = tell_left(asked.channel_id)
        elif is_author_gone or audience is Audience.SHARED:
            refusal = tell_unfit()
        return refusal, audience

    async def _look(self, asked: Asked) -> tuple[bool, bool]:
        """Return whether a message was deleted, or says other words, since its form was opened.

        What Slack does not tell is no.
        """
        if not self._calls.budget.has_spare(REPLIES):
            return False, False
        try:
            async with asyncio.timeout(LONGEST_LOOK_S):
                place = {"thread_ts": asked.thread_ts, "ts": asked.ts}
                message = await find_standing(self._calls.call_now, asked.channel_id, **place)
                if message is None:
                    return True, False
                words = await self._read(message, asked.channel_id, Audience(asked.audience))
        except (SlackApiError, aiohttp.ClientError, TimeoutError):
            return False, False
        return False, not is_same(words, asked.text)

    async def _find_audience(self, asked: Asked) -> Audience:
        """Return who may read what is taught: its channel can have become private or shared while the form was open."""
        said_to, here = Audience(asked.audience), Audience.PRIVATE  # until Slack says so
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_LOOK_S):
                here = await self._directory.audience_now(asked.channel_id)
        return narrow(said_to, here)

    async def ask(self, row: Inbox) -> None:
        """Ask an author what *row* owes them, unless that is decided by now; raise what prevents it.

        What Slack refuses for good is kept by nobody, and whoever asked hears so.
        """
        owed = row.payload
        await self._calls.clock.sleep(self._calls.budget.rests(POST, owed["user_id"]))  # and decide after that
        async with self._database.begin() as session:
            lesson = await lessons.find_askable(session, owed["lesson_id"], author_id=owed["user_id"])
        if lesson is None:
            return
        place = Place(lesson.team_id, lesson.channel_id, owed["thread_ts"])
        asked = Asked(
            **vars(place), ts=lesson.ts, author_id=lesson.user_id, audience=owed["audience"], text=lesson.text
        )
        if now() - row.received_at > LATE and (await self._weigh(asked, lesson.asked_by))[0]:
            await self._give_up(lesson)
            return
        try:
            await self._calls.post(
                f"{row.event_id}/request",
                looks_first=row.attempts > 1,
                waits=False,
                channel=lesson.user_id,
                text=_("May I learn what you wrote?"),
                blocks=build_request(lesson),
            )
        except SlackApiError as error:
            if is_passing(error):
                raise
            log.warning("lessons: an author could not be asked (%s)", error_code(error))
            await self._give_up(lesson)

    async def _give_up(self, lesson: Lesson) -> None:
        """Keep nothing of a lesson whose author cannot be asked, and owe whoever wants it a word."""
        payload = {"user_id": lesson.asked_by, "author_id": lesson.user_id}
        async with self._database.begin() as session:
            await lessons.drop_lesson(session, lesson.team_id, lesson.channel_id, ts=lesson.ts)
            await inbox.accept(session, _owe(UNASKED, lesson.team_id, payload))

    async def handle_answer(
        self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """Learn what its author agrees to, and keep nothing of what they do not."""
        user_id, is_agreed = body["user"]["id"], action["action_id"] == LESSON_YES
        lesson_id = str(action.get("value"))
        is_another = is_agreed and await self._is_another(lesson_id, user_id)
        async with self._database.begin() as session:
            lesson = await lessons.find_waiting(session, lesson_id, author_id=user_id)
            if lesson is not None and is_another:
                await lessons.drop_lesson(session, lesson.team_id, lesson.channel_id, ts=lesson.ts)
            if lesson is None or is_another:
                text = _("This is decided already, too long ago, or your words changed since: I keep nothing of it.")
            elif is_agreed and (refusal := await refuse_teacher(session, user_id)):
                lessons.refuse(lesson)
                text = refusal
            elif is_agreed and await refuse_teacher(session, lesson.asked_by):
                lessons.refuse(lesson)
                text = _("Whoever asked you wants nothing of theirs stored or learned by now, so I keep nothing of it.")
            elif is_agreed:
                record(session, "lesson.teach", by=user_id, target=await lessons.teach(session, lesson))
                payload = {"user_id": lesson.asked_by, "author_id": user_id}
                await inbox.accept(session, _owe(AGREED, lesson.team_id, payload))
                text = _("Thank you. I keep it as a correction of yours.")
            else:
                lessons.refuse(lesson)
                text = _("All right. I keep nothing of it, and nobody can ask you for it again.")
        await ack()
        self._wake()
        await respond(text=text, blocks=[section(text)], replace_original=True)

    async def _is_another(self, lesson_id: str, author_id: str) -> bool:
        """Return whether an author has deleted what they are asked about, or made other words of it, unheard."""
        async with self._database.read() as session:
            lesson = await lessons.find_waiting(session, lesson_id, author_id=author_id)
        if lesson is None:
            return False
        stands = {"thread_ts": lesson.ts, "ts": lesson.ts}  # by its own Slack tells of a message wherever it stands
        asked = Asked(
            lesson.team_id,
            lesson.channel_id,
            **stands,
            author_id=author_id,
            audience=lesson.audience,
            text=lesson.text,
        )
        return any(await self._look(asked))


async def refuse_teacher(session: Session, user_id: str) -> str:
    """Return in words why nothing is taught with somebody's words, or by them; empty where it may be."""
    if not await is_stored(session, user_id):
        return tell_unstored()
    return "" if await lessons.is_willing(session, user_id) else tell_unlearned()


def _owe_request(asked: Asked, lesson_id: str) -> inbox.Arrival:
    """Build the event that an author is to be asked; no word of theirs is in it that a deletion would have to reach."""
    who = {"user_id": asked.author_id, "lesson_id": lesson_id}
    return _owe(REQUEST, asked.team_id, {**who, "thread_ts": asked.thread_ts, "audience": asked.audience})


def _owe(kind: str, team_id: str, payload: dict[str, Any]) -> inbox.Arrival:
    event_id = new_id()
    return inbox.Arrival(
        event_id=event_id,
        team_id=team_id,
        channel_id="",
        ts=f"{time.time():.6f}",
        thread_ts=event_id,  # it stands in no line
        kind=kind,
        payload=payload,
    )


def register_lessons(app: AsyncApp, taught: Lessons) -> None:
    """Register the form and the author's two buttons."""
    app.view(LESSON)(taught.handle_form)
    app.action(LESSON_YES)(taught.handle_answer)
    app.action(LESSON_NO)(taught.handle_answer)
