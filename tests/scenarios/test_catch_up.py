"""What people wrote while the bot was away: answered once it is back, once, or called too old with a word."""

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot.playground.testing import Playground
from bot.settings import Transport
from bot.slack.turns import catch_up
from bot.storage.db import Database
from bot.storage.learning_tables import TrainingChoice
from bot.storage.manners_tables import ThreadManners
from bot.storage.schedule_tables import Schedule
from bot.storage.tables import Answer, Inbox, InboxState, Message, now
from bot.storage.worker_tables import HeardUntil
from tests.scenarios.conftest import Finished, StartBot, full_disk
from tests.scenarios.test_faults import answers_in
from tests.test_cli import free_port

BOT = "<@U0APPRENTICE>"


async def be_away(
    playground: Playground, rows: Database, start_bot: StartBot, *, ago: timedelta = timedelta(minutes=10)
) -> str:
    """Let the bot answer once, stop it, and make it ten minutes ago; return the thread it took part in."""
    maya = playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        known = await maya.say("general", f"{BOT} hello")
        await playground.wait_for_reply("general", known)
        await playground.wait_until(lambda: answers_in(playground, "general", known), what="the answer")
    async with rows.begin() as session:
        await session.execute(update(HeardUntil).values(at=now() - ago))
    return known


async def miss(playground: Playground) -> None:
    """Let Slack's first two tries fail; it tries again after a minute of its clock."""
    await playground.advance(10)


async def use_up_tries(playground: Playground) -> None:
    """Let all of Slack's tries to deliver what was said pass: it makes the last one after six minutes."""
    for seconds in (10, 70, 310):
        await playground.advance(seconds)
    async with asyncio.timeout(20):
        while (given_up := playground.log("event")[-1])["ok"] is None:  # a try was still on the wire
            await playground.advance(310)
    assert given_up["ok"] is False, given_up["status"]


async def test_what_was_missed_is_answered_once(
    playground: Playground, rows: Database, start_bot: StartBot, finished: Finished
) -> None:
    """Direct messages, mentions, mentions in threads; not what was for others, not again when Slack tries again."""
    maya, tom = playground.maya, playground.tom
    known = await be_away(playground, rows, start_bot)
    missed = [
        (maya.dm, await maya.say(maya.dm, "What is a sprint?"), None),
        ("general", await tom.say("general", f"{BOT} thanks"), None),
        ("general", await tom.say("general", f"{BOT} bye", thread_ts=known), known),
    ]
    talk = await tom.say("general", "lunch?")
    other = await maya.say("general", "at noon", thread_ts=talk)
    in_talk = await tom.say("general", f"{BOT} hello", thread_ts=talk)
    await miss(playground)
    async with start_bot():
        for channel, ts, thread_ts in [*missed, ("general", in_talk, talk)]:
            await playground.wait_for_reply(channel, thread_ts or ts, after=ts, timeout=20)
        await playground.advance(70)  # Slack tries again what nobody took
        await playground.advance(310)
        fresh = await maya.say(maya.dm, "thanks")
        await playground.wait_for_reply(maya.dm, fresh)

    assert len(await finished(6)) == 6
    assert [len(answers_in(playground, channel, root or ts)) for channel, ts, root in missed] == [1, 1, 2]
    assert len(answers_in(playground, "general", talk)) == 1
    async with rows.read() as session:
        waiting = (await session.scalars(select(Inbox).where(Inbox.state != InboxState.DONE))).all()
        taken = set(await session.scalars(select(Inbox.ts)))
    assert waiting == []
    assert other not in taken


async def test_what_was_missed_is_too_much_only_if_it_was_then(
    playground: Playground, rows: Database, start_bot: StartBot
) -> None:
    """It comes all at once and counts for the minute in which it was said; of two in one minute one hears that."""
    maya = playground.maya
    await be_away(playground, rows, start_bot)
    asked = []
    for _ in range(3):
        asked.append(await maya.say(maya.dm, "hello"))
        await playground.advance(90)
    flood = [await maya.say(maya.dm, "hello"), await maya.say(maya.dm, "hello")]
    await use_up_tries(playground)
    async with start_bot(messages_per_person=1):
        told = [(await playground.wait_for_reply(maya.dm, ts, timeout=20))["text"] for ts in [*asked, *flood]]
    assert ["more than I can take from one person" in text for text in told] == [False] * 4 + [True]


