"""Faults: what goes wrong on purpose goes wrong as Slack and networks do, and only where asked."""

import time

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.errors import PageError
from bot.playground.testing import Playground
from tests.playground.conftest import GENERAL, Recorder, build_client, error_of


async def test_a_rate_limit_names_its_wait(playground: Playground, client: AsyncWebClient) -> None:
    """429 carries Retry-After, strikes as often as asked, and spares other methods."""
    playground.fault("rate_limit", retry_after=7, methods="chat.*", times=1)
    assert (await client.auth_test())["ok"]
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=GENERAL, text="x")

    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"
    assert (await client.chat_postMessage(channel=GENERAL, text="x"))["ok"]


async def test_the_sdks_retry_handler_gets_through(playground: Playground, client: AsyncWebClient) -> None:
    """A client that honours Retry-After succeeds at its second try."""
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    playground.fault("rate_limit", retry_after=0, times=1)
    await client.chat_postMessage(channel=GENERAL, text="x")

    assert [message["text"] for message in playground.messages(GENERAL)] == ["x"]


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
async def test_a_dropped_connection_may_have_taken_effect(playground: Playground, when: str, count: int) -> None:
    """The call fails either way; whether the message stands is what differs."""
    client = build_client(playground)
    client.retry_handlers.clear()
    playground.fault("drop_connection", when=when, methods="chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=GENERAL, text="x")

    assert len(playground.messages(GENERAL)) == count
    assert (await client.auth_test())["ok"]


async def test_server_errors_and_latency(playground: Playground, client: AsyncWebClient) -> None:
    """A 5xx has no JSON, and a slow call takes its time."""
    playground.fault("server_error", status=502, times=1)
    with pytest.raises(SlackApiError) as caught:
        await client.auth_test()
    assert caught.value.response.status_code == 502

    playground.fault("latency", seconds=0.2, times=1)
    started = time.monotonic()
    await client.auth_test()
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope"])
async def test_a_workspace_may_lack_methods(playground: Playground, client: AsyncWebClient, error: str) -> None:
    """By default the stream methods are those that are missing."""
    playground.fault("missing_method", error=error)
    root = await playground.maya.say(playground.maya.dm, "x")

    assert await error_of(client.chat_startStream(channel=playground.maya.dm, thread_ts=root)) == error
    assert (await client.chat_postMessage(channel=playground.maya.dm, thread_ts=root, text="y"))["ok"]


async def test_events_may_come_twice_and_late(playground: Playground, recorder: Recorder) -> None:
    """Redelivered events keep their event_id and say that they are retries."""
    playground.fault("duplicate_events", times=1)
    playground.fault("late_redelivery", seconds=368, times=1)
    await playground.maya.say("general", "hello")
    await playground.wait_until(lambda: len(recorder.bodies) == 2)
    await playground.advance(369)
    await playground.wait_until(lambda: len(recorder.bodies) == 3)

    assert len({body["event_id"] for body in recorder.bodies}) == 1


async def test_a_stream_may_be_immortal(client: AsyncWebClient, playground: Playground) -> None:
    """Switched off, expiry never comes; set to seconds, it comes then."""
    channel = playground.maya.dm
    root = await playground.maya.say(channel, "x")
    playground.fault("stream_expiry", enabled=False)
    ts = (await client.chat_startStream(channel=channel, thread_ts=root))["ts"]
    await playground.advance(1000)
    await client.chat_appendStream(channel=channel, ts=ts, markdown_text="still here")

    playground.fault("stream_expiry", seconds=10)
    short = (await client.chat_startStream(channel=channel, thread_ts=root))["ts"]
    await playground.advance(11)
    append = client.chat_appendStream(channel=channel, ts=short, markdown_text="x")
    assert await error_of(append) == "message_not_in_streaming_state"


async def test_a_cut_connection_loses_no_event(playground: Playground, recorder: Recorder) -> None:
    """While the sockets are cut, events wait for their next attempt, and arrive when the app is back."""
    playground.fault("disconnected")
    await playground.wait_until(lambda: not playground.hub.sockets.is_connected)
    await playground.maya.say("general", "hello")
    await playground.wait_until(lambda: playground.log("event")[0]["status"] == "retry 2")
    playground.fault("disconnected", enabled=False)
    await recorder.connect(playground)
    await playground.advance(61)

    await playground.wait_until(lambda: recorder.events("message"))


async def test_faults_by_constructor_and_their_mistakes() -> None:
    """A test may start with a fault on; a wrong name or value is refused with a sentence."""
    async with Playground(faults={"rate_limit": {"retry_after": 3}}) as playground:
        client = build_client(playground)
        assert await error_of(client.auth_test()) == "ratelimited"
        with pytest.raises(PageError, match="There is no fault named gremlins"):
            playground.fault("gremlins")
        with pytest.raises(PageError, match="must be a number"):
            playground.fault("latency", seconds="soon")
        with pytest.raises(PageError, match="must be one of before, after"):
            playground.fault("drop_connection", when="never")
        with pytest.raises(PageError, match="has no setting colour"):
            playground.fault("latency", colour="red")


async def test_a_lost_answer_leaves_its_message(playground: Playground) -> None:
    """The message stands there, and the caller cannot know."""
    client = build_client(playground)
    client.retry_handlers.clear()
    playground.fault("lost_answer", seconds=0.01, times=1)
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=GENERAL, text="x")

    assert [message["text"] for message in playground.messages(GENERAL)] == ["x"]
    assert (await client.chat_postMessage(channel=GENERAL, text="y"))["ok"]


