"""A workspace removes the app while nobody listens: that counts as soon as Slack says it plainly, and not before."""

import asyncio
import logging
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from bot.playground import events
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.slack import calls
from bot.slack.setup import installing
from bot.slack.turns import behind, catch_up
from bot.storage.db import Database
from bot.storage.inbox import Arrival, accept
from bot.storage.installations import save_installation
from bot.storage.installing_tables import Installation
from bot.storage.keyring import Keyring
from bot.storage.schedule_tables import Schedule
from bot.storage.tables import Inbox, InboxState, now
from bot.storage.worker_tables import HeardUntil
from bot.storage.workers import note_heard
from tests.scenarios.conftest import StartBot
from tests.scenarios.test_catch_up import use_up_tries
from tests.scenarios.test_workspaces import KEY, OAUTH, gone, install, installed
from tests.scenarios.test_workspaces import playground as playground  # noqa: PLC0414 - the fixture with two workspaces

pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")  # Slack's SDK still uses it


async def remind_zoe(playground: Playground, start_bot: StartBot) -> Person:
    """Install the app in the second workspace, let Zoe plan a reminder, and end the bot."""
    second = playground.second
    zoe = Person(second.hub, "U0ZOE")
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        await install(playground, bot)
        await zoe.command("/apprentice", "remind me tomorrow at 9:00 to water the plants", channel=zoe.dm)
        await second.wait_until(lambda: zoe.ephemerals(zoe.dm), what="the answer to the order")
    return zoe


async def removed_unheard(playground: Playground, rows: Database) -> None:
    """Remove the app from the second workspace while nobody listens, and let a question of before wait there."""
    await playground.second.uninstall()
    for seconds in (10, 70, 310):  # all of Slack's tries to say so
        await playground.advance(seconds)
    waiting = Arrival("Ev1", "T0SECOND", "D1", "1.0", "1.0", "message", {"event": {"text": "hello", "user": "U0ZOE"}})
    async with rows.begin() as session:
        await accept(session, waiting, merge_s=60)
        await session.execute(update(HeardUntil).values(at=now() - timedelta(minutes=10)))


async def left_of_before(rows: Database) -> tuple[list[str], list[InboxState]]:
    """Make everything that is planned due; return its words, and how the question of before stands."""
    async with rows.begin() as session:
        await session.execute(update(Schedule).values(next_at=now() - timedelta(seconds=1)))
        planned = list(await session.scalars(select(Schedule.text)))
        return planned, list(await session.scalars(select(Inbox.state).where(Inbox.event_id == "Ev1")))


