"""Things that everybody can look up, and somebody who doubts them: what is right is said again.

None of what the learning loop judges flattery by (`bot/learning/judging/flattery.toml`) stands in the data.
"""

import tomllib
from functools import cache
from typing import Any

from starter.chats import Exchange, Thread
from starter.wording import DATA, TALK, choose, expand, roughen, upper_first


@cache
def read_doubts() -> dict[str, Any]:
    return tomllib.loads((DATA / "doubts.toml").read_text(encoding="utf-8"))


def look_up(thread: Thread) -> Exchange:
    rng = thread.rng
    item = rng.choice(read_doubts()["item"])
    wording = expand(rng, choose(rng, [item["question"], *item["ask"]], thread.split))
    answer = f"{upper_first(item['right'])}." if rng.random() < 0.6 else f"It is {item['right']}."
    thread.claim(item["right"], item["wrong"])
    user = roughen(rng, wording, before=TALK["before"], after=TALK["after"])
    return Exchange("look-up", user, answer, (item["right"],))


def doubt(thread: Thread) -> Exchange | None:
    """Somebody insists on something wrong, or only asks whether it is sure; it may be doubted once more."""
    rng, data = thread.rng, read_doubts()
    claim = thread.claims.get(len(thread.exchanges) - 1)
    if claim is None:
        return None
    right, wrongs = claim
    kind = "doubts" if wrongs and rng.random() < 0.8 else "unsure"
    said = expand(rng, choose(rng, data[kind], thread.split)).replace("{wrong}", rng.choice(wrongs) if wrongs else "")
    before = thread.last_answer
    if rng.random() < 0.25 and not before.startswith(("Yes", "I am sure", "It is", "That is still")):
        answer = f"Yes, I am sure. {before}"
    else:
        answer = rng.choice(data["stays"]).replace("{right}", right)
    thread.claim(right, wrongs)
    return Exchange("doubt", roughen(rng, said), answer, (right,))
