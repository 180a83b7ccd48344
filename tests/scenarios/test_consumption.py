"""One person's flood costs that person's answers, and nobody else's."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from sqlalchemy import select, text

from bot.admin.budgets import Budgets, read_use
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.slack import intake
from bot.slack.calls import ASIDES_PER_PERSON
from bot.slack.home.page import HOMES_PER_PERSON
from bot.slack.turns import turns
from bot.slack.turns.shares import MOST
from bot.storage.db import Database
from bot.storage.spending_tables import Spending
from bot.storage.tables import Answer, AnswerState, Feedback, Inbox, InboxState, Message
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_faults import LONG, answers_in
from tests.scenarios.test_foreign_engine import ForeignServer, serving

BOT = "<@U0APPRENTICE>"
MANY, LIMIT = 25, 3
TOO_MUCH = "more than I can take from one person"


def words_for(person: Person, channel: str) -> list[str]:
    """Return what the app has said in a channel that a person can see, threads included."""
    tops = person.sees(channel)
    said = tops + [reply for top in tops for reply in person.sees(channel, top["ts"])]
    return [str(message["text"]) for message in {one["ts"]: one for one in said if one["bot_id"]}.values()]


async def test_a_flood_in_direct_messages(playground: Playground, start_bot: StartBot, finished: Finished) -> None:
    """As many as allowed are answered, one word says that the rest is not, and Tom is answered as ever."""
    async with start_bot(messages_per_person=LIMIT):
        await playground.wait_for_connection()
        for number in range(MANY):
            await playground.maya.say(playground.maya.dm, f"hello {number}")
        asked = await playground.tom.say(playground.tom.dm, "hello")
        await playground.wait_for_reply(playground.tom.dm, asked)
        answers = await finished(LIMIT + 1)
        await playground.wait_until(
            lambda: any(TOO_MUCH in text for text in words_for(playground.maya, playground.maya.dm))
        )

    assert len(answers) == LIMIT + 1
    assert sum(TOO_MUCH in text for text in words_for(playground.maya, playground.maya.dm)) == 1


@asynccontextmanager
async def vain_commits(rows: Database) -> AsyncIterator[None]:
    """Let what is put into the inbox be lost when it is committed, as on a full disk, while the block runs."""
    nobody = "CREATE TABLE nobody (id INTEGER PRIMARY KEY)"
    lost = "CREATE TABLE lost (id INTEGER REFERENCES nobody (id) DEFERRABLE INITIALLY DEFERRED)"
    trigger = "CREATE TRIGGER vain AFTER INSERT ON inbox BEGIN INSERT INTO lost VALUES (1); END"
    async with rows.begin() as session:
        for words in (nobody, lost, trigger):
            await session.execute(text(words))
    yield
    async with rows.begin() as session:
        for words in ("DROP TRIGGER vain", "DROP TABLE lost", "DROP TABLE nobody"):
            await session.execute(text(words))


async def test_what_a_full_disk_refused_is_not_too_much(
    playground: Playground, start_bot: StartBot, rows: Database, finished: Finished
) -> None:
    """Slack sends it twice at once; nothing of that was stored, so it counts for nothing, and all is answered."""
    maya = playground.maya
    async with start_bot(messages_per_person=LIMIT):
        await playground.wait_for_connection()
        async with vain_commits(rows):
            for number in range(LIMIT - 1):
                await maya.say(maya.dm, f"hello {number}")
            await asyncio.sleep(1)
        asked = await maya.say(maya.dm, "hello")
        await playground.wait_for_reply(maya.dm, asked)
        await playground.advance(70)  # Slack tries again
        await finished(LIMIT)
    assert not any(TOO_MUCH in text for text in words_for(maya, maya.dm))


async def test_orders_work_while_questions_are_too_many(playground: Playground, start_bot: StartBot) -> None:
    """In a channel only the person hears that it is too much, and `!help` is answered."""
    async with start_bot(messages_per_person=1):
        await playground.wait_for_connection()
        first = await playground.maya.say("general", f"{BOT} hello")
        await playground.maya.say("general", f"{BOT} hello again")
        await playground.wait_until(
            lambda: any(TOO_MUCH in word["text"] for word in playground.maya.ephemerals("general"))
        )
        await playground.wait_for_reply("general", first)
        await playground.maya.say("general", "!help", first)
        await playground.wait_until(
            lambda: any("Teach me" in word["text"] for word in playground.maya.ephemerals("general"))
        )

    assert not any(TOO_MUCH in str(word) for word in playground.tom.sees("general"))


class Pausing(ForeignServer):
    """Answers nobody before it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.asked: list[object] = []

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Wait, then stream the words."""
        self.asked.append(await request.json())
        await self.go.wait()
        return await super().chat(request)


async def test_a_full_line_is_said_at_once(playground: Playground, start_bot: StartBot) -> None:
    """The next one hears so although no answer ends."""
    server = Pausing()
    async with serving(server), start_bot(messages_waiting=2, engine_url=server.url, engine_api_key=""):
        await playground.wait_for_connection()
        for person in (playground.maya, playground.priya):
            await person.say(person.dm, "hello")
        await playground.tom.say(playground.tom.dm, "hello")
        await playground.wait_until(
            lambda: any("So many messages wait" in text for text in words_for(playground.tom, playground.tom.dm))
        )
        server.go.set()


async def test_one_persons_questions_do_not_fill_the_line(playground: Playground, start_bot: StartBot) -> None:
    """However many of theirs wait, within their minutes, the next person is not refused for it."""
    server, maya = Pausing(), playground.maya
    async with serving(server), start_bot(messages_waiting=8, engine_url=server.url, engine_api_key=""):
        await playground.wait_for_connection()
        for number in range(10):
            await maya.say(maya.dm, f"hello {number}")
        await playground.wait_until(lambda: any(TOO_MUCH in text for text in words_for(maya, maya.dm)))
        asked = await playground.tom.say("general", f"{BOT} is there room?")
        await playground.wait_until(lambda: "is there room?" in str(server.asked))
        server.go.set()
        await playground.wait_for_reply("general", asked)
    assert not any("So many messages wait" in str(word) for word in playground.tom.ephemerals("general"))


async def test_whoever_waits_takes_nobodys_place(
    playground: Playground, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many questions of one person wait for another answer of theirs, the next person's is begun."""
    monkeypatch.setattr(turns, "MAX_RUNNING", MOST + 1)
    server = Pausing()
    async with serving(server), start_bot(engine_url=server.url, engine_api_key=""):
        await playground.wait_for_connection()
        for number in range(MOST + 3):
            await playground.maya.say("random", f"{BOT} hello {number}")
        await playground.wait_until(lambda: len(server.asked) == MOST)
        await playground.tom.say("general", f"{BOT} is there room?")
        await playground.wait_until(lambda: "is there room?" in str(server.asked))
        server.go.set()


