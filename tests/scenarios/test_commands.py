"""Commands where people are: `!NAME` in threads and direct messages, `ask` for oneself, answers to choose from."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from bot.app import RunningBot
from bot.conversation import candidates, turn
from bot.conversation.draft import Draft
from bot.conversation.turn import Assistant
from bot.playground.errors import PageError
from bot.playground.testing import Person, Playground
from bot.slack.commands.thread_orders import ThreadOrders
from bot.slack.setup.manifest import USAGE_HINT
from bot.slack.turns import turns
from bot.storage.asking_tables import Asking, Candidate
from bot.storage.db import Database
from bot.storage.learning_tables import TrainingChoice
from bot.storage.tables import (
    Answer,
    AnswerState,
    Audience,
    Correction,
    Feedback,
    Inbox,
    Message,
    PreferencePair,
    Thread,
)
from tests.scenarios.conftest import EngineProcess, Finished, StartBot, full_disk
from tests.scenarios.test_faults import LONG
from tests.scenarios.test_removal import held

BOT = "<@U0APPRENTICE>"
COMMAND = "/apprentice"


async def whispered(playground: Playground, person: Person, where: str, words: str) -> dict[str, Any]:
    """Wait for something that only this person is told."""
    channel = playground.channel(where)

    def find() -> list[dict[str, Any]]:
        return [message for message in person.ephemerals(channel) if words in str(message)]

    return (await playground.wait_until(find, what=f"“{words}” for {person.id}", timeout=30))[-1]


async def stored(rows: Database, table: type[Any]) -> list[Any]:
    """Return all rows of a table."""
    async with rows.begin() as session:
        return list(await session.scalars(select(table)))


async def test_orders_in_a_thread_are_for_whoever_gave_them(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Known names are answered in the thread to that person alone, and no model reads them."""
    tom, priya = playground.tom, playground.priya
    ts = await tom.say("general", "Lunch at noon")
    await priya.say("general", "!status", ts)
    said = await whispered(playground, priya, "general", "Model `")
    assert said["thread_ts"] == ts
    assert "no message waits" in said["text"], "the order itself is none"
    assert not tom.ephemerals(playground.channel("general"))
    await tom.say("general", "!deploy production", ts)  # to another bot
    await tom.say("general", f"{BOT} !staus", ts)
    await whispered(playground, tom, "general", "I do not know `!staus`. Did you mean `!status`?")
    await tom.say("general", "！HELP ask", ts)
    await whispered(playground, tom, "general", "`!ask [--short | --long]")

    assert not any("deploy" in str(message) for message in tom.ephemerals(playground.channel("general")))
    assert await stored(rows, Message) == []
    assert await stored(rows, Thread) == []
    kinds = {row.kind for row in await stored(rows, Inbox)}
    assert kinds == {"order"}
    assert all(row.payload == {} for row in await stored(rows, Inbox) if row.done_at)


