"""A workspace with the whole bot in it, and what its database says: for the machine that knows what people decided."""

import asyncio
import json
import logging
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import JSON, String, Text, cast, func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from bot.app import running_bot
from bot.learning.data.gathering import look, read_drafts
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.settings import Settings
from bot.slack.rates import TIERS, Rates
from bot.slack.setup.manifest import COMMAND, build_manifest
from bot.storage.db import Database
from bot.storage.person_data import collect_person
from bot.storage.tables import (
    Answer,
    AnswerState,
    Base,
    Correction,
    Feedback,
    Inbox,
    InboxState,
    Message,
    PreferencePair,
)
from tests.learning.feedback_rows import PLAIN, system
from tests.scenarios.conftest import settings_for
from tests.scenarios.test_foreign_engine import ForeignServer, serving
from tests.scenarios.test_missed_reactions import CAUGHT_UP, be_away

BOT = "<@U0APPRENTICE>"
PATIENT = Rates(per_minute=dict.fromkeys(TIERS, 100_000), posts_at_once=1000)
POLICY = replace(PLAIN, needs_consent=True)
Triple = tuple[str, str, str]
EVERYTHING = union_all(
    *(
        select(cast(column, Text))
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String | JSON)
    )
)


@dataclass(eq=False, repr=False)
class Shown:
    """A question in Slack with its reply, whose buttons are of the answer *word*, stored or not."""

    author: str
    place: str
    ts: str
    root: str
    reply_ts: str
    word: str

    def __repr__(self) -> str:
        """Show it as a course is told."""
        return f"{self.author}'s, {self.word}"


@dataclass(eq=False, repr=False)
class Note:
    """What somebody was told of a thumb, with its Undo."""

    person: str
    word: str
    vote: str
    message: dict[str, Any]

    def __repr__(self) -> str:
        """Show it as a course is told."""
        return f"{self.person}: {self.word} {self.vote}"


@dataclass
class Form:
    """A form that is open: of which answer to which wording of its question, and whether a correction stood in it."""

    word: str
    place: str
    edits: int
    has_shown: bool


class Echo(ForeignServer):
    """Answers with one word, which *new_word* gives, and remembers it."""

    def __init__(self, new_word: Callable[[], str]) -> None:
        super().__init__()
        self._new_word = new_word
        self.said: list[str] = []

    def take(self) -> list[str]:
        """Return what was answered since the last look."""
        found, self.said = self.said, []
        return found

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Stream the word."""
        await request.read()
        word = self._new_word()
        self.said.append(word)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        event = {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": "stop"}]}
        await response.write(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())
        return response


class CaughtUp(logging.Handler):
    """Hears the bot say that it has looked for what it missed, for as long as a block runs."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()
        self._log = logging.getLogger("bot.slack.turns.catch_up")

    def emit(self, record: logging.LogRecord) -> None:
        """Listen."""
        if CAUGHT_UP in record.getMessage():
            self.heard.set()

    def __enter__(self) -> None:
        self._log.addHandler(self)
        self._log.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)


