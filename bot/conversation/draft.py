"""An answer while it is being written, and the question that it answers."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self, TypeVar

from bot.conversation.certainty import Certainty
from bot.conversation.excerpts import Excerpt
from bot.conversation.history import Example, Fitted
from bot.conversation.pictures import TOKENS, Picture
from bot.engine.types import Chunk, QueuePlace
from bot.errors import AnswerRemoved, QuestionChanged
from bot.storage.askings import Put
from bot.storage.files import SharedFile, ThreadFile
from bot.storage.memory_tables import ThreadSummary
from bot.storage.preferences import Preferences
from bot.storage.tables import Audience, now
from bot.storage.threads import Place, Said
from bot.storage.unsaid import UNSAID

T = TypeVar("T")
STOPPED = "stopped"
STORED_COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens")


@dataclass(frozen=True)
class Question:
    """A message that wants an answer; *is_group* says that others can speak in the same place.

    *before* are the messages of the same person just before it, which the same answer is to.
    """

    place: Place
    ts: str
    user_id: str
    user_name: str
    text: str
    audience: Audience
    files: tuple[SharedFile, ...] = ()
    before: tuple["Question", ...] = ()
    put: Put = field(default_factory=Put)
    edited_ts: str = ""  # of its newest edit in Slack

    @property
    def parts(self) -> tuple["Question", ...]:
        """Return every message that the answer is to, oldest first."""
        return (*self.before, self)

    def still_there(self, edits: Mapping[str, str | None]) -> "Question | None":
        """Return it without what was deleted since, None when nothing is left, by the newest *edits* of its messages.

        Raises *QuestionChanged* when one of them was edited since it was read.
        """
        parts = tuple(part for part in self.parts if edits.get(part.ts, "") is not None)
        if any(edits.get(part.ts, part.edited_ts) != part.edited_ts for part in parts):
            raise QuestionChanged
        return replace(parts[-1], before=parts[:-1], put=self.put) if parts else None

    def as_one(self) -> Self:
        """Return it with the words of every message that the answer is to, since none of them will be stored."""
        words = "\n\n".join(part.text for part in self.parts)
        return replace(self, text=words)

    @property
    def is_group(self) -> bool:
        """Return whether speakers must be told apart."""
        return self.audience is not Audience.DIRECT


@dataclass(frozen=True, slots=True)
class TooLong:
    """An answer that somebody wants shorter."""

    answer_id: str
    text: str


@dataclass
class Draft:
    """An answer that is being written; *reply_ts* are the Slack messages that carry it so far.

    *place* says where it waits for the engine, None when it does not; *moved* is set whenever that changes.
    """

    question: Question
    answer_id: str
    thread_id: str
    reply_ts: list[str]
    within_id: str = ""  # of the thread in which a private question was asked, which goes on from what was said there
    wish: Preferences = field(default_factory=Preferences)
    is_again: bool = False  # to a question that was answered before, whose words are stored
    is_another: bool = False
    shortens: TooLong | None = None
    is_resumed: bool = False  # an earlier try may have shown more of it than is known
    is_chosen: bool = False  # whether what answers is what whoever asked chose
    is_ours: bool = False  # whether all who will read it are members, who may read all that is public; guests may not
    began_at: datetime = field(default_factory=now)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stopped_by: str = ""  # who pressed Stop
    payer_id: str = ""  # who wanted it anew; empty: whoever asked pays
    removed_ts: str = ""  # of a message that carried it, which somebody deleted
    gives_way: bool = False  # to the answer to an edited question, which comes behind it
    is_outdated: bool = False  # what it answers is another question meanwhile, and its turn begins anew
    is_forgotten: bool = False  # with one of the messages that it answers
    text: str = ""
    fitted: Fitted | None = None
    history: list[Said] = field(default_factory=list)
    summary: ThreadSummary | None = None
    summarised: int = 0  # how many messages of the thread are in the summary
    older: str = ""  # and what people said in them
    examples: list[Example] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)  # that told of these, with their versions
    certainty: Certainty = field(default_factory=Certainty)
    generating_at: datetime | None = None
    files: list[ThreadFile] = field(default_factory=list)
    excerpts: list[Excerpt] = field(default_factory=list)
    sees: bool = False
    eyes: str = ""  # by which file our own engine sees
    picture_tokens: int = TOKENS
    pictures: list[Picture] = field(default_factory=list)
    finish_reason: str | None = None
    has_ended: bool = False  # its outcome is stored
    record: dict[str, Any] = field(default_factory=dict)
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: list[int] = field(default_factory=list)
    first_token_at: datetime | None = None
    place: QueuePlace | None = None
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    offered: "list[Draft]" = field(default_factory=list)  # what was written to choose from, this one among it
    others: "list[Draft]" = field(default_factory=list)  # shown beside it, to choose from

    @property
    def read_id(self) -> str:
        """Return the thread whose earlier messages the model reads."""
        return self.within_id or self.thread_id

    @property
    def can_go_on(self) -> bool:
        """Whether an answer that broke off can be continued: no token ids say what a picture shows."""
        return bool(self.eyes) if self.pictures else self.prompt_ids is not None

    @property
    def is_written(self) -> bool:
        """Whether the model has said all of it."""
        return self.finish_reason not in {None, STOPPED, UNSAID}

    def asked_text(self) -> str:
        """Return what people said of all that the model reads; a model's own summary of it is not among that."""
        if self.fitted is None:
            return ""
        said = [*(one.text for one in self.fitted.kept), *(part.text for part in self.question.parts)]
        taught = [text for one in self.examples for text in (one.question, one.answer)]
        return "\n".join([self.older, *taught, *(one.text for one in self.excerpts), *said])

    def count_spent(self) -> int:
        """Return how many tokens had to be computed.

        Of what broke off nobody says it: then what was written, and of the prompt as much as the question is long, for
        the rest of it was mostly known.
        """
        if all(name in self.record for name in STORED_COUNTS):
            read, known, written = (int(self.record[name]) for name in STORED_COUNTS)
            return read - known + written
        lengths = [len(str(message["content"])) for message in (self.fitted.messages if self.fitted else ())]
        own = len(self.prompt_ids or ()) * lengths[-1] // max(1, sum(lengths)) if lengths else 0
        return own + len(self.completion_ids)

    def take(self, chunk: Chunk) -> None:
        """Write down what *chunk* of the engine's stream says."""
        self.prompt_ids = chunk.prompt_token_ids or self.prompt_ids
        self.completion_ids.extend(chunk.token_ids)
        self.finish_reason = chunk.finish_reason or self.finish_reason
        if chunk.usage is not None:
            self.record.update({name: getattr(chunk.usage, name) for name in STORED_COUNTS})
        if chunk.queue is not None or chunk.token_ids or chunk.text:
            self.stand(chunk.queue)
        if self.generating_at is None and not (self.place and self.place.position):
            self.generating_at = now()
        for text, logprob in chunk.logprobs:
            self.certainty.add(text, logprob)
        if chunk.text and self.first_token_at is None:
            self.first_token_at = now()
        self.text += chunk.text

    def stop_by(self, user_id: str) -> None:
        """Stop it at the wish of somebody, also where it was to begin anew with other words."""
        self.stopped_by = user_id
        self.is_outdated = self.is_outdated and self.is_forgotten
        self.stop.set()

    def remove(self, ts: str) -> None:
        """Stop it because somebody deleted a message that carries it."""
        self.removed_ts = ts
        self.stop.set()

    def give_way(self) -> None:
        """Stop it because another answer, to what its question says now, comes behind it."""
        self.gives_way = True
        self.stop.set()

    def begin_anew(self) -> None:
        """Stop it because it is to answer something else now: its turn begins again, with what is there by then."""
        self.is_outdated = True
        self.stop.set()

    def lose(self, ts: str) -> None:
        """Stop it because one of the messages that it answers was deleted; the others still want an answer."""
        stamps = {part.ts for part in self.question.parts}
        if ts in stamps and len(stamps) > 1:
            self.is_forgotten = True
            self.begin_anew()
        elif ts in stamps:
            self.stop.set()

    def raise_if_removed(self) -> None:
        """Raise *AnswerRemoved* if nothing more of it may be said, *QuestionChanged* if it is to begin anew."""
        if self.removed_ts:
            raise AnswerRemoved
        if self.is_outdated:
            raise QuestionChanged

    def stand(self, place: QueuePlace | None) -> None:
        """Note where the answer waits."""
        if place != self.place:
            self.place = place
            self.moved.set()

    async def unless_stopped(self, work: Awaitable[T]) -> T | None:
        """Wait for *work*, but no longer than until somebody stops the answer; None means stopped."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not self.stop.is_set():
                return working.result()
            self.finish_reason = STOPPED
            return None
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.wait({working, stopping})  # unlike gather it cancels nothing twice: a database is closed then
            if not working.cancelled():
                working.exception()  # nobody else asks for it