async def test_an_order_that_comes_twice_is_carried_out_once(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Slack sends a mention as two events, and sends again what it thinks was lost."""
    playground.fault("duplicate_events")
    ts = await playground.tom.say("general", "Lunch at noon")
    await playground.tom.say("general", f"{BOT} !learn-from-me off", ts)
    await whispered(playground, playground.tom, "general", "I do not learn from")
    await playground.tom.say("general", f"{BOT} !status", ts)
    await whispered(playground, playground.tom, "general", "Model `")

    said = playground.tom.ephemerals(playground.channel("general"))
    assert len([message for message in said if "I do not learn from" in message["text"]]) == 1


async def test_direct_messages_take_orders_too(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """There the answer is a message, for nobody else reads along; a mistyped name is not answered by the model."""
    tom = playground.tom
    ts = await tom.say(tom.dm, "!help")
    assert "!learn-from-me [on|off]" in str((await playground.wait_for_reply(tom.dm, ts))["blocks"])
    ts = await tom.say(tom.dm, "!hlep")
    assert "Did you mean `!help`?" in (await playground.wait_for_reply(tom.dm, ts))["text"]
    ts = await tom.say(tom.dm, "!ask")
    assert "I need a question. It is written `!ask" in (await playground.wait_for_reply(tom.dm, ts))["text"]
    ts = await tom.say(tom.dm, "!train now")
    assert "Only the admins" in (await playground.wait_for_reply(tom.dm, ts))["text"]
    assert await stored(rows, Message) == []


async def test_retry_and_stop(playground: Playground, bot: RunningBot, finished: Finished, rows: Database) -> None:
    """`!retry` answers the newest question again, in place; `!stop` says when there is nothing to stop."""
    tom = playground.tom
    ts = await tom.say("general", f"{BOT} What is a code review?")
    await finished(1)
    await tom.say("general", "!retry", ts)
    answers = await finished(2)
    assert answers[1].replaces_id == answers[0].id
    assert answers[1].reply_ts == answers[0].reply_ts
    await tom.say("general", "!stop", ts)
    await whispered(playground, tom, "general", "I am not writing anything here.")
    other = await tom.say("random", "Lunch at noon")
    await tom.say("random", "!retry", other)
    await whispered(
        playground,
        tom,
        "random",
        "I know of no answer here: there is none, or what was said here is not stored any more.",
    )
    await playground.wait_for_reply(tom.dm, await tom.say(tom.dm, "!preferences privacy unstored"))
    unstored = await tom.say("random", f"{BOT} What is a code review?")
    await finished(3)
    await tom.say("random", "!retry", unstored)
    await whispered(playground, tom, "random", "Nothing of that question is stored")


async def test_ask_has_options_in_a_thread(
    playground: Playground, bot: RunningBot, finished: Finished, rows: Database
) -> None:
    """A question with options is a question: without them in what is stored, and with them in the record."""
    tom = playground.tom
    ts = await tom.say("general", "Lunch at noon")
    await tom.say("general", "!ask —short --no-history What’s a code review?", ts)
    answer = (await finished(1))[0]
    assert answer.prompt_name.startswith("system+short")
    (message,) = await stored(rows, Message)
    assert message.text == "What’s a code review?"
    (asking,) = await stored(rows, Asking)
    assert (asking.length, asking.keeps_history, asking.candidates, asking.is_private) == ("short", False, 1, False)


async def test_an_answer_for_oneself_can_be_shared_once(
    playground: Playground, bot: RunningBot, finished: Finished, rows: Database
) -> None:
    """Only the asker sees it, with thumbs; shared, it stands in the channel in their name, with every button."""
    tom, priya = playground.tom, playground.priya
    await tom.command(COMMAND, "ask What is a code review?", channel="general")
    answer = await whispered(playground, tom, "general", "Only you can see this.")
    assert "Share with everyone" in str(answer)
    assert playground.messages("general") == []
    assert not priya.ephemerals(playground.channel("general"))
    (message,) = await stored(rows, Message)
    assert message.audience == Audience.DIRECT

    await tom.click(answer, "feedback", "positive_button")
    await whispered(playground, tom, "general", "noted")
    await tom.click(answer, "share_answer")
    shared = (await playground.wait_until(lambda: playground.messages("general"), what="the shared answer"))[0]
    assert "<@U0TOM> asked me: What is a code review?" in str(shared["blocks"])
    await playground.wait_until(
        lambda: not any("Only you" in str(one) for one in tom.ephemerals(playground.channel("general"))),
        what="the private one to go",
    )
    assert len(playground.messages("general")) == 1
    (message,) = await stored(rows, Message)
    (thread,) = await stored(rows, Thread)
    assert (message.audience, message.ts, thread.thread_ts) == (Audience.PUBLIC, shared["ts"], shared["ts"])

    await priya.click(shared, "feedback", "positive_button")
    await whispered(playground, priya, "general", "noted")
    await priya.say("general", f"{BOT} And who does one?", shared["ts"])
    answers = await finished(2)
    assert answers[1].messages_used == 1

    await tom.click(playground.message("general", shared["ts"]), "regenerate")
    await finished(3)
    await playground.wait_until(
        lambda: (
            "regenerate" in str(again := playground.message("general", shared["ts"])["blocks"])
            and "<@U0TOM> asked me: What is a code review?" in str(again)
            and answers[0].id not in str(again)
        ),
        what="who asked what below another answer too",
    )


@pytest.mark.parametrize("fault", ["server_error", "drop_connection"])
async def test_an_answer_that_slack_does_not_take_is_shared_by_another_press(
    playground: Playground, bot: RunningBot, fault: str
) -> None:
    """Whoever pressed hears that it stands nowhere yet, however Slack is away, and presses again."""
    tom = playground.tom
    await tom.command(COMMAND, "ask What is a code review?", channel="general")
    answer = await whispered(playground, tom, "general", "Only you can see this.")
    playground.fault(fault)
    await tom.click(answer, "share_answer")
    await whispered(playground, tom, "general", "Slack does not answer me at the moment")
    playground.fault(fault, enabled=False)
    assert playground.messages("general") == []
    await tom.click(answer, "share_answer")
    await playground.wait_until(lambda: playground.messages("general"), what="the shared answer")
    assert len(playground.messages("general")) == 1


async def test_buttons_of_an_answer_where_it_is_not_a_member_say_what_came_of_them(
    playground: Playground, bot: RunningBot
) -> None:
    """Commands work in every channel; there it may not write, and words beside them reach nobody but in private."""
    priya = playground.priya
    await priya.command(COMMAND, "ask What is a code review?", channel="leads")
    answer = await whispered(playground, priya, "leads", "Only you can see this.")
    await priya.click(answer, "share_answer")
    await whispered(playground, priya, "leads", "invite me to this channel first")
    await priya.click(answer, "feedback", "positive_button")
    (noted,) = await playground.wait_until(lambda: playground.messages(priya.dm), what="a word about the thumb")
    assert "noted" in noted["text"]


async def test_buttons_below_an_answer_that_is_gone_say_so(playground: Playground, bot: RunningBot) -> None:
    """Its question was deleted: nobody fills in a form for nothing, and no press stays without a word."""
    tom, priya = playground.tom, playground.priya
    asked = await tom.say("general", f"{BOT} What is a code review?")
    reply = await playground.wait_for_reply("general", asked)
    await tom.delete("general", asked)
    gone = "I do not know this answer any more"
    await priya.click(reply, "regenerate")  # before that is heard, or after
    await whispered(playground, priya, "general", gone)
    await priya.click(reply, "feedback", "negative_button")
    await playground.wait_until(
        lambda: sum(gone in one["text"] for one in priya.ephemerals("general")) > 1, what="a word about the thumb"
    )
    assert not playground.views(priya.id)


async def test_sharing_an_answer_gives_nobody_what_is_said_of_it(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The form asked whether to teach it to everyone; that its answer was shared meanwhile is no yes."""
    tom = playground.tom
    await tom.command(COMMAND, "ask What is a code review?", channel="general")
    answer = await whispered(playground, tom, "general", "Only you can see this.")
    await tom.click(answer, "feedback", "negative_button")
    form = await playground.wait_for_view(tom.id)
    assert "Teach this to everyone" in str(form)
    await tom.click(answer, "share_answer")
    await playground.wait_until(lambda: playground.messages("general"), what="the shared answer")
    await tom.submit_view({"reason": "wrong", "correction": "What Sam never does."})
    async with asyncio.timeout(30):
        while not (found := await stored(rows, Correction)):  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)
    (correction,) = found
    assert (correction.audience, correction.is_for_everyone) == (Audience.DIRECT, False)


