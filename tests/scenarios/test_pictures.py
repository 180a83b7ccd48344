"""A picture in Slack, answered by the bot's own engine with the starter model and a random mmproj for eyes."""

import asyncio
import io
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from bot.playground import server
from bot.playground.testing import Playground
from bot.settings import STARTER_MODEL
from bot.storage.db import Database
from bot.storage.files import load_use
from bot.storage.tables import AnswerState
from tests.engine.tiny_projector import write_tiny_projector
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_faults import LONG, answers_in

STARTER_WIDTH, PICTURE_TOKENS = 256, 64
QUESTION = LONG


def png(seed: int) -> bytes:
    """Return a picture of noise."""
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def eyes(tmp_path: Path) -> dict[str, Any]:
    """Return the settings of a bot with an engine of its own that sees."""
    path = write_tiny_projector(tmp_path / "mmproj-starter.gguf", width=STARTER_WIDTH, side=64)
    return {"engine_url": "", "engine_api_key": "", "model_path": STARTER_MODEL, "model_mmproj": path}


async def test_a_picture_is_answered_by_our_own_engine(
    start_bot: StartBot, playground: Playground, finished: Finished, rows: Database, eyes: dict[str, Any]
) -> None:
    """It counts in the prompt, changes the answer, and is named with what it was seen by; a damaged one is told."""
    maya = playground.maya
    async with start_bot(**eyes):
        await playground.wait_for_connection()
        for number, content in enumerate((png(1), png(1), png(2)), start=1):
            ts = await maya.share(maya.dm, content, name="cat.png", text=QUESTION)
            answers = await finished(number)
            assert "cannot see" not in str(await playground.wait_for_reply(maya.dm, ts))
        ts = await maya.share(maya.dm, b"\x89PNG\r\n\x1a\n" + bytes(40), name="odd.png", text=QUESTION)
        await finished(4)
        told = await playground.wait_for_reply(maya.dm, ts)

    same, again, other = answers
    assert same.text == again.text != other.text
    assert all(answer.prompt_tokens > PICTURE_TOKENS for answer in answers)
    assert same.prompt_token_ids is None  # they would not say what was seen
    async with rows.read() as session:
        use = [(file.name, part) for file, part in await load_use(session, same.id)]
    assert use == [("cat.png", "mmproj-starter.gguf")]
    assert "odd.png: the file is damaged" in str(told["blocks"])


async def test_an_interrupted_answer_about_a_picture_goes_on(
    start_bot: StartBot, playground: Playground, finished: Finished, eyes: dict[str, Any]
) -> None:
    """The engine is shot in the middle of it; the next one sees the picture again, and says the rest."""
    maya = playground.maya
    async with start_bot(**eyes) as bot:
        await playground.wait_for_connection()
        await maya.share(maya.dm, png(1), name="cat.png", text=QUESTION)
        (whole,) = await finished()
        ts = await maya.share(maya.dm, png(1), name="cat.png", text=QUESTION)
        await playground.wait_until(lambda: answers_in(playground, maya.dm, ts), timeout=20, what="first words")
        os.kill(bot.supervisor.pid, signal.SIGKILL)
        answer = (await finished(2, timeout=60))[-1]

    assert (answer.state, answer.text) == (AnswerState.COMPLETE, whole.text)
    assert answer.completion_token_ids == whole.completion_token_ids


@pytest.fixture
def slow_slack(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let Slack hand a file out once, and then as the word says that is returned by the function."""
    asked: dict[str, int] = {}
    how = {"then": "whole"}

    async def send(request: web.Request) -> web.StreamResponse:
        asked[request.path] = asked.get(request.path, 0) + 1
        if asked[request.path] == 1 or how["then"] == "whole":
            return await send_whole(request)
        if how["then"] == "gone":
            return web.Response(status=500)
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.2)
        return response

    send_whole = server._handle_private_file
    monkeypatch.setattr(server, "_handle_private_file", send)
    return lambda then: how.update(then=then)


async def test_a_picture_that_does_not_come_again_is_told_and_holds_nobody_up(
    slow_slack: Callable[[str], None], start_bot: StartBot, finished: Finished, eyes: dict[str, Any]
) -> None:
    """It was read when it was shared; for the answer Slack sends a letter now and then, which Stop ends, or nothing."""
    async with Playground() as playground, start_bot(slack_api_url=playground.api_url, **eyes):
        maya = playground.maya
        await playground.wait_for_connection()
        slow_slack("gone")
        ts = await maya.share(maya.dm, png(1), name="cat.png", text=QUESTION)
        (answer,) = await finished(timeout=40)
        told = await playground.wait_for_reply(maya.dm, ts)
        assert answer.state == AnswerState.COMPLETE
        assert "could not fetch cat.png" in str(told["blocks"])

        slow_slack("slowly")
        ts = await maya.share(maya.dm, png(2), name="dog.png", text=QUESTION)
        await playground.wait_until(
            lambda: (playground.session(maya.dm, ts) or {}).get("status") == "processing", what="the status"
        )
        await asyncio.sleep(1.5)
        await maya.stop(maya.dm, ts)
        assert (await finished(2, timeout=5))[-1].state == AnswerState.STOPPED
