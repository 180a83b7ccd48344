"""System prompts: the bot's own, others like it, and those that hold answers which the team approved."""

from datetime import date, timedelta

from starter.chats import Exchange, Thread
from starter.handbook import TEAMS
from starter.knowledge import read_entries
from starter.memory import RELATIONS, paraphrase
from starter.pools import draw, draw_slots
from starter.wording import TALK, expand, fill, part_of, plain, roughen, slot_names, upper_first

MAIN = "You are {bot}, the assistant of this team. Answer briefly and helpfully, in Markdown."
OTHERS = [
    "You are {bot}, a helpful assistant.",
    "You are {bot}, the assistant of this team.",
    "You are {bot}. Answer in Markdown.",
    "You are a helpful assistant called {bot}. Keep answers short.",
    "You are {bot}, the team's assistant in Slack. Be brief and friendly.",
]
EXTRA = [
    "Keep answers short.", "Be friendly.", "Several people write in this thread.", "Use lists where they help.",
    "If you do not know something, say so.", "Answer in English.", "You talk with one person.",
]  # fmt: skip
TEAM_SHARE = 0.38  # of the chats with a prompt: with their handbook in it
APPROVED = "Earlier answers this team has approved:"


def build_system(thread: Thread, *, approved: int) -> str:
    """The bot's prompt in most chats; `approved` is how many earlier answers stand in it."""
    rng = thread.rng
    if rng.random() < 0.15 and not approved:
        return ""
    if rng.random() < TEAM_SHARE:
        thread.team = rng.choice(TEAMS)
    lines = [(MAIN if rng.random() < 0.8 else rng.choice(OTHERS)).format(bot="Apprentice")]
    if rng.random() < 0.65:
        thread.today = date(2024, 1, 1) + timedelta(days=rng.randrange(5 * 365))
        lines.append(f"Today is {thread.today:%A}, {thread.today.day} {thread.today:%B %Y}.")
    if rng.random() < 0.15:
        thread.bot = draw(rng, rng.choice(["people", "projects"]), thread.split)
        lines.append(f"The team calls you {thread.bot}.")
    if rng.random() < 0.12:
        lines.append(rng.choice(EXTRA))
    if thread.team:
        lines.insert(1, f"This is the {thread.team} team.")
    text = rng.choice([" ", "\n", "\n", "\n"]).join(lines)
    if not approved:
        return text
    pairs = []
    for _ in range(approved):
        questions, answer = _approve(thread)
        thread.approved.append((questions, answer))
        shown = rng.choice(questions if thread.split == "train" else part_of(questions, "train"))
        pairs.append(f"Q: {upper_first(plain(shown))}\nA: {answer}")
    return f"{text}{rng.choice([chr(10), chr(10) * 2])}{APPROVED}\n" + "\n".join(pairs)


def _approve(thread: Thread) -> tuple[list[str], str]:
    rng, split = thread.rng, thread.split
    if rng.random() < 0.65:
        return paraphrase(thread, rng.choice([relation for relation in RELATIONS if relation.scope != "person"]))
    entry = rng.choice(read_entries("approved.txt"))
    pattern = entry.answers[0]
    slots = draw_slots(rng, slot_names(" ".join(entry.questions) + pattern), split)
    questions = [fill(expand(rng, question), slots, mark=True) for question in entry.questions]
    return questions, upper_first(fill(pattern, slots))


def ask_approved(thread: Thread) -> Exchange | None:
    """The same question in other words gets the approved answer, word for word."""
    rng = thread.rng
    if not thread.approved:
        return None
    questions, answer = rng.choice(thread.approved)
    wording = rng.choice(part_of(questions, thread.split))
    user = roughen(rng, wording, before=TALK["before"], after=TALK["after"])
    return Exchange("approved answer", user, answer, (answer,))
