"""An answer that is written while Slack, or the database, takes it in no form: the model is not asked again."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web
from sqlalchemy import text

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.tables import AnswerState
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_foreign_engine import ForeignServer, serving

ASK = "<@U0APPRENTICE> what do we do today?"
LONGER_THAN_A_CALL_S = 8.0  # as long as it is tried again at once


@dataclass
class CountingServer(ForeignServer):
    """Says something else each time that it is asked."""

    asked: int = 0
    more: str = ""
    finish_reason: str = "stop"

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Stream which time it is."""
        self.asked += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        said = {"content": f"Answer {self.asked}.{self.more}"}
        choice = {"index": 0, "delta": said, "finish_reason": self.finish_reason}
        await response.write(f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n".encode())
        return response


@pytest.fixture
async def model() -> AsyncIterator[CountingServer]:
    """Serve it."""
    async with serving(CountingServer()) as server:
        yield server


@pytest.fixture
async def bot(start_bot: StartBot, playground: Playground, model: CountingServer) -> AsyncIterator[RunningBot]:
    """Run a bot that is answered by it."""
    async with start_bot(engine_url=model.url, engine_api_key="", log_level="INFO") as running:
        await playground.wait_for_connection()
        yield running


def answers_in(playground: Playground, ts: str) -> list[str]:
    """Return what the assistant says in a thread."""
    return [str(message["text"]).strip() for message in playground.messages("general", ts) if message["bot_id"]]


async def _ask_in_an_outage(playground: Playground, model: CountingServer, ask: str = ASK, answers: int = 1) -> str:
    playground.fault("server_error", methods="chat.*")
    ts = await playground.maya.say("general", ask)
    await playground.wait_until(lambda: model.asked == answers, what="the words")
    await asyncio.sleep(LONGER_THAN_A_CALL_S)
    assert answers_in(playground, ts) == []
    return ts


async def test_an_answer_outlasts_an_outage_of_slack(
    playground: Playground, bot: RunningBot, model: CountingServer, finished: Finished
) -> None:
    """It is shown as it was written, once."""
    ts = await _ask_in_an_outage(playground, model)
    playground.fault("server_error", enabled=False)
    (answer,) = await finished()

    assert (answer.state, answer.text, model.asked) == (AnswerState.COMPLETE, "Answer 1.", 1)
    assert answers_in(playground, ts) == ["Answer 1."]


async def test_a_choice_outlasts_an_outage_of_slack(
    playground: Playground, bot: RunningBot, model: CountingServer, finished: Finished
) -> None:
    """Both answers are those that were written."""
    ts = await _ask_in_an_outage(playground, model, f"<@U0APPRENTICE> !ask -n 2 {ASK}", answers=2)
    playground.fault("server_error", enabled=False)
    answers = await finished(2)

    assert (sorted(answer.text for answer in answers), model.asked) == (["Answer 1.", "Answer 2."], 2)
    (shown,) = [message for message in playground.messages("general", ts) if message["bot_id"]]
    assert "Answer 1." in str(shown["blocks"])
    assert "Answer 2." in str(shown["blocks"])


async def test_a_question_that_is_edited_meanwhile_is_answered_anew(
    playground: Playground, bot: RunningBot, model: CountingServer, finished: Finished
) -> None:
    """What was written answers another question; what is written for the new one takes its place."""
    ts = await _ask_in_an_outage(playground, model)
    await playground.maya.edit("general", ts, f"{ASK} And tomorrow?")
    await asyncio.sleep(0.5)
    playground.fault("server_error", enabled=False)
    answers = await finished(2)

    assert ([answer.text for answer in answers], model.asked) == (["Answer 1.", "Answer 2."], 2)
    assert answers_in(playground, ts) == ["Answer 2."]


async def test_a_question_that_is_deleted_meanwhile_is_not_answered(
    playground: Playground, bot: RunningBot, model: CountingServer, rows: Database
) -> None:
    """Nothing of it is shown, and nothing kept."""
    ts = await _ask_in_an_outage(playground, model)
    await playground.maya.delete("general", ts)
    await asyncio.sleep(0.5)
    playground.fault("server_error", enabled=False)
    other = await playground.maya.say("general", ASK)
    await playground.wait_for_reply("general", other)
    await asyncio.sleep(LONGER_THAN_A_CALL_S)

    assert answers_in(playground, ts) == []
    assert answers_in(playground, other) == ["Answer 2."]


async def test_an_answer_outlasts_an_outage_of_the_database(
    playground: Playground, bot: RunningBot, model: CountingServer, finished: Finished, rows: Database
) -> None:
    """It stands in Slack and cannot be stored for a while; whoever has read it does not see it change."""
    async with rows.begin() as session:
        await session.execute(text("ALTER TABLE answer_traces RENAME TO away"))
    ts = await playground.maya.say("general", ASK)
    await playground.wait_for_reply("general", ts)
    await asyncio.sleep(2)
    async with rows.begin() as session:
        await session.execute(text("ALTER TABLE away RENAME TO answer_traces"))
    (answer,) = await finished()

    assert (answer.text, model.asked) == ("Answer 1.", 1)
    assert answers_in(playground, ts) == ["Answer 1."]
