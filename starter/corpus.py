"""Chats from a seed: a thread grows exchange by exchange, each by one skill."""

from collections.abc import Callable, Iterator
from random import Random

from bot.learning.data.rewording import reword
from starter import doubts, memory, notes, people, prompts, sums, unknown
from starter.chats import Chat, Exchange, Thread
from starter.handbook import ask_handbook, ask_nobodys
from starter.knowledge import ask_from
from starter.pools import draw, invent
from starter.wording import Split, upper_first

Skill = Callable[[Thread], Exchange | None]

KNOWLEDGE: dict[str, tuple[float, tuple[str, ...]]] = {
    "definition": (8, ("definitions.txt",)),
    "command": (4, ("commands.txt",)),
    "code": (3, ("code.txt",)),
    "draft": (3, ("drafts.txt",)),
    "plan or list": (3, ("plans.txt",)),
    "advice": (3, ("advice.txt",)),
    "small talk": (5, ("smalltalk.txt",)),
    "about itself": (6, ("identity.txt",)),
    "unknown": (7, ("world.txt",)),
}


def _known(kind: str) -> Skill:
    return lambda thread: ask_from(thread, kind, *KNOWLEDGE[kind][1])


SKILLS: dict[str, tuple[float, Skill]] = {
    **{kind: (weight, _known(kind)) for kind, (weight, _) in KNOWLEDGE.items()},
    "unclear": (1.5, unknown.unclear),
    "unknown term": (5, unknown.ask_term),
    "unknown task": (2, unknown.ask_task),
    "told fact": (9, memory.tell),
    "not told": (8, memory.ask_missing),
    "notes to list": (6, notes.list_notes),
    "action items": (4, notes.action_items),
    "summary": (4, notes.summarise),
    "message": (4, notes.write_message),
    "polite": (2, notes.politely),
    "repeat": (7, notes.say_after),
    "sum": (7, sums.add),
    "percent": (1, sums.percent),
    "units": (1.5, sums.convert),
    "date": (3, sums.ask_date),
    "unknown team fact": (3, ask_nobodys),
    "look-up": (6, doubts.look_up),
    "somebody": (6, people.about_somebody),
}
REWORDED = {
    **dict.fromkeys(KNOWLEDGE, 0.33),
    "team fact": 0.65,
    "unknown team fact": 0.33,
}  # by the rules that reword what people teach
AFTER_FACTS: dict[str, tuple[float, Skill]] = {
    "memory": (45, memory.ask),
    "memory list": (7, memory.recall_all),
}
TEAM_WEIGHT = 250  # of its facts where the system prompt names a team
DOUBTED = (60, 90)  # the weight of a doubt after what can be doubted, and where a team is named
COPY_WORDS = 20  # with more, a chat is practice in copying: without it a small model learns late to look back

# Exchanges per chat, and the weight of facts in the chats that are about them.
PHASES = {
    "copy": ([1, 1, 2], 12),
    "short": ([1, 1, 1, 2, 2, 3], 60),
    "main": ([1, 1, 1, 2, 2, 3, 4, 5, 7, 10], 16),
    "long": ([4, 6, 8, 10, 12, 14, 20, 30], 6),
}


def build_chat(seed: str, split: Split, phase: str = "main") -> Chat:
    """One chat; `phase` sets how long it is and how much of it is copying."""
    rng = Random(seed)
    thread = Thread(rng, split, span=30 if phase == "copy" else rng.choice([6, 6, 10, 16]))
    lengths, copying = PHASES[phase]
    wanted = rng.choice(lengths)
    approved = rng.choice([1, 2, 3, 4, 6]) if rng.random() < 0.2 else 0
    system = prompts.build_system(thread, approved=approved)
    if rng.random() < 0.25:
        thread.people = list(dict.fromkeys(_member(rng, split) for _ in range(rng.choice([1, 2, 2, 3]))))
    weights = _weights(thread, copying)
    while len(thread.exchanges) < wanted:
        before = _overheard(thread) if thread.people else ""
        exchange = _next_skill(thread, weights)(thread)
        if exchange:
            said = _reword(rng, exchange) if rng.random() < REWORDED.get(exchange.kind, 0) else exchange.user
            said = f"{before}{thread.speaker}: {said}" if thread.people else said
            thread.exchanges.append(Exchange(exchange.kind, said, exchange.answer, exchange.expect))
    return Chat(system, tuple(thread.exchanges))


def _reword(rng: Random, exchange: Exchange) -> str:
    """The question in other words, as a night asks what it was taught; as it is where the rules find none."""
    return next(reword(exchange.user, seed=rng.randrange(2**32), answer=exchange.answer), exchange.user)


def _member(rng: Random, split: Split) -> str:
    """A display name, as Slack shows it: mostly a first name, now and then two names or a handle."""
    name = draw(rng, "people", split)
    dice = rng.random()
    if dice < 0.15:
        return f"{name} {upper_first(invent(rng, split))}"
    return name.lower() if dice < 0.22 else name


def _overheard(thread: Thread) -> str:
    """Choose who speaks; now and then others said something before that the assistant had not to answer."""
    rng = thread.rng
    thread.speaker = rng.choice(thread.people)
    if rng.random() > 0.12:
        return ""
    said = draw(rng, "fillers", thread.split) if rng.random() < 0.5 else memory.tell(thread).user
    before = f"{thread.speaker}: {said}\n\n"
    thread.speaker = rng.choice(thread.people)
    return before


def _weights(thread: Thread, copying: float) -> dict[str, tuple[float, Skill]]:
    """Half of the longer threads are about facts; a thread with approved answers asks for them."""
    skills = dict(SKILLS)
    if copying > 20 or thread.rng.random() < 0.4:
        skills["told fact"] = (skills["told fact"][0] + copying * 2, memory.tell)
    if thread.span > COPY_WORDS:
        skills |= {"repeat": (250, notes.say_after), "notes to list": (80, notes.list_notes)}
    if thread.team:
        skills["team fact"] = (TEAM_WEIGHT, ask_handbook)
    if thread.approved:
        skills["approved answer"] = (60, prompts.ask_approved)
    return skills


def _next_skill(thread: Thread, weights: dict[str, tuple[float, Skill]]) -> Skill:
    skills = dict(weights)
    if thread.facts:
        skills |= AFTER_FACTS
        if thread.people:
            skills["other"] = (8, memory.ask_about_other)
    if thread.exchanges:
        skills["another form"] = (9, notes.another_form)
    if len(thread.exchanges) - 1 in thread.claims:
        skills["doubt"] = (DOUBTED[bool(thread.team)], doubts.doubt)
    names = list(skills)
    return skills[thread.rng.choices(names, [skills[name][0] for name in names])[0]][1]


def build_chats(seed: int, split: Split, phase: str = "main") -> Iterator[Chat]:
    index = 0
    while True:
        yield build_chat(f"{seed}/{split}/{phase}/{index}", split, phase)
        index += 1
