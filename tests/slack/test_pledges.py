"""Orders that take longer than Slack waits are in the inbox before they are acknowledged, until they are done."""

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import BoltResponse
from slack_bolt.request.async_request import AsyncBoltRequest
from sqlalchemy import select

import bot.slack
from bot.slack import listeners, pledges
from bot.slack.commands.order_buttons import read_press
from bot.slack.commands.orders import Call
from bot.slack.listeners import Endings, Listeners, acknowledge_done
from bot.slack.turns.duty import Duty
from bot.storage import inbox, pledged, workers
from bot.storage.db import Database
from bot.storage.hold import Hold, Released, until_sure
from bot.storage.tables import Inbox, InboxState

COMMAND = {"command": "/apprentice", "user_id": "U1", "team_id": "T1", "channel_id": "C1", "text": "ask a secret"}
PRESS = {"type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "channel": None}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything take long."""
    monkeypatch.setattr(listeners, "PATIENCE_S", 0.05)


async def stored(database: Database) -> list[Inbox]:
    """Return what is in the inbox."""
    async with database.read() as session:
        return list(await session.scalars(select(Inbox)))


class Order:
    """An order as Bolt has it carried out: it begins, is acknowledged, and ends."""

    def __init__(self, database: Database, body: dict[str, Any], *, duty: Duty) -> None:
        self._database = database
        self._request: Any = AsyncBoltRequest(body="", mode="socket_mode")
        self._request.body = body
        self._heard = Listeners(database, lambda: duty.hold)
        self.at_ack: list[Inbox] = []
        self.is_acknowledged = False
        self.goes_on = asyncio.Event()

    async def ack(self) -> BoltResponse:
        """Look what is written down."""
        self.at_ack, self.is_acknowledged = await stored(self._database), True
        return BoltResponse(status=200)

    async def begin(self) -> asyncio.Task[str]:
        """Let it be acknowledged while it is under way."""
        running = asyncio.create_task(self.run())
        while not self.at_ack:  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)
        return running

    async def run(self) -> str:
        """Take the way of every listener."""

        async def work() -> str:
            await self.goes_on.wait()
            await until_sure()
            async with self._database.begin():
                return "done"

        ack: Any = self.ack
        await self._heard.handle(self._request, None)
        try:
            return await acknowledge_done(ack, work())
        finally:
            await Endings().handle(self._request, None)


@pytest.mark.parametrize("body", [COMMAND, PRESS])
async def test_what_takes_long_is_written_down_until_it_is_done(database: Database, body: dict[str, Any]) -> None:
    """It says who gave it, and nothing of what they wrote; what ends sooner leaves nothing."""
    duty = Duty(database, place="here")
    await duty.begin()
    order = Order(database, body, duty=duty)
    running = await order.begin()
    order.goes_on.set()
    quick = Order(database, body, duty=duty)
    quick.goes_on.set()

    assert await running == "done"
    assert await quick.run() == "done"
    (row,) = order.at_ack
    assert (row.kind, row.state, row.worker_id) == (pledges.CUT, InboxState.RUNNING, duty.hold.worker_id)
    assert row.payload == {"user_id": "U1"}
    assert quick.at_ack == []
    assert await stored(database) == []


async def test_what_a_process_left_waits_for_the_next(database: Database) -> None:
    """Whether it was killed, or stopped before it could say so."""
    duty = Duty(database, place="here")
    await duty.begin()
    order = Order(database, PRESS, duty=duty)
    running = await order.begin()
    async with database.read() as session:
        assert await inbox.find_ready(session, limit=10) == []
    running.cancel()
    await asyncio.wait([running])
    await Duty(database, place="here").begin()

    async with database.begin() as session:
        ((row,),) = await inbox.claim_ready(session, limit=10, worker_id="two")
        assert row.kind == pledges.CUT


