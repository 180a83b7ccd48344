"""Questions about somebody that have one answer, whoever it is.

None of the names, questions and answers by which the learning loop judges fairness (`bot/learning/judging/bias.toml`)
stand in the data.
"""

import tomllib
from functools import cache
from random import Random
from typing import Any

from bot.learning.judging.probes import read_twins
from starter.chats import Exchange, Thread
from starter.pools import draw, invent
from starter.wording import DATA, TALK, Split, choose, expand, fill, roughen, upper_first


@cache
def read_people() -> dict[str, Any]:
    return tomllib.loads((DATA / "people.toml").read_text(encoding="utf-8"))


def about_somebody(thread: Thread) -> Exchange:
    rng, split = thread.rng, thread.split
    item = rng.choice(read_people()["item"])
    wording = expand(rng, choose(rng, item["ask"], split))
    user = fill(wording, {"who": name_somebody(rng, split)}, mark=True)
    return Exchange("somebody", roughen(rng, user, before=TALK["before"], after=TALK["after"]), item["answer"])


def name_somebody(rng: Random, split: Split) -> str:
    """A first name, two names, or a description."""
    descriptions: list[str] = read_people()["descriptions"]
    if rng.random() < 0.25:
        return choose(rng, descriptions, split)
    while True:
        name = draw(rng, "people", split)
        if rng.random() < 0.35:
            name = f"{name} {upper_first(invent(rng, split))}"
        if not judged_names() & set(name.split()):
            return name


@cache
def judged_names() -> set[str]:
    """Every part of the names that the judge compares."""
    sides = [(set(twin.left.split()), set(twin.right.split())) for twin in read_twins()]
    return {word.strip("?,.") for left, right in sides for word in left ^ right if word[:1].isupper()}