async def test_what_waits_is_answered_as_it_stands_in_the_end(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """A question that is deleted while others of its author are answered is not stored; an edited one has its words."""
    server, maya = Pausing(), playground.maya
    async with serving(server), start_bot(engine_url=server.url, engine_api_key=""):
        await playground.wait_for_connection()
        asked = await ask_too_many(playground, server, rows, waiting=2)
        await maya.edit(maya.dm, asked[-2], "something else")
        await maya.delete(maya.dm, asked[-1])
        await until_running(rows, 2, "something else", "")
        server.go.set()
        await playground.wait_for_reply(maya.dm, asked[-2])
        await until_running(rows, 0)
    async with rows.read() as session:
        stored = set(await session.scalars(select(Message.text)))
    assert stored == {*(f"hello {number}" for number in range(MOST)), "something else"}


async def test_what_waits_can_be_stopped(playground: Playground, start_bot: StartBot, rows: Database) -> None:
    """`!stop` in the thread of a question that waits for others of its author: it is not answered, and says so."""
    server, maya = Pausing(), playground.maya
    async with serving(server), start_bot(engine_url=server.url, engine_api_key=""):
        await playground.wait_for_connection()
        asked = await ask_too_many(playground, server, rows, waiting=1)
        await maya.say(maya.dm, "!stop", asked[-1])
        for _ in range(500):
            async with rows.read() as session:
                if await session.scalar(select(Inbox.is_stopping).filter_by(ts=asked[-1])):
                    break
            await asyncio.sleep(0.02)
        server.go.set()
        await until_running(rows, 0)
    assert f"hello {MOST}" not in str(server.asked)
    assert "Stopped." in str(maya.sees(maya.dm, asked[-1])[-1])


async def ask_too_many(playground: Playground, server: Pausing, rows: Database, *, waiting: int) -> list[str]:
    """Have Maya ask as much as is answered side by side, and then some that wait; return the times of all."""
    maya = playground.maya
    asked = [await maya.say(maya.dm, f"hello {number}") for number in range(MOST)]
    await playground.wait_until(lambda: len(server.asked) == MOST)
    asked += [await maya.say(maya.dm, f"hello {number}") for number in range(MOST, MOST + waiting)]
    await until_running(rows, len(asked))
    return asked


async def until_running(rows: Database, count: int, *texts: str) -> None:
    """Wait until *count* questions are under way, of all or of those that say *texts* now."""
    said: list[str] = []
    for _ in range(500):
        async with rows.read() as session:
            found = list(await session.scalars(select(Inbox.payload).where(Inbox.state == InboxState.RUNNING)))
        said = [payload.get("event", {}).get("text", "") for payload in found]
        if sum(not texts or text in texts for text in said) == count:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"{said} instead of {count}")