async def test_what_is_too_old_gets_a_word(playground: Playground, rows: Database, start_bot: StartBot) -> None:
    """One in each thread, and no old order is carried out."""
    maya = playground.maya
    await be_away(playground, rows, start_bot)
    ts = await maya.say(maya.dm, "What is a sprint?")
    await maya.say(maya.dm, "And a stand-up?", thread_ts=ts)
    order = await maya.say(maya.dm, "!status")
    await miss(playground)
    async with start_bot(catch_up_hours=0):
        for thread in (ts, order):
            reply = await playground.wait_for_reply(maya.dm, thread, timeout=20)
            assert "I was away when you wrote this" in reply["text"]
        fresh = await maya.say(maya.dm, "hello", thread_ts=ts)
        await playground.wait_for_reply(maya.dm, ts, after=fresh)

    words = [message for message in answers_in(playground, maya.dm, ts) if "I was away" in message["text"]]
    assert len(words) == 1
    assert len(answers_in(playground, maya.dm, order)) == 1


async def test_a_clock_that_was_set_back_hides_no_absence(
    playground: Playground, rows: Database, start_bot: StartBot
) -> None:
    """All was heard until in an hour: nobody knows how long ago that was."""
    maya = playground.maya
    await be_away(playground, rows, start_bot, ago=-timedelta(hours=1))
    ts = await maya.say(maya.dm, "What is a sprint?")
    await use_up_tries(playground)
    async with start_bot():
        await playground.wait_for_reply(maya.dm, ts, timeout=20)


async def test_what_an_earlier_life_answered_is_not_answered_again(
    playground: Playground, rows: Database, start_bot: StartBot, finished: Finished
) -> None:
    """A backup that was put back does not know of answers that stand in Slack; the bot looks before it speaks."""
    maya = playground.maya
    ts = await be_away(playground, rows, start_bot)
    async with rows.begin() as session:
        for row in await session.scalars(select(Inbox)):
            await session.delete(row)
    async with start_bot():
        fresh = await maya.say(maya.dm, "hello")
        await playground.wait_for_reply(maya.dm, fresh, timeout=20)
        await finished(2)

    assert len(answers_in(playground, "general", ts)) == 1


async def test_a_first_start_answers_nothing_old(
    playground: Playground, rows: Database, start_bot: StartBot, tmp_path: Path
) -> None:
    """What was said before it was ever there was not for it."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "hello")
    await miss(playground)
    async with start_bot():
        fresh = await maya.say(maya.dm, "thanks")
        await playground.wait_for_reply(maya.dm, fresh, timeout=20)

    assert answers_in(playground, maya.dm, ts) == []


@pytest.mark.parametrize("trouble_s", [0.0, 5.0])
async def test_what_died_with_a_process_is_answered_before_what_came_later(
    playground: Playground, rows: Database, start_bot: StartBot, finished: Finished, trouble_s: float
) -> None:
    """Slack brings it again after a minute; by then the next message of the thread would have been answered.

    Also where Slack's history is in trouble for a while when it is asked.
    """
    maya = playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        thread = await maya.say(maya.dm, "hello")
        await playground.wait_for_reply(maya.dm, thread)
    lost = await maya.say(maya.dm, "What is a sprint?", thread_ts=thread)
    await miss(playground)
    async with start_bot():
        await playground.wait_for_connection()
        if trouble_s:
            playground.fault("server_error", status=503, methods="conversations.replies", percent=100)
        later = await maya.say(maya.dm, "What is a retro?", thread_ts=thread)
        await asyncio.sleep(trouble_s)
        playground.fault("server_error", enabled=False)
        await playground.wait_for_reply(maya.dm, thread, after=later, timeout=20)
        await finished(3)
        await playground.advance(70)
        await finished(3)

    async with rows.read() as session:
        said = select(Message.ts).join(Answer).order_by(Answer.id)
        assert list(await session.scalars(said)) == [thread, lost, later]
    assert len(answers_in(playground, maya.dm, thread)) == 3


@pytest.fixture
def short_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into the history two seconds after a loss."""
    monkeypatch.setattr(catch_up, "LOOK_S", 0.2)
    monkeypatch.setattr(catch_up, "GAP", timedelta(seconds=2))
    monkeypatch.setattr(catch_up, "SILENT_GAP", timedelta(seconds=4))


