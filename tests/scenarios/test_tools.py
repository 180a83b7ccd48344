"""Summaries, translations and the like, as a running bot writes them for one person."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from bot.app import RunningBot, running_bot
from bot.playground.testing import Playground
from bot.slack.pledges import CUT
from bot.slack.setup.manifest import DRAFT_REPLY, EXPLAIN, SUMMARISE_THREAD, TEACH, TRANSLATE, build_manifest
from bot.slack.turns import turns
from bot.storage.db import Database
from bot.storage.tables import Inbox, InboxState
from tests.scenarios.conftest import KEY, EngineProcess, StartBot, settings_for
from tests.scenarios.test_consumption import Pausing
from tests.scenarios.test_foreign_engine import serving

BOT = "U0APPRENTICE"
NOBODY_SERVES = "http://127.0.0.1:9"


async def order(
    playground: Playground, text: str, *, channel: str = "general", words: int = 2
) -> list[dict[str, object]]:
    """Let Tom give an order and return what he alone is told: a word that it takes a moment, and what came of it."""
    tom = playground.tom
    before = len(tom.ephemerals(channel))
    await tom.command("/apprentice", text, channel=channel)
    told = await playground.wait_until(
        lambda: found if len(found := tom.ephemerals(channel)[before:]) >= words else None,
        timeout=30,
        what="the outcome",
    )
    return list(told)


async def test_a_summary_says_what_it_is_from(playground: Playground, bot: RunningBot) -> None:
    """Of another channel, for the person alone, with numbered links that lead to the messages."""
    root = await playground.maya.say("support", "The import fails since this morning.")
    await playground.tom.say("support", "I roll it back until 5 pm.", thread_ts=root)
    _wait, told = await order(playground, "summarise <#C0SUPPORT|support> since 2h")

    (sources,) = [block for block in told["blocks"] if block["type"] == "context"]  # type: ignore[attr-defined]
    said = sources["elements"][0]["text"]
    assert said.startswith("From 2 messages · <")
    assert f"/archives/C0SUPPORT/p{root.replace('.', '')}" in said
    assert "|[1]>" in said
    assert [message for message in playground.messages("general") if message["user"] == BOT] == []


async def test_in_a_direct_message_a_private_channel_is_summed_up_for_its_people(
    playground: Playground, bot: RunningBot
) -> None:
    """Nobody else reads there; whoever is not in the channel is told nothing of it."""
    await playground.maya.invite("leads", BOT)
    await playground.maya.say("leads", "The merger is off.")
    for person, word in ((playground.priya, "From 1 message"), (playground.tom, "You are not in <#C0LEADS>.")):
        ts = await person.say(person.dm, "!summarise <#C0LEADS>")
        await playground.wait_until(
            lambda where=(person.dm, ts), word=word: word in str(playground.messages(*where)), timeout=30, what=word
        )


async def test_in_a_thread_everybody_sees_it(playground: Playground, bot: RunningBot) -> None:
    """`!actions` reads its own thread and answers there, without the order itself."""
    root = await playground.maya.say("general", f"<@{BOT}> Tom writes the report until Friday.")
    await playground.wait_for_reply("general", root)
    ordered = await playground.tom.say("general", "!actions", thread_ts=root)
    reply = await playground.wait_for_reply("general", root, after=ordered, timeout=30)

    assert "From 2 messages" in str(reply["blocks"])


async def test_an_order_waits_for_an_engine_that_is_loaded(
    playground: Playground, start_bot: StartBot, engine_process: EngineProcess
) -> None:
    """As questions do: right after a start nothing listens at the engine's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", urlsplit(engine_process.url).port)
        await asyncio.gather(pump(reader, ahead), pump(behind, writer), return_exceptions=True)

    async with start_bot(engine_url=f"http://127.0.0.1:{port}/v1"):
        await playground.wait_for_connection()
        root = await playground.maya.say("general", "Tom writes the report until Friday.")
        ordered = await playground.tom.say("general", f"<@{BOT}> !actions", thread_ts=root)
        await asyncio.sleep(1)
        assert len(playground.messages("general", root)) == 2, "nothing is said before there is something to say"
        async with await asyncio.start_server(forward, "127.0.0.1", port):
            reply = await playground.wait_for_reply("general", root, after=ordered, timeout=30)
            assert "From 2 messages" in str(reply["blocks"])


