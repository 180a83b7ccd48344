"""An answer that only its asker sees, longer than one message of Slack: all of it is shown, and shared."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.app import RunningBot
from bot.playground.person import Person
from bot.playground.testing import Playground
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_admin import COMMAND
from tests.scenarios.test_foreign_engine import serving
from tests.scenarios.test_written import CountingServer

WORDS = [f"word-{number}" for number in range(2_500)]  # some 24,000 characters: three messages


@pytest.fixture
async def model() -> AsyncIterator[CountingServer]:
    """Serve a model that says much."""
    paragraphs = "\n\n".join(" ".join(WORDS[begin : begin + 50]) for begin in range(0, len(WORDS), 50))
    async with serving(CountingServer(more=f"\n\n{paragraphs}")) as server:
        yield server


@pytest.fixture
async def bot(start_bot: StartBot, playground: Playground, model: CountingServer) -> AsyncIterator[RunningBot]:
    """Run a bot that is answered by it."""
    async with start_bot(engine_url=model.url, engine_api_key="") as running:
        await playground.wait_for_connection()
        yield running


def words_in(messages: list[dict[str, Any]]) -> list[str]:
    """Return the words of an answer that some messages show, in their order."""
    texts = [block["text"] for message in messages for block in message["blocks"] if block["type"] == "markdown"]
    return [word for text in texts for word in text.split() if word.startswith("word-")]


async def whispers(playground: Playground, person: Person, channel: str) -> list[dict[str, Any]]:
    """Return what one person alone was shown, once the buttons below it are there."""
    await playground.wait_until(lambda: "Only you can see this." in str(person.ephemerals(channel)), what="its end")
    return person.ephemerals(channel)


@pytest.mark.parametrize("is_slash", [True, False])
async def test_all_of_a_long_answer_is_shown_to_whoever_asked(
    playground: Playground, bot: RunningBot, is_slash: bool
) -> None:
    """In parts that are numbered, in a channel and in a thread; nobody else sees one."""
    tom = playground.tom
    if is_slash:
        await tom.command(COMMAND, "ask what is new?", channel="general")
    else:
        ts = await tom.say("general", "hello")
        await tom.say("general", "<@U0APPRENTICE> !ask --private what is new?", ts)
    shown = await whispers(playground, tom, "general")

    assert words_in(shown) == WORDS
    assert "Part 1 of 3" in json.dumps(shown[0])
    assert [("share_answer" in str(one)) for one in shown] == [False, False, True]
    assert not playground.priya.ephemerals("general")


async def test_all_of_a_long_answer_is_shown_in_a_direct_message(playground: Playground, bot: RunningBot) -> None:
    """Where what one person sees is a message."""
    tom = playground.tom
    ts = await tom.say(tom.dm, "!ask --private what is new?")
    await playground.wait_until(lambda: "Only you can see" in str(playground.messages(tom.dm, ts)), what="its end")

    assert words_in([one for one in playground.messages(tom.dm, ts) if one["bot_id"]]) == WORDS


async def test_what_is_too_long_for_whispers_says_so(
    playground: Playground, bot: RunningBot, model: CountingServer
) -> None:
    """The beginning stands there, and the way to the rest."""
    model.more *= 3
    await playground.tom.command(COMMAND, "ask what is new?", channel="general")
    shown = await whispers(playground, playground.tom, "general")

    assert "to one person alone I can show no more of it" in str(shown[-1])
    assert words_in(shown)[: len(WORDS)] == WORDS


async def test_a_long_answer_that_is_chosen_is_shown_whole(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Beside each other there is room for the beginnings alone."""
    tom = playground.tom
    await tom.command(COMMAND, "ask -n 2 what is new?", channel="general")
    await playground.wait_until(lambda: "choose_answer" in str(tom.ephemerals("general")), what="the choice")
    answers = await finished(2)
    (choice,) = [one for one in tom.ephemerals("general") if "choose_answer" in str(one)]
    await tom.click(choice, "choose_answer")
    shown = await whispers(playground, tom, "general")

    assert words_in(shown) == WORDS
    assert answers[0].text.split(".")[0] in str(shown[0])


