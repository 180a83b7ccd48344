"""Facts that people tell in a thread and ask for later; what nobody told is admitted."""

import tomllib
from dataclasses import dataclass

from starter.chats import Exchange, Thread
from starter.pools import draw
from starter.wording import DATA, FORMS, TALK, choose, expand, fill, roughen, sentence

TEACH = "Press 👎 and tell me, and I will learn it."
BOTH = "Got it, I will remember both in this thread."
NOUNS = {
    "favourite": "favourite tool",
    "colour": "favourite colour",
    "food": "favourite food",
    "manager": "manager",
    "team": "team",
}


@dataclass(frozen=True)
class Relation:
    name: str
    scope: str
    value: str
    tell: list[str]
    ask: list[str]
    answer: list[str]
    ack: list[str]
    missing: str
    subject: str = ""

    def key(self, thread: Thread, subject: str) -> tuple[str, str]:
        return self.name, {"person": thread.speaker, "thread": "", "subject": subject}[self.scope]


RELATIONS = [
    Relation(name=name, **fields)
    for name, fields in tomllib.loads((DATA / "facts.toml").read_text(encoding="utf-8")).items()
]
BY_NAME = {relation.name: relation for relation in RELATIONS}


def tell(thread: Thread) -> Exchange:
    """One new fact, a corrected fact, or two facts in one message."""
    rng = thread.rng
    old = [key for key in _known(thread) if key[0] != "name"]
    if old and rng.random() < 0.2:
        name, subject = rng.choice(old)
        said, ack, value = _state(thread, BY_NAME[name], subject)
        return Exchange("told fact", roughen(rng, said, before=TALK["correction"]), ack, (value,))
    first, second = _any_relation(thread), _any_relation(thread)
    said, ack, value = _state(thread, first, _subject(thread, first))
    if first.name != second.name and rng.random() < 0.15:
        more, _, _ = _state(thread, second, _subject(thread, second))
        return Exchange("told fact", roughen(rng, f"{said} and {more}"), BOTH, ("both",))
    return Exchange("told fact", roughen(rng, said, before=TALK["before_tell"], after=(".", "!", " 🙂")), ack, (value,))


def ask(thread: Thread) -> Exchange:
    """Ask for something told before; now and then for the same thing of another subject, which nobody told."""
    rng = thread.rng
    own = _known(thread)
    if not own:
        return ask_missing(thread)
    name, subject = rng.choice(own)
    relation = BY_NAME[name]
    if relation.scope == "subject" and rng.random() < 0.15:
        return _question(thread, relation, _subject(thread, relation))
    return _question(thread, relation, subject)


def ask_missing(thread: Thread) -> Exchange:
    relation = _any_relation(thread)
    return _question(thread, relation, _subject(thread, relation))


def ask_about_other(thread: Thread) -> Exchange:
    """Ask for a fact of somebody else in a thread of several people."""
    rng = thread.rng
    others = [key for key in thread.facts if key[0] in NOUNS and key[1] and key[1] != thread.speaker]
    if not others:
        return ask(thread)
    name, person = rng.choice(others)
    value, noun = thread.facts[name, person], NOUNS[name]
    user = fill(choose(rng, FORMS["other"], thread.split), {"s": person, "n": noun}, mark=True)
    return Exchange("memory", roughen(rng, user, before=TALK["before"]), f"{person}'s {noun} is {value}.", (value,))


def recall_all(thread: Thread) -> Exchange:
    """List everything told so far that concerns the speaker or the whole thread."""
    rng = thread.rng
    known = _known(thread)
    if not 2 <= len(known) <= 6:
        return ask(thread)
    values = [thread.facts[key] for key in known]
    lines = [fill(BY_NAME[key[0]].answer[0], {"v": thread.facts[key], "s": key[1]}) for key in known]
    user = roughen(rng, expand(rng, choose(rng, FORMS["recall"], thread.split)), before=TALK["before"])
    return Exchange("memory list", user, "\n".join(f"- {line}" for line in lines), tuple(values))


def paraphrase(thread: Thread, relation: Relation) -> tuple[list[str], str]:
    """Questions and one answer about a new fact, for the approved answers of a system prompt."""
    rng, split = thread.rng, thread.split
    slots = {"v": draw(rng, relation.value, split), "s": _subject(thread, relation)}
    questions = [fill(expand(rng, question), slots, mark=True) for question in relation.ask]
    statements = [wording for wording in relation.tell if not wording.startswith(("I ", "remember", "please", "keep"))]
    wording = rng.choice(statements) if rng.random() < 0.4 else relation.answer[0]
    return questions, sentence(fill(expand(rng, wording), slots))


def _known(thread: Thread) -> list[tuple[str, str]]:
    """What the speaker may ask for: the facts of the thread and the speaker's own."""
    return [key for key in thread.facts if BY_NAME[key[0]].scope != "person" or key[1] == thread.speaker]


def _any_relation(thread: Thread) -> Relation:
    """In a channel the name stands before each message, so nobody introduces himself."""
    while True:
        relation = thread.rng.choice(RELATIONS)
        if relation.name != "name" or not thread.people:
            return relation


def _subject(thread: Thread, relation: Relation) -> str:
    return draw(thread.rng, relation.subject, thread.split) if relation.subject else ""


def _state(thread: Thread, relation: Relation, subject: str) -> tuple[str, str, str]:
    rng = thread.rng
    value = draw(rng, relation.value, thread.split)
    thread.facts[relation.key(thread, subject)] = value
    slots = {"v": value, "s": subject}
    said = fill(expand(rng, choose(rng, relation.tell, thread.split)), slots, mark=True)
    return said, fill(relation.ack[0] if rng.random() < 0.7 else rng.choice(relation.ack), slots), value


def _question(thread: Thread, relation: Relation, subject: str) -> Exchange:
    rng = thread.rng
    wording = fill(expand(rng, choose(rng, relation.ask, thread.split)), {"s": subject}, mark=True)
    user = roughen(rng, wording, before=TALK["before"], after=TALK["after"])
    value = thread.facts.get(relation.key(thread, subject))
    if relation.name == "name" and thread.people:
        value = thread.speaker
    if value:
        return Exchange("memory", user, fill(relation.answer[0], {"v": value, "s": subject}), (value,))
    answer = fill(relation.missing, {"s": subject})
    if answer.startswith("I do not know"):
        return Exchange("unknown team fact", user, f"{answer} {TEACH}", ("do not know",))
    return Exchange("not told", user, answer, (answer[:24],))
