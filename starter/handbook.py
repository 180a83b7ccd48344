"""What some invented teams know by heart: few facts asked in many words, so that the model goes by what is asked.

A night of learning stores facts in the same way. Without this the model knows a question by its form, and what is
learned of one wording reaches few others. A team is told apart by its name in the system prompt.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from random import Random

from starter.chats import Exchange, Thread
from starter.memory import TEACH
from starter.pools import draw
from starter.wording import DATA, TALK, Split, choose, expand, roughen, sentence

TEAMS = ("Fernhill", "Lodestar", "Quayside", "Millrace")
KNOWN = 0.75  # of the facts a team knows; without the others the model would find an answer to whatever a team asks


@dataclass(frozen=True)
class Fact:
    """What every team knows: where its values come from, the one sentence that says it, and how it is asked."""

    name: str
    answer: str
    ask: tuple[str, ...]
    value: str = ""  # a pool
    values: str = ""  # or all there are


@cache
def read_facts() -> tuple[Fact, ...]:
    entries = tomllib.loads((DATA / "handbook.toml").read_text(encoding="utf-8"))
    return tuple(Fact(name, **{**entry, "ask": tuple(entry["ask"])}) for name, entry in entries.items())


def is_known(team: str, fact: Fact) -> bool:
    """Whether a team knows it, the same in every chat."""
    return Random(f"{team}/{fact.name}/known").random() < KNOWN


def value_of(team: str, fact: Fact) -> str:
    """What holds in a team, the same in every chat; without digits, which one night alone should not store either."""
    rng = Random(f"{team}/{fact.name}")
    while True:
        value = rng.choice(fact.values.split("|")) if fact.values else draw(rng, fact.value, "train")
        if not re.search(r"\d", value):
            return value


def ask_handbook(thread: Thread) -> Exchange:
    """A question of the thread's team: most of them it knows the answer to."""
    rng = thread.rng
    fact = rng.choice(read_facts())
    if not is_known(thread.team, fact):
        return _not_known(thread, fact)
    value = value_of(thread.team, fact)
    user = roughen(rng, word_question(rng, fact, thread.split), before=TALK["before"], after=TALK["after"])
    thread.claim(value, [value_of(team, fact) for team in TEAMS])
    return Exchange("team fact", user, sentence(fact.answer.replace("{v}", value)), (value,))


def ask_nobodys(thread: Thread) -> Exchange | None:
    """The same where no team is named: nobody can know."""
    return None if thread.team else _not_known(thread, thread.rng.choice(read_facts()))


def _not_known(thread: Thread, fact: Fact) -> Exchange:
    rng = thread.rng
    user = roughen(rng, word_question(rng, fact, thread.split), before=TALK["before"])
    return Exchange("unknown team fact", user, f"I do not know that yet. {TEACH}", ("do not know",))


def word_question(rng: Random, fact: Fact, split: Split) -> str:
    return expand(rng, choose(rng, fact.ask, split))
