"""Work on text that the thread holds: lists, summaries, action items, messages, and another form of the last answer."""

import re

from starter.chats import Exchange, Thread
from starter.memory import RELATIONS, paraphrase
from starter.pools import draw
from starter.wording import CLOSE, FORMS, OPEN, TALK, choose, expand, plain, roughen, upper_first

ITEMS = ["words", "people", "numbers", "tools", "foods"]
NAME_FIRST = re.compile(r"[A-Z]\w+ (own|lead|is|look|take|run|manage|host|has)")


def _ask(thread: Thread, form: str, text: str = "") -> str:
    """A request, with the text it is about behind it or in the message's next line."""
    rng = thread.rng
    wording = roughen(rng, expand(rng, choose(rng, FORMS[form], thread.split)), before=TALK["before"]).rstrip("?.:")
    return f"{wording}{rng.choice([': ', ': ', chr(10), ':' + chr(10)])}{text}" if text else wording


def _tasks(thread: Thread, low: int, high: int) -> list[str]:
    tasks: list[str] = []
    while len(tasks) < thread.rng.randrange(low, high + 1):
        if (task := draw(thread.rng, "tasks", thread.split)) not in tasks:
            tasks.append(task)
    return tasks


def _statement(thread: Thread) -> str:
    while True:
        relation = thread.rng.choice([relation for relation in RELATIONS if relation.scope != "person"])
        if len(answer := paraphrase(thread, relation)[1]) < 90:
            return answer


def list_notes(thread: Thread) -> Exchange:
    rng = thread.rng
    if rng.random() < 0.6:
        items = _tasks(thread, 2, 5)
    else:
        items = [draw(rng, rng.choice(ITEMS), thread.split) for _ in range(rng.randrange(2, thread.span))]
    joined = rng.choice([", ", ", ", "; ", "\n", " and "]).join(items)
    if ", " in joined and rng.random() < 0.6:
        joined = " and ".join(joined.rsplit(", ", 1))
    answer = "\n".join(f"- {upper_first(item)}" for item in items)
    return Exchange("notes to list", _ask(thread, "list", joined), answer, (answer,))


def action_items(thread: Thread) -> Exchange:
    rng = thread.rng
    tasks = _tasks(thread, 1, 4)
    people = [draw(rng, "people", thread.split) for _ in tasks]
    lines = [rng.choice(FORMS["duties"]).format(p=person, t=task) for person, task in zip(people, tasks, strict=True)]
    for _ in range(rng.randrange(0, 3)):
        lines.insert(rng.randrange(len(lines) + 1), draw(rng, "fillers", thread.split))
    answer = "\n".join(f"- {person}: {task}" for person, task in zip(people, tasks, strict=True))
    return Exchange(
        "action items", _ask(thread, "actions", rng.choice([" ", " ", "\n"]).join(lines)), answer, (answer,)
    )


def summarise(thread: Thread) -> Exchange:
    rng = thread.rng
    keys = [_statement(thread) for _ in range(rng.choice([1, 1, 2]))]
    lines = list(keys)
    for _ in range(rng.randrange(1, 4)):
        lines.insert(rng.randrange(len(lines) + 1), draw(rng, "fillers", thread.split))
    answer = " ".join(keys)
    return Exchange("summary", _ask(thread, "summary", " ".join(lines)), answer, tuple(keys))


def write_message(thread: Thread) -> Exchange:
    rng = thread.rng
    person, said = draw(rng, "people", thread.split), _statement(thread)
    wording = expand(rng, choose(rng, FORMS["message"], thread.split)).replace("{p}", person)
    body = said if NAME_FIRST.match(said) else said[:1].lower() + said[1:]
    user = roughen(rng, wording.replace("{t}", OPEN + body.rstrip(".") + CLOSE), before=TALK["before"])
    return Exchange("message", user, f"Hi {person},\n\n{body}\n\nBest regards", (f"Hi {person}", body.rstrip(".")))


def politely(thread: Thread) -> Exchange:
    task = draw(thread.rng, "tasks", thread.split)
    return Exchange("polite", _ask(thread, "polite", task), f"Could you please {task}? Thank you!", (task,))


def say_after(thread: Thread) -> Exchange:
    """Plain copying, in words or as a block of code."""
    rng = thread.rng
    words = " ".join(draw(rng, rng.choice(ITEMS), thread.split) for _ in range(rng.randrange(1, thread.span)))
    if rng.random() < 0.5:
        return Exchange("code block", _ask(thread, "code", words), f"```\n{words}\n```", (words,))
    return Exchange("repeat", _ask(thread, "repeat", words), words, (words,))


def another_form(thread: Thread) -> Exchange | None:
    """The last answer again, shorter, or as a list; only where a short rule gives a good result."""
    rng, last = thread.rng, thread.last_answer
    if not last or len(last) > 600:
        return None
    sentences = re.split(r"(?<=[.!?]) ", last)
    is_prose = "\n" not in last and len(sentences) >= 2
    if is_prose and rng.random() < 0.85:
        if rng.random() < 0.5:
            return Exchange("shorter", _ask(thread, "shorter"), sentences[0], (sentences[0],))
        answer = "\n".join(f"- {part}" for part in sentences)
        return Exchange("as a list", _ask(thread, "listed"), answer, (answer,))
    return Exchange("say again", _ask(thread, "again"), plain(last), (last,))
