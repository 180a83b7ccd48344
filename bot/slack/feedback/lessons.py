"""What one person wrote becomes something to learn when another asks for it and its author agrees."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError

from bot.language import _, speaking
from bot.slack.blocks import Block, build_button, build_note, context, plain, section
from bot.slack.calls import Calls, error_code
from bot.slack.commands.orders import Role
from bot.slack.people.access import Access
from bot.slack.people.directory import Directory
from bot.slack.people.rooms import LONGEST_LOOK_S, Rooms, tell_left
from bot.slack.people.speech import Speech
from bot.slack.text import mentioned_users, parse_message, read_typed
from bot.storage import lessons
from bot.storage.audit import record
from bot.storage.correction_index import is_same
from bot.storage.db import Database
from bot.storage.feedback_tables import Lesson
from bot.storage.privacy import is_stored
from bot.storage.tables import Audience
from bot.storage.threads import Place, narrow

LESSON, LESSON_YES, LESSON_NO = "lesson", "lesson_yes", "lesson_no"
QUESTION = "question"
QUESTION_LENGTH = 300
REPLIES = "conversations.replies"
GONE = {"thread_not_found", "message_not_found"}
TEXT_LENGTH = 2000  # it travels in the form, where Slack has room for 3000 characters


@dataclass(frozen=True, slots=True)
class Asked:
    """A person's message that is to be taught, as the form carries it."""

    team_id: str
    channel_id: str
    thread_ts: str
    ts: str
    author_id: str
    audience: str
    text: str


