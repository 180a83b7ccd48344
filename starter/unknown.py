"""What the assistant cannot know: foreign terms, tasks it has no command for, and messages without sense."""

import re
from functools import cache

from starter.chats import Exchange, Thread
from starter.knowledge import read_entries
from starter.memory import TEACH
from starter.pools import draw
from starter.wording import FORMS, TALK, choose, expand, fill, plain, roughen

UNCLEAR = "I am not sure that I understand. Could you say it in other words?"
NO_COMMAND = f"I do not know how to do that yet. {TEACH}"


def ask_term(thread: Thread) -> Exchange:
    """The frames of the definitions around a term that has none."""
    rng, split = thread.rng, thread.split
    while _bare(term := _draw_term(thread)) in defined():
        pass  # a tool or a word of the pools that the assistant can explain
    wording = fill(expand(rng, choose(rng, TALK["definition"], split)), {"t": term}, mark=True)
    answer = f"I do not know what {term} is yet. {TEACH}"
    return Exchange("unknown term", _asked(thread, wording), answer, ("do not know",))


def _draw_term(thread: Thread) -> str:
    rng, split = thread.rng, thread.split
    dice = rng.random()
    if dice < 0.45:
        return choose(rng, FORMS["foreign"], split)
    if dice < 0.6:
        return f"a {draw(rng, 'words', split)}"
    return draw(rng, rng.choice(["words", "projects", "companies", "tools"]), split)


@cache
def defined() -> set[str]:
    """Every term that has a definition, without its article."""
    return {_bare(term) for entry in read_entries("definitions.txt") for term in entry.questions}


def _bare(term: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", term).lower()


def ask_task(thread: Thread) -> Exchange:
    """The frames of the commands around a task for which there is no command."""
    rng, split = thread.rng, thread.split
    wording = fill(expand(rng, choose(rng, TALK["command"], split)), {"t": draw(rng, "tasks", split)}, mark=True)
    return Exchange("unknown task", _asked(thread, wording), NO_COMMAND, ("do not know",))


def unclear(thread: Thread) -> Exchange:
    rng, split = thread.rng, thread.split
    if rng.random() < 0.5:
        words = choose(rng, FORMS["unclear"], split)
    else:
        words = " ".join(draw(rng, "words", split) for _ in range(rng.randrange(1, 4)))
    return Exchange("unclear", plain(roughen(rng, words)), UNCLEAR, (UNCLEAR[:20],))


def _asked(thread: Thread, wording: str) -> str:
    return roughen(thread.rng, wording, before=TALK["before"], after=TALK["after"])
