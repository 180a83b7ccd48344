"""Emoji that came and went below answers while the bot was away: they count as they stand, once it is back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bot.playground import slack_objects
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.slack.setup.manifest import build_manifest
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState, Feedback, now
from bot.storage.worker_tables import HeardUntil
from tests.scenarios.conftest import StartBot
from tests.scenarios.test_admin import order
from tests.scenarios.test_admin import press as press_order
from tests.scenarios.test_opinions import ask, read_votes, settle

CAUGHT_UP = "edits, deletions and reactions were missed"


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that grants what the manifest asks for."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _heard_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="bot.slack.turns.catch_up")


async def be_away(rows: Database, playground: Playground) -> None:
    """Make the bot, which is stopped, away for ten minutes, in which Slack has given up telling."""
    for _ in range(4):
        await playground.advance(310)
    await playground.wait_until(
        lambda: all(entry["ok"] is not None for entry in playground.log("event")), what="Slack to give up"
    )
    async with rows.begin() as session:
        await session.execute(update(HeardUntil).values(at=now() - timedelta(minutes=10)))


async def catch_up(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until what was missed was looked for; the log says so."""
    async with asyncio.timeout(20):
        while CAUGHT_UP not in caplog.text:  # noqa: ASYNC110 - a log does not call
            await asyncio.sleep(0.05)
    caplog.clear()