class Lessons:
    """Asks authors, and teaches what they agree to."""

    def __init__(
        self, database: Database, calls: Calls, *, access: Access, directory: Directory, speech: Speech
    ) -> None:
        self._database = database
        self._calls = calls
        self._access = access
        self._directory = directory
        self._speech = speech
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
            if not await is_stored(session, user_id):
                return tell_unstored()
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
        """Keep the lesson, and ask its author, or learn it at once where whoever asks wrote it."""
        asked, user_id = Asked(**json.loads(view["private_metadata"])), body["user"]["id"]
        question = read_typed(view["state"]["values"][QUESTION][QUESTION].get("value"))[:QUESTION_LENGTH]
        (is_gone, is_edited), audience, has_left, is_author_gone = await asyncio.gather(
            self._look(asked),
            self._find_audience(asked),
            self._rooms.has_left(asked.channel_id, user_id),
            self._rooms.has_left(asked.channel_id, asked.author_id),
        )
        taught = lessons.Taught(
            place=Place(asked.team_id, asked.channel_id, asked.thread_ts),
            ts=asked.ts,
            author_id=asked.author_id,
            asked_by=user_id,
            audience=audience,
            question=question,
            text=asked.text,
        )
        is_unfit = is_gone or is_edited or has_left or is_author_gone or audience is Audience.SHARED
        async with self._database.begin() as session:
            is_known = is_unfit or await lessons.is_known(session, taught.place, ts=taught.ts)
            lesson = None if is_known or not question else await lessons.save_lesson(session, taught)
            if lesson is not None and asked.author_id == user_id:
                record(session, "lesson.teach", by=user_id, target=await lessons.teach(session, lesson))
        if is_gone:
            text = _("This message is gone, so I keep nothing of it.")
        elif is_edited:
            text = _("This message was edited meanwhile, so I keep nothing of its old words: choose it once more.")
        elif has_left:
            text = tell_left(asked.channel_id)
        elif is_unfit:
            text = tell_unfit()
        elif lesson is None:
            text = _("Somebody has asked for this message before.")
        elif asked.author_id == user_id:
            text = _("Thank you. I keep it as a correction of yours.")
        else:
            text = _("I ask {person}, and learn it if they agree.").format(person=f"<@{asked.author_id}>")
        await ack(response_action="update", view=build_end(text))
        if lesson is not None and asked.author_id != user_id:
            await self._ask(lesson)

    async def _look(self, asked: Asked) -> tuple[bool, bool]:
        """Return whether a message was deleted, or says other words, since its form was opened.

        What Slack does not tell is no.
        """
        moment = {"oldest": asked.ts, "latest": asked.ts, "inclusive": True}
        if not self._calls.budget.has_spare(REPLIES):
            return False, False
        try:
            async with asyncio.timeout(LONGEST_LOOK_S):
                found = await self._calls.call_now(REPLIES, channel=asked.channel_id, ts=asked.thread_ts, **moment)
                message = next((one for one in found.get("messages") or [] if one.get("ts") == asked.ts), None)
                if message is None or message.get("subtype") == "tombstone":
                    return True, False
                words = await self._read(message, asked.channel_id, Audience(asked.audience))
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            return error_code(error) in GONE, False
        return False, not is_same(words, asked.text)

    async def _find_audience(self, asked: Asked) -> Audience:
        """Return who may read what is taught: its channel can have become private or shared while the form was open."""
        said_to, here = Audience(asked.audience), Audience.PRIVATE  # until Slack says so
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_LOOK_S):
                here = await self._directory.audience_now(asked.channel_id)
        return narrow(said_to, here)

    async def _ask(self, lesson: Lesson) -> None:
        with speaking(await self._speech.language_of(lesson.user_id)):
            text, blocks = _("May I learn what you wrote?"), build_request(lesson)
        posted = await self._calls.call_if_possible(
            "chat.postMessage", channel=lesson.user_id, text=text, blocks=blocks, unfurl_links=False
        )
        if posted is None:
            async with self._database.begin() as session:
                await lessons.drop_lesson(session, lesson.team_id, lesson.channel_id, ts=lesson.ts)

    async def handle_answer(
        self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """Learn what its author agrees to, and keep nothing of what they do not."""
        user_id, is_agreed, by = body["user"]["id"], action["action_id"] == LESSON_YES, ""
        async with self._database.begin() as session:
            lesson = await lessons.find_waiting(session, str(action.get("value")), author_id=user_id)
            if lesson is None:
                text = _("This is decided already, too long ago, or your words changed since: I keep nothing of it.")
            elif is_agreed and not await is_stored(session, user_id):
                lessons.refuse(lesson)
                text = tell_unstored()
            elif is_agreed and not await lessons.is_willing(session, user_id):
                lessons.refuse(lesson)
                text = _("You want nothing of yours learned, so I keep nothing of it. `learn-from-me on` changes that.")
            elif is_agreed and not await is_stored(session, lesson.asked_by):
                lessons.refuse(lesson)
                text = _("Whoever asked you wants nothing of theirs stored by now, so I keep nothing of it.")
            elif is_agreed:
                by = lesson.asked_by
                record(session, "lesson.teach", by=user_id, target=await lessons.teach(session, lesson))
                text = _("Thank you. I keep it as a correction of yours.")
            else:
                lessons.refuse(lesson)
                text = _("All right. I keep nothing of it, and nobody can ask you for it again.")
        await ack()
        await respond(text=text, blocks=[section(text)], replace_original=True)
        if by:
            with speaking(await self._speech.language_of(by)):
                told = _("{person} agreed: I have learned what they wrote.").format(person=f"<@{user_id}>")
            await self._calls.call_if_possible("chat.postMessage", channel=by, text=told)


def build_form(asked: Asked, *, question: str, is_own: bool) -> dict[str, Any]:
    """Build the form that asks which question a message answers."""
    own = _("You wrote this: I learn it at once.")
    others = _("I ask its author first, with the exact words. Unless they agree within 7 days, I keep nothing.")
    asks = {"type": "plain_text_input", "action_id": QUESTION, "max_length": QUESTION_LENGTH}
    return {
        "type": "modal",
        "callback_id": LESSON,
        "private_metadata": json.dumps({name: getattr(asked, name) for name in Asked.__slots__}, ensure_ascii=False),
        "title": plain(_("Teach me this")),
        "submit": plain(_("Teach")),
        "close": plain(_("Cancel")),
        "blocks": [
            quote(asked.text),
            {
                "type": "input",
                "block_id": QUESTION,
                "label": plain(_("Which question does it answer?")),
                "element": asks | ({"initial_value": question[:QUESTION_LENGTH]} if question else {}),
            },
            *build_note(own if is_own else others),
        ],
    }


def tell_unfit() -> str:
    """Say why a message teaches nothing."""
    return _(
        "I cannot be taught by this message: its author is no member of this workspace, has left this channel, does "
        "not want to be learned from or has been asked for several others already, or others read along here."
    )


def tell_unheard() -> str:
    """Say why a message of a conversation that the assistant is not in teaches nothing."""
    return _("I am not in this conversation, so I would not hear that a message is changed or deleted there.")


def tell_unstored() -> str:
    """Say to whoever wants nothing stored why nothing is taught."""
    return _("You want nothing of yours stored, so I keep nothing of it. `preferences privacy` changes that.")


def build_end(text: str) -> dict[str, Any]:
    """Build what the form says in the end."""
    return {"type": "modal", "title": plain(_("Teach me this")), "close": plain(_("Done")), "blocks": [section(text)]}


def build_request(lesson: Lesson) -> list[Block]:
    """Build the question to an author, with every word that would be learned and who could come to read it."""
    asks = _("{person} would like me to learn what you wrote in {channel}. I only do that if you agree.")
    everybody = _("Then it may show in answers to anybody in this workspace, and I may be trained on it.")
    here = _("Then it may show in answers in that channel, and nowhere else.")
    silence = _("If you do not answer within 7 days, I keep nothing of it.")
    buttons = [
        build_button(_("Yes, learn it"), LESSON_YES, lesson.id) | {"style": "primary"},
        build_button(_("No"), LESSON_NO, lesson.id),
    ]
    return [
        section(asks.format(person=f"<@{lesson.asked_by}>", channel=f"<#{lesson.channel_id}>")),
        section("*" + _("Question") + "*"),
        quote(lesson.question),
        section("*" + _("You wrote") + "*"),
        quote(lesson.text),
        context(f"{everybody if lesson.audience == Audience.PUBLIC else here} {silence}"),
        {"type": "actions", "elements": buttons},
    ]


def quote(text: str) -> Block:
    """Build a paragraph that shows a text as it is, whatever it looks like."""
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def register_lessons(app: AsyncApp, taught: Lessons) -> None:
    """Register the form and the author's two buttons."""
    app.view(LESSON)(taught.handle_form)
    app.action(LESSON_YES)(taught.handle_answer)
    app.action(LESSON_NO)(taught.handle_answer)
