"""What was edited or deleted while the bot was away goes and changes in the database as well, on every database."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import select

from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.commands.asking import read_question
from bot.slack.feedback.missed_reactions import MissedReactions
from bot.slack.feedback.reactions import Reactions
from bot.slack.intake import Intake
from bot.slack.people.access import Access, Home
from bot.slack.people.directory import Directory
from bot.slack.turns.edits import Edits
from bot.slack.turns.missed_changes import MissedChanges
from bot.storage.asking_tables import PRIVATE, Asking
from bot.storage.db import Database
from bot.storage.erasure_tables import Erasure
from bot.storage.feedback import save_vote
from bot.storage.feedback_tables import Lesson
from bot.storage.file_tables import MessageFile
from bot.storage.files import SharedFile, announce_files
from bot.storage.lessons import Taught, save_lesson, teach
from bot.storage.reacted import change_reaction, list_reacted
from bot.storage.tables import Answer, AnswerState, Audience, Correction, Feedback, Message, Vote, new_id, now
from bot.storage.threads import Place
from tests.builders import answered, said

TEAM, BOT = "T0PLAYGRND", "U0APPRENTICE"


async def as_it_is(message: Mapping[str, Any], **_where: Any) -> str:
    """Return what a message asks: it quotes nothing and names nobody."""
    return read_question(str(message["text"])).question


class Idle:
    """Nothing is being written, and nobody waits for what is put in line."""

    worker_id = "idle"

    def running_question(self, *_where: str) -> None:
        """Know of none."""

    def wake(self) -> None:
        """Leave it in line."""


def build_changes(database: Database, calls: Calls) -> MissedChanges:
    """Build what follows missed changes in the playground's workspace."""
    access = Access(database, Directory(calls, database), owners=frozenset(), home=Home(TEAM))
    reactions = Reactions(database, calls, access, ups=["+1", "heart"], downs=["x"])
    idle: Any = Idle()
    missed = MissedReactions(database, calls, reactions)
    return MissedChanges(database, calls, as_it_is, missed, Edits(database, idle, idle, Intake(database)))


async def test_deleted_and_edited_messages_are_followed(database: Database) -> None:
    """A thread's root, a reply, a message alone, a new wording; not what stands, is unreadable, or was never there."""
    async with Playground() as playground:
        maya, tom = playground.maya, playground.tom
        general, leads = playground.channel("general"), playground.channel("leads")
        root = await maya.say("general", "the root")
        places = {name: await maya.say("general", name, thread_ts=root) for name in ("gone", "edited", "same")}
        alone = await tom.say("general", "alone")
        stays = await tom.say("general", "stays")
        async with database.begin() as session:
            for name, ts in {"the root": root, **places}.items():
                await answered(session, await said(session, name, ts=ts, place=Place(TEAM, general, root)), "answer")
            for name, ts in (("alone", alone), ("stays", stays)):
                await said(session, name, ts=ts, place=Place(TEAM, general, ts))
            by_command = await said(session, "by command", ts="9.9", place=Place(TEAM, general, root))
            session.add(Asking(message_id=by_command.id, is_private=True))
            await said(session, "taught", ts="teach:1", place=Place(TEAM, general, "teach:1"))
            await said(session, "unreadable", ts="1.0", place=Place(TEAM, "C0NOWHERE", "1.0"))
            await said(session, "elsewhere", ts=root, place=Place("T0OTHER", leads, root))
        await maya.delete("general", root)
        await maya.delete("general", places["gone"])
        await tom.delete("general", alone)
        await maya.edit("general", places["edited"], "another question")

        calls = Calls(AsyncWebClient("xoxb-playground", base_url=playground.api_url))
        changes = build_changes(database, calls)
        since = now() - timedelta(hours=1)
        assert await changes.look(TEAM, bot_user_id=BOT, since=since) == 4
        assert await changes.look(TEAM, bot_user_id=BOT, since=since) == 0
    async with database.read() as session:
        left = sorted(await session.scalars(select(Message.text)))
        causes = [str(cause) for cause in await session.scalars(select(Erasure.cause).order_by(Erasure.cause))]
    assert left == ["another question", "by command", "elsewhere", "same", "stays", "taught", "unreadable"]
    assert causes == ["edit", *["message"] * 5], "three messages and two answers"


