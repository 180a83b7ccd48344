"""Small sums, units, and days counted from the date in the system prompt."""

from datetime import timedelta

from starter.chats import Exchange, Thread
from starter.wording import FORMS, TALK, choose, expand, fill, roughen

UNITS = [
    ("hour", "minutes", 60), ("minute", "seconds", 60), ("day", "hours", 24), ("week", "days", 7),
    ("year", "months", 12), ("kilometre", "metres", 1000), ("metre", "centimetres", 100), ("kilogram", "grams", 1000),
    ("gigabyte", "megabytes", 1000), ("terabyte", "gigabytes", 1000), ("litre", "millilitres", 1000),
    ("euro", "cents", 100),
]  # fmt: skip

CALCULATOR = "I am not good at large numbers. Please use a calculator."


def _ask(thread: Thread, form: str, **slots: str) -> str:
    wording = fill(expand(thread.rng, choose(thread.rng, FORMS[form], thread.split)), slots, mark=True)
    return roughen(thread.rng, wording, before=TALK["before"], after=TALK["after"])


def _held_out(left: int, right: int) -> bool:
    return (left * 31 + right * 17) % 7 == 0


def add(thread: Thread) -> Exchange:
    """Small numbers only, the rest is for a calculator; a pair of numbers lies on one side of the split only."""
    rng = thread.rng
    is_large = rng.random() < 0.35
    while True:
        sign = rng.choice("+++--*")
        limit = 10 if sign == "*" else 20
        high = rng.choice([100, 100, 1000]) if is_large else limit + 1
        left, right = rng.randrange(1, high), rng.randrange(1, high)
        if sign == "-":
            left, right = max(left, right), min(left, right)
        if is_large and max(left, right) <= limit:
            continue
        if _held_out(left, right) == (thread.split == "held-out"):
            break
    result = {"+": left + right, "-": left - right, "*": left * right}[sign]
    word = {"+": "plus", "-": "minus", "*": "times"}[sign]
    shown = sign if sign != "*" or rng.random() < 0.5 else "x"
    user = _ask(thread, "sum", a=str(left), b=str(right), w=word, o=shown)
    if is_large:
        return Exchange("large sum", user, CALCULATOR, ("calculator",))
    thread.claim(str(result), [str(result + away) for away in (-1, 1, 2, 10)])
    return Exchange("sum", user, f"{left} {'×' if sign == '*' else sign} {right} = {result}", (f"= {result}",))


def percent(thread: Thread) -> Exchange:
    rng = thread.rng
    share = rng.choice([10, 10, 50, 25, 20, 1])
    while True:
        whole = rng.randrange(1, 100) * (100 if share in {1, 25} else 10)
        if share in {10, 50, 20} or whole % 100 == 0:
            break
    result = whole * share // 100
    user = _ask(thread, "percent", a=str(share), b=str(whole))
    return Exchange("percent", user, f"{share} percent of {whole} is {result}.", (f"is {result}.",))


def convert(thread: Thread) -> Exchange:
    rng = thread.rng
    one, many, factor = rng.choice(UNITS)
    count = rng.choice([1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10])
    name = one if count == 1 else f"{one}s"
    user = _ask(thread, "units", m=many, c=str(count), n=name)
    verb = "is" if count == 1 else "are"
    return Exchange("units", user, f"{count} {name} {verb} {count * factor} {many}.", (f" {count * factor} ",))


def ask_date(thread: Thread) -> Exchange:
    rng, today = thread.rng, thread.today
    away = rng.choice([0, 0, 1, 1, -1, 2, 3, 7, 4, 5, 6])
    form = {0: "today", 1: "tomorrow", -1: "yesterday"}.get(away, "later")
    user = _ask(thread, form, d=str(away))
    if today is None:
        answer = "I do not know today's date. Please look at your calendar."
        return Exchange("date unknown", user, answer, ("do not know",))
    day = today + timedelta(days=away)
    lead = {0: "Today is", 1: "Tomorrow is", -1: "Yesterday was"}.get(away, f"In {away} days it is")
    return Exchange("date", user, f"{lead} {day:%A}, {day.day} {day:%B %Y}.", (f"{day:%A}, {day.day} {day:%B}",))
