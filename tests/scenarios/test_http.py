"""HTTP transport against a server that has Slack's classic methods only and knows nothing of the playground."""

import asyncio
import io
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from bot.app import RunningBot, running_bot
from bot.settings import Settings, Transport
from tests.scenarios.conftest import KEY, EngineProcess

SECRET = "a-signing-secret"


@dataclass
class ClassicSlack:
    """A Web API with a handful of methods; everything else is `unknown_method`."""

    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call, whichever way its arguments were sent."""
        if request.content_type == "application/json":
            arguments = await request.json()
        else:
            arguments = {**request.query, **await request.post()}
        answer = getattr(self, request.match_info["method"].replace(".", "_"), lambda _: None)(arguments)
        return web.json_response(answer or {"ok": False, "error": "unknown_method"})

    def auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        """Say who the token is."""
        return {
            "ok": True,
            "user_id": "UBOT",
            "bot_id": "BBOT",
            "team_id": "T1",
            "user": "bot",
            "team": "x",
            "url": "x",
        }

    def users_info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Say who a person is."""
        user = {"id": arguments["user"], "team_id": "T1", "name": "ada", "profile": {"display_name": "Ada"}}
        return {"ok": True, "user": user}

    def conversations_info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Say what a channel is."""
        return {"ok": True, "channel": {"id": arguments["channel"], "is_private": False}}

    def chat_postMessage(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Slack's name
        """Take a message."""
        ts = f"{time.time():.6f}"
        self.posts[ts] = arguments
        return {"ok": True, "ts": ts, "channel": arguments["channel"], "message": {"text": arguments["text"]}}

    def chat_update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Take an edit."""
        self.posts[arguments["ts"]].update(text=arguments["text"], blocks=arguments.get("blocks"))
        return {"ok": True, "ts": arguments["ts"], "channel": arguments["channel"]}


