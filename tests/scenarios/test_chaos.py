"""A short run of `make chaos`, and that its judge sees what is wrong."""

import random
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from benchmarks.chaos import Plan, run, show
from benchmarks.chaos_crowd import Asked, Conversation, Crowd
from benchmarks.chaos_judge import WRONGS, Stored, Verdict, judge
from bot.playground.testing import Playground
from bot.slack.sent import build_metadata


@pytest.mark.timeout(900)
async def test_everything_goes_wrong_and_nothing_is_lost(tmp_path: Path) -> None:
    """Kills, storms, lost answers and a full disk: one whole answer to each question, in order."""
    plan = Plan(messages=72, kills=24, seed=3)
    outcome = await run(plan, tmp_path)

    assert outcome.verdict.is_clean, show(plan, outcome)
    assert outcome.verdict.questions == plan.messages
    assert outcome.injected["bot ended by itself"] == 0, show(plan, outcome)


class Thread:
    """A thread with two questions, whose answers a test writes."""

    def __init__(self, playground: Playground) -> None:
        self.crowd = Crowd(playground, messages=0, chance=random.Random(0))
        self._playground = playground
        self._client = AsyncWebClient("xoxb-playground", base_url=playground.api_url)
        self._stored = Stored({}, {"A1": "first", "A2": "second"})
        self._root = ""

    async def ask(self) -> None:
        """Put both questions."""
        maya, tom = self._playground.maya, self._playground.tom
        self._root = await maya.say("general", "one")
        second = await tom.say("general", "two", thread_ts=self._root)
        talk = Conversation("C0GENERAL", self._root, [Asked(self._root, maya.id), Asked(second, tom.id)])
        self.crowd.conversations.append(talk)
        self._stored.questions.update({"A1": self._root, "A2": second})

    async def post(self, key: str, text: str) -> None:
        """Say something below them as the assistant would."""
        place = {"channel": "C0GENERAL", "thread_ts": self._root}
        await self._client.chat_postMessage(**place, text=text, metadata=build_metadata(key) if key else {})

    def judge(self) -> Verdict:
        """Return what the judge says."""
        return judge(self._playground, self.crowd, self._stored)


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ([("A1/0", "first"), ("A2/0", "second")], ""),
        ([("A1/0", "fi"), ("A1/1", "rst"), ("A2/0", "second")], ""),
        ([("A1/0", "first")], "lost"),
        ([("A1/0", "first"), ("A1/0", "first"), ("A2/0", "second")], "doubled"),
        ([("A1/0", "first"), ("A2/0", "second"), ("", "second")], "doubled"),
        ([("A2/0", "second"), ("A1/0", "first")], "out of order"),
        ([("A1/0", "fir"), ("A2/0", "second")], "incomplete"),
    ],
)
async def test_the_judge_sees_it(playground: Playground, answers: list[tuple[str, str]], wrong: str) -> None:
    """Each wrong is found where it is, and nothing where all is well."""
    thread = Thread(playground)
    await thread.ask()
    for key, text in answers:
        await thread.post(key, text)
    found = thread.judge().found

    assert {name for name in WRONGS if found[name]} >= ({wrong} if wrong else set())
    assert bool(found.total()) is bool(wrong)


async def test_the_judge_sees_a_status_that_never_ends(playground: Playground) -> None:
    """Nobody works there any more, and the thread still says so."""
    thread = Thread(playground)
    await thread.ask()
    await thread.post("A1/0", "first")
    await thread.post("A2/0", "second")
    client = AsyncWebClient("xoxb-playground", base_url=playground.api_url)
    place = {"channel_id": "C0GENERAL", "thread_ts": thread.crowd.conversations[0].ts}
    await client.api_call("agents.sessions.setStatus", json={**place, "status": "processing"})

    assert thread.judge().found["stuck status"] == 1
