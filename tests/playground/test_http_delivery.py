"""Delivery by signed HTTP, to a real Bolt app and to a bare server that fails on purpose."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncSay
from slack_sdk.signature import SignatureVerifier
from yarl import URL

from bot.playground.testing import Playground
from tests.playground.conftest import BOT, GENERAL, build_client
from tests.playground.test_interactions import BUTTON


@asynccontextmanager
async def served(app: web.Application, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an app's web application and return its events URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    finally:
        await runner.cleanup()


class Receiver:
    """A server that verifies signatures and answers as it is told."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[dict[str, str], str]] = []
        self.headers: dict[str, str] = {}
        self.app = web.Application()
        self.app.router.add_post("/slack/events", self.handle)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer the challenge, else remember the request and answer the next status."""
        body = await request.text()
        assert SignatureVerifier("playground-signing-secret").is_valid_request(body, dict(request.headers))
        if "url_verification" in body:
            return web.json_response({"challenge": json.loads(body)["challenge"]})
        self.requests.append((dict(request.headers), body))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200, headers=self.headers)


async def test_a_bolt_app_over_http(playground: Playground) -> None:
    """Events, clicks and commands reach an app that listens on HTTP, and its answers come back."""
    app = AsyncApp(client=build_client(playground), signing_secret="playground-signing-secret")
    async with served(app.web_app("/slack/events")) as url, Playground(events_url=url) as http_playground:
        app.client.base_url = http_playground.api_url

        @app.event("app_mention")
        async def on_mention(event: dict[str, Any], say: AsyncSay) -> None:
            await say(text="x", blocks=[BUTTON], thread_ts=event["ts"])

        @app.event("message")
        async def on_message() -> None:
            return

        clicked: list[str] = []

        @app.action("go")
        async def on_go(ack: AsyncAck, body: dict[str, Any]) -> None:
            await ack()
            clicked.append(body["actions"][0]["value"])

        @app.command("/apprentice")
        async def on_command(ack: AsyncAck) -> None:
            await ack({"text": "Hi", "response_type": "in_channel"})

        await http_playground.wait_for_connection()
        root = await http_playground.maya.say("general", f"<@{BOT}> hi")
        reply = await http_playground.wait_for_reply("general", root)
        await http_playground.maya.click(reply, "go")
        assert clicked == ["secret-7"]
        assert await http_playground.maya.command("/apprentice", channel="general") == {"ok": True}
        assert http_playground.messages("general")[-1]["text"] == "Hi"


async def test_events_are_tried_four_times() -> None:
    """An error brings the event again with Slack's headers: at once, after a minute, after five."""
    receiver = Receiver(500, 500, 302, 500)
    async with served(receiver.app) as url, Playground(events_url=url) as playground:
        await playground.wait_for_connection()
        await playground.maya.say("general", "hello")
        await playground.wait_until(lambda: len(receiver.requests) == 2)
        await playground.advance(61)
        await playground.advance(301)
        await playground.advance(1000)
        await playground.wait_until(lambda: playground.log("event")[0]["ok"] is False)

    retries = [headers.get("X-Slack-Retry-Num") for headers, _ in receiver.requests]
    assert retries == [None, "1", "2", "3"]
    assert {headers.get("X-Slack-Retry-Reason") for headers, _ in receiver.requests[1:]} == {"http_error"}
    assert len({json.loads(body)["event_id"] for _, body in receiver.requests}) == 1


async def test_an_app_can_decline_retries() -> None:
    """X-Slack-No-Retry ends the attempts."""
    receiver = Receiver(500)
    receiver.headers = {"X-Slack-No-Retry": "1"}
    async with served(receiver.app) as url, Playground(events_url=url) as playground:
        await playground.wait_for_connection()
        await playground.maya.say("general", "hello")
        await playground.wait_until(lambda: playground.log("event")[0]["ok"] is False)
        await playground.advance(1000)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize("kind", ["command", "click"])
async def test_forms_are_forms(kind: str) -> None:
    """Commands and interactions travel form-encoded, as Slack sends them."""
    receiver = Receiver()
    async with served(receiver.app) as url, Playground(events_url=url) as playground:
        await playground.wait_for_connection()
        if kind == "command":
            await playground.maya.command("/apprentice", "a & b")
        else:
            client = build_client(playground)
            ts = (await client.chat_postMessage(channel=GENERAL, text="x", blocks=[BUTTON]))["ts"]
            await playground.maya.click(playground.message(GENERAL, ts), "go")
        await playground.wait_until(lambda: [item for item in receiver.requests if "form" in item[0]["Content-Type"]])

    form = parse_qs(next(body for headers, body in receiver.requests if "form" in headers["Content-Type"]))
    if kind == "command":
        assert (form["command"], form["text"]) == (["/apprentice"], ["a & b"])
    else:
        assert json.loads(form["payload"][0])["type"] == "block_actions"


async def test_an_app_may_go_and_come_back() -> None:
    """The page learns that the app is gone, and what it missed is delivered once it is back."""
    async with served(Receiver().app) as url:
        port = URL(url).port or 0
    async with Playground(events_url=url) as playground:
        async with served(Receiver().app, port=port):
            await playground.wait_for_connection()
        await playground.maya.say("general", "hello")
        await playground.wait_until(lambda: not playground.hub.app_state()["connected"])
        back = Receiver()
        async with served(back.app, port=port):
            await playground.wait_for_connection()
            await playground.advance(61)
            await playground.wait_until(lambda: back.requests)
    assert back.requests[0][0]["X-Slack-Retry-Reason"] == "connection_failed"