async def test_nobody_shares_what_is_not_theirs(
    playground: Playground, bot: RunningBot, finished: Finished, rows: Database
) -> None:
    """A private answer's buttons do nothing for anybody else, wherever they come from."""
    tom, priya = playground.tom, playground.priya
    await tom.command(COMMAND, "ask What is a code review?", channel="general")
    answer = await whispered(playground, tom, "general", "Only you can see this.")
    stolen = {**answer, "ephemeral_user": priya.id}
    with suppress(Exception):  # the page may refuse it before the bot does
        await priya.click(stolen, "share_answer")
    await tom.command(COMMAND, "status", channel="general")
    await whispered(playground, tom, "general", "Model `")
    assert playground.messages("general") == []
    assert (await stored(rows, Asking))[0].shared_ts is None


@pytest.fixture
async def warm_bot(
    playground: Playground, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningBot]:
    """A bot whose answers to one question differ: the starter knows few, and at its usual temperature says the same.

    By chance it says the same three times of some hundred: the seeds are the same ones each time.
    """
    numbers = itertools.count(1)
    for module in (candidates, turn):
        monkeypatch.setattr(module, "secrets", SimpleNamespace(randbelow=lambda _limit: next(numbers)))
    async with start_bot(answer_temperature=2.0, answer_max_tokens=60) as running:
        await playground.wait_for_connection()
        yield running