async def test_a_private_question_follows_its_message(database: Database) -> None:
    """One that was asked with a message, in a thread or alone; one by slash command has none, and stays."""
    async with Playground() as playground:
        tom, general = playground.tom, playground.channel("general")
        root = await tom.say("general", "the root")
        asked = {name: await tom.say("general", f"!ask --private {name}", root) for name in ("edited", "gone", "same")}
        asked["alone"] = await tom.say("general", f"<@{BOT}> !ask --private alone")
        threads = {name: f"{PRIVATE}{ts}" for name, ts in asked.items()} | {"by command": f"{PRIVATE}{new_id()}"}
        async with database.begin() as session:
            for name, thread_ts in threads.items():
                place = Place(TEAM, general, thread_ts)
                message = await said(session, name, ts=asked.get(name, "1764000000.000001"), place=place)
                session.add(Asking(message_id=message.id, is_private=True))
        await tom.edit("general", asked["edited"], "!ask --private another")
        await tom.delete("general", asked["gone"])
        await tom.delete("general", asked["alone"])

        calls = Calls(AsyncWebClient("xoxb-playground", base_url=playground.api_url))
        changes = build_changes(database, calls)
        assert await changes.look(TEAM, bot_user_id=BOT, since=now() - timedelta(hours=1)) == 3
    async with database.read() as session:
        assert sorted(await session.scalars(select(Message.text))) == ["another", "by command", "same"]


async def test_a_deleted_answer_is_found_missing(database: Database) -> None:
    """Any of its messages, also a thread's root, which leaves a tombstone; not what we took out of it ourselves."""
    async with Playground() as playground:
        general = playground.channel("general")
        client = AsyncWebClient("xoxb-playground", base_url=playground.api_url)

        async def post(thread_ts: str | None = None) -> str:
            return str((await client.chat_postMessage(channel=general, text="words", thread_ts=thread_ts))["ts"])

        asked = {name: await playground.tom.say("general", name) for name in ("gone", "stays", "shorter", "unseen")}
        carriers = {name: [await post(ts), await post(ts)] for name, ts in asked.items()}
        shared = await post()
        await playground.tom.say("general", "thanks", thread_ts=shared)
        async with database.begin() as session:
            for name, ts in asked.items():
                message = await said(session, name, ts=ts, place=Place(TEAM, general, ts))
                left = carriers[name][:1] if name == "shorter" else carriers[name]
                state = AnswerState.WRITING if name == "unseen" else AnswerState.COMPLETE
                await answered(session, message, f"answer: {name}", reply_ts=left, state=state)
            message = await said(session, "shared", ts=shared, place=Place(TEAM, general, shared))
            session.add(Asking(message_id=message.id, is_private=True, shared_ts=shared))
            await answered(session, message, "answer: shared", reply_ts=[shared])
        for name in ("gone", "shorter", "unseen"):
            await playground.maya.delete("general", carriers[name][1])
        await playground.maya.delete("general", shared)

        changes = build_changes(database, Calls(client))
        since = now() - timedelta(hours=1)
        assert await changes.look(TEAM, bot_user_id=BOT, since=since) == 2
        assert await changes.look(TEAM, bot_user_id=BOT, since=since) == 0
    async with database.read() as session:
        left = sorted(await session.scalars(select(Answer.text)))
        questions = sorted(await session.scalars(select(Message.text)))
    assert left == ["answer: shorter", "answer: stays", "answer: unseen"]
    assert questions == ["gone", "shorter", "stays", "unseen"], "a shared answer takes the question along that it shows"


async def test_what_was_taught_by_a_deleted_message_goes(database: Database) -> None:
    """Also where it stood in a thread in which nobody asked the assistant anything; what stands stays taught."""
    async with Playground() as playground:
        tom, general = playground.tom, playground.channel("general")
        root = await tom.say("general", "the root")
        gone = await tom.say("general", "the zanzibar is in the cellar", thread_ts=root)
        stays = await tom.say("general", "the sprint ends on Friday", thread_ts=root)
        async with database.begin() as session:
            for ts in (gone, stays):
                taught = Taught(
                    place=Place(TEAM, general, root),
                    ts=ts,
                    author_id=tom.id,
                    asked_by="U0MAYA",
                    audience=Audience.PUBLIC,
                    question="where?",
                    text=f"said at {ts}",
                )
                await teach(session, await save_lesson(session, taught))
        await tom.delete("general", gone)

        calls = Calls(AsyncWebClient("xoxb-playground", base_url=playground.api_url))
        since = now() - timedelta(hours=1)
        assert await build_changes(database, calls).look(TEAM, bot_user_id=BOT, since=since) == 1
    async with database.read() as session:
        assert list(await session.scalars(select(Lesson.ts))) == [stays]
        assert list(await session.scalars(select(Correction.text))) == [f"said at {stays}"]


