"""Reminders and digests against the playground, with a clock of their own: ordered, due, late, refused, once."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import delete, func, select, update

from bot.errors import DeliveryError, EngineError
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.commands.orders import Call, Reply, Role, UsageError
from bot.slack.people.access import Access, Home
from bot.slack.people.directory import Directory
from bot.slack.people.rooms import Rooms
from bot.slack.rates import TIERS
from bot.slack.schedule.commands import (
    MOST_IN_ONE_CHANNEL,
    MOST_OF_ONE_IN_CHANNEL,
    MOST_OF_ONE_PERSON,
    build_schedule_commands,
    read_zone,
)
from bot.slack.schedule.runner import DigestOrder, ScheduleRunner
from bot.slack.turns.duty import Duty
from bot.storage.audit import RESTORED, record
from bot.storage.channel_settings import ChannelRules, save_rules
from bot.storage.db import Database
from bot.storage.manners_tables import Mode
from bot.storage.schedule_tables import Occurrence, Schedule
from bot.storage.schedules import IN_ONE_PLACE
from bot.storage.tables import now
from bot.storage.worker_tables import Worker

TEAM = "T0PLAYGRND"
START = datetime(2027, 3, 26, 11, 0, tzinfo=UTC)  # a Friday, noon in Berlin


class Desk:
    """Everything that reminders need, with a clock that tests move."""

    def __init__(self, playground: Playground, database: Database, client: AsyncWebClient) -> None:
        self.playground = playground
        self.database = database
        self.client = client
        self.duty = Duty(database, place="here")
        self.moment = START
        self.digests: list[DigestOrder] = []
        self.is_away = False
        self.writes = asyncio.Event()
        self.writes.set()
        self.error: Exception | None = None
        calls = Calls(client, bot_user_id="U0APPRENTICE")
        directory = Directory(calls)
        access = Access(database, directory, owners=frozenset({"U0MAYA"}), home=Home(TEAM))
        self.rooms = Rooms(calls, access)
        commands = build_schedule_commands(database, directory, self.rooms.for_orders(), clock=lambda: self.moment)
        self.commands = {command.name: command for command in commands}

    async def order(self, text: str, *, user: str = "U0TOM", channel: str = "C0GENERAL", **where: Any) -> Reply:
        """Give an order."""
        name, _space, words = text.partition(" ")
        role = Role.OWNER if user == "U0MAYA" else Role.MEMBER
        call = Call(user_id=user, team_id=TEAM, channel_id=channel, words=words, role=role, **where)
        return await self.commands[name].run(call)

    def runner(self) -> ScheduleRunner:
        """Build what a process has."""
        return ScheduleRunner(
            self.database,
            self.rooms,
            write_digest=self.write,
            late=timedelta(hours=24),
            duty=self.duty,
            clock=lambda: self.moment,
        )

    async def begin(self) -> None:
        """Start, or start anew after having been killed: this process is here from now on."""
        await self.duty.begin()
        async with self.database.begin() as session:
            await session.execute(update(Worker).values(began_at=self.moment))

    async def write(self, order: DigestOrder) -> dict[str, Any]:
        """Write a digest."""
        await self.writes.wait()
        if self.is_away:
            raise DeliveryError(is_passing=True)
        if self.error is not None:
            raise self.error
        self.digests.append(order)
        return {"text": f"Digest of {order.source_id}"}

    async def wait(self, **span: float) -> None:
        """Let time go by, and what is due happen."""
        self.moment += timedelta(**span)
        await self.look()

    async def look(self, runner: ScheduleRunner | None = None) -> None:
        """Let a process look for what is due."""
        runner = runner or self.runner()
        await runner.tick()
        await runner.finish()

    def said(self, channel: str) -> list[str]:
        """Return what the assistant has said."""
        return [message["text"] for message in self.playground.messages(channel) if message["bot_id"]]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Open a workspace, a database and a desk."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'bot.db'}")
    await database.migrate()
    async with Playground() as playground, aiohttp.ClientSession() as session:
        client = AsyncWebClient(
            token=playground.options.bot_token, base_url=playground.api_url, session=session, retry_handlers=[]
        )
        opened = Desk(playground, database, client)
        await opened.begin()
        yield opened
    await database.close()


async def test_whom_a_reminder_calls_can_end_it(desk: Desk) -> None:
    """Every quarter of an hour, day and night, one person could have others called; its author hears of its end."""
    await desk.order("remind here every 15 minutes to <@U0PRIYA|priya> wake up")
    await desk.order("remind here every 15 minutes to look at U0PRIYA")
    await desk.order("remind me every day at 9:00 to call <@U0PRIYA>")
    for number in (2, 3, 4):
        assert not (await desk.order(f"schedule remove {number}", user="U0PRIYA")).is_done
    assert not (await desk.order("schedule remove 1", user="U0SAM")).is_done

    assert (await desk.order("schedule remove 1", user="U0PRIYA")).text == "Taken back: number 1, of <@U0TOM>."
    told = desk.said(desk.playground.tom.dm)
    assert len(told) == 1
    assert "<@U0PRIYA> has taken this back" in told[0]
    await desk.wait(minutes=16)
    assert not any("wake up" in text for text in desk.said("C0GENERAL"))


async def test_a_reminder_for_oneself(desk: Desk) -> None:
    """In the person's own time zone, shown back, said in their direct message, once."""
    reply = await desk.order("remind me at 15:00 to call <@U0MAYA> & <!channel>")
    assert reply.is_done
    assert "(Europe/Berlin)" in reply.text
    assert f"<!date^{int(datetime(2027, 3, 26, 14, tzinfo=UTC).timestamp())}^" in reply.text
    await desk.wait(hours=2, minutes=59)
    assert desk.said("D0TOM") == []
    await desk.wait(minutes=1)
    await desk.wait(hours=1)

    assert desk.said("D0TOM") == ["⏰ You asked me to remind you: call <@U0MAYA> &amp; &lt;!channel&gt;"]
    assert (await desk.order("schedule list")).text.startswith("Nothing is planned")