@pytest.mark.usefixtures("short_gaps")
async def test_what_slack_tried_in_vain_within_a_short_absence_is_answered(
    playground: Playground, rows: Database, start_bot: StartBot, finished: Finished
) -> None:
    """Each of its tries met a bot that was away for a moment: nobody will bring the message any more."""
    maya = playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        ts = await maya.say(maya.dm, "hello")
        await playground.wait_for_reply(maya.dm, ts)
    lost = await maya.say(maya.dm, "What is a sprint?", thread_ts=ts)
    await use_up_tries(playground)
    async with start_bot():
        await playground.wait_for_reply(maya.dm, ts, after=lost, timeout=20)
        await finished(2)


@pytest.mark.usefixtures("short_gaps", "hasty_slack")
@pytest.mark.parametrize("tables", [("inbox",), ("inbox", "heard_until")])
async def test_what_could_not_be_stored_in_time_is_answered(
    playground: Playground, rows: Database, start_bot: StartBot, finished: Finished, tables: tuple[str, ...]
) -> None:
    """The disk is full, partly or wholly, until Slack has given up; the history is read once there is room again."""
    maya = playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        ts = await maya.say(maya.dm, "hello")
        await playground.wait_for_reply(maya.dm, ts)
        await playground.wait_until(lambda: answers_in(playground, maya.dm, ts), what="the answer")
        async with AsyncExitStack() as full:
            for table in tables:
                await full.enter_async_context(full_disk(rows, table))
            lost = await maya.say(maya.dm, "What is a sprint?", thread_ts=ts)
            await use_up_tries(playground)
        await playground.wait_for_reply(maya.dm, ts, after=lost, timeout=20)
        await finished(2)
    async with rows.read() as session:
        assert len(list(await session.scalars(select(Inbox.ts).where(Inbox.ts == lost)))) == 1


@pytest.mark.usefixtures("short_gaps")
async def test_what_never_came_through_over_http_is_answered(rows: Database, start_bot: StartBot) -> None:
    """The way from Slack is closed, which nobody tells the bot, until Slack has given up."""
    port = free_port()
    async with Playground(port=0, events_url=f"http://127.0.0.1:{port}/slack/events") as playground:
        maya, here = playground.maya, {"slack_api_url": playground.api_url, "http_port": port}
        async with start_bot(slack_transport=Transport.HTTP, **here):
            await playground.wait_for_connection()
            ts = await maya.say(maya.dm, "hello")
            await playground.wait_for_reply(maya.dm, ts)
            playground.fault("disconnected")
            lost = await maya.say(maya.dm, "What is a sprint?", thread_ts=ts)
            await use_up_tries(playground)
            await playground.wait_for_reply(maya.dm, ts, after=lost, timeout=20)
        async with rows.read() as session:
            assert len(list(await session.scalars(select(Inbox.ts).where(Inbox.ts == lost)))) == 1


