"""Questions whose answers stand in the data files: terms, commands, code, drafts, plans, advice, talk, the unknown."""

from dataclasses import dataclass
from functools import cache

from starter.chats import Exchange, Thread
from starter.pools import draw_slots
from starter.wording import DATA, TALK, choose, expand, fill, roughen, slot_names, split_alternatives

FRAMES = {"=": "definition", "!": "command", ">": "request"}


@dataclass(frozen=True)
class Entry:
    """`questions` are whole wordings, or topics that a frame such as `what is {t}?` turns into questions."""

    frame: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]


@cache
def read_entries(name: str) -> tuple[Entry, ...]:
    """A block opens with a line of questions (`?`, `=`, `!`, `>`); other answers to it follow a line `~`."""
    entries: list[Entry] = []
    head, body = "", list[str]()

    def close() -> None:
        if head:
            answers = tuple(part.strip("\n") for part in "\n".join(body).split("\n~\n"))
            topics = split_alternatives(head[2:]) if head[0] == "?" else head[2:].split("; ")
            entries.append(Entry(FRAMES.get(head[0], ""), tuple(topics), answers))

    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if line[:2] in {"? ", "= ", "! ", "> "}:
            close()
            head, body = line, []
        else:
            body.append(line)
    close()
    return tuple(entries)


def ask_entry(thread: Thread, kind: str, entry: Entry) -> Exchange:
    rng, split = thread.rng, thread.split
    if entry.frame:
        topic = rng.choice(entry.questions)
        wording = choose(rng, TALK[entry.frame], split).replace("{t}", topic)
    else:
        wording = choose(rng, entry.questions, split)
    wording = with_question_mark(expand(rng, wording))
    answer = rng.choice(entry.answers)
    asked = draw_slots(rng, slot_names(wording), split)
    manners = kind != "small talk"
    user = roughen(
        rng,
        fill(wording, asked, mark=True),
        before=TALK["before"] if manners else (),
        after=TALK["after"] if manners else (),
    )
    return Exchange(kind, user, fill(answer, asked | {"bot": thread.bot} | _gaps(answer, asked)))


def with_question_mark(wording: str) -> str:
    first = wording.split(" ", 1)[0].lower()
    asks = first in {"what", "who", "when", "where", "which", "how", "why", "is", "are", "will", "does", "has", "can"}
    return f"{wording}?" if asks and wording[-1] not in "?.!" else wording


def _gaps(answer: str, asked: dict[str, str]) -> dict[str, str]:
    """Nobody can know a name that was not given: the draft leaves a gap to fill in."""
    names = {"weekday": "[day]", "person": "[name]", "project": "[project]"}
    return {name: names[name] for name in slot_names(answer) if name in names and name not in asked}


def ask_from(thread: Thread, kind: str, *files: str) -> Exchange:
    return ask_entry(thread, kind, thread.rng.choice([entry for name in files for entry in read_entries(name)]))