async def test_a_fault_may_strike_by_chance(playground: Playground, client: AsyncWebClient) -> None:
    """Half of the calls fail, the same ones for the same seed."""
    courses = []
    for _ in range(2):
        playground.hub.faults.seed(7)
        playground.fault("server_error", methods="auth.test", percent=50)
        courses.append([await _works(client) for _ in range(12)])

    assert courses[0] == courses[1]
    assert len(set(courses[0])) == 2


async def _works(client: AsyncWebClient) -> bool:
    try:
        return bool((await client.auth_test())["ok"])
    except SlackApiError:
        return False


async def test_events_may_overtake_each_other(playground: Playground, recorder: Recorder) -> None:
    """Held back for a while by chance, they come in another order; none is missing."""
    playground.hub.faults.seed(1)
    playground.fault("reorder_events", seconds=300)
    said = [f"message {number}" for number in range(8)]
    for text in said:
        await playground.maya.say("general", text)
    for _ in range(30):
        await playground.advance(10)
    await playground.wait_until(lambda: len(recorder.events("message")) == len(said))
    heard = [event["text"] for event in recorder.events("message")]

    assert sorted(heard) == said
    assert heard != said


async def test_events_may_come_four_times(playground: Playground, recorder: Recorder) -> None:
    """The last copy comes as late as asked, and each says which retry it is."""
    playground.fault("late_redelivery", seconds=370, copies=3, times=1)
    await playground.maya.say("general", "hello")
    await playground.wait_until(lambda: len(recorder.bodies) == 1)
    await playground.advance(360)
    await playground.wait_until(lambda: len(recorder.bodies) == 3)
    await playground.advance(11)

    await playground.wait_until(lambda: len(recorder.bodies) == 4)


async def test_a_partition_lets_nothing_through(playground: Playground, recorder: Recorder) -> None:
    """Neither events nor calls pass, and both do afterwards."""
    client = build_client(playground)
    client.retry_handlers.clear()
    playground.fault("partition")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=GENERAL, text="x")
    await playground.wait_until(lambda: not playground.hub.sockets.is_connected)
    playground.fault("partition", enabled=False)

    await recorder.connect(playground)
    assert (await client.chat_postMessage(channel=GENERAL, text="y"))["ok"]
    assert [message["text"] for message in playground.messages(GENERAL)] == ["y"]
