"""The app's two tabs as people use them, and who may stop what."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.app import RunningBot
from bot.playground.events import event_ts, publish
from bot.playground.testing import Person, Playground
from bot.slack.setup.manifest import list_suggestions
from bot.storage.db import Database
from bot.storage.memory_tables import AnswerTrace
from bot.storage.preference_tables import Preference
from bot.storage.tables import Answer, AnswerState, Correction, Inbox, InboxState, Message
from tests.playground.conftest import build_client
from tests.scenarios.conftest import EngineProcess, Finished
from tests.scenarios.test_feedback import BOT, ask, wait_for_rows
from tests.scenarios.test_learning_surfaces import keep_adapters, order


async def act(playground: Playground, person: Person, element: str, value: str | None = None, *, said: str) -> None:
    """Use an element of somebody's Home, and wait for what is said then."""
    await person.act_in_home(element, value)
    await see(playground, person, said)


async def see(playground: Playground, person: Person, words: str) -> None:
    """Wait until somebody's Home says something."""
    await playground.wait_until(lambda: words in str(playground.home(person.id)), what=f"a Home that says {words!r}")


async def test_a_person_sees_and_changes_what_concerns_them(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Use, feedback and its fate, language and length by lists, the data as a file, and in the end nothing is left."""
    tom = playground.tom
    await tom.open_home()
    await see(playground, tom, "You have not asked me anything today.")
    reply = await ask(playground, tom, "Who owns the billing service?")
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(tom.id)
    await tom.submit_view({"correction": "Priya owns it."})
    await wait_for_rows(rows, Correction, 1)
    await tom.open_home()
    await see(playground, tom, "*Who owns the billing service?*: “Priya owns it.”")
    said = str(playground.home(tom.id))
    assert "1 answer, " in said
    assert "👍 0 liked · 👎 1 disliked · ✍️ 1 corrected" in said
    assert "For admins" not in said

    await act(playground, tom, "home:length", "preferences length short", said="How long answers are: *short*")
    await act(playground, tom, "home:language", "preferences language zh", said="我能做什么")
    await act(playground, tom, "home:language", "preferences language en", said="What I can do")
    await act(playground, tom, "home:data", said="It is in your direct messages with me")
    (exported,) = playground.hub.workspace.files.values()
    _, document = tom.file(exported.id)
    assert "Priya owns it." in str(json.loads(document))
    await act(playground, tom, "home:forget", said="Deleted: ")
    await see(playground, tom, "You have not asked me anything today.")
    async with rows.read() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 0
        assert await session.scalar(select(func.count()).select_from(Preference)) == 0


async def test_somebody_without_rights_sees_why(playground: Playground, bot: RunningBot) -> None:
    """A guest's Home says what they need, and its elements do nothing."""
    sam, tom = playground.sam, playground.tom
    await sam.open_home()
    await see(playground, sam, "I only help members")
    await tom.open_home()
    await see(playground, tom, "How you are answered")
    await act(playground, tom, "home:learn", said="'Learn from me'")
    assert "train now" not in str(playground.home(tom.id))


async def test_a_home_says_that_slack_is_away(
    playground: Playground, bot: RunningBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that somebody is a guest, whom Slack does not tell just then."""
    monkeypatch.setattr("bot.slack.calls.TRIES", 1)
    playground.fault("server_error", methods="users.info")
    await playground.tom.open_home()
    await see(playground, playground.tom, "Slack does not answer me")
    assert "I only help members" not in str(playground.home(playground.tom.id))


async def test_whoever_is_blocked_while_their_home_is_open_keeps_their_data(
    playground: Playground, bot: RunningBot
) -> None:
    """Its buttons for what is theirs still work, as the commands do; the others refuse."""
    maya, tom = playground.maya, playground.tom
    await ask(playground, tom, "Who owns the billing service?")
    await tom.open_home()
    await see(playground, tom, "home:data")
    opened = playground.home(tom.id)
    await order(playground, maya, "users block <@U0TOM> --yes")
    await act(playground, tom, "home:data", said="It is in your direct messages with me")
    assert "I only help members" in str(playground.home(tom.id))
    playground.hub.workspace.homes[tom.id] = opened
    await act(playground, tom, "home:length", "preferences length short", said="I may not do that for you")
    playground.hub.workspace.homes[tom.id] = opened
    await act(playground, tom, "home:forget", said="Deleted: ")


async def test_people_choose_what_answers_where_admins_let_them(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, tmp_path: Path
) -> None:
    """Nobody can before; then the base or an adapter from before, as Why? says, until somebody opts out."""
    maya, tom = playground.maya, playground.tom
    await keep_adapters(rows, tmp_path, (await bot.engine.models())[0].sha256 or "")
    for name in ("apprentice-1", "apprentice-2"):
        await order(playground, maya, f"adapters promote {name}")
    assert "admins can let people choose" in (await order(playground, tom, "preferences adapter base"))["text"]
    await maya.open_home()
    await see(playground, maya, "'Let people choose what answers'")
    await act(playground, maya, "home:choice", said="'Let nobody choose what answers'")
    assert "adapters choice" not in str(playground.home(tom.id))

    await tom.open_home()
    await see(playground, tom, "What answers you")
    await act(playground, tom, "home:adapter", "preferences adapter base", said="What answers you: *the base model*")
    reply = await ask(playground, tom, "hello")
    await finished(1)
    await tom.click(reply, "why")
    await playground.wait_until(lambda: "chose this in their preferences" in str(playground.views(tom.id)), what="why")
    await act(playground, tom, "home:adapter", "preferences adapter apprentice-1", said="answers you: *apprentice-1*")
    await wait_for_adapter(bot, "apprentice-1")
    await ask(playground, tom, "hello again")
    await ask(playground, playground.priya, "hello")
    await order(playground, playground.priya, "learn-from-me off")
    assert "apprentice-1" not in (await order(playground, tom, "preferences"))["text"]
    await ask(playground, tom, "and now?")

    answers = await finished(4)
    assert [answer.adapter for answer in answers] == [None, "apprentice-1", "apprentice-2", "apprentice-2"]
    async with rows.read() as session:
        chosen = await session.scalars(select(AnswerTrace.is_chosen).order_by(AnswerTrace.answer_id))
        assert list(chosen) == [True, True, False, False]


async def wait_for_adapter(bot: RunningBot, name: str) -> None:
    """Wait until the engine serves an adapter."""
    for _ in range(1000):
        if name in {model.id for model in await bot.engine.models()}:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"{name} is not served")


async def test_messages_suggests_what_fits(playground: Playground, bot: RunningBot, finished: Finished) -> None:
    """Their own questions again, and what fits the channel they look at; of one place nothing in another."""
    maya, priya = playground.maya, playground.priya
    await maya.invite("leads", "U0APPRENTICE")
    general = [prompt["message"] for prompt in list_suggestions()]
    await priya.open(priya.dm)
    await playground.wait_until(lambda: playground.prompts(priya.dm), what="suggestions for a new person")
    assert messages(playground, priya) == general

    await ask(playground, priya, "Who is on call?")
    ts = await priya.say("leads", f"{BOT} What is the secret plan?")
    await playground.wait_for_reply("leads", ts)
    ts = await maya.say("leads", f"{BOT} Whom do we hire?")
    await playground.wait_for_reply("leads", ts)
    await finished(3)
    await priya.open("leads")
    await playground.wait_until(lambda: "What is the secret plan?" in messages(playground, priya), what="hers of there")
    assert messages(playground, priya) == ["What is the secret plan?", "Who is on call?", *general[:2]]

    await priya.open("general")
    await playground.wait_until(lambda: messages(playground, priya)[0] == "!summarise <#C0GENERAL>", what="what fits")
    sum_up, *others = messages(playground, priya)
    assert others == ["Who is on call?", *general[:2]]
    assert playground.prompts(priya.dm)[0]["title"] == "Sum up #general"
    ts = await priya.say(priya.dm, sum_up)
    await playground.wait_until(lambda: len(playground.messages(priya.dm, ts)) > 1, what="an answer to the order")
    assert "I do not know" not in str(playground.messages(priya.dm, ts)[1])


def messages(playground: Playground, person: Person) -> list[str]:
    """Return what is suggested to somebody."""
    return [prompt["message"] for prompt in playground.prompts(person.dm)]


async def test_stop_goes_before_what_waits_and_says_who_may(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """The thread's queue is full: somebody else hears who may stop, the asker stops at once, the others wait still."""
    tom, priya = playground.tom, playground.priya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        ts = await tom.say("general", f"{BOT} hello")
        await wait_for_rows(rows, Answer, 1)
        for number in range(6):
            await (priya, tom)[number % 2].say("general", f"{BOT} What is a stand-up?", thread_ts=ts)
        await wait_for_rows(rows, Inbox, 7)
        await playground.wait_until(lambda: playground.session("general", ts), what="the session")
        await priya.stop("general", ts)
        await playground.wait_until(lambda: priya.ephemerals("general"), what="a word about who may")
        assert "Only whoever asked" in priya.ephemerals("general")[-1]["text"]
        await tom.stop("general", ts)
        (answer, *_) = await finished(1)
        async with rows.read() as session:
            waiting = await session.scalar(select(func.count()).where(Inbox.state != InboxState.DONE))
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)

    assert answer.state == AnswerState.STOPPED
    assert waiting
    assert tom.ephemerals("general") == []


async def test_stop_ends_a_status_that_nobody_works_for(playground: Playground, bot: RunningBot) -> None:
    """Whatever left it behind: Slack shows it for an hour, and a press on Stop takes it away."""
    maya = playground.maya
    reply = await ask(playground, maya, "hello")
    thread_ts = reply["thread_ts"]
    client = build_client(playground)
    await client.agents_sessions_setStatus(channel_id=maya.dm, thread_ts=thread_ts, status="processing")
    await maya.stop(maya.dm, thread_ts)
    await playground.wait_until(
        lambda: (playground.session(maya.dm, thread_ts) or {}).get("status") == "active", what="the end of the status"
    )


async def test_a_stop_that_comes_again_ends_nothing_that_was_asked_since(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """Slack tells again, a minute later and perhaps another process, what was not acknowledged in time."""
    hub, maya = playground.hub, playground.maya
    reply = await ask(playground, maya, "hello")
    here = {"channel": maya.dm, "thread_ts": reply["thread_ts"], "user": maya.id}
    pressed = {"type": "agent_session_stopped", **here, "event_ts": event_ts(hub)}
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        await maya.say(maya.dm, "What is a stand-up?", thread_ts=here["thread_ts"])
        await wait_for_rows(rows, Answer, 2)
        publish(hub, pressed, channel=hub.workspace.channels[maya.dm])
        await asyncio.sleep(2)  # in which another process would see it as well
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)

    assert [answer.state for answer in await finished(2)] == [AnswerState.COMPLETE] * 2