async def test_an_order_from_while_it_was_away_counts_from_when_it_was_said(desk: Desk) -> None:
    """In twenty minutes is twenty minutes after the message, not after the start of a bot that was down for fifteen."""
    said = (START - timedelta(minutes=15)).timestamp()
    await desk.order("remind me in 20 minutes to drink", channel="", ts=f"{said:.6f}")
    await desk.wait(minutes=4)
    assert desk.said(desk.playground.tom.dm) == []
    await desk.wait(minutes=2)
    assert any("drink" in text for text in desk.said(desk.playground.tom.dm))


async def test_a_reminder_for_a_channel_again_and_again(desk: Desk) -> None:
    """With its next two dates; nine o'clock stays nine o'clock when the clocks change, and it stops when told to."""
    reply = await desk.order("remind here every Monday 9:00 to post the plan")
    assert reply.text.count("<!date^") == 2
    await desk.wait(days=2, hours=20)
    await desk.wait(days=7)
    assert desk.said("general") == ["⏰ <@U0TOM> wants you to remember: post the plan"] * 2
    async with desk.database.read() as session:
        dues = list(await session.scalars(select(Occurrence.due_at).order_by(Occurrence.due_at)))
    assert [due.hour for due in dues] == [7, 7]  # 28 March: summer time, two hours ahead of UTC

    assert "Taken back" in (await desk.order("schedule remove 1")).text
    await desk.wait(days=7)
    assert len(desk.said("general")) == 2


async def test_several_processes_say_it_once(desk: Desk) -> None:
    """Each looks at the same moment."""
    await desk.order("remind here in 20 minutes to stretch")
    desk.moment += timedelta(minutes=20)
    runners = [desk.runner() for _process in range(4)]
    for runner in runners:
        await runner.tick()
    for runner in runners:
        await runner.finish()

    assert len(desk.said("general")) == 1


