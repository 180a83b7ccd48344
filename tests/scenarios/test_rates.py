"""The whole bot under Slack's real rate tiers: ten people ask at once, and nobody notices that there are limits."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.slack.delivery.render import render_mrkdwn
from tests.scenarios.conftest import Finished

BOT = "<@U0APPRENTICE>"
QUESTIONS = (
    "hello",
    "What is a code review?",
    "Make an agenda for a 30 minute team meeting.",
    "thanks",
    "Who are you?",
)


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace with the tiers of Slack."""
    async with Playground(faults={"rate_tiers": {}}) as opened:
        yield opened


async def test_ten_answers_at_once(playground: Playground, bot: RunningBot, finished: Finished) -> None:
    """Direct and in a channel: no call is refused, and what people read is the model's text to the letter."""
    people = (playground.maya, playground.tom)
    asked = {}
    for person in people:
        for question in QUESTIONS:
            where = person.dm if len(asked) % 5 < 3 else "general"
            asked[await person.say(where, question if where != "general" else f"{BOT} {question}")] = where
    answers = await finished(len(asked))
    replies = await asyncio.gather(*(playground.wait_for_reply(where, ts) for ts, where in asked.items()))

    assert [answer.state for answer in answers] == ["complete"] * len(asked)
    refused = [entry["name"] for entry in playground.log("api") if entry["status"] == "ratelimited"]
    assert refused == []
    written = {answer.reply_ts[0]: answer.text for answer in answers}
    for reply in replies:
        text = written[reply["ts"]]
        markdown = "".join(block["text"] for block in reply["blocks"] if block["type"] == "markdown")
        assert (markdown or reply["markdown_text"]) == text
        assert reply["text"] in {"", render_mrkdwn(text)}