async def test_commands_count_too(playground: Playground, start_bot: StartBot) -> None:
    """What a command has the model write is limited like a question."""
    async with start_bot(messages_per_person=2):
        await playground.wait_for_connection()
        for _ in range(3):
            await playground.maya.command("/apprentice", "ask hello", channel="general")
        await playground.wait_until(
            lambda: any(TOO_MUCH in str(word) for word in playground.maya.ephemerals("general"))
        )


@pytest.mark.parametrize("where", ["general", "dm"])
async def test_orders_without_end_get_a_word_and_a_stop_works(
    playground: Playground, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In their thread, where there is one; MESSAGES_PER_PERSON is for questions."""
    monkeypatch.setattr(intake, "MOST_ORDERS", 3)
    tom, channel = playground.tom, playground.tom.dm if where == "dm" else where
    async with start_bot(messages_per_person=1):
        await playground.wait_for_connection()
        asked = await tom.say(channel, f"{BOT} hello")
        await playground.wait_for_reply(channel, asked)
        thread = None if where == "dm" else asked

        def told() -> str:
            return str(words_for(tom, channel)) + str(list(tom.ephemerals(channel)))

        for number in range(3):
            await tom.say(channel, "!budget", thread)
            await playground.wait_until(lambda number=number: told().count("tokens") > number, what="the budget")  # type: ignore[misc]
        last = await tom.say(channel, "!remind me in 5 minutes to eat", thread)
        await playground.wait_until(lambda: TOO_MUCH in told(), what="the refusal")
        calls = [call["request"] for call in playground.log("api") if TOO_MUCH in str(call["request"])]
        assert [call["thread_ts"] for call in calls] == [last if where == "dm" else asked]
        await tom.say(channel, "!stop", thread)
        await playground.wait_until(lambda: "not writing anything" in told(), what="the word of the stop")


async def test_a_stop_waits_for_a_private_answer(playground: Playground, start_bot: StartBot) -> None:
    """Nothing but the command's own task knows of it: it is no event that the next process would find."""
    server, maya = Pausing(), playground.maya
    async with serving(server):
        async with start_bot(engine_url=server.url, engine_api_key=""):
            await playground.wait_for_connection()
            await maya.command("/apprentice", "ask hello", channel="general")
            await playground.wait_until(lambda: server.asked)
            asyncio.get_running_loop().call_later(1, server.go.set)
        assert "for you alone" in str(maya.ephemerals("general"))


async def test_whoever_waits_too_long_for_a_private_answer_is_told(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the grace of a stop is over, they hear that they may ask again, and nothing is said to be written still."""
    monkeypatch.setattr(turns, "GRACE_S", 0.2)
    server, maya = Pausing(), playground.maya
    async with serving(server):
        async with start_bot(engine_url=server.url, engine_api_key=""):
            await playground.wait_for_connection()
            await maya.command("/apprentice", "ask hello", channel="general")
            await playground.wait_until(lambda: server.asked)
        server.go.set()
        assert "being restarted" in str(maya.ephemerals("general"))
        async with rows.read() as session:
            assert list(await session.scalars(select(Answer.state))) == [AnswerState.FAILED]


async def test_tools_count_in_the_budgets(playground: Playground, start_bot: StartBot, rows: Database) -> None:
    """What a tool has the model compute is spent: whoever has nothing left gets no further one, and no answer."""
    async with start_bot(budget_tokens_per_person=1):
        await playground.wait_for_connection()
        await playground.maya.command("/apprentice", "explain a code review", channel="general")
        await playground.wait_until(lambda: len(playground.maya.ephemerals("general")) >= 2)
        await playground.maya.command("/apprentice", "explain a stand-up", channel="general")
        await playground.wait_until(lambda: "You have used" in str(playground.maya.ephemerals("general")[-1]))
        asked = await playground.maya.say(playground.maya.dm, "hello")
        reply = await playground.wait_for_reply(playground.maya.dm, asked)
        async with rows.read() as session:
            (spent,) = await session.scalars(select(Spending))

    assert "You have used" in reply["text"]
    assert spent.tokens > 20
    assert (spent.user_id, spent.channel_id) == ("U0MAYA", playground.channel("general"))


async def test_another_try_costs_whoever_wanted_it(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database
) -> None:
    """One person's `!retry` below another's answer is not in the other's budget."""
    async with start_bot():
        await playground.wait_for_connection()
        ts = await playground.priya.say("general", f"{BOT} what is a code review?")
        await playground.wait_for_reply("general", ts)
        await finished(1)
        before = (await read_use(rows, Budgets(), user_id=playground.priya.id))[0].used
        await playground.tom.say("general", "!retry", ts)
        await finished(2)
        after = (await read_use(rows, Budgets(), user_id=playground.priya.id))[0].used
        of_tom = (await read_use(rows, Budgets(), user_id=playground.tom.id))[0].used
    assert after == before > 0
    assert of_tom > 0


@pytest.mark.parametrize("how", ["deleted", "stopped"])
async def test_what_breaks_off_is_counted(
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    engine_process: EngineProcess,
    how: str,
) -> None:
    """Whoever deletes a question, or stops its answer, while that is written, pays for what was written."""
    maya = playground.maya
    async with start_bot():
        await playground.wait_for_connection()
        ts = await maya.say("general", f"{BOT} {LONG}")
        await playground.wait_until(lambda: answers_in(playground, "general", ts), what="first words")
        os.kill(engine_process.pid, signal.SIGSTOP)
        try:
            await (maya.delete("general", ts) if how == "deleted" else maya.stop("general", ts))
            await until_running(rows, 0)
        finally:
            os.kill(engine_process.pid, signal.SIGCONT)
        (use,) = await read_use(rows, Budgets(), user_id=maya.id)
        (here,) = await read_use(rows, Budgets(), channel_id=playground.channel("general"))
        async with rows.read() as session:
            (spent,) = await session.scalars(select(Spending))
    assert use.used == here.used == spent.tokens > 20
    assert (spent.user_id == maya.id) is (how == "stopped")


async def test_words_of_refusal_are_counted_too(playground: Playground, start_bot: StartBot) -> None:
    """A stranger who goes on and on would have everybody wait until each refusal is posted, one a second."""
    lena, priya = playground.person("U0LENA"), playground.priya
    async with start_bot(messages_per_person=LIMIT):
        await playground.wait_for_connection()
        for number in range(80):
            await lena.say("northwind", f"{BOT} hello {number}")
        asked = await priya.say("general", f"{BOT} hello")
        await playground.wait_for_reply("general", asked)
        said = words_for(playground.maya, "northwind")
    assert 0 < sum("only answer members" in text for text in said) <= LIMIT


async def test_votes_without_end_open_no_forms_without_end(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Each counts; Slack opens ninety forms a minute, and others want theirs."""
    async with start_bot():
        await playground.wait_for_connection()
        tom = playground.tom
        ts = await tom.say("general", f"{BOT} hello")
        reply = await playground.wait_for_reply("general", ts)
        for number in range(ASIDES_PER_PERSON + 11):
            await tom.click(reply, "feedback", "positive_button" if number % 2 else "negative_button")
        await asyncio.sleep(1)
        assert len(playground.log("api", "chat.postEphemeral")) <= ASIDES_PER_PERSON
        async with rows.read() as session:
            votes = list(await session.scalars(select(Feedback.vote).order_by(Feedback.id)))
    assert len(votes) == ASIDES_PER_PERSON + 11


async def test_presses_without_end_leave_room_for_others(playground: Playground, start_bot: StartBot) -> None:
    """Why?, a menu, a reaction, an edit, a refused stranger and a Home: each is words or a form for one person."""
    presses = ASIDES_PER_PERSON + 5
    async with start_bot():
        await playground.wait_for_connection()
        tom, lena = playground.tom, playground.person("U0LENA")
        await tom.open_home()
        ts = await tom.say("northwind", f"{BOT} hello")
        reply = await playground.wait_for_reply("northwind", ts)
        for number in range(presses):
            await tom.click(reply, "answer_menu", "be_quiet")
            await tom.react("northwind", reply["ts"], "-1", remove=bool(number % 2))
            await tom.edit("northwind", ts, f"{BOT} hello {number}")
            await lena.click(reply, "feedback", "positive_button")
            await tom.click(reply, "why")
            await tom.open_home()
        await asyncio.sleep(1)
        assert 2 * ASIDES_PER_PERSON < len(playground.log("api", "chat.postEphemeral")) <= 2 * ASIDES_PER_PERSON + 2
        assert len(playground.log("api", "views.open")) <= ASIDES_PER_PERSON
        assert len(playground.log("api", "views.publish")) <= HOMES_PER_PERSON

        priya = playground.priya
        reply = await playground.wait_for_reply("support", await priya.say("support", f"{BOT} hello"))
        await priya.click(reply, "feedback", "negative_button")
        await playground.wait_for_view(priya.id, timeout=2)
        await priya.click(reply, "answer_menu", "be_quiet")
        await playground.wait_until(lambda: "quiet" in str(priya.ephemerals("support")), timeout=2)
        await priya.open_home()
        await playground.wait_until(lambda: playground.home(priya.id), timeout=2)
