"""Another OpenAI-compatible server behind ENGINE_URL: one that knows no token ids, and that can fail."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from bot.playground.testing import Playground
from bot.storage.tables import AnswerState
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_admin import COMMAND, order

WORDS = ("Hello ", "from ", "elsewhere.")


@dataclass
class ForeignServer:
    """Answers every chat with the same words, after failing as often as it is told."""

    failures: list[int] = field(default_factory=list)
    ways_in: set[str] = field(default_factory=set)
    url: str = ""

    async def models(self, request: web.Request) -> web.Response:
        """List one model, as vLLM does, and remember with what it was asked."""
        self.ways_in.add(request.headers.get("Authorization", ""))
        return web.json_response({"object": "list", "data": [{"id": "other", "max_model_len": 4096}]})

    async def tokenize(self, request: web.Request) -> web.Response:
        """Count words."""
        messages = (await request.json())["messages"]
        return web.json_response({"count": sum(len(message["content"].split()) for message in messages)})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Stream the words, or fail."""
        if self.failures:
            return web.json_response({"error": {"message": "out of order"}}, status=self.failures.pop(0))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for index, word in enumerate(WORDS):
            reason = "stop" if index == len(WORDS) - 1 else None
            event = {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": reason}]}
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


@asynccontextmanager
async def serving(server: ForeignServer) -> AsyncIterator[ForeignServer]:
    """Serve it for as long as the block runs."""
    app = web.Application(client_max_size=64 * 1024**2)
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/tokenize", server.tokenize)
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def foreign() -> AsyncIterator[ForeignServer]:
    """Serve one."""
    async with serving(ForeignServer()) as server:
        yield server


async def test_any_openai_server_will_do(
    playground: Playground, start_bot: StartBot, foreign: ForeignServer, finished: Finished
) -> None:
    """The answer arrives and is stored, with what that server does not tell left empty."""
    async with start_bot(engine_url=foreign.url, engine_api_key=""):
        await playground.wait_for_connection()
        ts = await playground.maya.say(playground.maya.dm, "hello")
        (answer,) = await finished()
        reply = await playground.wait_for_reply(playground.maya.dm, ts)

    assert reply["markdown_text"].strip() == answer.text == "".join(WORDS)
    assert (answer.model, answer.model_sha256, answer.prompt_token_ids) == ("other", "", None)


async def test_a_failed_answer_says_so_and_can_be_retried(
    playground: Playground, start_bot: StartBot, foreign: ForeignServer, finished: Finished
) -> None:
    """The person sees an error with an id and a Retry button; pressing it answers in the same message."""
    foreign.failures = [500]
    maya = playground.maya
    async with start_bot(engine_url=foreign.url, engine_api_key=""):
        await playground.wait_for_connection()
        ts = await maya.say(maya.dm, "hello")
        (failed,) = await finished()
        reply = await playground.wait_for_reply(maya.dm, ts)
        assert failed.state == AnswerState.FAILED
        assert failed.error_id in reply["markdown_text"]
        assert "out of order" not in reply["markdown_text"]

        await maya.click(reply, "retry")
        answers = await finished(2)
        await playground.wait_for_reply(maya.dm, ts)

    assert answers[1].state == AnswerState.COMPLETE
    assert answers[1].replaces_id == failed.id
    (message,) = [message for message in playground.messages(maya.dm, ts) if message["bot_id"]]
    assert "elsewhere" in str(message["blocks"])


async def test_what_opens_the_server_is_shown_to_nobody(
    playground: Playground, start_bot: StartBot, foreign: ForeignServer, finished: Finished
) -> None:
    """A user and password in its address are sent to it alone; admins see where it is."""
    maya = playground.maya
    url = foreign.url.replace("//", "//usr:hunter2@")
    async with start_bot(engine_url=url, engine_api_key=""):
        await playground.wait_for_connection()
        await maya.say(maya.dm, "hello")
        await finished()
        for words in ("health", "status", "model"):
            await order(playground, maya, words)
        await maya.command(COMMAND, "doctor")
        shown = f"{foreign.url.replace('//', '//***@')} serves other."
        await playground.wait_until(lambda: shown in str(maya.ephemerals(maya.dm)), timeout=60, what="the examination")

    assert foreign.ways_in == {f"Basic {base64.b64encode(b'usr:hunter2').decode()}"}
    assert "hunter2" not in str(maya.ephemerals(maya.dm))