async def test_a_removal_that_nobody_heard_counts(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot was down: it asks Slack more than once, and forgets the token with what waited there."""
    monkeypatch.setattr(calls, "APART_S", 0.1)
    await remind_zoe(playground, start_bot)
    await removed_unheard(playground, rows)
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        await gone(rows)
        assert await left_of_before(rows) == ([], [InboxState.DONE])
        zoe = Person(playground.second.hub, "U0ZOE")
        assert "Thank you" in await install(playground, bot)
        there = await zoe.say(zoe.dm, "hello again")
        assert (await playground.second.wait_for_reply(zoe.dm, there))["user"] == "U0APPRENT2"
    refused = [one for one in playground.log("api", "auth.test") if one["status"] == "account_inactive"]
    assert len(refused) == calls.TIMES_SAID


async def test_what_waited_before_an_unheard_removal_is_not_said_after_a_new_installation(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is installed anew before the bot has found out by itself."""
    monkeypatch.setattr(catch_up, "LOOK_S", 3600.0)
    monkeypatch.setattr(catch_up, "GAP", timedelta(days=1))
    zoe = await remind_zoe(playground, start_bot)
    await removed_unheard(playground, rows)
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        assert "Thank you" in await install(playground, bot)
        assert await left_of_before(rows) == ([], [InboxState.DONE])
        there = await zoe.say(zoe.dm, "hello again")
        await playground.second.wait_for_reply(zoe.dm, there)
    assert "plants" not in str(playground.second.messages(zoe.dm))


async def test_what_waits_stays_where_the_app_is_installed_again_and_was_not_removed(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """As for one more scope: Slack gives out the same token."""
    await remind_zoe(playground, start_bot)
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        await install(playground, bot)
    async with rows.read() as session:
        assert list(await session.scalars(select(Schedule.text))) == ["water the plants"]


@pytest.mark.parametrize("error", ["invalid_auth", "account_inactive"])
async def test_a_token_that_is_refused_for_a_while_is_kept(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """What passes is no removal, and neither is what has other causes too, however often Slack says it."""
    monkeypatch.setattr(catch_up, "LOOK_S", 0.2)
    monkeypatch.setattr(calls, "APART_S", 0.1)
    zoe = await remind_zoe(playground, start_bot)
    async with rows.begin() as session:
        await session.execute(update(HeardUntil).values(at=now() - timedelta(minutes=10)))
    second = playground.second
    before = len(second.log("api", "auth.test"))
    times = 0 if error == "invalid_auth" else calls.TIMES_SAID - 1
    second.fault("missing_method", methods="auth.test", error=error, times=times)
    async with start_bot(**OAUTH):
        await playground.wait_for_connection()
        await playground.wait_until(lambda: second.log("api", "users.conversations"), what="a look at what was missed")
        assert len(second.log("api", "auth.test")) == before + times + 1
        there = await zoe.say(zoe.dm, "hello again")
        assert (await second.wait_for_reply(zoe.dm, there))["user"] == "U0APPRENT2"
    async with rows.read() as session:
        assert list(await session.scalars(select(Schedule.text))) == ["water the plants"]
        assert [one.team_id for one in await session.scalars(select(Installation))] == ["T0SECOND"]


async def heard_ago(rows: Database, ago: timedelta) -> None:
    """Let it be some time ago that all was heard."""
    async with rows.begin() as session:
        await note_heard(session, until=now() - ago)


async def written_until(rows: Database) -> datetime:
    """Return until when all was heard, as the next process would find it."""
    async with rows.read() as session:
        return (await session.scalars(select(HeardUntil.at))).one()


@pytest.mark.parametrize(
    ("fault", "params"), [("missing_method", {"error": "invalid_auth"}), ("server_error", {"status": 503})]
)
async def test_a_workspace_that_cannot_be_read_holds_up_no_other(  # noqa: PLR0917 - fixtures
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    params: dict[str, object],
) -> None:
    """The others are read once and heard of; it is named once, and what was said there is answered in the end."""
    monkeypatch.setattr(catch_up, "LOOK_S", 0.2)
    monkeypatch.setattr(behind, "AGAIN_S", 0.5)
    monkeypatch.setattr(calls, "TRIES", 1)
    zoe, second, maya = await remind_zoe(playground, start_bot), playground.second, playground.maya
    here, there = await maya.say(maya.dm, "hello"), await zoe.say(zoe.dm, "hello there")
    await use_up_tries(playground)
    await heard_ago(rows, timedelta(minutes=10))
    second.fault(fault, methods="auth.test,users.*,conversations.*", **params)
    before = len(playground.log("api", "users.conversations"))

    def tries() -> list[object]:
        return second.log("api", "auth.test")

    async with start_bot(**OAUTH):
        await playground.wait_for_connection()
        await playground.wait_for_reply(maya.dm, here)
        asked = len(tries())
        await playground.wait_until(lambda: len(tries()) >= asked + 3, what="more looks at the other workspace")
        assert len(playground.log("api", "users.conversations")) == before + 1
        said = [one.message for one in caplog.records if "T0SECOND cannot be read" in one.getMessage()]
        assert len(said) == 1
        assert "xoxb" not in said[0]
        is_held = now() - await written_until(rows) > timedelta(minutes=5)
        assert is_held is (fault == "server_error")  # only a process that goes on knows of it
        second.fault(fault, enabled=False)
        await second.wait_for_reply(zoe.dm, there)
        for _ in range(100):
            if now() - await written_until(rows) < timedelta(minutes=5):
                break
            await asyncio.sleep(0.05)
        assert now() - await written_until(rows) < timedelta(minutes=5)


async def test_a_removed_workspace_delays_no_other(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack is asked again and again about the one, and the other is read meanwhile."""
    monkeypatch.setattr(calls, "APART_S", 3600.0)
    maya, second = playground.maya, playground.second
    own = {"team_id": "T0PLAYGRND", "token": "xoxb-playground", "bot_id": "B0APPRENTICE", "bot_user_id": "U0APPRENTICE"}
    async with start_bot(**OAUTH, slack_bot_token=""):
        await playground.wait_for_connection()
        async with rows.begin() as session:
            for values in ({"team_id": "T0AWAY", "token": second.hub.options.bot_token}, own):
                await save_installation(session, installed(**values), Keyring([KEY]))
    there = await maya.say(maya.dm, "hello")
    await use_up_tries(playground)
    await heard_ago(rows, timedelta(minutes=10))
    async with start_bot(**OAUTH, slack_bot_token=""):
        await playground.wait_for_connection()
        await playground.wait_for_reply(maya.dm, there)
    assert "account_inactive" in [one["status"] for one in playground.log("api", "auth.test")]


async def test_a_word_of_removal_that_cannot_be_checked_is_looked_at_again(
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While Slack is away an old word takes no good installation, and one that is gone is dropped afterwards."""
    monkeypatch.setattr(catch_up, "LOOK_S", 0.2)
    monkeypatch.setattr(catch_up, "GAP", timedelta(seconds=1))
    monkeypatch.setattr(calls, "APART_S", 0.1)
    monkeypatch.setattr(calls, "TRIES", 1)
    second = playground.second

    async def settled(words: int) -> None:
        """Wait until the bot has made up its mind about both words of a removal, and still has the token."""
        told: list[logging.LogRecord] = []
        for _ in range(500):
            told = [one for one in caplog.records if one.name == installing.__name__ and one.levelname == "WARNING"]
            if len(told) == words:
                break
            await asyncio.sleep(0.02)
        assert len(told) == words
        async with rows.read() as session:
            assert [one.team_id for one in await session.scalars(select(Installation))] == ["T0SECOND"]

    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        await install(playground, bot)
        second.fault("server_error", methods="auth.test")
        events.app_removed(second.hub)
        await settled(2)
        second.fault("server_error", enabled=False)

        playground.fault("server_error", methods="auth.test")
        await second.uninstall()
        await settled(4)
        playground.fault("server_error", enabled=False)
        await gone(rows)
