"""One thing to learn with its texts, cleaned: what is written down for people, and tokenized for a training. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from bot.language import N_
from bot.learning.data.chat_tokens import ChatMessage
from bot.learning.data.choosing import Chosen
from bot.learning.data.eligibility import find_bar_behind, find_bar_in_prompt
from bot.learning.data.policy import DataPolicy
from bot.learning.data.readable import find_fault
from bot.learning.data.redaction import Redaction, is_clean
from bot.learning.data.shelf import Shelf, list_rows_behind, read_behind
from bot.learning.examples import Source
from bot.storage.choices import OptedOut
from bot.storage.grounds import Row
from bot.storage.material import Material, Turn
from bot.storage.signals import CORRECTIONS, PAIRS
from bot.storage.tables import Audience

System = Callable[[date], str]
GONE = N_("its message was deleted while the data set was made")
PRIVATE_ANSWER = N_("what would be learned has a secret or personal data in it")
NOT_CLEAN = N_("something that looks like a secret stayed after all was replaced")
SAME = N_("the correction says what the answer said")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One thing to learn. *messages* are the prompt, *question* is its last message without the name of who asked.

    *edited* is the row of a reviewer's words, where these are learned.

    The *served* answers have the tokens, *is_as_served* says that they are of just these texts. A correction has
    *is_fact*, and no *rejected* answer where the conversation is not for everybody. *rows* are of all that is in it,
    *behind* of what its answers can rest on beside.
    """

    chosen: Chosen
    messages: tuple[ChatMessage, ...]
    question: str
    answer: str
    rejected: str = ""
    served: Material
    served_rejected: Material | None = None
    is_as_served: bool
    is_group: bool
    people: tuple[str, ...]
    rows: tuple[Row, ...]
    edited: tuple[Row, ...] = ()
    behind: tuple[Row, ...]
    asked_at: datetime

    @property
    def is_fact(self) -> bool:
        """Whether somebody taught it."""
        return self.chosen.source is Source.CORRECTION

    @property
    def said_by(self) -> tuple[str, ...]:
        """Who said that it is to be learned."""
        return tuple(dict.fromkeys(signal.user_id for signal in self.chosen.signals))

    @property
    def own_rows(self) -> tuple[Row, ...]:
        """The rows of what was said and of what it is about, without the conversation before it."""
        return _list_own_rows(self.chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every draft is written with; *redacted* counts what got a placeholder, by kind."""

    policy: DataPolicy
    without: OptedOut
    system: System
    redacted: Counter[str]


def write_draft(chosen: Chosen, shelf: Shelf, desk: Desk) -> Draft | str:
    """Return the draft of what was chosen, or in words why there is none.

    What somebody taught stands for itself where the conversation around it may not be learned from.
    """
    is_fact = chosen.source is Source.CORRECTION
    if is_fact and not chosen.newest.audiences <= desk.policy.audiences:
        return _write(chosen, shelf, desk, is_apart=True)
    draft = _write(chosen, shelf, desk, is_apart=False)
    is_hindered = isinstance(draft, str) and draft != SAME
    return _write(chosen, shelf, desk, is_apart=True) if is_fact and is_hindered else draft


def _write(chosen: Chosen, shelf: Shelf, desk: Desk, *, is_apart: bool) -> Draft | str:
    signal = chosen.newest
    served, thread = shelf.answers.get(signal.answer_id), shelf.turns.get(signal.thread_id, ())
    asked = next((turn for turn in thread if served and turn.ts == served.ts), None)
    if served is None or asked is None:
        return GONE
    turns = [asked] if is_apart else [*_read_before(thread, served), asked]
    behind, grounds = ([], []) if is_apart else read_behind(chosen, shelf, turns)
    taught = [ground.taught for ground in grounds if ground.taught is not None]
    said = (turn.user_id for turn in (*turns, *behind))
    people = dict.fromkeys([*said, *(person for one in taught for person in (one.user_id, one.asker_id))])
    audiences = {turn.audience for turn in (*turns, *behind)}
    bar = "" if is_apart else find_bar_in_prompt(people, audiences, policy=desk.policy, without=desk.without)
    if bar := bar or find_bar_behind(grounds, policy=desk.policy, without=desk.without):
        return bar
    answer, rejected = _read_answers(chosen, served, shelf, is_apart=is_apart)
    if fault := _find_fault(turns, answer, rejected):
        return fault
    edited = tuple(shelf.edited[row_id] for row_id in [signal.row_id] if row_id in shelf.edited)
    redaction = Redaction(_list_texts([*_read_before(thread, served), asked], served.text, answer, rejected))
    opening = desk.system(served.created_at.astimezone().date())
    messages = build_messages(opening, turns, redact=redaction.redact)
    known = redaction.counts.total()
    question, answer, rejected = map(redaction.redact, (asked.text, answer, rejected))
    if redaction.counts.total() > known:
        return PRIVATE_ANSWER
    said = (message["content"] for message in messages if message["role"] != "system")
    if redaction.counts and not all(map(is_clean, (answer, rejected, *said))):
        return NOT_CLEAN
    desk.redacted.update(redaction.counts)
    return Draft(
        chosen=chosen,
        messages=tuple(messages),
        question=question,
        answer=answer,
        rejected=rejected,
        served=served,
        served_rejected=shelf.answers.get(signal.other_id) if signal.table == PAIRS else served,
        is_as_served=not redaction.counts and _is_complete(thread, served),
        is_group=asked.audience is not Audience.DIRECT,
        people=tuple(people | dict.fromkeys(own.user_id for own in chosen.signals if own.table == CORRECTIONS)),
        rows=(*_list_rows(chosen, [*turns, *behind], served), *edited),
        edited=edited,
        behind=list_rows_behind(behind, grounds),
        asked_at=served.created_at,
    )


def _find_fault(turns: Sequence[Turn], answer: str, rejected: str) -> str:
    named = (f"{turn.user_name}: {turn.text}" for turn in turns)
    said = (answer, *([rejected] if rejected else []), *(turn.text for turn in turns), *named)
    fault = next(filter(None, map(find_fault, said)), "")
    return fault or (SAME if answer.strip() == rejected.strip() else "")


def _list_texts(turns: Sequence[Turn], *others: str) -> list[str]:
    """Return all that tells what is secret in an example, also what was said before it where it stands apart."""
    return [*(text for turn in turns for text in (turn.user_name, turn.text, turn.answer or "")), *others]


def _list_own_rows(chosen: Chosen) -> tuple[Row, ...]:
    own = [(signal.table, signal.row_id, signal.user_id) for signal in chosen.signals]
    return tuple(
        dict.fromkeys([*own, *(("messages", signal.message_id, signal.asker_id) for signal in chosen.signals)])
    )


def _list_rows(chosen: Chosen, turns: Sequence[Turn], served: Material) -> tuple[Row, ...]:
    """Return every row that a draft has words or tokens of, with whose it is; an answer is whose question it is."""
    said = [("messages", turn.message_id, turn.user_id) for turn in turns]
    answers = [answer for answer in (served.answer_id, chosen.newest.other_id) if answer]
    about = [("answers", answer, chosen.newest.asker_id) for answer in answers]
    return tuple(dict.fromkeys([*_list_own_rows(chosen), *said, *about]))


def build_messages(system: str, turns: Sequence[Turn], *, redact: Callable[[str], str] = str) -> list[ChatMessage]:
    """Return the conversation as the assistant reads it; the last turn is the question."""
    messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        name = "" if turn.audience is Audience.DIRECT else f"{redact(turn.user_name)}: "
        _append(messages, "user", name + redact(turn.text))
        if turn.answer and turn is not turns[-1]:
            _append(messages, "assistant", redact(turn.answer))
    return messages


def _append(messages: list[ChatMessage], role: str, content: str) -> None:
    """Add a message; neighbours of the same role are joined, as `bot.conversation.history` does it."""
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += "\n\n" + content
    else:
        messages.append({"role": role, "content": content})


def _read_before(thread: Sequence[Turn], served: Material) -> list[Turn]:
    """Return the turns that the assistant read before the question, as far as they are still there."""
    earlier = [turn for turn in thread if turn.ts < served.ts]
    used = len(earlier) if served.messages_used is None else min(served.messages_used, len(earlier))
    return earlier[len(earlier) - used :]


def _is_complete(thread: Sequence[Turn], served: Material) -> bool:
    """Whether the served prompt is the conversation alone, and no message was deleted that could stand in it."""
    total = served.messages_total or 0
    return bool(served.prompt_ids) and served.is_alone and total <= sum(turn.ts < served.ts for turn in thread)


def _read_answers(chosen: Chosen, served: Material, shelf: Shelf, *, is_apart: bool) -> tuple[str, str]:
    """Return what to learn and what not."""
    signal = chosen.newest
    if chosen.source is Source.CORRECTION:
        is_pair = signal.is_finished and not is_apart
        return shelf.corrections.get(signal.row_id, ""), served.text if is_pair else ""
    other = shelf.answers.get(signal.other_id)
    return served.text, other.text if other else ""