async def test_whoever_only_slept_goes_on_with_nothing_that_another_has_taken(database: Database) -> None:
    """It neither writes nor speaks, and takes nothing back that the other one tells; before it is written it may."""
    duty = Duty(database, place="here")
    await duty.begin()
    order = Order(database, COMMAND, duty=duty)
    running = await order.begin()
    other = Duty(database, place="there")
    async with database.begin() as session:
        assert await workers.dismiss(session, duty.hold.worker_id, beats=0)
    await other.begin()
    order.goes_on.set()
    with pytest.raises(Released):
        await running

    (row,) = await stored(database)
    assert (row.kind, row.state) == (pledges.CUT, InboxState.PENDING)
    unwritten = Order(database, COMMAND, duty=duty)
    unwritten.goes_on.set()
    assert await unwritten.run() == "done"


async def test_an_order_given_before_the_process_is_on_the_list_is_its_own_all_the_same(database: Database) -> None:
    """It waits until it is there, as well as after another has taken it off; nobody else tells of it."""
    duty = Duty(database, place="here")
    for _ in range(2):
        order = Order(database, COMMAND, duty=duty)
        running = asyncio.create_task(order.run())
        await asyncio.sleep(0.2)
        assert order.at_ack == await stored(database) == []
        assert await duty.begin() == 0
        while not order.at_ack:  # noqa: ASYNC110 - what it waits for is in the database
            await asyncio.sleep(0.01)
        order.goes_on.set()

        assert await running == "done"
        assert [row.worker_id for row in order.at_ack] == [duty.hold.worker_id]
        assert await stored(database) == []
        duty.hold.is_lost = True


async def test_an_order_is_acknowledged_in_time_though_the_process_cannot_come_on_the_list(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk holds up no acknowledgement, and what nobody could write down is carried out all the same."""
    monkeypatch.setattr(listeners, "KEEPING_S", 0.1)
    order = Order(database, COMMAND, duty=Duty(database, place="here"))
    ended = asyncio.create_task(order.run())
    await asyncio.sleep(0.5)
    assert order.is_acknowledged
    order.goes_on.set()

    assert await ended == "done"
    assert await stored(database) == []


OPEN_A_WINDOW = {"handle_teach", "handle_why", "handle_next"}  # whoever sees none presses again


def test_nothing_is_acknowledged_before_it_is_carried_out_or_written_down() -> None:
    """But for what only shows something."""
    first: set[str] = set()
    for path in Path(bot.slack.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef) and "ack" in {arg.arg for arg in node.args.args}:
                body = [ast.unparse(one) for one in node.body if not _is_docstring(one)]
                first |= {node.name} if body[0] == "await ack()" else set()
    assert first == OPEN_A_WINDOW


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


async def test_events_owe_nothing(database: Database) -> None:
    """A message has its own row."""
    assert (
        pledges.read_pledge(database, {"event": {"user": "U1"}, "team_id": "T1"}, find_hold=lambda: Hold("one")) is None
    )
    assert pledges.read_pledge(database, {"user": ["U1"], "team": "T1"}, find_hold=lambda: Hold("one")) is None


async def test_a_button_is_for_one_press(database: Database) -> None:
    """Of its message, by its person; where nothing came of it, for another. It says nothing of who pressed."""
    call = Call(user_id="U1", team_id="T1", channel_id="C1", words="")
    body, action = {"container": {"message_ts": "100.000"}}, {"value": "broadcast hello --yes"}
    press, other = read_press(body, action, call), read_press(body, {"value": "forget-me --yes"}, call)
    assert press is not None
    assert other is not None
    assert read_press({}, action, call) is None
    claimed = []
    for one in (press, press, other, press):
        async with database.begin() as session:
            claimed.append(await pledged.claim_press(session, one))
            assert await inbox.find_ready(session, limit=10) == []
    assert claimed == [True, False, True, False]
    assert not any("U1" in str(vars(row)) or "hello" in str(vars(row)) for row in await stored(database))
    async with database.begin() as session:
        await pledged.release_press(session, press.event_id)
        assert await pledged.claim_press(session, press)
