"""Names, projects, dates and invented words that fill the slots; a held-out value never occurs in training."""

import calendar
import re
import tomllib
from collections.abc import Callable
from random import Random
from zlib import crc32

from starter.wording import DATA, Split, choose, upper_first

_ONSETS = re.findall(r"\w+", "b br ch cl d dr f fl g gr h j k kl kr l m n p pl qu r s sh sk st t tr v w x y z")
_VOWELS = re.findall(r"\w+", "a e i o u ai ee ia io oo ou y")
_CODAS = [*re.findall(r"\w+", "b ck d g k l ll m n nd nk p r rn rt s sh st t th v x z"), *[""] * 12]
_MONTHS = calendar.month_name[1:]
_WEEKDAYS = calendar.day_name[:5]


def _read_pools() -> dict[str, list[str]]:
    raw: dict[str, str] = tomllib.loads((DATA / "pools.toml").read_text(encoding="utf-8"))
    pools = {name: text.split("|") if "|" in text else text.split() for name, text in raw.items()}
    pools["services"] = raw["services"].split("|")
    pools["words"] = (DATA / "words.txt").read_text(encoding="utf-8").split()
    pools["tasks"] = (DATA / "tasks.txt").read_text(encoding="utf-8").splitlines()
    pools["fillers"] = (DATA / "fillers.txt").read_text(encoding="utf-8").splitlines()
    return pools


POOLS = _read_pools()
FIXED = {"weekdays", "teams", "rooms", "fillers"}  # too few values to hold some out


def invent(rng: Random, split: Split) -> str:
    """A pronounceable word that no dictionary has; its hash says on which side of the split it lies."""
    while True:
        syllables = rng.choice([1, 2, 2, 2, 3])
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
        if len(word) > 2 and (crc32(word.encode()) % 6 == 0) == (split == "held-out"):
            return word


def _digits(rng: Random, split: Split, make: Callable[[Random], str]) -> str:
    while True:
        text = make(rng)
        if (crc32(text.encode()) % 6 == 0) == (split == "held-out"):
            return text


def _number(rng: Random) -> str:
    size = rng.choice([2, 3, 4, 4, 5, 6])
    digits = str(rng.randrange(10 ** (size - 1), 10**size))
    return rng.choice([digits, digits, f"{rng.choice(['OPS', 'APP', 'WEB', 'DEV', 'BUG', 'PAY'])}-{digits}"])


def _version(rng: Random) -> str:
    parts = [rng.randrange(10), rng.randrange(30), rng.randrange(20)]
    return ".".join(str(part) for part in parts[: rng.choice([2, 3, 3])])


def _amount(rng: Random) -> str:
    thousands = f"{rng.randrange(1, 100)},{rng.choice(['000', '500', '200'])}"
    number = rng.choice([thousands, str(rng.randrange(1, 20) * 50)])
    return rng.choice([f"{number} euros", f"${number}", f"{number} dollars"])


def _day(rng: Random) -> str:
    day, month, weekday = rng.randrange(1, 29), rng.choice(_MONTHS), rng.choice(_WEEKDAYS)
    return rng.choice([f"{day} {month}", f"{month} {day}", weekday, f"{weekday}, {day} {month}", f"{day} {month}"])


MADE: dict[str, Callable[[Random], str]] = {
    "numbers": _number,
    "ports": lambda rng: str(rng.randrange(rng.choice([80, 1000]), 10000)),
    "versions": _version,
    "amounts": _amount,
    "days": _day,
    "times": lambda rng: f"{rng.randrange(7, 19)}:{rng.choice(['00', '15', '30', '45', '10', '20', '40', '50'])}",
    "counts": lambda rng: str(rng.randrange(2, 41)),
}
_INVENTED = {"people": 0.5, "projects": 0.5, "words": 0.6, "companies": 0.5, "tools": 0.3, "cities": 0.25}

# Values put together from a word (`{w}`), a name, a number: too many to learn by heart, so the model learns to copy.
_COMPOSED: dict[str, tuple[float, tuple[str, ...]]] = {
    "services": (0.5, ("{w} service", "{w} server", "{w} job", "{w} dashboard", "{w} API", "{w} cluster", "{w} app")),
    "things": (0.5, ("{w} form", "{w} key", "{w} list", "{w} guide", "{w} folder", "{w} template", "{w} box")),
    "places": (0.5, ("the {w} room", "the {w} folder", "the {w} drawer", "the {w} cabinet", "room {n}", "box {n}")),
    "secrets": (0.5, ("{w} password", "{w} code", "{w} PIN", "{w} key")),
    "attributes": (0.5, ("{w} name", "name of the {w}", "colour of the {w}", "{w} label", "{w} theme")),
    "meetings": (0.4, ("{w} meeting", "{w} review", "{w} workshop", "{w} call", "{w} day")),
    "topics": (0.4, ("{w}", "the {w}", "{w} questions", "{w} requests")),
    "channels": (0.6, ("#{w}", "#{w}", "#{w}-{v}", "#team-{w}")),
    "rooms": (0.5, ("room {p}", "room {n}", "the {w} room", "the {w} hall")),
    "hosts": (0.5, ("{w}-{n}", "{w}-{n}", "the {w} cluster", "{w}")),
    "teams": (0.4, ("{w}",)),
    "foods": (0.3, ("{w} soup", "{w} salad", "{w} cake", "{w} and {v}")),
    "colours": (0.2, ("dark {w}", "light {w}", "{w}")),
    "tasks": (
        0.75,
        (
            "call {p}", "ask {p} for the {w}", "fix the {w}", "test the {w} page", "write the {w} report", "order {w}",
            "clean the {w}", "update the {w} list", "send the {w} to {p}", "check the {s}", "restart the {s}",
            "document the {s}", "review the {w} plan", "buy {n} {w} boxes", "move the {s}", "meet {p}", "find the {w}",
            "close ticket {n}", "prepare the {w} demo", "tell {p} about the {s}",
        ),
    ),
}  # fmt: skip


def draw(rng: Random, pool: str, split: Split) -> str:
    """One value of a pool: written down, made of digits, put together, or invented."""
    if pool in MADE:
        return _digits(rng, split, MADE[pool])
    share, patterns = _COMPOSED.get(pool, (0.0, ()))
    if rng.random() < share:
        return _PART.sub(lambda part: draw(rng, _PARTS[part[1]], split), rng.choice(patterns))
    if rng.random() < _INVENTED.get(pool, 0):
        word = invent(rng, split)
        return word if pool == "words" else upper_first(word)
    return rng.choice(POOLS[pool]) if pool in FIXED else choose(rng, POOLS[pool], split)


_PART = re.compile(r"\{(\w)\}")
_PARTS = {"w": "words", "v": "words", "p": "people", "n": "numbers", "s": "services"}

SLOTS = {
    "person": "people", "project": "projects", "weekday": "weekdays", "service": "services", "tool": "tools",
    "tool2": "tools", "count": "counts", "place": "places", "language": "languages", "channel": "channels",
    "word": "words", "colour": "colours", "time": "times", "host": "hosts", "company": "companies", "food": "foods",
    "number": "numbers", "team": "teams",
}  # fmt: skip


def draw_slots(rng: Random, names: list[str], split: Split) -> dict[str, str]:
    return {name: draw(rng, SLOTS[name], split) for name in dict.fromkeys(names) if name in SLOTS}
