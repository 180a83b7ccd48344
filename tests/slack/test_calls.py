"""Calls to Slack: what to wait for, what to give up, what to remember; against real HTTP."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.calls import LACKS_S, Calls, is_passing, is_unclear

Script = list[tuple[int, dict[str, str], dict[str, Any] | str | bytes]]
OK: tuple[int, dict[str, str], dict[str, Any]] = (200, {}, {"ok": True, "ts": "1.0"})


@pytest.fixture
async def slack() -> AsyncIterator[Callable[[Script], tuple[Calls, Script]]]:
    """Return a function that makes *Calls* to a server which answers by a script, one answer a request."""
    script: Script = []

    async def handle(_request: web.Request) -> web.Response:
        status, headers, body = script.pop(0)
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=headers)
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/api/{method}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = AsyncWebClient("xoxb-x", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/api/", retry_handlers=[])

    def start(answers: Script) -> tuple[Calls, Script]:
        script[:] = answers
        return Calls(client), script

    yield start
    await runner.cleanup()


def refusal(error: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Build an answer that says no."""
    return 200, {}, {"ok": False, "error": error}


async def test_a_throttled_call_waits_as_long_as_it_is_told(slack: Callable[[Script], tuple[Calls, Script]]) -> None:
    """Retry-After is obeyed, then the call goes through."""
    calls, left = slack([(429, {"Retry-After": "1"}, {"ok": False, "error": "ratelimited"}), OK])
    began = time.monotonic()
    answer = await calls.call("chat.postMessage", channel="C1", text="hi")

    assert answer["ok"]
    assert time.monotonic() - began >= 1
    assert left == []


async def test_a_server_error_is_tried_again(slack: Callable[[Script], tuple[Calls, Script]]) -> None:
    """Slack has bad seconds; its 5xx is not JSON."""
    calls, left = slack([(503, {}, "<html>busy</html>"), (500, {}, {"ok": False, "error": "fatal_error"}), OK])

    assert (await calls.call("chat.update", channel="C1", ts="1.0", text="hi"))["ok"]
    assert left == []


async def test_a_refusal_is_final(slack: Callable[[Script], tuple[Calls, Script]]) -> None:
    """Asking again would not help, so it is asked once."""
    calls, left = slack([refusal("channel_not_found"), OK])

    with pytest.raises(SlackApiError, match="channel_not_found"):
        await calls.call("chat.postMessage", channel="C1", text="hi")
    assert len(left) == 1


async def test_what_a_workspace_lacks_is_asked_once(slack: Callable[[Script], tuple[Calls, Script]]) -> None:
    """A missing method costs one call, not one with every answer."""
    calls, left = slack([refusal("unknown_method"), OK])

    assert await calls.call_if_possible("agents.sessions.setStatus", channel_id="C1", status="active") is None
    assert await calls.call_if_possible("agents.sessions.setStatus", channel_id="C1", status="active") is None
    assert calls.lacks("agents.sessions.setStatus")
    assert len(left) == 1


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        ("<html>sign in to this network</html>", True),
        ({}, True),
        ({"ok": False, "error": "service_unavailable"}, True),
        ({"ok": False, "error": "internal_error"}, False),
    ],
)
async def test_trouble_with_status_200_is_trouble(
    slack: Callable[[Script], tuple[Calls, Script]], body: dict[str, Any] | str, *, passes: bool
) -> None:
    """Slack tells some of its own trouble so, and whoever stands in between answers in HTML: tried again, then said."""
    calls, left = slack([(200, {}, body), OK, *[(200, {}, body)] * 4])

    assert (await calls.call("chat.update", channel="C1", ts="1.0", text="hi"))["ok"]
    with pytest.raises(SlackApiError) as failed:
        await calls.call("chat.update", channel="C1", ts="1.0", text="hi")

    assert is_unclear(failed.value)
    assert is_passing(failed.value) is passes
    assert left == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"ok": true, "ts": "\xe4\xb8'),
        ("application/json", b'{"ok": true, "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("application/json", b'{"ok": true}'),
        ("application/gzip", b"\x1f\x8bxx"),
    ],
)
async def test_half_an_answer_is_trouble(
    slack: Callable[[Script], tuple[Calls, Script]], kind: str, body: bytes
) -> None:
    """Cut within a letter, of no end, without what it is to tell, of another kind: tried again, and it may pass."""
    half = (200, {"Content-Type": kind}, body)
    calls, left = slack([half, (200, {}, {"ok": True, "messages": []}), *[half] * 4])

    assert (await calls.call("conversations.replies", channel="C1", ts="1.0"))["messages"] == []
    with pytest.raises(SlackApiError) as failed:
        await calls.call("conversations.replies", channel="C1", ts="1.0")
    assert is_passing(failed.value)
    assert left == []


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "account_inactive"])
async def test_a_token_that_does_not_count_may_count_again(
    slack: Callable[[Script], tuple[Calls, Script]], error: str
) -> None:
    """It says nothing about what was asked, so that is kept until somebody gives us another one."""
    calls, left = slack([refusal(error), OK])
    with pytest.raises(SlackApiError) as failed:
        await calls.call("chat.postMessage", channel="C1", text="hi")
    assert is_passing(failed.value)
    assert left == [OK]


async def test_what_a_workspace_lacks_may_be_given(slack: Callable[[Script], tuple[Calls, Script]]) -> None:
    """An admin adds the scope, and nobody starts anything anew."""
    calls, left = slack([refusal("missing_scope"), OK])
    calls.clock = clock = Hands()

    assert await calls.call_if_possible("views.open", trigger_id="1", view={}) is None
    clock.moment = LACKS_S - 1
    assert await calls.call_if_possible("views.open", trigger_id="1", view={}) is None
    clock.moment = LACKS_S
    assert await calls.call_if_possible("views.open", trigger_id="1", view={}) is not None
    assert left == []


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("conversations.info", "missing_scope"),
        ("conversations.info", "method_not_supported_for_channel_type"),
        ("conversations.members", "access_denied"),
    ],
)
async def test_what_one_channel_refuses_others_have(
    slack: Callable[[Script], tuple[Calls, Script]], method: str, error: str
) -> None:
    """Group messages, to which the app was given no scope, say nothing about public channels."""
    calls, left = slack([refusal(error), (200, {}, {"ok": True, "members": []})])

    assert await calls.call_if_possible(method, channel="G1") is None
    assert await calls.call_if_possible(method, channel="C1") is not None
    assert left == []


class Hands:
    """A clock that stands until it is moved."""

    moment = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.moment

    async def sleep(self, delay: float) -> None:
        """Wait for nothing."""


async def test_what_rests_for_long_holds_up_no_answer(slack: Callable[[Script], tuple[Calls, Script]]) -> None:
    """An hour's rest of a method is not waited for by what can be left out, neither first nor later."""
    calls, left = slack([(429, {"Retry-After": "3600"}, {"ok": False, "error": "ratelimited"}), OK])

    for _ in range(2):
        assert await calls.call_if_possible("agents.sessions.setStatus", channel_id="C1", status="processing") is None
    assert left == [OK]