@pytest.mark.parametrize("where", ["thread", "alone"])
async def test_one_of_several_answers_is_chosen(
    playground: Playground, warm_bot: RunningBot, finished: Finished, rows: Database, where: str
) -> None:
    """The choice is kept as preferences that training reads, and the chosen one stands as the answer."""
    tom, priya = playground.tom, playground.priya
    if where == "thread":
        ts = await tom.say("general", f"{BOT} !ask -n 3 Make an agenda for a 30 minute team meeting.")
        answers = await finished(1)
        offer = await playground.wait_until(
            lambda: next((one for one in playground.messages("general", ts) if "This one is better" in str(one)), None),
            what="the answers",
            timeout=30,
        )
    else:
        await tom.command(COMMAND, "ask -n 3 Make an agenda for a 30 minute team meeting.", channel="general")
        offer = await whispered(playground, tom, "general", "This one is better")
    async with asyncio.timeout(30):
        while len(candidates := sorted(await stored(rows, Candidate), key=lambda one: one.number)) < 2:  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)
    assert len(candidates) <= 3
    answers = {answer.id: answer for answer in await finished(len(candidates))}
    assert [one.stands for one in candidates] == [True, *[False] * (len(candidates) - 1)]
    assert len({tuple(answer.prompt_token_ids) for answer in answers.values()}) == 1
    later = [answers[one.answer_id] for one in candidates[1:]]
    assert all(answer.cached_tokens >= answer.prompt_tokens - 1 for answer in later)  # the prompt was read once

    chosen = candidates[1].answer_id
    button = next(
        {"type": "actions", "block_id": block["block_id"], "elements": [element]}
        for block in offer["blocks"]
        for element in block.get("elements", [])
        if element.get("value") == chosen
    )
    if where == "thread":
        await priya.click({**offer, "blocks": [button]}, "choose_answer")
        await whispered(playground, priya, "general", "Only whoever asked can choose.")
        await priya.react("general", offer["ts"], "-1")  # on which of them, nobody knows
        await priya.say("general", "!retry", ts)
        await whispered(playground, priya, "general", "so it stays")
    async with full_disk(rows, "preference_pairs"):
        with pytest.raises(PageError):
            await tom.click({**offer, "blocks": [button]}, "choose_answer")
    assert await stored(rows, Feedback) == []
    await tom.click({**offer, "blocks": [button]}, "choose_answer")

    def find() -> list[dict[str, Any]]:
        seen = tom.sees("general", offer["thread_ts"]) if where == "thread" else tom.ephemerals(offer["channel"])
        mine = [(one, str(one["blocks"])) for one in seen if one["ts"] == offer["ts"]]
        return [one for one, said in mine if "feedback" in said and "This one is better" not in said]

    shown = (await playground.wait_until(find, what="the chosen answer"))[0]
    assert f"up:{chosen}" in str(shown)
    pairs = await stored(rows, PreferencePair)
    assert {(pair.chosen_id, pair.user_id, pair.source) for pair in pairs} == {(chosen, "U0TOM", "compared")}
    assert {pair.rejected_id for pair in pairs} == set(answers) - {chosen}
    assert {one.answer_id for one in await stored(rows, Candidate) if one.stands} == {chosen}
    if where == "thread":
        await priya.click(shown, "regenerate")
        await whispered(playground, priya, "general", "so it stays")
        assert len(await finished(len(candidates))) == len(candidates)
        await priya.react("general", offer["ts"], "heart")
        async with asyncio.timeout(10):
            while not (votes := await stored(rows, Feedback)):  # noqa: ASYNC110 - rows do not call
                await asyncio.sleep(0.05)
        assert {(vote.answer_id, vote.user_id) for vote in votes} == {(chosen, "U0PRIYA")}


