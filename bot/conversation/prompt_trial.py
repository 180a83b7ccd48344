"""Tries prompts on a file of cases: what the engine answers now beside what somebody accepted the last time.

Cases stand in TOML (`[[case]]` tables) or in JSONL (one object a line). A case has a `name`, a `question` for the
assistant's own prompt, perhaps a `persona`; or a `prompt` of another name with the `values` that fill it in.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.conversation.history import ChatMessage
from bot.conversation.prompt_book import SYSTEM, PromptBook
from bot.conversation.prompts import render_day
from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from bot.errors import PromptError

DAY = date(2026, 1, 1)  # the same in every trial, so that no answer differs by the date alone
SCOPE = "prompts-test"
BACKGROUND = 2  # people who wait for an answer come first


class Case(BaseModel):
    """One thing to try."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    question: str = ""
    prompt: str = SYSTEM
    persona: str = ""
    values: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one case led to; *accepted* is None where nobody has accepted an answer yet."""

    name: str
    answer: str
    version: str
    accepted: str | None

    @property
    def is_same(self) -> bool:
        """Return whether the answer is the one that was accepted."""
        return self.answer == self.accepted

    def diff(self) -> list[str]:
        """Return the lines that differ from the accepted answer."""
        before = (self.accepted or "").splitlines()
        lines = difflib.unified_diff(before, self.answer.splitlines(), "accepted", "now", lineterm="")
        return list(lines)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answers that somebody accepted, kept in a file beside the cases."""

    path: Path
    answers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def beside(cls, cases: Path) -> "Accepted":
        """Read what was accepted for a file of cases."""
        path = cases.with_name(f"{cases.stem}.accepted.json")
        if not path.exists():
            return cls(path)
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {str(name): str(entry["answer"]) for name, entry in known.items()})
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            raise PromptError(f"{path} is not a file that `bot prompts test --accept` wrote; remove it.") from error

    def write(self, outcomes: Iterable[Outcome]) -> None:
        """Keep these answers as the accepted ones."""
        kept = {outcome.name: {"answer": outcome.answer, "prompt": outcome.version} for outcome in outcomes}
        draft = self.path.with_name(f".{self.path.name}.draft")  # on a full disk those of before stay whole
        try:
            draft.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            draft.replace(self.path)
        except OSError as error:
            mend = "make room or give this user the right to write there"
            raise PromptError(f"{self.path} cannot be written ({error.strerror}): {mend}.") from error
        finally:
            with suppress(OSError):
                draft.unlink()


def load_cases(path: Path) -> list[Case]:
    """Read the cases of a file; raise *PromptError* that names the case which is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        entries = _parse(path, text)
    except (OSError, ValueError) as error:
        raise PromptError(f"{path} cannot be read as cases ({error}).") from error
    cases = [_check(path, number, entry) for number, entry in enumerate(entries, start=1)]
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice or not cases:
        raise PromptError(f"{path}: {'there is no case' if not cases else f'{sorted(twice)} stand there twice'}.")
    return cases


async def run_cases(engine: EngineClient, book: PromptBook, cases: Sequence[Case], accepted: Accepted) -> list[Outcome]:
    """Let the base model answer every case, one after the other, as if nothing else had been said."""
    served = await engine.models()
    if not served:
        raise PromptError("The model's server serves no model.")
    outcomes = []
    for case in cases:
        messages, version = build_trial(book, case)
        options = AnswerOptions(
            model=served[0].id, max_tokens=300, temperature=0.0, seed=1, scope=SCOPE, priority=BACKGROUND
        )
        pieces = [chunk.text async for chunk in engine.chat(messages, options)]
        outcomes.append(Outcome(case.name, "".join(pieces).strip(), version, accepted.answers.get(case.name)))
    return outcomes


def build_trial(book: PromptBook, case: Case) -> tuple[list[ChatMessage], str]:
    """Return what the model reads in a case, and the version of the prompt in it."""
    if case.persona and book.persona(case.persona) is None:
        raise PromptError(f"{case.name}: there is no persona {case.persona}; there are {', '.join(book.personas())}.")
    if case.prompt == SYSTEM:
        opening = book.open(DAY, persona=case.persona)
        return [
            {"role": "system", "content": opening.text},
            {"role": "user", "content": case.question},
        ], opening.version
    prompt = book.get(case.prompt)
    today = {"today": render_day(DAY)} if "today" in prompt.variables else {}
    text = prompt.render(**(today | case.values))
    if not case.question:
        return [{"role": "user", "content": text}], prompt.version
    return [{"role": "system", "content": text}, {"role": "user", "content": case.question}], prompt.version


def _parse(path: Path, text: str) -> list[Any]:
    if path.suffix == ".toml":
        entries = tomllib.loads(text).get("case", [])
        if not isinstance(entries, list):
            raise ValueError("each case begins with a line [[case]]")
        return entries
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _check(path: Path, number: int, entry: Any) -> Case:
    try:
        case = Case.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise PromptError(f"{path}, case {number}: {where}: {first['msg']}.") from error
    if case.prompt == SYSTEM and not case.question:
        raise PromptError(f"{path}, case {number}: it has no question.")
    return case