async def read_of(rows: Database, reply: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what everybody thinks of one answer now, and how they said it."""
    async with rows.read() as session:
        current = select(Feedback).join(Answer).where(Feedback.superseded_at.is_(None))
        found = await session.execute(current.add_columns(Answer.reply_ts))
        return {row.user_id: (row.vote, row.source) for row, carriers in found if reply["ts"] in carriers}


async def count_votes(rows: Database) -> int:
    """Return how many rows of votes there are, of the past too."""
    async with rows.read() as session:
        return await session.scalar(select(func.count()).select_from(Feedback)) or 0


async def press(playground: Playground, rows: Database, person: Person, reply: dict[str, Any], thumb: str) -> None:
    """Press a thumb and wait until it counts."""
    await person.click(reply, "feedback", f"{'positive' if thumb == 'up' else 'negative'}_button")
    if thumb == "down":
        await playground.wait_for_view(person.id)
        await person.close_view()
    async with asyncio.timeout(10):
        while (await read_of(rows, reply)).get(person.id) != (thumb, "button"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_what_was_put_and_taken_away_meanwhile_counts_as_it_stands(
    playground: Playground, start_bot: StartBot, rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, by whoever may vote; whoever put a 👎 is asked what was wrong, and who pressed a button is left alone."""
    tom, maya, priya, sam = playground.tom, playground.maya, playground.priya, playground.sam
    async with start_bot():
        await playground.wait_for_connection()
        first, second = await ask(playground, tom), await ask(playground, tom, "What is a sprint?")
        await maya.invite("general", sam.id)
        await tom.react("general", first["ts"], "white_check_mark")
        await maya.react("general", first["ts"], "heart")
        await maya.react("general", first["ts"], "+1")
        await settle(rows, read_votes, {"U0TOM": ("up", "reaction"), "U0MAYA": ("up", "reaction")})
        await press(playground, rows, priya, second, "up")
        assert await count_votes(rows) == 3
    await tom.react("general", first["ts"], "white_check_mark", remove=True)
    await maya.react("general", first["ts"], "heart", remove=True)
    for person, emoji in ((tom, "white_check_mark::skin-tone-2"), (maya, "x"), (sam, "+1"), (priya, "tada")):
        await person.react("general", second["ts"], emoji)
    await be_away(rows, playground)
    async with start_bot():
        await catch_up(caplog)
        expected = {"U0TOM": ("none", "reaction"), "U0MAYA": ("up", "reaction")}
        assert await read_of(rows, first) == expected
        expected = {"U0TOM": ("up", "reaction"), "U0MAYA": ("down", "reaction"), "U0PRIYA": ("up", "button")}
        assert await read_of(rows, second) == expected
        assert [one["text"] for one in maya.ephemerals("general")] == ["👎 Noted. What should I have said?"]
        await maya.react("general", second["ts"], "x", remove=True)
        await settle(rows, count_votes_of("U0MAYA"), 3)
        assert (await read_of(rows, second))["U0MAYA"] == ("none", "reaction")
        assert await count_votes(rows) == 7
    await tom.react("general", first["ts"], "white_check_mark")
    await be_away(rows, playground)
    async with start_bot():
        await catch_up(caplog)
        assert (await read_of(rows, first))["U0TOM"] == ("up", "reaction"), "put once more, it counts once more"
        assert await count_votes(rows) == 8


def count_votes_of(user_id: str) -> Any:
    """Return what counts somebody's rows."""
    statement = select(func.count()).select_from(Feedback).filter_by(user_id=user_id)
    return lambda session: session.scalar(statement)


async def test_what_another_vote_has_overtaken_stays_so(
    playground: Playground, start_bot: StartBot, rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It was there before, also beside a thumb that said the same, or was undone; once it is gone it never counts."""
    tom, maya, priya = playground.tom, playground.maya, playground.priya
    async with start_bot():
        await playground.wait_for_connection()
        reply = await ask(playground, tom)
        await press(playground, rows, maya, reply, "up")
        for person in (tom, maya, priya):
            await person.react("general", reply["ts"], "+1")
        await settle(rows, lambda session: _find_vote(session, "U0PRIYA"), ("up", "reaction"))
        await settle(rows, lambda session: _find_vote(session, "U0TOM"), ("up", "reaction"))
        await asyncio.sleep(0.3)
        await press(playground, rows, tom, reply, "down")
        await press(playground, rows, maya, reply, "down")
        await press(playground, rows, priya, reply, "up")
        noted = [note for note in priya.ephemerals("general") if note["text"].startswith("👍")]
        await priya.click(noted[-1], "undo_vote")
        expected = {"U0TOM": ("down", "button"), "U0MAYA": ("down", "button"), "U0PRIYA": ("none", "button")}
        await settle(rows, read_votes, expected)
        before = await count_votes(rows)
    for is_gone in (False, True):
        if is_gone:
            await tom.react("general", reply["ts"], "+1", remove=True)
        await be_away(rows, playground)
        async with start_bot():
            await catch_up(caplog)
            assert await read_of(rows, reply) == expected
            assert await count_votes(rows) == before
            if is_gone:
                noted = [note for note in tom.ephemerals("general") if note["text"].startswith("👎")]
                await tom.click(noted[-1], "undo_vote")
                await settle(rows, lambda session: _find_vote(session, "U0TOM"), ("none", "button"))


async def _find_vote(session: Any, user_id: str) -> Any:
    return (await read_votes(session)).get(user_id)


async def test_below_another_try_an_emoji_says_what_it_said_of_the_one_before(
    playground: Playground, start_bot: StartBot, rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It stood there before; taken away meanwhile it is taken back from the answer it was put below."""
    tom, maya = playground.tom, playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        reply = await ask(playground, tom)
        for person in (tom, maya):
            await person.react("general", reply["ts"], "+1")
        both = {"U0TOM": ("up", "reaction"), "U0MAYA": ("up", "reaction")}
        await settle(rows, read_votes, both)
        await tom.react("general", reply["ts"], "+1", remove=True)
        await tom.click(reply, "regenerate")
        complete = select(func.count()).select_from(Answer).where(Answer.state == AnswerState.COMPLETE)
        await settle(rows, lambda session: session.scalar(complete), 2)
        await settle(rows, read_votes, both | {"U0TOM": ("none", "reaction")})
        before = await count_votes(rows)
    await be_away(rows, playground)
    async with start_bot():
        await catch_up(caplog)
        assert await count_votes(rows) == before
    await maya.react("general", reply["ts"], "+1", remove=True)
    await tom.react("general", reply["ts"], "x")
    await be_away(rows, playground)
    async with start_bot():
        await catch_up(caplog)
        async with rows.read() as session:
            votes = select(Answer.replaces_id.is_not(None), Feedback.user_id, Feedback.vote).join(Answer)
            found = {tuple(row) for row in await session.execute(votes.where(Feedback.superseded_at.is_(None)))}
        assert found == {(False, "U0TOM", "none"), (False, "U0MAYA", "none"), (True, "U0TOM", "down")}


async def test_what_was_decided_about_somebody_since_is_not_undone_by_their_emoji(
    playground: Playground, start_bot: StartBot, rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It stands in sight, from before they were forgotten, or from when they were blocked: nobody can say."""
    tom, maya = playground.tom, playground.maya
    async with start_bot(admin_user_ids=["U0MAYA"]):
        await playground.wait_for_connection()
        reply = await ask(playground, maya)
        await tom.react("general", reply["ts"], "+1")
        await settle(rows, read_votes, {"U0TOM": ("up", "reaction")})
        await press_order(playground, tom, await order(playground, tom, "forget-me"), "order:yes")
        await settle(rows, read_votes, {})
    await be_away(rows, playground)
    async with start_bot(admin_user_ids=["U0MAYA"]):
        await catch_up(caplog)
        assert await read_of(rows, reply) == {}


async def test_slack_is_asked_for_all_where_it_names_some(
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of many who put the same emoji a history leaves some out: they have taken nothing away."""
    monkeypatch.setattr(slack_objects, "MOST_NAMED", 1)
    tom, maya, priya = playground.tom, playground.maya, playground.priya
    async with start_bot():
        await playground.wait_for_connection()
        reply = await ask(playground, tom)
        for person in (tom, maya):
            await person.react("general", reply["ts"], "+1")
        both = {"U0TOM": ("up", "reaction"), "U0MAYA": ("up", "reaction")}
        await settle(rows, read_votes, both)
    await priya.react("general", reply["ts"], "+1")
    await be_away(rows, playground)
    async with start_bot():
        await catch_up(caplog)
        assert await read_of(rows, reply) == both | {"U0PRIYA": ("up", "reaction")}