async def test_a_private_question_in_a_thread_goes_with_its_message(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Others see the message, though its answer is for one person: edited it says the new words, deleted none."""
    tom = playground.tom
    ts = await tom.say("general", f"{BOT} What is a sprint?")
    await playground.wait_for_reply("general", ts)
    asked = await tom.say("general", "!ask --private What does zanzibar stand for?", thread_ts=ts)
    answer = await whispered(playground, tom, "general", "share_answer")
    await tom.edit("general", asked, "!ask --private What does okapi stand for?")
    await wait_for_texts(rows, {"What is a sprint?", "What does okapi stand for?"})
    await tom.click(answer, "share_answer")
    await whispered(playground, tom, "general", "answers its old words")
    assert not [said for said in playground.messages("general") if "asked me" in str(said["blocks"])]
    await tom.delete("general", asked)
    await wait_for_texts(rows, {"What is a sprint?"})
    assert len(await stored(rows, Answer)) == 1
    assert "Shall I answer it again" not in str(tom.ephemerals("general"))
    told = [said for said in tom.ephemerals("general") if "order it again for the new" in said["text"]]
    assert len(told) == 1


@pytest.mark.parametrize("way", ["!stop", "deleted"])
async def test_a_private_answer_ends_at_the_word_of_its_asker(
    *,
    playground: Playground,
    bot: RunningBot,
    engine_process: EngineProcess,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """`!stop` in its thread stops it, and it says so; of a deleted one nothing is shown."""
    monkeypatch.setattr("bot.slack.commands.ask.PATIENCE_S", 0.0)
    tom = playground.tom
    ts = await tom.say("general", f"{BOT} What is a sprint?")
    await playground.wait_for_reply("general", ts)
    with held(engine_process):
        asked = await tom.say("general", f"!ask --private {LONG}", thread_ts=ts)
        await playground.wait_until(lambda: "I am writing your answer" in str(tom.ephemerals("general")), what="place")
        if way == "deleted":
            await tom.delete("general", asked)
            await asyncio.sleep(0.5)
        else:
            await tom.say("general", "!stop", thread_ts=ts)
            await playground.wait_until(lambda: "Stopped." in str(tom.ephemerals("general")), what="its end")
    if way == "deleted":
        await asyncio.sleep(1)
        assert "share_answer" not in str(tom.ephemerals("general"))
        assert len(await finished(1)) == 1
    assert "I am not writing anything here" not in str(tom.ephemerals("general"))


async def test_a_private_question_that_is_edited_while_it_is_answered_is_answered_whole(
    playground: Playground, bot: RunningBot, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says that it answers the old words; nothing is cut in the middle."""
    monkeypatch.setattr("bot.slack.commands.ask.PATIENCE_S", 0.0)
    tom = playground.tom
    asked = await tom.say("general", f"{BOT} !ask --private {LONG}")
    await playground.wait_until(lambda: "I am writing your answer" in str(tom.ephemerals("general")), what="its place")
    await tom.edit("general", asked, f"{BOT} !ask --private What does okapi stand for?")
    shown = await whispered(playground, tom, "general", "share_answer")
    (answer,) = await finished()
    assert answer.state == AnswerState.COMPLETE
    assert "order it again for the new" in str(shown["blocks"])


async def test_a_private_question_that_is_deleted_before_it_is_begun_stays_nowhere(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Who asks was still being looked up; nothing is answered, and the next question is."""
    tom = playground.tom
    playground.fault("latency", seconds=2, methods="users.info")
    asked = await tom.say("general", f"{BOT} !ask --private What does zanzibar stand for?")
    await playground.wait_until(lambda: playground.log("api", "users.info"), what="the question to be read")
    await tom.delete("general", asked)
    await tom.say("general", f"{BOT} !ask --private What does okapi stand for?")
    await whispered(playground, tom, "general", "share_answer")
    await wait_for_texts(rows, {"What does okapi stand for?"})
    assert len(await stored(rows, Answer)) == 1


async def wait_for_texts(rows: Database, texts: set[str]) -> None:
    """Wait until just these questions are stored."""
    async with asyncio.timeout(10):
        while {message.text for message in await stored(rows, Message)} != texts:  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)


async def test_ordinary_questions_get_two_answers_now_and_then(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database
) -> None:
    """If it is switched on, and no more than three times a day for one person."""
    async with start_bot(side_by_side_share=1, answer_temperature=2.0, answer_max_tokens=60):
        await playground.wait_for_connection()
        tom = playground.tom
        for number in range(1, 5):
            ts = await tom.say(tom.dm, f"Make an agenda for a {number}0 minute team meeting.")
            await playground.wait_for_reply(tom.dm, ts, timeout=30)
    rounds = {one.message_id for one in await stored(rows, Candidate)}
    assert len(rounds) <= 3
    assert rounds
    assert all(answer.state == AnswerState.COMPLETE for answer in await stored(rows, Answer))


async def test_what_is_stopped_before_the_model_is_asked_ends_in_words(
    playground: Playground, bot: RunningBot, finished: Finished, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the engine is still loading, say: one of several answers, and one for oneself; no row is left behind."""

    async def wait(_assistant: Assistant, _draft: Draft) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Assistant, "_prepare_patiently", wait)
    tom = playground.tom
    ts = await tom.say("general", f"{BOT} !ask -n 3 Make an agenda for a 30 minute team meeting.")
    async with asyncio.timeout(10):
        while not await stored(rows, Answer):  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    await tom.say("general", "!stop", ts)
    await playground.wait_until(
        lambda: "Stopped." in str(playground.messages("general", ts)), what="the word of its end"
    )
    await tom.command(COMMAND, "ask hello", channel="general")
    told = await whispered(playground, tom, "general", "I am writing your answer")
    await tom.click(told, "stop_answer")
    await whispered(playground, tom, "general", "Stopped.")
    assert [answer.state for answer in await finished(2)] == [AnswerState.STOPPED, AnswerState.STOPPED]


async def test_a_mistyped_order_in_a_thread_of_ours_gets_a_word(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """For its author alone: they would believe it done. Other bots' orders, and what people say elsewhere, get none."""
    tom, priya = playground.tom, playground.priya
    ours = await tom.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", ours)
    others = await priya.say("general", "lunch?")
    await tom.say("general", "!summarize", others)
    await tom.say("general", "!frobnicate all", ours)
    await tom.say("general", "!remid me in 5 minutes to eat", ours)
    await whispered(playground, tom, "general", "Did you mean `!remind`?")
    await tom.say("general", "!summarize", ours)
    await whispered(playground, tom, "general", "Did you mean `!summarise`?")
    await tom.say("general", "!learn from me off", ours)
    await whispered(playground, tom, "general", "I do not know `!learn`")
    await tom.say("general", "!budget!", ours)
    await whispered(playground, tom, "general", "tokens")
    assert len(tom.ephemerals("general")) == 4
    assert len([one for one in playground.messages("general", ours) if one["bot_id"]]) == 1
    await tom.say("general", "!mute", ours)
    await whispered(playground, tom, "general", "quiet")
    await tom.say("general", "!unmut", ours)
    await tom.say("general", "!learn-from-me", ours)
    await whispered(playground, tom, "general", "learn")
    assert "!unmut`" not in str(tom.ephemerals("general"))


async def test_an_order_that_cannot_be_taken_ends_with_an_apology_where_it_was_given(
    playground: Playground, bot: RunningBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three attempts; it stands in no thread's line."""

    async def fail(_orders: ThreadOrders, _row: Inbox) -> None:
        raise ValueError

    tom = playground.tom
    ts = await tom.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", ts)
    monkeypatch.setattr(ThreadOrders, "take", fail)
    await tom.say("general", "!budget", ts)
    await playground.wait_until(
        lambda: "Please send it again. (error" in str(playground.messages("general", ts)), what="the apology"
    )


async def test_docs_and_hint_name_what_people_can_order(playground: Playground, bot: RunningBot) -> None:
    """The table in docs/using.md and the manifest's hint are the table of commands; this is what the table must be."""
    tom = playground.tom
    await tom.command(COMMAND, "help", channel="general")
    said = await whispered(playground, tom, "general", "More about one of them")
    text = "\n".join(block["text"]["text"] for block in said["blocks"])
    found = re.findall(r"^`/apprentice ([\w-]+)([^`\n]*)`  (.+)$", text, re.MULTILINE)
    table = "\n".join(_as_row(name + usage, purpose) for name, usage, purpose in found)

    assert len(found) > 10
    assert table in (Path(__file__).parents[2] / "docs" / "using.md").read_text(), table
    hinted = {part.split()[0] for part in re.sub(r"\[.*?\]", "", USAGE_HINT).split("|")}
    assert hinted == {name for name, _usage, _purpose in found}


def _as_row(order: str, purpose: str) -> str:
    """Write a command as a row of a Markdown table, in which a bar ends a cell."""
    return f"| `{order}` | {purpose} |".replace(order, order.replace("|", "\\|"))


async def test_an_order_is_acknowledged_when_it_is_carried_out(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Nobody else knows of it: if the bot dies before, Slack says that it did not work."""
    tom = playground.tom
    async with rows.begin() as session:
        await session.scalar(select(Inbox.id))  # from here on nobody else can write: SQLite has one writer
        ordered = asyncio.create_task(tom.command(COMMAND, "learn-from-me off"))
        await asyncio.wait({ordered}, timeout=0.5)
        assert not ordered.done()
    await ordered
    async with rows.read() as session:
        assert [one.is_allowed for one in await session.scalars(select(TrainingChoice))] == [False]


async def test_an_order_waits_for_no_answer(
    playground: Playground,
    start_bot: StartBot,
    finished: Finished,
    rows: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much there is to answer, in its own thread too, what is ordered is done before it."""
    monkeypatch.setattr(turns, "MAX_RUNNING", 1)
    async with start_bot():
        await playground.wait_for_connection()
        tom = playground.tom
        asked = [await tom.say("general", f"{BOT} {LONG}") for _ in range(8)]
        await tom.say("general", "!stop", asked[-1])
        await finished(len(asked), timeout=60)
        assert "Stopped." in str(tom.sees("general", asked[-1])[-1])
    events = await stored(rows, Inbox)
    (order,) = [event for event in events if event.kind == "order"]
    assert order.done_at < max(event.done_at for event in events if event.kind == "message")


async def test_a_choice_after_an_edit_is_said_to_teach_nothing(
    playground: Playground, warm_bot: RunningBot, finished: Finished
) -> None:
    """The answers are to other words than the question has by now."""
    tom = playground.tom
    ts = await tom.say("general", f"{BOT} !ask -n 3 Make an agenda for a 30 minute team meeting.")

    def find() -> dict[str, Any] | None:
        said = playground.messages("general", ts)
        return next((one for one in said if "This one is better" in str(one)), None)

    offer = await playground.wait_until(find, what="the answers", timeout=30)
    await finished(1)
    await tom.edit("general", ts, f"{BOT} !ask -n 3 Make an agenda for a 60 minute team meeting.")
    await whispered(playground, tom, "general", "edited")
    await tom.click(offer, "choose_answer")
    await whispered(playground, tom, "general", "I do not learn from this choice")


async def test_a_choice_promises_only_what_comes_of_it(playground: Playground, warm_bot: RunningBot) -> None:
    """It asks which is better, and says that it learns from that only to whom it may, and where it may."""
    maya, tom = playground.maya, playground.tom
    await tom.command(COMMAND, "learn-from-me off", channel="general")
    await whispered(playground, tom, "general", "learn")
    for person, channel in ((maya, "general"), (tom, "general"), (maya, maya.dm), (maya, "northwind")):
        ts = await person.say(channel, f"{BOT} !ask -n 3 Make an agenda for a 30 minute team meeting.")
        offer = await playground.wait_until(
            lambda channel=channel, ts=ts: [one for one in playground.messages(channel, ts) if "better" in str(one)],
            what="the answers",
            timeout=30,
        )
        assert ("I learn from your choice" in str(offer)) is (person is maya and channel == "general")
    await maya.command(COMMAND, "ask -n 3 Make an agenda for a 30 minute team meeting.", channel="general")
    offer = await whispered(playground, maya, "general", "This one is better")
    assert "I learn from" not in str(offer)


async def test_a_choice_is_stored_at_once_or_not_yet(
    playground: Playground, warm_bot: RunningBot, finished: Finished, rows: Database
) -> None:
    """What cannot be stored once the answers are shown is stored later, with the words of each of them."""
    tom = playground.tom
    async with full_disk(rows, "candidates"):
        ts = await tom.say("general", f"{BOT} !ask -n 3 Make an agenda for a 30 minute team meeting.")
        await playground.wait_until(lambda: "This one is better" in str(playground.messages("general", ts)), timeout=30)
        await asyncio.sleep(0.5)
        assert {answer.state for answer in await stored(rows, Answer)} == {AnswerState.WRITING}
    answers = await finished(1, timeout=60)
    assert all(answer.state == AnswerState.COMPLETE and answer.text for answer in answers)
    candidates = await stored(rows, Candidate)  # none where the answers of the second try are all the same
    assert {answer.id for answer in answers} == {one.answer_id for one in candidates} or len(answers) == 1


async def test_a_refused_regenerate_can_be_pressed_again(playground: Playground, bot: RunningBot) -> None:
    """Once there are tokens for it; the button is not spent by having been refused."""
    maya, tom = playground.maya, playground.tom
    ts = await tom.say("general", f"{BOT} hello")
    reply = await playground.wait_for_reply("general", ts)
    await maya.command(COMMAND, "budget <@U0TOM> 1")
    await whispered(playground, maya, maya.dm, "may use 1 tokens a day")
    await tom.click(reply, "regenerate")
    await whispered(playground, tom, "general", "You have used what one person may use")
    await maya.command(COMMAND, "budget <@U0TOM> unlimited")
    await whispered(playground, maya, maya.dm, "as many tokens as they like")
    await tom.click(reply, "regenerate")
    await playground.wait_until(
        lambda: str(playground.message("general", reply["ts"])["blocks"]) != str(reply["blocks"]),
        what="another answer",
    )