async def test_a_long_answer_is_shared_whole(playground: Playground, bot: RunningBot) -> None:
    """As the answer to any question: its beginning is a message, the whole of it a file below."""
    tom = playground.tom
    await tom.command(COMMAND, "ask what is new?", channel="general")
    shown = await whispers(playground, tom, "general")
    await tom.click(shown[-1], "share_answer")
    shared = await playground.wait_until(
        lambda: next((one for one in playground.messages("general") if one["bot_id"]), None), what="the answer"
    )
    await playground.wait_until(
        lambda: [file for one in playground.messages("general", shared["ts"]) for file in one.get("files") or []],
        what="the file",
    )
    (message,) = [one for one in playground.messages("general") if one["bot_id"]]

    assert "The whole answer is in the file below." in str(message["blocks"])
    assert f"<@{tom.id}> asked me: what is new?" in str(message["blocks"])


CUT = "I reached my length limit"


@pytest.mark.parametrize("is_private", [True, False])
async def test_an_answer_that_is_cut_says_so_beside_others_and_alone(
    *, playground: Playground, bot: RunningBot, model: CountingServer, finished: Finished, is_private: bool
) -> None:
    """Each of two to choose from, the one that is chosen, and the one that is shared."""
    model.more, model.finish_reason = "", "length"
    tom = playground.tom

    def shown() -> list[dict[str, Any]]:
        return tom.ephemerals("general") if is_private else playground.messages("general", ts)

    if is_private:
        await tom.command(COMMAND, "ask -n 2 what is new?", channel="general")
    else:
        ts = await tom.say("general", "<@U0APPRENTICE> !ask -n 2 what is new?")
    await playground.wait_until(lambda: "choose_answer" in str(shown()), what="the choice")
    await finished(2)
    choice = next(one for one in shown() if "choose_answer" in str(one))
    assert str(choice["blocks"]).count(CUT) == 2
    await tom.click(choice, "choose_answer")
    chosen = await playground.wait_until(
        lambda: next((one for one in shown() if "feedback" in str(one["blocks"])), None), what="the chosen one"
    )
    assert str(chosen["blocks"]).count(CUT) == 1
    if is_private:
        await tom.click(chosen, "share_answer")
        (shared,) = await playground.wait_until(lambda: playground.messages("general"), what="the shared one")
        assert str(shared["blocks"]).count(CUT) == 1


async def test_a_reply_that_slack_refuses_is_no_silence(playground: Playground, bot: RunningBot) -> None:
    """Whoever ordered something hears that there is a reply which Slack does not show."""
    tom = playground.tom
    ts = await tom.say("general", "hello")
    playground.fault("missing_method", methods="chat.postEphemeral", error="access_denied", times=1)
    await tom.say("general", "<@U0APPRENTICE> !help", ts)
    await playground.wait_until(lambda: "Slack did not take it" in str(tom.ephemerals("general")), what="the word")


@pytest.mark.parametrize("words", ["translate to German: Good morning, all", "explain the word deployment"])
async def test_what_the_model_had_no_room_for_is_confessed(
    playground: Playground, bot: RunningBot, model: CountingServer, words: str
) -> None:
    """A translation whose end is missing does not look whole."""
    model.more, model.finish_reason = "", "length"
    tom = playground.tom
    await tom.command(COMMAND, words, channel="general")
    await playground.wait_until(lambda: "the end is missing" in str(tom.ephemerals("general")), what="the word")
    assert "Answer 1." in str(tom.ephemerals("general"))


async def test_who_presses_below_the_other_answer_too_hears_which_stands(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Two presses in one moment are one choice."""
    tom = playground.tom
    ts = await tom.say("general", "<@U0APPRENTICE> !ask -n 2 what is new?")
    choice = await playground.wait_until(
        lambda: next((one for one in playground.messages("general", ts) if "choose_answer" in str(one)), None),
        what="the choice",
    )
    await finished(2)
    first, second = [block for block in choice["blocks"] if "choose_answer" in str(block)]
    presses = [tom.click({**choice, "blocks": [block]}, "choose_answer") for block in (first, second)]
    await asyncio.gather(*presses)
    await playground.wait_until(lambda: "it stands" in str(tom.ephemerals("general")), what="the word")
    (shown, below) = [one for one in playground.messages("general", ts) if one["bot_id"]]
    assert "feedback" in str(shown["blocks"])
    assert len(below["files"]) == 1