@pytest.fixture
async def classic() -> AsyncIterator[ClassicSlack]:
    """Serve the classic methods."""
    slack = ClassicSlack()
    app = web.Application()
    app.router.add_route("*", "/api/{method}", slack.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    yield slack
    await runner.cleanup()


@pytest.fixture
def busy_ms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let SQLite wait so long for whoever has locked it."""
    monkeypatch.setattr("bot.storage.db.BUSY_TIMEOUT_MS", request.param)
    return int(request.param)


@pytest.fixture
async def http_bot(classic: ClassicSlack, engine_process: EngineProcess, tmp_path: Path) -> AsyncIterator[RunningBot]:
    """Run the bot on HTTP."""
    settings = Settings(
        slack_bot_token="xoxb-x",
        slack_signing_secret=SECRET,
        slack_transport=Transport.HTTP,
        slack_api_url=classic.url,
        http_port=0,
        data_dir=tmp_path / "data",
        engine_url=engine_process.url,
        engine_api_key=KEY,
    )
    async with running_bot(settings) as bot:
        yield bot


async def send(bot: RunningBot, event: dict[str, Any], *, event_id: str = "Ev1", **changes: Any) -> int:
    """Deliver an event as Slack does, signed; return the status."""
    body = json.dumps(
        {"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": event_id, "event": event}
    )
    timestamp = str(changes.get("timestamp", int(time.time())))
    signature = SignatureVerifier(changes.get("secret", SECRET)).generate_signature(timestamp=timestamp, body=body)
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Signature": str(signature),
        "X-Slack-Request-Timestamp": timestamp,
    }
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{bot.http_port}/slack/events"
        async with session.post(url, data=body, headers=headers) as response:
            return response.status


MENTION = {"type": "app_mention", "channel": "C1", "user": "U1", "ts": "100.000100", "text": "<@UBOT> hello"}
DIRECT = {"type": "message", "channel_type": "im", "channel": "D1", "user": "U1", "ts": "100.000100", "text": "hello"}


@pytest.mark.parametrize("event", [MENTION, DIRECT], ids=["mention", "direct"])
async def test_a_classic_server_gets_exactly_one_complete_threaded_answer(
    classic: ClassicSlack, http_bot: RunningBot, event: dict[str, Any]
) -> None:
    """No streams, no sessions, no status: one message in the thread, whose text is complete in the end."""
    assert await send(http_bot, event) == 200
    assert await send(http_bot, event, event_id="Ev2") == 200
    for _ in range(200):
        await asyncio.sleep(0.05)
        if any("Stop" not in str(post.get("blocks")) for post in classic.posts.values()):
            break

    (post,) = classic.posts.values()
    assert post["thread_ts"] == "100.000100"
    assert post["channel"] == event["channel"]
    assert post["text"].strip()


@pytest.mark.parametrize(
    "forgery", [{"secret": "another"}, {"timestamp": 1_700_000_000}], ids=["other secret", "old timestamp"]
)
async def test_a_forged_request_is_refused(
    http_bot: RunningBot, classic: ClassicSlack, forgery: dict[str, Any]
) -> None:
    """Only Slack can make the bot do something."""
    assert await send(http_bot, MENTION, **forgery) == 401
    await asyncio.sleep(0.2)
    assert classic.posts == {}


async def test_health_and_metrics_are_served(http_bot: RunningBot) -> None:
    """What a container's platform asks for."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{http_bot.http_port}") as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(path) as response:
                assert response.status == 200, await response.text()
        async with session.get("/metrics") as response:
            assert "apprentice_events_total" in await response.text()


async def test_a_database_that_was_moved_away_shows(http_bot: RunningBot, tmp_path: Path) -> None:
    """Nothing can be kept then; a start would make an empty one, so that nobody is to start it anew for that."""
    file = tmp_path / "data" / "apprentice.db"
    async with aiohttp.ClientSession(f"http://127.0.0.1:{http_bot.http_port}") as session:

        async def look(path: str) -> tuple[int, bool | None]:
            async with session.get(path) as response:
                return response.status, (await response.json()).get("database")

        file.rename(tmp_path / "away")
        assert (await look("/readyz"), await look("/healthz")) == ((503, False), (200, None))
        (tmp_path / "away").rename(file)
        assert await look("/readyz") == (200, True)


@pytest.mark.parametrize(
    ("busy_ms", "status"), [(200, 503), (15_000, 200)], ids=["refused", "waits"], indirect=["busy_ms"]
)
async def test_a_database_that_takes_nothing_shows(
    busy_ms: int, http_bot: RunningBot, tmp_path: Path, status: int
) -> None:
    """Another process locks it: it can be read, and nothing be kept that Slack brings, which no restart mends."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{http_bot.http_port}") as session:

        async def look(path: str) -> tuple[int, bool | None, bool]:
            async with session.get(path) as response:
                parts = await response.json()
                return response.status, parts.get("database"), "database" in parts.get("reason", "")

        assert await look("/readyz") == (200, True, False)
        file = tmp_path / "data" / "apprentice.db"
        with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # the bot may be writing just now
            sending = asyncio.create_task(send(http_bot, DIRECT))
            while (await look("/readyz"))[0] == 200:  # noqa: ASYNC110 - it is asked over HTTP
                await asyncio.sleep(0.1)
            assert (await look("/readyz"), await look("/healthz")) == ((503, False, True), (200, None, False))
            if status == 503:
                assert await sending == status
            other.execute("ROLLBACK")
        assert await sending == status
        assert await send(http_bot, DIRECT) == 200
        assert await look("/readyz") == (200, True, False)


async def test_a_body_that_is_too_large_is_refused(http_bot: RunningBot) -> None:
    """Nobody can fill the memory before a signature was checked."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{http_bot.http_port}/slack/events"
        async with session.post(url, data=io.BytesIO(b"x" * 2_000_000)) as response:
            assert response.status == 413