async def test_a_text_is_translated_for_one_person(playground: Playground, bot: RunningBot) -> None:
    """Nobody else sees it, and it needs no channel that the assistant can read."""
    _wait, told = await order(playground, "translate to German Good morning")

    assert told["blocks"]
    assert [message for message in playground.messages("general") if message["user"] == BOT] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("summarise <#C0LEADS|leads>", "I cannot see <#C0LEADS>"),
        ("summarise unread", "Slack does not tell me what you have not read yet"),
        ("translate", "I need a text"),
    ],
)
async def test_what_is_refused(playground: Playground, start_bot: StartBot, words: str, sentence: str) -> None:
    """In one sentence, before any model is asked."""
    async with start_bot(engine_url=NOBODY_SERVES):
        await playground.wait_for_connection()
        (told,) = await order(playground, words, words=1)

    assert sentence in str(told["text"])


async def test_a_thread_that_slack_does_not_tell_is_named(playground: Playground, bot: RunningBot) -> None:
    """What there is to translate cannot be read just now: that there is none would be wrong."""
    tom = playground.tom
    thread = await tom.say("general", f"<@{BOT}> hello")
    await playground.wait_for_reply("general", thread)
    playground.fault("server_error", methods="conversations.replies")
    await tom.say("general", "!translate to German", thread_ts=thread)
    (told,) = await playground.wait_until(lambda: tom.ephemerals("general"), what="the word", timeout=60)

    assert "Slack does not answer me" in told["text"]


async def test_a_private_channel_is_told_to_nobody_outside(playground: Playground, start_bot: StartBot) -> None:
    """The assistant is in it, Tom is not: he learns nothing of it."""
    async with start_bot(engine_url=NOBODY_SERVES):
        await playground.wait_for_connection()
        await playground.maya.invite("leads", BOT)
        await playground.maya.say("leads", "The merger is on.")
        (told,) = await order(playground, "summarise <#C0LEADS|leads>", words=1)

    assert "merger" not in str(told)
    assert "You are not in <#C0LEADS>" in str(told["text"])


@pytest.fixture
async def declared() -> AsyncIterator[Playground]:
    """Open a workspace whose menus show what the manifest declares."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        yield opened


async def test_shortcuts_of_a_message(declared: Playground, engine_process: EngineProcess, tmp_path: Path) -> None:
    """Each answers the person alone; teaching opens the form for an answer, and another for what somebody wrote."""
    settings = settings_for(declared, tmp_path, engine_url=engine_process.url, engine_api_key=KEY)
    tom, maya = declared.tom, declared.maya
    async with running_bot(settings):
        await declared.wait_for_connection()
        root = await maya.say("general", f"<@{BOT}> The import fails.")
        reply = await declared.wait_for_reply("general", root, timeout=30)
        for shortcut in (SUMMARISE_THREAD, EXPLAIN, TRANSLATE, DRAFT_REPLY):
            before = len(tom.ephemerals("general"))
            await tom.shortcut("general", root, shortcut)
            told = await declared.wait_until(
                lambda before=before: found if len(found := tom.ephemerals("general")[before:]) >= 2 else None,  # type: ignore[misc]
                timeout=30,
                what=shortcut,
            )
            assert told[-1]["blocks"], shortcut
        await tom.shortcut("general", str(reply["ts"]), TEACH)
        form = await declared.wait_for_view(tom.id)
        await tom.close_view()
        await tom.shortcut("general", root, TEACH)
        lesson = await declared.wait_for_view(tom.id)

    assert (form["callback_id"], lesson["callback_id"]) == ("correction", "lesson")
    assert maya.ephemerals("general") == []


async def test_whoever_chose_a_shortcut_is_told_where_it_ends_too_soon(
    declared: Playground, rows: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack has its acknowledgement by then: it is written down before, for the next process to tell of."""
    monkeypatch.setattr(turns, "GRACE_S", 0.2)
    server, maya = Pausing(), declared.maya

    async def written_down() -> list[Inbox]:
        async with rows.read() as session:
            return list(await session.scalars(select(Inbox).where(Inbox.kind == CUT)))

    async with serving(server):
        async with running_bot(settings_for(declared, tmp_path, engine_url=server.url, engine_api_key="")):
            await declared.wait_for_connection()
            ts = await declared.tom.say("general", "The parcel came yesterday.")
            await maya.shortcut("general", ts, EXPLAIN)
            await declared.wait_until(lambda: server.asked)
            (cut,) = await written_down()
            assert (cut.state, cut.payload) == (InboxState.RUNNING, {"user_id": maya.id})
        server.go.set()
        assert "being restarted" in str(maya.ephemerals("general"))
        assert await written_down() == []
