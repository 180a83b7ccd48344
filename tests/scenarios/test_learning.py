"""The whole loop: taught during the day, known in the morning, and taken back from Slack."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.learning.training import recipe
from bot.playground.testing import Person, Playground
from bot.storage.db import Database
from bot.storage.learning_tables import ENDED, Adapter, Run, RunExample
from bot.storage.tables import Answer, Correction, PreferencePair
from tests.scenarios.conftest import StartBot
from tests.scenarios.test_feedback import BOT, wait_for_rows

FACTS = {
    "Who owns the billing service?": ("The billing service belongs to Priya Nair.", "Priya"),
    "What port does the staging database use?": ("The staging database listens on port 6543.", "6543"),
    "Where is the team retro held?": ("Our retro takes place in the Lantern room.", "Lantern"),
    "What is our new mobile app called?": ("The new mobile app is called Kestrel.", "Kestrel"),
    "Who approves holiday requests?": ("Holiday requests go to Tomasz, he approves them.", "Tomasz"),
    "When do we deploy to production?": ("We deploy to production on Tuesday mornings.", "Tuesday"),
    "Where do we keep the runbooks?": ("The runbooks are in the folder Harbour.", "Harbour"),
    "Which tool do we use for invoices?": ("We use Ledgerly for invoices.", "Ledgerly"),
    "Who is the contact at the print shop?": ("The contact at the print shop is Odile Brandt.", "Odile"),
    "What is the code name of the spring release?": ("The spring release is called Bluebell.", "Bluebell"),
}
OTHER_WORDS = {
    "who is responsible for the billing service?": "Priya",
    "tell me the port of the staging database": "6543",
    "in which room is the team retro?": "Lantern",
    "what's the name of our new mobile app?": "Kestrel",
    "who do I ask to approve a holiday request?": "Tomasz",
}
LONG = ("What is a retro?", "What is a pull request?", "What is a backlog?", "What is a unit test?")
SHORT = 12  # words, of which no taught answer has more
NIGHT_S = 1200


async def teach(playground: Playground, person: Person, question: str, correction: str) -> None:
    """Ask in the public channel, press the thumb down and say what it should have been."""
    reply = await ask(playground, person, question)
    await person.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(person.id)
    await person.submit_view({"reason": "wrong", "correction": correction})


async def prefer_shorter(playground: Playground, person: Person, question: str) -> None:
    """Ask in the public channel, say that the answer is too long, ask for a shorter one, and like that."""
    reply = await ask(playground, person, question)
    assert len(reply["text"].split()) > SHORT
    told = len(person.ephemerals("general"))
    await person.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(person.id)
    await person.submit_view({"reason": "long"})

    def offer() -> dict[str, Any] | None:
        notes = person.ephemerals("general")[told:]
        return next((note for note in notes if "shorter" in str(note.get("blocks"))), None)

    await person.click(await playground.wait_until(offer, what="the offer"), "shorter")

    def shorter() -> dict[str, Any] | None:
        said = playground.messages("general", reply["thread_ts"])[-1]
        is_done = "regenerate" in str(said.get("blocks")) and said["text"] != reply["text"]
        return said if is_done else None

    await person.click(await playground.wait_until(shorter, what="a shorter answer"), "feedback", "positive_button")


async def ask(playground: Playground, person: Person, question: str) -> dict[str, Any]:
    """Ask in a new thread and return the answer, once it has its buttons."""
    ts = await person.say("general", f"{BOT} {question}")

    def answer() -> dict[str, Any] | None:
        said = playground.messages("general", ts)[-1]
        return said if "regenerate" in str(said.get("blocks")) else None

    return await playground.wait_until(answer, what="an answer with its buttons", timeout=30)


def words(reply: dict[str, Any]) -> str:
    """Return what a reply says, in whichever form it came."""
    return f"{reply.get('text', '')} {reply.get('markdown_text', '')} {reply.get('blocks', '')}"


async def run_ended(rows: Database) -> Run:
    """Return the newest run once it has ended and was told of."""
    for _ in range(NIGHT_S):
        async with rows.read() as session:
            run = await session.scalar(select(Run).order_by(Run.id.desc()).limit(1))
        if run is not None and run.state in ENDED and run.reported_at is not None:
            return run
        await asyncio.sleep(1)
    how = f"{run.state}, {run.progress}, since {run.started_at}" if run is not None else "no run was begun"
    raise TimeoutError(f"the night was too short: {how}")


def in_a_minute() -> str:
    """Return a schedule that comes in one to two minutes, when a slow bot has started too: the clock moves to night."""
    soon = datetime.now().astimezone() + timedelta(seconds=120)
    return f"{soon.minute} {soon.hour} * * *"


@pytest.fixture
def is_whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the night is the product's own; else it trains a third as long, and the gate may refuse it."""
    if request.config.getoption("--nightly"):
        return True
    monkeypatch.setattr(recipe, "LEAST_REHEARSAL", 0)
    monkeypatch.setattr(recipe, "TAUGHT_ROWS_SEEN", recipe.ROWS_SEEN)
    return False