async def test_a_file_that_was_deleted_meanwhile_goes(database: Database) -> None:
    """Its text is read by nobody any more; the message and its other file stay."""
    async with Playground() as playground:
        tom, general = playground.tom, playground.channel("general")
        seen = {name: await tom.share("general", "words", name=name, text=name) for name in ("gone.txt", "stays.txt")}
        ids = {name: playground.message("general", ts)["files"][0]["id"] for name, ts in seen.items()}
        async with database.begin() as session:
            for name, ts in seen.items():
                message = await said(session, name, ts=ts, place=Place(TEAM, general, ts))
                file = SharedFile(slack_id=ids[name], name=name, mimetype="text/plain", size=5, url="https://x/y")
                await announce_files(session, message, [file])
        await tom.delete_file(ids["gone.txt"])

        calls = Calls(AsyncWebClient("xoxb-playground", base_url=playground.api_url))
        await build_changes(database, calls).look(TEAM, bot_user_id=BOT, since=now() - timedelta(hours=1))
    async with database.read() as session:
        assert list(await session.scalars(select(MessageFile.name))) == ["stays.txt"]
        assert len(list(await session.scalars(select(Message.id)))) == 2


async def test_half_an_answer_takes_nothing_away(database: Database) -> None:
    """Whoever stands between Slack and us may leave out what a thread says: that it says nothing is another answer."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_route("*", "/api/{method}", answer)
    async with database.begin() as session:
        await answered(session, await said(session, "stays", ts="1.0", place=Place(TEAM, "C1", "1.0")), "answer")
    async with TestServer(app) as server:
        calls = Calls(AsyncWebClient("xoxb-x", base_url=str(server.make_url("/api/")), retry_handlers=[]))
        with pytest.raises(SlackApiError):
            await build_changes(database, calls).look(TEAM, bot_user_id=BOT, since=now() - timedelta(hours=1))

    async with database.read() as session:
        assert list(await session.scalars(select(Message.text))) == ["stays"]


@pytest.mark.parametrize("can_read", [True, False])
async def test_reactions_count_as_they_stand_below_all_messages_of_an_answer(
    database: Database, *, can_read: bool
) -> None:
    """Below any of them; not where the app may not read them, nor below what is not judged or is another's."""
    scopes = ["chat:write", "channels:history", "users:read", *(["reactions:read"] if can_read else [])]
    manifest = {"oauth_config": {"scopes": {"bot": scopes}}, "settings": {}}
    async with Playground(manifest=manifest) as playground:
        tom, maya, general = playground.tom, playground.maya, playground.channel("general")
        client = AsyncWebClient("xoxb-playground", base_url=playground.api_url)
        root = await tom.say("general", "why?")
        there = [str((await client.chat_postMessage(channel=general, text="so", thread_ts=root))["ts"]) for _ in "123"]
        async with database.begin() as session:
            message = await said(session, "why?", ts=root, place=Place(TEAM, general, root))
            answer = await answered(session, message, "so", reply_ts=there[:2])
            refused = await said(session, "how?", ts=there[2], place=Place(TEAM, general, root))
            await answered(session, refused, "", state=AnswerState.FAILED, reply_ts=there[2:])
            for user in ("U0TOM", "U0MAYA", "U0PRIYA"):
                await change_reaction(session, answer, user_id=user, vote=Vote.UP, left=[], is_added=True)
            await save_vote(session, answer, user_id="U0PRIYA", vote=Vote.DOWN)
        await tom.react("general", there[1], "heart")
        for ts in (root, there[0], there[2]):
            await maya.react("general", ts, "x")
        changes, since = build_changes(database, Calls(client)), now() - timedelta(hours=1)
        missed = [await changes.look(TEAM, bot_user_id=BOT, since=since) for _ in range(2)]
    assert missed == [1 if can_read else 0, 0]
    async with database.read() as session:
        rows = list(await session.scalars(select(Feedback).order_by(Feedback.id)))
        known = await list_reacted(session, Place(TEAM, general, root))
    current = {row.user_id: row.vote for row in rows if row.superseded_at is None}
    assert current == {"U0TOM": "up", "U0MAYA": "down" if can_read else "up", "U0PRIYA": "down"}
    assert {row.answer_id for row in rows} == {answer.id}
    if can_read:
        assert [one.known for one in known if one.answer_id == answer.id] == [{"U0TOM": {"up"}, "U0MAYA": {"down"}}]
