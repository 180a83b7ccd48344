"""A message is posted once, however its answer is lost; against the playground over real sockets."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.messaging import build_app_message, post
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.rates import Rates
from bot.slack.sent import build_metadata

CHANNEL, BOT = "C0GENERAL", "U0APPRENTICE"


class NoWaiting:
    """A clock on which every wait is over at once."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the time that the waits would have taken."""
        return self._now

    async def sleep(self, delay: float) -> None:
        """Let the time pass."""
        self._now += delay


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a fresh workspace."""
    async with Playground() as opened:
        yield opened


@pytest.fixture
def calls(playground: Playground) -> Calls:
    """Return the way to the workspace."""
    client = AsyncWebClient("xoxb-playground", base_url=playground.api_url, retry_handlers=[])
    return Calls(client, bot_user_id=BOT, rates=Rates(posts_at_once=1000), clock=NoWaiting())


def said(playground: Playground) -> list[str]:
    """Return what stands in the channel."""
    return [message["text"] for message in playground.messages(CHANNEL)]


@pytest.mark.parametrize(
    ("fault", "params"),
    [
        ("lost_answer", {"seconds": 0}),
        ("drop_connection", {"when": "after"}),
        ("drop_connection", {"when": "before"}),
        ("server_error", {"status": 504}),
    ],
)
@pytest.mark.parametrize("is_in_thread", [True, False])
async def test_a_message_whose_answer_is_lost_stands_there_once(
    playground: Playground, calls: Calls, fault: str, params: dict[str, Any], is_in_thread: bool
) -> None:
    """Whether the call took effect or not, the message is there in the end, and its time is known."""
    root = await playground.maya.say(CHANNEL, "a question")
    thread = {"thread_ts": root} if is_in_thread else {}
    playground.fault(fault, methods="chat.postMessage", times=1, **params)
    posted = await calls.call("chat.postMessage", channel=CHANNEL, text="once", **thread)

    (message,) = [one for one in playground.messages(CHANNEL, root if is_in_thread else None) if one["bot_id"]]
    assert message["ts"] == posted["ts"]


async def test_a_direct_message_by_a_persons_id_is_found_too(playground: Playground, calls: Calls) -> None:
    """Slack names the conversation only in the answer that is lost."""
    playground.fault("lost_answer", seconds=0, times=1)
    posted = await calls.call("chat.postMessage", channel="U0MAYA", text="once")

    assert posted["channel"] == playground.maya.dm
    assert [message["ts"] for message in playground.messages(playground.maya.dm)] == [posted["ts"]]


async def test_while_nobody_can_look_nothing_is_sent_again(playground: Playground, calls: Calls) -> None:
    """Slack is away after it took the message: the caller hears that it failed, and a later try finds it."""
    playground.fault("lost_answer", seconds=0, times=1)
    playground.fault("server_error", methods="conversations.*")
    with pytest.raises(SlackApiError):
        await calls.post("A1/0", channel=CHANNEL, text="once")
    playground.fault("server_error", enabled=False)
    posted = await calls.post("A1/0", channel=CHANNEL, text="once")

    assert posted["was_there"]
    assert said(playground) == ["once"]


async def test_another_process_looks_first_where_it_may_be_the_second(playground: Playground, calls: Calls) -> None:
    """It knows nothing of what the one before it did, but the key is the same."""
    await calls.post("Ev1/sorry", channel=CHANNEL, text="sorry")
    client = AsyncWebClient("xoxb-playground", base_url=playground.api_url, retry_handlers=[])
    posted = await Calls(client, bot_user_id=BOT).post("Ev1/sorry", looks_first=True, channel=CHANNEL, text="sorry")

    assert posted["was_there"]
    assert said(playground) == ["sorry"]


@pytest.mark.parametrize("looks_first", [True, False])
async def test_another_app_cannot_say_that_a_message_was_sent(
    playground: Playground, calls: Calls, looks_first: bool
) -> None:
    """It has read the key and writes it below its own message; the next one is sent all the same, once."""
    root = await playground.maya.say(CHANNEL, "a question")
    forged = build_app_message(playground.hub, CHANNEL, thread_ts=root, text="forged", metadata=build_metadata("A1/0"))
    forged.user, forged.bot_id, forged.app_id = "U0OTHERAPP", "B0OTHERAPP", "A0OTHERAPP"
    post(playground.hub, forged)
    assert await calls.read_sent(CHANNEL, root) == []
    if not looks_first:
        playground.fault("server_error", methods="chat.postMessage", times=1)
    posted = await calls.post("A1/0", looks_first=looks_first, channel=CHANNEL, thread_ts=root, text="once")

    assert posted["ts"] != forged.ts
    assert [message["text"] for message in playground.messages(CHANNEL, root)] == ["a question", "forged", "once"]
    assert [one.ts for one in await calls.read_sent(CHANNEL, root)] == [posted["ts"]]


async def test_a_workspace_that_may_not_be_read_gets_the_message_at_any_rate(
    playground: Playground, calls: Calls
) -> None:
    """Where nobody can ever look, twice is better than never."""
    playground.fault("missing_method", methods="conversations.history", error="missing_scope")
    playground.fault("lost_answer", seconds=0, times=1)
    await calls.call("chat.postMessage", channel=CHANNEL, text="once")

    assert said(playground) == ["once", "once"]


async def test_a_message_is_found_in_a_long_thread(playground: Playground, calls: Calls) -> None:
    """Slack hands a thread out in pages, oldest first."""
    root = await playground.maya.say(CHANNEL, "a question")
    for number in range(230):
        await playground.maya.say(CHANNEL, f"word {number}", thread_ts=root)
    posted = await calls.post("A1/0", channel=CHANNEL, thread_ts=root, text="once")

    (found,) = await calls.read_sent(CHANNEL, root)
    assert (found.key, found.ts) == ("A1/0", posted["ts"])


async def test_a_call_that_never_left_is_made_again(calls: Calls) -> None:
    """A stream may begin again where nobody listened: nothing can have taken effect."""
    client = AsyncWebClient("xoxb-x", base_url="http://127.0.0.1:9/api/", retry_handlers=[])
    with pytest.raises(aiohttp.ClientConnectorError):
        await Calls(client, clock=NoWaiting()).call("chat.startStream", channel=CHANNEL, thread_ts="1.0")


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.nightly)])
async def test_no_lost_answer_doubles_a_message(playground: Playground, calls: Calls, count: int) -> None:
    """Every single answer is lost; every message stands there once."""
    playground.fault("lost_answer", seconds=0)
    for number in range(count):
        await calls.call("chat.postMessage", channel=CHANNEL, text=str(number))

    assert said(playground) == [str(number) for number in range(count)]
