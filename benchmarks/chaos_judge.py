"""What a chaos run left behind, seen from the workspace: each question's answer, and what should not be there."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, text

from benchmarks.chaos_crowd import Conversation, Crowd
from bot.playground.entities import Message
from bot.playground.testing import Playground
from bot.slack.sent import read_key
from bot.storage.db import Database
from bot.storage.inbox import count_waiting
from bot.storage.tables import Answer, AnswerState, Base, Inbox
from bot.storage.tables import Message as Question

MOST_EXAMPLES = 12
WRONGS = ("lost", "doubled", "out of order", "incomplete", "stuck status", "database errors")


@dataclass
class Verdict:
    """How often each wrong was found, with examples, and how many answers were visible errors."""

    questions: int = 0
    errors: int = 0
    found: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(WRONGS, 0)))
    examples: list[str] = field(default_factory=list)

    def note(self, wrong: str, example: str) -> None:
        """Count a wrong."""
        self.found[wrong] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"{wrong}: {example}")

    @property
    def is_clean(self) -> bool:
        """Return whether nothing was wrong."""
        return not self.found.total()


@dataclass(frozen=True)
class Stored:
    """What the database says: question and answer behind each key that a message can carry."""

    questions: dict[str, str]  # its time, by the id of the answer or of the event
    texts: dict[str, str]


async def load_stored(database: Database) -> Stored:
    """Read what explains the messages in the workspace."""
    async with database.read() as session:
        rows = select(Answer.id, Answer.state, Answer.text, Question.ts).join(Question)
        answers = list(await session.execute(rows))
        events = list(await session.execute(select(Inbox.event_id, Inbox.ts)))
    questions = {answer_id: ts for answer_id, _, _, ts in answers} | {event_id: ts for event_id, ts in events}  # noqa: C416 - rows are no pairs
    texts = {answer_id: said for answer_id, state, said, _ in answers if state == AnswerState.COMPLETE}
    return Stored(questions, texts)


async def count_unfinished(database: Database) -> int:
    """Return how many events have no outcome yet."""
    async with database.read() as session:
        return await count_waiting(session)


def judge(playground: Playground, crowd: Crowd, stored: Stored) -> Verdict:
    """Look at every thread."""
    verdict = Verdict()
    for talk in crowd.conversations:
        _judge_thread(verdict, talk, crowd.replies(talk), stored)
    for session in playground.sessions:
        if session["status"] == "processing" or session["status_text"]:
            verdict.note("stuck status", f"{session['channel']} {session['thread_ts']}")
    return verdict


def _judge_thread(verdict: Verdict, talk: Conversation, replies: Sequence[Message], stored: Stored) -> None:
    carriers: dict[str, dict[str, list[Message]]] = defaultdict(lambda: defaultdict(list))
    for message in replies:
        source = read_key({"metadata": message.metadata}).partition("/")[0]
        ts = stored.questions.get(source)
        if ts is None:
            verdict.note("doubled", f"a message of no known answer in {talk.channel} {talk.ts}: {_show(message)}")
            continue
        carriers[ts][source].append(message)
    verdict.questions += len(talk.asked)
    places = []
    for asked in talk.asked:
        answers = carriers.get(asked.ts, {})
        if not answers:
            verdict.note("lost", f"{talk.channel} {asked.ts} in the thread {talk.ts}")
            continue
        (source, messages), *others = answers.items()
        keys = Counter(read_key({"metadata": message.metadata}) for message in messages)
        if others or max(keys.values()) > 1:
            shown = [_show(message) for many in answers.values() for message in many]
            verdict.note("doubled", f"{talk.channel} {asked.ts}: {shown}")
        verdict.errors += any("error " in _words(message) and "⚠" in _words(message) for message in messages)
        problem = _find_gap(messages, stored.texts.get(source))
        if problem:
            verdict.note("incomplete", f"{talk.channel} {asked.ts}: {problem}")
        places.append(float(messages[0].ts))
    if places != sorted(places):
        verdict.note("out of order", f"{talk.channel} {talk.ts}")


def _find_gap(messages: Sequence[Message], text_: str | None) -> str:
    """Return what keeps an answer from being whole; empty: nothing."""
    if any(message.streaming for message in messages):
        return "it still streams"
    shown = "".join("".join(_words(message).split()) for message in messages)
    if text_ is not None and shown != "".join(text_.split()):
        return f"it shows {shown[:60]!r} of {text_[:60]!r}"
    if "stop_answer" in str(messages[-1].blocks):
        return "it still has its Stop button"
    return ""


def _words(message: Message) -> str:
    markdown = next((block["text"] for block in message.blocks if block["type"] == "markdown"), None)
    return str(markdown or message.markdown_text or message.text)


def _show(message: Message) -> str:
    return f"{message.ts} {read_key({'metadata': message.metadata})} {_words(message)[:40]!r}"


async def examine_database(database: Database, verdict: Verdict) -> str:
    """Check the file's or the server's own integrity, read every table, and return what was checked."""
    async with database.read() as session:
        if database.is_sqlite:
            words = list(await session.scalars(text("PRAGMA integrity_check")))
            for word in words if words != ["ok"] else []:
                verdict.note("database errors", str(word))
            for row in await session.execute(text("PRAGMA foreign_key_check")):
                verdict.note("database errors", f"foreign key: {row}")
            return "integrity_check, foreign_key_check"
        for table in Base.metadata.sorted_tables:
            await session.execute(select(table))
        return "every row read"