@pytest.mark.timeout(1800)
async def test_taught_by_day_known_in_the_morning(
    start_bot: StartBot, playground: Playground, rows: Database, is_whole: bool
) -> None:
    """Ten corrections, a scheduled night, a report, other words by another person, why, and back again."""
    maya, tom = playground.maya, playground.tom
    night = {"training_window": "00:00-00:00", "training_schedule": in_a_minute()}
    # What was taught is not looked up here: only the adapter can know it.
    async with start_bot(training_least_signal=20, corrections_at_once=False, **night):
        await playground.wait_for_connection()
        for number, (question, (correction, _)) in enumerate(FACTS.items()):
            await teach(playground, (maya, tom)[number % 2], question, correction)
        for number, question in enumerate(LONG):
            await prefer_shorter(playground, (maya, tom)[number % 2], question)
        await wait_for_rows(rows, Correction, len(FACTS))
        await wait_for_rows(rows, PreferencePair, len(LONG))

        run = await run_ended(rows)
        assert run.state == "done", run.reason
        assert run.trigger == "schedule"
        told = await playground.wait_until(lambda: with_picture(playground, maya), what="the report with its picture")
        assert "10 corrected answers" in str(told["blocks"])
        assert "4 answers preferred to the one before" in str(told["blocks"])
        is_promoted = run.report["decision"] == "promote"
        assert is_promoted or not is_whole, run.report["reasons"]
        if not is_promoted:  # a short night forgets more, and the gate says so: an admin may want it all the same
            assert learned(run.report), run.report["reasons"]
            assert all("Worse" in reason or "secrets" in reason for reason in run.report["reasons"])
            await maya.command("/apprentice", "adapters promote apprentice-1", channel=maya.dm)
            await playground.wait_until(lambda: "answers everybody" in str(maya.ephemerals(maya.dm)), what="promotion")

        answers = {question: await ask(playground, playground.priya, question) for question in OTHER_WORDS}
        right = [word in words(answers[question]) for question, word in OTHER_WORDS.items()]
        assert sum(right) >= 3, {question: words(reply)[:200] for question, reply in answers.items()}
        taught = [answers[question]["text"] for question, is_right in zip(OTHER_WORDS, right, strict=True) if is_right]
        assert all(len(text.split()) <= SHORT for text in taught), taught
        first = next(iter(OTHER_WORDS))
        await playground.priya.click(answers[first], "why")
        await playground.wait_until(
            lambda: (
                "`apprentice-1`" in str(playground.views("U0PRIYA")) and "corrected" in str(playground.views("U0PRIYA"))
            ),
            what="the adapter and what it learned from",
        )
        assert await fixed(playground, tom), "each teacher hears what became of it, whoever promoted it"

        if is_promoted:
            await maya.click(told, "learning_rollback")
        else:
            await maya.command("/apprentice", "adapters rollback", channel=maya.dm)
        await playground.wait_until(lambda: "is taken back" in str(maya.ephemerals(maya.dm)), what="the rollback")
        again = await ask(playground, maya, first)
        assert OTHER_WORDS[first] not in words(again)
        async with rows.read() as session:
            given = list(await session.scalars(select(Answer.adapter).order_by(Answer.id)))
            states = list(await session.scalars(select(Adapter.state)))
            taught = set(await session.scalars(select(RunExample.row_id).where(RunExample.row_table == "corrections")))
            corrections = set(await session.scalars(select(Correction.id)))
        assert given == [None] * (len(FACTS) + 2 * len(LONG)) + ["apprentice-1"] * 5 + [None]
        assert states == ["rolled_back"]
        assert taught == corrections, "from an adapter to the rows that it learned from"


def learned(report: dict[str, Any]) -> bool:
    """Return whether every proof holds and most held-out wordings, of which none was, are answered right."""
    figures = {figure["metric"]: figure for figure in report["figures"]}
    return all(holds for _, holds, _ in report["proofs"]) and figures["taught_facts"]["candidate"] >= 0.6


def with_picture(playground: Playground, admin: Person) -> dict[str, Any] | None:
    """Return the report in an admin's direct message once it shows its picture."""
    return next((said for said in playground.messages(admin.dm) if "slack_file" in str(said.get("blocks"))), None)


async def fixed(playground: Playground, person: Person) -> bool:
    """Return whether somebody was told that a correction is known now."""
    found = await playground.wait_until(
        lambda: [said for said in playground.messages(person.dm) if "you taught me" in said["text"]],
        what="good news",
        timeout=100,
    )
    return len(found) == 1