class Office:
    """Everything that runs, in one loop; with a database of its own on a PostgreSQL *server*, or else in SQLite."""

    def __init__(self, new_word: Callable[[], str], server: str = "") -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = Echo(new_word)
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("bot.slack.calls.Rates", lambda: PATIENT)
        self._patch.setattr("bot.slack.commands.table.ORDERS_PER_PERSON", 100_000)
        self._folder = tempfile.TemporaryDirectory()
        self.data = Path(self._folder.name) / "data"
        self._server, self._name = server, f"test_{uuid.uuid4().hex}"
        here = f"sqlite+aiosqlite:///{self.data / 'apprentice.db'}"
        self.url = server.replace("/postgres?", f"/{self._name}?") or here
        self._stack = AsyncExitStack()
        self._running = AsyncExitStack()
        self._is_away = False
        self.run(self._open())

    def run(self, work: Any) -> Any:
        """Do some of the work."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    async def _open(self) -> None:
        await self._on_server(f"CREATE DATABASE {self._name}")
        await self._stack.enter_async_context(serving(self.engine))
        manifest = build_manifest(name="Apprentice", request_url=None)
        self.playground = await self._stack.enter_async_context(Playground(manifest=manifest))
        await self.person("U0MAYA").invite("leads", BOT.strip("<@>"))
        await self.start()

    async def start(self) -> None:
        """Start the bot."""
        self.rows = Database(self.url)
        changes: dict[str, Any] = {"engine_url": self.engine.url, "engine_api_key": "", "database_url": self.url}
        changes |= {"corrections_at_once": False, "feedback_hint_answers": 0}
        settings: Settings = settings_for(self.playground, Path(self._folder.name), **changes)
        await self._running.enter_async_context(running_bot(settings))
        await self.playground.wait_for_connection()

    async def stop(self) -> None:
        """Stop the bot."""
        await self._running.aclose()
        await self.rows.close()
        self._running = AsyncExitStack()

    async def leave(self) -> None:
        """Stop the bot for longer than Slack tells of anything."""
        await self.stop()
        self._is_away = True

    async def come_back(self) -> None:
        """Start the bot again, and wait until it has looked for what it missed."""
        self._is_away = False
        rows, caught_up = Database(self.url), CaughtUp()
        await be_away(rows, self.playground)
        await rows.close()
        with caught_up:
            await self.start()
            async with asyncio.timeout(30):
                await caught_up.heard.wait()
        await self.settle()

    def close(self) -> None:
        """End everything."""
        try:
            self.run(self.stop())
            self.run(self._stack.aclose())
            self.run(self._on_server(f"DROP DATABASE {self._name} WITH (FORCE)"))
        finally:
            self.loop.close()
            self._patch.undo()
            self._folder.cleanup()

    async def _on_server(self, order: str) -> None:
        if self._server:
            engine = create_async_engine(self._server, isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                await connection.execute(text(order))
            await engine.dispose()

    def person(self, user: str) -> Person:
        """Return somebody."""
        return self.playground.person(user)

    async def settle(self) -> None:
        """Wait until the bot knows all that was done, and has answered; not while it is away."""
        if self._is_away:
            return
        async with asyncio.timeout(20):
            while self._is_pending() or await self._is_busy():  # noqa: ASYNC110 - rows do not call
                await asyncio.sleep(0.01)

    def _is_pending(self) -> bool:
        entries = self.playground.hub.inspector.after(0)
        return any(one["kind"] in {"event", "interaction", "command"} and one["ok"] is None for one in entries)

    async def _is_busy(self) -> bool:
        async with self.rows.read() as session:
            waiting = select(func.count()).select_from(Inbox).where(Inbox.state != InboxState.DONE)
            writing = select(func.count()).select_from(Answer).where(Answer.state == AnswerState.WRITING)
            return bool(await session.scalar(waiting) or await session.scalar(writing))

    @asynccontextmanager
    async def told(self, user: str, channel: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Wait after the block until somebody is told something, mostly what only they see, and give it."""

        def read() -> list[dict[str, Any]]:
            return [*self.person(user).ephemerals(channel)[before:], *self.playground.messages(channel)[said:]]

        before, said = len(self.person(user).ephemerals(channel)), len(self.playground.messages(channel))
        found: list[dict[str, Any]] = []
        yield found
        found += await self.playground.wait_until(read, what=f"a word to {user}")

    async def order(self, user: str, words: str, *, channel: str = "", is_sure: bool = False) -> None:
        """Give an order, and wait for what comes of it."""
        person = self.person(user)
        where = channel or person.dm
        async with self.told(user, where) as notes:
            await person.command(COMMAND, words, channel=where)
        if is_sure:
            shown = json.dumps(person.ephemerals(where))
            await person.click(notes[0], "order:yes")
            await self.playground.wait_until(lambda: json.dumps(person.ephemerals(where)) != shown, what=words)


async def read_decisions(session: AsyncSession) -> tuple[set[Triple], set[Triple], set[Triple], set[Triple]]:
    """Return the votes, remarks, corrections and preferences that count now, with the answers' words; each once."""
    words = await _read_words(session)
    current = select(Feedback.user_id, Feedback.answer_id, Feedback.vote, Feedback.comment)
    current = current.where(Feedback.superseded_at.is_(None), Feedback.vote != "none")
    votes = (await session.execute(current)).all()
    corrections = await session.execute(
        select(Correction.user_id, Correction.answer_id, Correction.text).where(Correction.superseded_at.is_(None))
    )
    pairs = await session.execute(select(PreferencePair.user_id, PreferencePair.chosen_id, PreferencePair.rejected_id))
    return (
        _once([(user, words[answer], str(vote)) for user, answer, vote, _ in votes]),
        {(user, words[answer], comment) for user, answer, _, comment in votes if comment},
        _once([(user, words[answer], text) for user, answer, text in corrections]),
        _once([(user, words[chosen], words[rejected]) for user, chosen, rejected in pairs]),
    )


async def _read_words(session: AsyncSession) -> dict[str, str]:
    """Return the words of answers by their ids; of a lesson, which has none, its question."""
    found = await session.execute(select(Answer.id, Answer.text, Message.text).join(Message))
    return {row[0]: row[1] or f"={row[2]}" for row in found}


def _once(found: list[Triple]) -> set[Triple]:
    assert len(found) == len(set(found)), "what is said counts once"
    return set(found)


async def read_all(session: AsyncSession) -> str:
    """Return every text in every table as one."""
    return "\n".join(filter(None, await session.scalars(EVERYTHING)))


async def read_learned(database: Database) -> tuple[set[Triple], list[str]]:
    """Return what a training would take: who said it, about which answer, and what; and all texts of each example."""
    harvest = await look(database, policy=POLICY, system=system, since=None)
    taken: set[Triple] = set()
    texts = []
    async with database.read() as session:
        words = await _read_words(session)
        said = {row[0]: row[1] for row in await session.execute(select(Correction.id, Correction.text))}
    async for draft, _group in read_drafts(database, harvest, say=lambda *_: None):
        for one in draft.chosen.signals:
            vote = {True: "up", False: "down", None: words.get(one.other_id, "")}[one.is_liked]
            taken.add((one.user_id, words[one.answer_id], said.get(one.row_id, vote)))
        texts.append(" ".join([*(message["content"] for message in draft.messages), draft.answer, draft.rejected]))
    return taken, texts


async def read_own(database: Database, user: str) -> str:
    """Return what somebody gets who wants to see what is stored of them."""
    async with database.read() as session:
        return json.dumps(await collect_person(session, user), default=str)