async def test_what_was_missed_is_made_up_for_once(desk: Desk) -> None:
    """With a word that it is late; several missed times are one; of those beyond a day its author alone hears."""
    await desk.order("remind here every hour to breathe")
    desk.moment += timedelta(hours=5, minutes=30)
    await desk.begin()
    await desk.look()
    (late,) = desk.said("general")
    assert "I was not running then" in late
    await desk.wait(minutes=30)
    assert len(desk.said("general")) == 2
    assert "not running" not in desk.said("general")[1]

    await desk.wait(hours=26)
    assert len(desk.said("general")) == 2
    assert "it is too late for it now" in desk.said("D0TOM")[0]
    for _ in range(3):
        await desk.look()
    assert len(desk.said("D0TOM")) == 1
    assert len(desk.said("general")) == 3, "the last of them is not too late"
    await desk.wait(hours=1)
    assert len(desk.said("general")) == 4


async def test_a_crash_after_the_words_does_not_say_them_again(desk: Desk) -> None:
    """Whoever takes over looks for them in Slack first; a crash before the words lets them be said."""
    await desk.order("remind here in 20 minutes to stretch")
    await desk.order("remind me in 20 minutes to stretch")
    desk.moment = datetime.now(UTC) + timedelta(minutes=20)  # as Slack's own clock
    async with desk.database.begin() as session:
        for schedule in await session.scalars(select(Schedule)):
            schedule.next_at = datetime.now(UTC)
    desk.moment = datetime.now(UTC)
    await desk.look()
    async with desk.database.begin() as session:
        for occurrence in await session.scalars(select(Occurrence)):
            occurrence.state, occurrence.until = "running", desk.moment
    await desk.look()
    assert (len(desk.said("general")), len(desk.said("D0TOM"))) == (1, 1)

    async with desk.database.begin() as session:
        for occurrence in await session.scalars(select(Occurrence)):
            occurrence.state, occurrence.until = "running", desk.moment
    for message in desk.playground.hub.workspace.messages["C0GENERAL"].values():
        message.metadata = None
    await desk.look()
    assert (len(desk.said("general")), len(desk.said("D0TOM"))) == (2, 1)


@pytest.mark.parametrize("was_said", [True, False])
async def test_what_a_killed_process_had_begun_is_said_by_the_next(desk: Desk, was_said: bool) -> None:
    """Once, as soon as that knows of it, and without a word of having been away."""
    await desk.order("remind here in 20 minutes to stretch")
    desk.moment = now()  # as Slack's own clock
    async with desk.database.begin() as session:
        await session.execute(update(Schedule).values(next_at=desk.moment))
        await session.execute(update(Worker).values(began_at=desk.moment))
    await desk.look()
    async with desk.database.begin() as session:
        await session.execute(update(Occurrence).values(state="running"))
    if not was_said:
        desk.playground.hub.workspace.messages["C0GENERAL"].clear()
    desk.moment += timedelta(seconds=5)
    await desk.begin()
    await desk.look()
    await desk.look()

    (text,) = desk.said("general")
    assert "was due" not in text


async def test_whoever_was_taken_for_dead_says_nothing_that_was_due(desk: Desk) -> None:
    """What it wrote is not said, it claims nothing more, and what it had begun is another's."""
    await desk.order("digest every day at 12:30 summarise <#C0SUPPORT|support> here")
    desk.moment += timedelta(minutes=30)
    desk.writes.clear()
    runner, old = desk.runner(), desk.duty.hold
    await runner.tick()
    await desk.order("remind here in 1 minute to stretch")
    async with desk.database.begin() as session:
        await session.execute(delete(Worker))
    desk.moment += timedelta(minutes=1)
    await runner.tick()
    assert old.is_lost
    desk.writes.set()
    await asyncio.wait(desk.duty.under_way)
    assert desk.said("general") == []
    await desk.begin()
    await desk.look()

    assert sorted(text.partition(" ")[0] for text in desk.said("general")) == ["Digest", "⏰"]