async def test_a_private_question_that_is_deleted_meanwhile_goes(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Its message stood for all to read, though its answer was for one person."""
    tom = playground.tom
    async with start_bot():
        await playground.wait_for_connection()
        asked = await tom.say("general", f"{BOT} !ask --private What does zanzibar stand for?")
        await playground.wait_until(lambda: "share_answer" in str(tom.ephemerals("general")), what="the answer")
    async with rows.begin() as session:
        await session.execute(update(HeardUntil).values(at=now() - timedelta(minutes=10)))
    await tom.delete("general", asked)
    async with start_bot(), asyncio.timeout(20):
        while await count(rows, Message):  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)


async def test_orders_without_a_mention_are_carried_out_once(
    playground: Playground, rows: Database, start_bot: StartBot
) -> None:
    """A no, a plan, a wish for quiet: in a thread they need no mention. What people ask each other stays theirs."""
    maya, tom = playground.maya, playground.tom
    talk = await tom.say("general", f"{BOT} hello")
    known = await be_away(playground, rows, start_bot)
    others = await tom.say("general", "lunch?")
    for text in ("!learn-from-me off", "!remind me in 60 minutes to eat", "!frobnicate", "What is a sprint?", "!mute"):
        await maya.say("general", text, thread_ts=known)
    await tom.say("general", "be quiet here", thread_ts=talk)
    await tom.say("general", "be quiet here", thread_ts=others)
    await use_up_tries(playground)
    for _ in range(2):
        async with start_bot():
            async with asyncio.timeout(20):
                while (await count(rows, TrainingChoice), await count(rows, Schedule)) != (1, 1):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                while await quiet_threads(rows) != {known, talk}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await maya.say("general", "And what is a retro?", thread_ts=known)
            fresh = await maya.say(maya.dm, "hello")
            await playground.wait_for_reply(maya.dm, fresh)
        async with rows.begin() as session:
            await session.execute(update(HeardUntil).values(at=now() - timedelta(minutes=10)))

    assert [len(answers_in(playground, "general", thread)) for thread in (known, talk, others)] == [1, 1, 0]
    async with rows.read() as session:
        assert len(list(await session.scalars(select(Inbox.id).where(Inbox.kind == "order")))) == 3
        assert await session.scalar(select(TrainingChoice.is_allowed)) is False


async def test_an_order_that_is_too_old_gets_a_word(
    playground: Playground, rows: Database, start_bot: StartBot
) -> None:
    """Also one without a mention, and whatever was said after it."""
    maya, tom = playground.maya, playground.tom
    talk = await tom.say("general", f"{BOT} hello")
    known = await be_away(playground, rows, start_bot)
    await maya.say("general", "!learn-from-me off", thread_ts=known)
    await maya.say("general", "at noon", thread_ts=known)
    hush = await tom.say("general", "be quiet here", thread_ts=talk)
    await use_up_tries(playground)
    async with start_bot(catch_up_hours=0):
        for thread in (known, talk):
            reply = await playground.wait_for_reply("general", thread, after=hush, timeout=20)
            assert "I was away when you wrote this" in reply["text"]

    assert await count(rows, TrainingChoice) == 0
    assert await quiet_threads(rows) == set()


async def quiet_threads(rows: Database) -> set[str]:
    """Return the threads in which somebody wanted quiet."""
    async with rows.read() as session:
        return set(await session.scalars(select(ThreadManners.thread_ts).where(ThreadManners.is_muted)))


async def count(rows: Database, table: type[Message | Schedule | TrainingChoice]) -> int:
    """Return how many rows there are."""
    async with rows.read() as session:
        return len(list(await session.scalars(select(table.id))))


async def test_what_somebody_ordered_first_is_done_first(
    playground: Playground, rows: Database, start_bot: StartBot
) -> None:
    """Nothing of what they ask afterwards is stored, in whatever thread, for that was the order."""
    tom = playground.tom
    await be_away(playground, rows, start_bot)
    asked = [await tom.say(tom.dm, "!preferences privacy unstored")]
    asked += [await tom.say(tom.dm, "What is a sprint?"), await tom.say("general", f"{BOT} What is a deadline?")]
    await use_up_tries(playground)
    async with start_bot():
        for channel, ts in zip([tom.dm, tom.dm, "general"], asked, strict=True):
            await playground.wait_for_reply(channel, ts, timeout=20)

        async with rows.read() as session:
            assert [*await session.scalars(select(Message.text).where(Message.user_id == tom.id))] == ["", ""]


@pytest.mark.parametrize("is_reply", [False, True])
async def test_an_order_that_is_deleted_meanwhile_is_not_carried_out(
    playground: Playground, rows: Database, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch, *, is_reply: bool
) -> None:
    """Neither where Slack tells of it late, nor where it tells of its deletion first; another beside it is."""
    monkeypatch.setattr("bot.slack.commands.thread_orders.LATE_S", -3600.0)  # Slack's clock is driven, ours is not
    tom = playground.tom
    known = await be_away(playground, rows, start_bot, ago=timedelta(seconds=10))
    where, thread = ("general", known) if is_reply else (tom.dm, None)
    gone = await tom.say(where, "!remind me in 40 minutes to call Maya", thread_ts=thread)
    await tom.say(where, "!remind me in 40 minutes to water the plants", thread_ts=thread)
    await tom.delete(where, gone)
    await miss(playground)
    async with start_bot():
        await playground.advance(70)
        await playground.wait_until(
            lambda: all(entry["ok"] is not None for entry in playground.log("event")), what="Slack's tries"
        )

        async def waiting() -> list[Inbox]:
            async with rows.read() as session:
                return list(await session.scalars(select(Inbox).where(Inbox.state != InboxState.DONE)))

        async with asyncio.timeout(10):
            while await waiting():  # noqa: ASYNC110 - rows do not call
                await asyncio.sleep(0.02)
        async with rows.read() as session:
            assert [one.text for one in await session.scalars(select(Schedule))] == ["water the plants"]


async def test_what_was_edited_meanwhile_is_offered_again(
    playground: Playground, rows: Database, start_bot: StartBot
) -> None:
    """The answer below it is to its old words: its author is asked, as beside a bot that runs."""
    maya = playground.maya
    known = await be_away(playground, rows, start_bot)
    await maya.edit("general", known, f"{BOT} What is a sprint?")
    await use_up_tries(playground)
    async with start_bot():
        (offer,) = await playground.wait_until(lambda: maya.ephemerals("general"), what="the offer")
        assert "Shall I answer it again?" in offer["text"]


@pytest.mark.usefixtures("short_gaps")
async def test_what_was_refused_as_too_much_was_not_missed(
    playground: Playground, rows: Database, start_bot: StartBot, finished: Finished, caplog: pytest.LogCaptureFixture
) -> None:
    """Its author was told that it stays unanswered, and asks again; an order beside it is carried out."""
    caplog.set_level(logging.INFO, logger="bot.slack.turns.catch_up")
    tom = playground.tom
    async with start_bot(messages_per_person=2):
        await playground.wait_for_connection()
        asked = [await tom.say("general", f"{BOT} What is a sprint? {number}") for number in range(3)]
        await playground.wait_until(lambda: tom.ephemerals("general"), what="the word")
        asked += [await tom.say("general", f"{BOT} What is a sprint? {number}") for number in range(3, 5)]
        await finished(2)
        await playground.wait_until(
            lambda: all(entry["ok"] for entry in playground.log("event")), what="the acknowledgements"
        )
    async with rows.begin() as session:
        await session.execute(update(HeardUntil).values(at=now() - timedelta(minutes=10)))
    order = await tom.say(tom.dm, "!remind me in 40 minutes to call Maya")
    await use_up_tries(playground)
    async with start_bot():
        await playground.wait_for_reply(tom.dm, order)
        async with asyncio.timeout(20):
            while "missed messages since" not in caplog.text:  # noqa: ASYNC110 - a log does not call
                await asyncio.sleep(0.05)
        await playground.wait_for_reply(tom.dm, await tom.say(tom.dm, "hello"))
        await finished(3)
        await asyncio.sleep(1)  # nothing else comes
    assert [len(answers_in(playground, "general", ts)) for ts in asked] == [1, 1, 0, 0, 0]