async def test_who_was_there_does_not_say_that_it_was_not(desk: Desk) -> None:
    """It could not write for so long that it comes late, or too late."""
    await desk.order("digest every day at 12:30 summarise <#C0SUPPORT|support> here")
    desk.is_away = True
    await desk.wait(minutes=30)
    desk.is_away = False
    await desk.wait(minutes=10)
    desk.is_away = True
    await desk.wait(hours=24)
    await desk.wait(hours=25)

    late, _digest = desk.said("general")
    assert "it did not work then" in late
    assert "This did not work when it was due" in desk.said("D0TOM")[0]
    assert "not running" not in str(desk.said("D0TOM"))


async def test_a_token_that_is_refused_in_between_ends_no_reminder(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As just before a new installation: who wants it is asked once, and again with the next try."""
    monkeypatch.setattr("bot.slack.people.access.FRESH_S", 0.0)
    monkeypatch.setattr("bot.slack.people.access.STALE_S", 0.0)
    await desk.order("remind me in 20 minutes to stretch")
    desk.playground.fault("missing_method", methods="users.info", error="invalid_auth", times=1)
    await desk.wait(minutes=20)
    assert desk.said("D0TOM") == []
    await desk.wait(minutes=1)
    assert "stretch" in desk.said("D0TOM")[0]


async def test_a_slack_that_is_away_is_waited_for(desk: Desk) -> None:
    """The reminder is late then, and once."""
    await desk.order("remind here in 20 minutes to stretch")
    desk.playground.fault("server_error", methods="chat.postMessage", status=503)
    await desk.wait(minutes=20)
    assert desk.said("general") == []
    desk.playground.fault("server_error", enabled=False)
    await desk.wait(minutes=1)

    assert len(desk.said("general")) == 1


async def test_what_slack_took_without_saying_so_is_not_said_again(desk: Desk) -> None:
    """Nor could it be seen in Slack then: it is looked for once that tells again."""
    await desk.order("remind here in 20 minutes to stretch")
    async with desk.database.begin() as session:
        await session.execute(update(Schedule).values(next_at=datetime.now(UTC)))
    desk.moment = datetime.now(UTC)
    desk.playground.fault("lost_answer", seconds=0, methods="chat.postMessage", times=1)
    desk.playground.fault("server_error", methods="conversations.history,conversations.replies")
    await desk.look()
    assert len(desk.said("general")) == 1
    desk.playground.fault("server_error", enabled=False)
    await desk.wait(minutes=1)
    await desk.wait(minutes=1)

    assert len(desk.said("general")) == 1


async def test_who_may_not_any_more_gets_nothing(desk: Desk) -> None:
    """Permission is asked for again when it is due; it ends then, and its author hears why."""
    await desk.order("remind here every hour to breathe")
    desk.playground.hub.workspace.channels["C0GENERAL"].members.remove("U0TOM")
    await desk.wait(hours=1)
    await desk.wait(hours=1)

    assert desk.said("general") == []
    (told,) = desk.said("D0TOM")
    assert "You are not in <#C0GENERAL>" in told


async def test_what_was_written_for_the_team_is_not_said_to_another_organisation(desk: Desk) -> None:
    """A channel may be shared since a reminder was planned; one that was planned there since is said."""
    await desk.order("remind here every hour to cut the Heron budget")
    await desk.order("remind me every hour to breathe")
    await desk.order("remind here every hour to bring the cake", user="U0MAYA", channel="C0NORTHWIND")
    desk.playground.hub.workspace.channels["C0GENERAL"].is_ext_shared = True
    async with desk.database.begin() as session:
        old = Schedule(team_id=TEAM, user_id="U0TOM", kind="reminder", channel_id="C0GENERAL", text="wave")
        old.tz, old.next_at = "Europe/Berlin", START + timedelta(minutes=30)
        session.add(old)
    await desk.wait(hours=1)

    assert ["cake" in text for text in desk.said("northwind")] == [True]
    assert ["wave" in text for text in desk.said("general")] == [True], "of old ones nobody knows who read there"
    told = desk.said("D0TOM")
    assert any("Another organisation reads in <#C0GENERAL>" in text for text in told)
    assert any("breathe" in text for text in told)


async def test_a_token_that_counts_no_more_ends_no_reminder(desk: Desk) -> None:
    """That Slack refuses us says nothing about who may what: with a new token, what was planned goes on."""
    await desk.order("remind here every hour to breathe")
    token, desk.client.token = desk.client.token, "xoxb-revoked"
    await desk.wait(hours=1)
    assert desk.said("general") == []
    desk.client.token = token
    await desk.wait(minutes=1)
    await desk.wait(hours=1)

    assert desk.said("general") == ["⏰ <@U0TOM> wants you to remember: breathe"] * 2


@pytest.mark.parametrize(
    ("text", "user", "word"),
    [
        ("remind <#C0LEADS|leads> in 1 hour to x", "U0MAYA", "cannot see"),
        ("remind <#C0NOWHERE|x> in 1 hour to x", "U0MAYA", "cannot see"),
        ("remind <#C0NORTHWIND|northwind> in 1 hour to x", "U0PRIYA", "not in"),
        ("remind me every 5 minutes to x", "U0TOM", "too often"),
        ("remind me today at 6:00 to x", "U0TOM", "over already"),
        ("digest every 15 minutes summarise <#C0SUPPORT> here", "U0TOM", "too often"),
        ("remind me in 1 hour to x", "U0SAM", "members of this workspace"),
        ("schedule remove 99", "U0TOM", "nothing with the number 99"),
    ],
)
async def test_what_may_not_be_is_refused(desk: Desk, text: str, user: str, word: str) -> None:
    """With the reason, and nothing is kept."""
    reply = await desk.order(text, user=user)

    assert not reply.is_done
    assert word in reply.text
    async with desk.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Schedule)) == 0


@pytest.mark.parametrize(
    "text", ["remind me", "digest now", "schedule wat", "schedule remove x", f"remind me at 9 {'x' * 1001}"]
)
async def test_wrong_use_is_explained(desk: Desk, text: str) -> None:
    """In a sentence."""
    with pytest.raises(UsageError):
        await desk.order(text)


async def test_a_digest_is_of_what_was_said_since_the_last(desk: Desk) -> None:
    """Over the weekend too; it waits for a Slack that is away."""
    await desk.order("digest every weekday at 9 summarise <#C0SUPPORT|support> here")
    desk.is_away = True
    await desk.wait(days=2, hours=20)  # Monday, 9 o'clock in Berlin
    assert desk.said("general") == []
    desk.is_away = False
    await desk.wait(minutes=1)

    assert desk.said("general") == ["Digest of C0SUPPORT"]
    (order,) = desk.digests
    assert (order.since.isoformat(), order.channel_id) == ("2027-03-26T09:00:00+01:00", "C0GENERAL")


async def test_what_a_digest_that_failed_left_is_in_the_next(desk: Desk) -> None:
    """And what a late one has told is told no second time."""
    await desk.order("digest every day at 12:30 summarise <#C0SUPPORT|support> here")
    await desk.wait(hours=1)
    desk.error = RuntimeError("the model is away")
    await desk.wait(days=1)
    desk.error = None
    await desk.wait(days=1, hours=5)
    await desk.wait(hours=20)

    times = [(order.since, order.until) for order in desk.digests]
    assert [since for since, _ in times[1:]] == [until for _, until in times[:-1]]
    assert times[1][1] - times[1][0] == timedelta(days=2, hours=5)


async def test_what_missed_digests_left_is_in_the_next(desk: Desk) -> None:
    """The first ones too, which nobody ever heard."""
    await desk.order("digest every day at 12:30 summarise <#C0SUPPORT|support> here")
    await desk.wait(days=3)
    for _ in range(3):
        await desk.look()
    async with desk.database.read() as session:
        first, last = [*await session.scalars(select(Occurrence.due_at).order_by(Occurrence.due_at))]
    (order,) = desk.digests
    assert last - first > timedelta(days=2)
    assert first - order.since == timedelta(days=1)
    assert len([one for one in desk.said("D0TOM") if "too late" in one]) == 1


async def test_what_a_server_says_of_a_digest_is_not_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Some repeat in an error what they were asked to sum up, word for word."""
    desk.error = EngineError("The model's server refused the request: Tom: the merger is called Xochimilco")
    await desk.order("digest every day at 17:00 summarise here to me")
    await desk.wait(hours=6)

    assert "schedules: error" in caplog.text
    assert "Xochimilco" not in caplog.text
    assert "Something went wrong" in desk.said("D0TOM")[-1]


async def test_what_not_everybody_may_read_stays_where_it_is(desk: Desk) -> None:
    """A private channel is told of there, or to one who is in it; never where others read."""
    leads = desk.playground.hub.workspace.channels["C0LEADS"]
    leads.members.append(desk.playground.hub.app.bot_user_id)
    wish = "digest every Monday 9:00 summarise <#C0LEADS|leads>"
    outside = await desk.order(f"{wish} here", user="U0MAYA")
    stranger = await desk.order(f"{wish} to me", user="U0TOM")
    shared = await desk.order("digest every Monday 9:00 summarise <#C0SUPPORT> in <#C0NORTHWIND>", user="U0MAYA")
    inside = await desk.order(f"{wish} here", user="U0MAYA", channel="C0LEADS")
    alone = await desk.order(f"{wish} to me", user="U0MAYA")

    assert [reply.is_done for reply in (outside, stranger, shared, inside, alone)] == [False, False, False, True, True]
    desk.playground.hub.workspace.channels["C0SUPPORT"].kind = "private"
    await desk.order("digest every Monday 9:00 summarise <#C0RANDOM> here", user="U0MAYA")
    desk.playground.hub.workspace.channels["C0RANDOM"].kind = "private"
    await desk.wait(days=3)
    assert [order.source_id for order in desk.digests] == ["C0LEADS", "C0LEADS"]
    assert any("Not everybody may read" in text for text in desk.said("D0MAYA"))


async def test_nobody_fills_the_calendar(desk: Desk) -> None:
    """A person and a channel have a limit each, and nobody has all of a channel's; what is taken back makes room."""
    for user in ("U0TOM", "U0PRIYA"):
        replies = [
            await desk.order("remind here every hour to x", user=user) for _ in range(MOST_OF_ONE_IN_CHANNEL + 1)
        ]
        assert [reply.is_done for reply in replies] == [True] * MOST_OF_ONE_IN_CHANNEL + [False]
        assert "in this channel" in replies[-1].text
    assert 2 * MOST_OF_ONE_IN_CHANNEL == MOST_IN_ONE_CHANNEL
    assert "This channel has" in (await desk.order("remind here every hour to x", user="U0MAYA")).text
    for _ in range(MOST_OF_ONE_PERSON - MOST_OF_ONE_IN_CHANNEL):
        assert (await desk.order("remind me every hour to x")).is_done
    assert not (await desk.order("remind me every hour to x")).is_done
    assert (await desk.order("schedule remove #1")).is_done
    assert (await desk.order("remind me every hour to x")).is_done


async def test_what_waits_for_one_place_is_in_nobodys_way(desk: Desk) -> None:
    """Slack takes about one message a second in a place: twenty for Tom at once let Priya's be said at its time."""
    for number in range(MOST_OF_ONE_PERSON):
        await desk.order(f"remind me in 20 minutes to do {number}")
    await desk.order("remind me in 20 minutes to go home", user="U0PRIYA")
    desk.moment += timedelta(minutes=20)
    runner = desk.runner()
    await runner.tick()
    await runner.tick()
    await runner.finish()

    assert desk.said("D0PRIYA") == ["⏰ You asked me to remind you: go home"]
    assert len(desk.said("D0TOM")) == IN_ONE_PLACE
    await desk.look(runner)
    assert len(desk.said("D0TOM")) == 2 * IN_ONE_PLACE, "the others follow"


async def test_whose_reminder_an_admin_takes_back_is_told(desk: Desk) -> None:
    """They would wait for it in vain."""
    await desk.order("remind here every day at 15:00 to breathe")
    assert (await desk.order("schedule remove 1", user="U0MAYA")).is_done
    (told,) = desk.said("D0TOM")
    assert "<@U0MAYA>, an admin, has taken this back" in told
    assert "breathe" in told


async def test_only_its_author_and_admins_take_something_back(desk: Desk) -> None:
    """Others in the channel see that it is planned, and by whom."""
    await desk.order("remind here every hour to breathe")
    assert "by <@U0TOM>" in (await desk.order("schedule", user="U0PRIYA")).text
    assert not (await desk.order("schedule remove 1", user="U0PRIYA")).is_done
    assert "Nothing" in (await desk.order("schedule", user="U0PRIYA", channel="C0SUPPORT")).text

    assert (await desk.order("schedule remove 1", user="U0MAYA")).is_done


async def test_what_is_planned_for_a_channel_is_told_to_whoever_is_in_it(desk: Desk) -> None:
    """Its words are that channel's, wherever an order says that it comes from."""
    await desk.playground.maya.invite("leads", "U0APPRENTICE")
    leads = desk.playground.channel("leads")
    assert (await desk.order("remind here tomorrow at 9:00 to plan", user="U0PRIYA", channel=leads)).is_done
    assert "plan" in (await desk.order("schedule", user="U0MAYA", channel=leads)).text
    assert "Nothing is planned" in (await desk.order("schedule", user="U0TOM", channel=leads)).text


async def test_here_in_a_thread_is_the_thread(desk: Desk) -> None:
    """A reminder stands where it was ordered."""
    ts = await desk.playground.tom.say("general", "the plan")
    await desk.order("remind here in 20 minutes to go on", thread_ts=ts)
    await desk.wait(minutes=20)

    assert [message["text"] for message in desk.playground.messages("general", ts)][1:] == [
        "⏰ <@U0TOM> wants you to remember: go on"
    ]


class Noted(str):
    """Words that note in which thread they are read."""

    readers: ClassVar[set[int]] = set()

    def strip(self, chars: str | None = None) -> str:
        """Note it, and do what a text does."""
        self.readers.add(threading.get_ident())
        return super().strip(chars)


async def test_a_time_is_read_beside_everything_else(desk: Desk) -> None:
    """What reads unusual words takes seconds the first time: not in the thread in which everybody is heard."""
    words = Noted("me in 20 minutes to call Tom")
    call = Call(user_id="U0TOM", team_id=TEAM, channel_id="C0GENERAL", words=words, role=Role.MEMBER)
    assert "call Tom" in (await desk.commands["remind"].run(call)).text
    assert Noted.readers
    assert threading.get_ident() not in Noted.readers


@pytest.mark.parametrize("name", ["", "..", "America", "A" * 5000, "\0"])
def test_a_zone_that_is_none_is_utc(name: str) -> None:
    """A folder of zones, and a name that no file can have, are no zones either."""
    assert str(read_zone(name)) == "UTC"


@pytest.mark.parametrize("order", ["remind me x{}x", "remind me {}x", "digest x{}x", "digest x{}<#C0GENERAL>"])
async def test_thousands_of_blanks_are_not_looked_through(desk: Desk, order: str) -> None:
    """To try each of them as the end of a time would hold up everybody for many seconds."""
    began = time.monotonic()
    with pytest.raises(UsageError, match="too long"):
        await desk.order(order.format(" " * 20_000))
    assert time.monotonic() - began < 5


async def test_what_is_taken_back_while_it_is_written_is_not_said(desk: Desk) -> None:
    """A digest may take minutes, and its author may not want it any more."""
    await desk.order("digest every day at 15:00 summarise here")
    write = desk.write

    async def take_back(order: DigestOrder) -> dict[str, Any]:
        assert "Taken back" in (await desk.order("schedule remove 1")).text
        return await write(order)

    desk.write = take_back  # type: ignore[method-assign]
    await desk.wait(hours=4)
    assert len(desk.digests) == 1
    assert desk.said("general") == []


async def test_who_came_to_read_while_a_digest_was_written_gets_none(desk: Desk) -> None:
    """It may take minutes, and another organisation may read where it was to be said by then."""
    await desk.order("digest every day at 15:00 summarise <#C0SUPPORT> here")
    write = desk.write

    async def share(order: DigestOrder) -> dict[str, Any]:
        desk.playground.hub.workspace.channels["C0GENERAL"].is_ext_shared = True
        return await write(order)

    desk.write = share  # type: ignore[method-assign]
    await desk.wait(hours=4)
    assert len(desk.digests) == 1
    assert desk.said("general") == []
    assert "people of other organisations read there" in desk.said("D0TOM")[0]


async def test_nothing_is_said_where_an_admin_has_switched_it_off(desk: Desk) -> None:
    """What was planned there ends with a word to its author, and nothing new is taken."""
    await desk.order("remind here every hour to breathe")
    async with desk.database.begin() as session:
        await save_rules(session, TEAM, "C0GENERAL", ChannelRules(Mode.OFF), by="U0MAYA")
    refused = await desk.order("remind here every hour to stretch")
    await desk.wait(hours=1)

    assert not refused.is_done
    assert desk.said("general") == []
    assert all("switched me off in <#C0GENERAL>" in text for text in (refused.text, desk.said("D0TOM")[0]))


async def test_a_slack_that_wants_a_long_rest_is_asked_again_later(desk: Desk) -> None:
    """Whoever waited for its end would say the same as whoever tries again meanwhile."""
    await desk.order("remind here in 20 minutes to stretch")
    desk.playground.fault("rate_limit", retry_after=700, methods="chat.postMessage")
    async with asyncio.timeout(10):
        await desk.wait(minutes=20)
    assert desk.said("general") == []
    async with desk.database.read() as session:
        until = await session.scalar(select(Occurrence.until))
    assert until is not None
    assert until - desk.moment <= timedelta(minutes=2)


async def test_orders_leave_half_of_slack_to_answers(desk: Desk) -> None:
    """However many somebody gives, who reads along can be asked for an answer; what is due is said all the same."""
    refused = 0
    for _ in range(40):
        try:
            await desk.order("digest every Monday 9:00 summarise <#C0SUPPORT> in <#C0RANDOM>")
        except DeliveryError as error:
            refused += error.is_passing
    budget = desk.rooms.calls.budget
    assert refused
    assert budget.room("conversations.info") >= TIERS["conversations.info"] // 3
    assert budget.room("conversations.members") >= TIERS["conversations.members"] // 3


async def test_what_came_before_a_disk_was_lost_is_not_said_as_if_new(desk: Desk) -> None:
    """Nothing knows what was said after the backup that was put back: Slack is asked, or its author hears of it."""
    desk.moment = now() - timedelta(minutes=10)
    for words in ("me in 2 minutes to stand up", "here in 3 minutes to vote", "here in 30 minutes to go home"):
        assert (await desk.order(f"remind {words}")).is_done
    await desk.wait(minutes=2)
    assert len(desk.said("D0TOM")) == 1
    async with desk.database.begin() as session:  # as the backup was
        due = await session.scalar(select(Occurrence.due_at))
        await session.execute(delete(Occurrence))
        await session.execute(update(Schedule).where(Schedule.id == 1).values(text="stand up", next_at=due))
        record(session, RESTORED, by="cli:me", erased=None)

    desk.moment = now()
    await desk.look()

    assert len(desk.said("general")) == 0
    told = desk.said("D0TOM")[1:]
    assert [text for text in told if "stand up" in text] == [], "it was said, as Slack shows"
    assert [("too late for it now" in text, "vote" in text) for text in told] == [(True, True)]
    await desk.wait(minutes=21)
    assert desk.said("general") == ["⏰ <@U0TOM> wants you to remember: go home"]


async def test_orders_that_asked_slack_for_half_of_what_it_takes_are_told_so(desk: Desk) -> None:
    """It answers, and the other half is for answers: nobody is told that it is away."""
    budget = desk.rooms.calls.budget
    while budget.has_spare("conversations.info"):
        await budget.take("conversations.info")
    with pytest.raises(DeliveryError, match="I have asked Slack a lot within a minute"):
        await desk.order("remind here in 5 hours to eat")
