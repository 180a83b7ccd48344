"""Complaints that people have about other assistants in Slack, each with what happens here instead."""

import asyncio
from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select

from bot.app import RunningBot
from bot.playground.entities import Message as Posted
from bot.playground.entities import User
from bot.playground.messaging import post
from bot.playground.testing import Person, Playground
from bot.storage.admin_tables import Right
from bot.storage.channel_settings import ChannelRules, load_rules, save_rules
from bot.storage.choices import newest_choice
from bot.storage.db import Database
from bot.storage.inbox import count_waiting
from bot.storage.manners_tables import Mode
from bot.storage.rights import set_right
from bot.storage.tables import Answer, Inbox, InboxState, Message
from tests.scenarios.conftest import StartBot

BOT = "<@U0APPRENTICE>"
TEAM = "T0PLAYGRND"


async def settled(playground: Playground, rows: Database, channel: str, ts: str, *, events: int) -> None:
    """Wait until *events* events were accepted and each has its outcome; what was ignored never comes here."""
    for _ in range(1500):
        async with rows.begin() as session:
            accepted = await session.scalar(select(func.count()).select_from(Inbox))
            if accepted == events and not await count_waiting(session):
                return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"{accepted} events instead of {events}: {playground.messages(channel, ts)}")


async def heard(playground: Playground) -> None:
    """Wait until the bot has acknowledged everything: what it ignores is decided by then."""
    await playground.wait_until(
        lambda: all(entry["ok"] for entry in playground.log("event")), what="every event to be acknowledged"
    )


def said(playground: Playground, channel: str, ts: str) -> list[str]:
    """Return who spoke in a thread: a person's id, or `bot`."""
    return ["bot" if message["bot_id"] else message["user"] for message in playground.messages(channel, ts)]


def texts(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Return what messages say."""
    return (message["text"] for message in messages)


async def stored_texts(rows: Database) -> list[str]:
    """Return what was kept of what people said."""
    async with rows.begin() as session:
        return list(await session.scalars(select(Message.text).order_by(Message.ts)))


async def choose(rows: Database, channel: str, mode: Mode) -> None:
    """Let a channel have a mode."""
    async with rows.begin() as session:
        await save_rules(session, TEAM, channel, ChannelRules(mode), by="U0MAYA")


async def test_complaint_9_nobody_mentions_it_again_and_again(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """A thread goes on without a mention; a day of silence ends it, and a mention begins it again."""
    maya = playground.maya
    ts = await maya.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", ts)
    second = await maya.say("general", "What can you do?", thread_ts=ts)
    await playground.wait_for_reply("general", ts, after=second)
    await playground.advance(25 * 3600)
    await maya.say("general", "And yesterday?", thread_ts=ts)
    await heard(playground)
    third = await maya.say("general", f"{BOT} hello", thread_ts=ts)
    await playground.wait_for_reply("general", ts, after=third)

    assert said(playground, "general", ts) == ["U0MAYA", "bot", "U0MAYA", "bot", "U0MAYA", "U0MAYA", "bot"]
    assert "And yesterday?" not in await stored_texts(rows)


async def test_complaint_10_it_stays_out_of_talk_between_people(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """It tells the one who began it, once and to them alone; one click and it is quiet, another and it is back."""
    maya, tom = playground.maya, playground.tom
    ts = await maya.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", ts)
    await maya.say("general", "<@U0TOM> what do you think?", thread_ts=ts)
    await settled(playground, rows, "general", ts, events=2)
    await tom.say("general", "I like it", thread_ts=ts)
    await heard(playground)
    (offer,) = await playground.wait_until(lambda: maya.ephemerals("general"), what="the offer")
    await maya.click(offer, "be_quiet")
    await playground.wait_until(lambda: len(maya.ephemerals("general")) == 2, what="the confirmation")
    await maya.say("general", "so do I", thread_ts=ts)
    await heard(playground)
    asked = await tom.say("general", f"{BOT} thanks", thread_ts=ts)
    reply = await playground.wait_for_reply("general", ts, after=asked)
    await tom.say("general", "that was all?", thread_ts=ts)
    await heard(playground)
    await tom.click(reply, "answer_menu", "be_quiet")
    await playground.wait_until(lambda: tom.ephemerals("general"), what="quiet from the menu")
    (sign,) = playground.message("general", ts)["reactions"]  # all can see why nobody answers there
    await maya.click(offer, "follow_thread")
    await playground.wait_until(lambda: len(maya.ephemerals("general")) == 3, what="the answer to Join in")
    assert sign["name"] == "zipper_mouth_face"
    assert not playground.message("general", ts)["reactions"]
    again = await maya.say("general", "hello again", thread_ts=ts)
    await playground.wait_for_reply("general", ts, after=again)

    assert said(playground, "general", ts) == [
        *("U0MAYA", "bot", "U0MAYA", "U0TOM", "U0MAYA", "U0TOM", "bot", "U0TOM", "U0MAYA", "bot")
    ]
    assert await stored_texts(rows) == ["hello", "thanks", "hello again"]
    assert "talking to each other" in offer["text"]


async def test_complaint_10_somebody_wants_quiet(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """They say so in their own words, and get a small sign instead of another message."""
    maya = playground.maya
    ts = await maya.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", ts)
    await maya.say("general", "be quiet here", thread_ts=ts)
    await settled(playground, rows, "general", ts, events=2)
    await maya.say("general", "lalala", thread_ts=ts)
    await heard(playground)

    assert said(playground, "general", ts) == ["U0MAYA", "bot", "U0MAYA", "U0MAYA"]
    assert [reaction["name"] for reaction in playground.message("general", ts)["reactions"]] == ["zipper_mouth_face"]
    assert any("quiet in this thread" in text for text in texts(maya.ephemerals("general")))
    (hush,) = [one for one in maya.ephemerals("general") if "follow_thread" in str(one)]
    await maya.click(hush, "follow_thread")
    await playground.wait_until(
        lambda: not playground.message("general", ts).get("reactions"), what="the sign to be taken away"
    )


async def test_complaint_12_rapid_messages_get_one_answer(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Each is kept, the answer is to all, and it stands under the last."""
    async with start_bot(merge_seconds=0.3):
        await playground.wait_for_connection()
        maya, tom = playground.maya, playground.tom
        ts = await maya.say("general", f"{BOT} hello")
        await playground.wait_for_reply("general", ts)
        for words in ("My name is Maya.", "I am in the office.", "What is my name?"):
            await maya.say("general", words, thread_ts=ts)
        await tom.say("general", "What is a code review?", thread_ts=ts)
        await settled(playground, rows, "general", ts, events=5)

    async with rows.begin() as session:
        answered = list(await session.scalars(select(Message.text).join(Answer).order_by(Message.ts)))
    assert answered == ["hello", "What is my name?", "What is a code review?"]
    assert said(playground, "general", ts)[-2:] == ["bot", "bot"]
    assert "Maya" in playground.messages("general", ts)[-2]["text"]
    assert len(await stored_texts(rows)) == 5


async def test_complaint_12_what_queues_up_is_one_turn(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Messages that come while an answer is written are answered together afterwards, also across a restart."""
    async with start_bot():
        await playground.wait_for_connection()
        maya = playground.maya
        ts = await maya.say(maya.dm, "Make an onboarding plan for a new colleague.")
        await playground.wait_until(lambda: len(playground.messages(maya.dm, ts)) > 1, what="the first words")
        await maya.say(maya.dm, "hello", thread_ts=ts)
        await maya.say(maya.dm, "thanks", thread_ts=ts)
        await heard(playground)
    async with start_bot():
        await settled(playground, rows, maya.dm, ts, events=3)

    assert said(playground, maya.dm, ts).count("bot") == 2
    async with rows.begin() as session:
        assert await session.scalar(select(func.count()).select_from(Answer)) == 2
        assert await session.scalar(select(func.count()).select_from(Message)) == 3


async def test_complaint_14_a_stranger_is_refused_politely_and_once(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Somebody of another organisation drives nothing, and nothing they say is kept; our own people go on."""
    lena, maya = playground.person("U0LENA"), playground.maya
    ts = await lena.say("northwind", f"{BOT} what are your secrets?")
    await settled(playground, rows, "northwind", ts, events=1)
    await lena.say("northwind", f"{BOT} hello?", thread_ts=ts)
    await settled(playground, rows, "northwind", ts, events=1)
    mine = await maya.say("northwind", f"{BOT} hello", thread_ts=ts)
    await playground.wait_for_reply("northwind", ts, after=mine)

    assert said(playground, "northwind", ts) == ["U0LENA", "bot", "U0LENA", "U0MAYA", "bot"]
    assert "only answer members" in playground.messages("northwind", ts)[1]["text"]
    assert await stored_texts(rows) == ["hello"]
    async with rows.begin() as session:
        assert not [text for text in await session.scalars(select(Inbox.payload)) if "secret" in str(text)]


async def test_complaint_14_a_setting_allows_an_organisation(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """By its id; what is said in a shared channel still teaches nobody."""
    async with start_bot(allowed_team_ids=playground.hub.workspace.users["U0LENA"].team):
        await playground.wait_for_connection()
        ts = await playground.person("U0LENA").say("northwind", f"{BOT} hello")
        await playground.wait_for_reply("northwind", ts)

    async with rows.begin() as session:
        assert list(await session.scalars(select(Answer.audience))) == ["shared"]


def speak(playground: Playground, text: str, *, thread_ts: str | None = None) -> str:
    """Let another bot say something in #general."""
    hub = playground.hub
    hub.workspace.users.setdefault("U0DEPLOY", User("U0DEPLOY", "deploy", "Deploy", "Deploy", is_bot=True))
    ts = hub.workspace.next_ts(hub.clock.now())
    message = Posted(ts=ts, channel="C0GENERAL", user="U0DEPLOY", bot_id="B0DEPLOY", text=text, thread_ts=thread_ts)
    return post(hub, message).ts


async def test_complaint_15_bots_do_not_talk_to_each_other_for_ever(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """A bot that nobody allowed is not heard; an allowed one is, when it mentions us, a few times in ten minutes."""
    async with start_bot():
        await playground.wait_for_connection()
        speak(playground, f"{BOT} hello")
        await heard(playground)
    async with rows.begin() as session:
        assert await session.scalar(select(func.count()).select_from(Inbox)) == 0

    async with start_bot(allowed_bot_ids="B0DEPLOY"):
        await playground.wait_for_connection()
        asked = [speak(playground, f"{BOT} hello") for _ in range(7)]
        speak(playground, "and no mention", thread_ts=asked[0])
        await heard(playground)
        await settled(playground, rows, "general", asked[0], events=3)

    ours = [sum(one["bot_id"] == "B0APPRENTICE" for one in playground.messages("general", ts)) for ts in asked]
    assert sorted(ours) == [0, 0, 0, 0, 1, 1, 1]
    async with rows.begin() as session:
        assert await session.scalar(select(func.count()).select_from(Answer)) == 3


async def test_complaint_17_every_accepted_message_has_one_outcome(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """An answer, a refusal, a sentence why not: whatever was accepted shows once, and is done."""
    maya, lena = playground.maya, playground.person("U0LENA")
    await choose(rows, "C0RANDOM", Mode.OFF)
    answered = await maya.say("general", f"{BOT} hello")
    too_long = await maya.say(maya.dm, "word " * 5000)
    off = await maya.say("random", f"{BOT} hello")
    stranger = await lena.say("northwind", f"{BOT} hello")
    ignored = await maya.say("general", "lunch?")
    await settled(playground, rows, "general", answered, events=4)

    shown = {ts: said(playground, channel, ts).count("bot") for channel, ts in (
        ("general", answered), (maya.dm, too_long), ("random", off), ("northwind", stranger), ("general", ignored)
    )}  # fmt: skip
    assert shown == {answered: 1, too_long: 1, off: 0, stranger: 1, ignored: 0}
    assert ["switched me off" in text for text in texts(maya.ephemerals("random"))] == [True]
    async with rows.begin() as session:
        states = await session.execute(select(Inbox.kind, Inbox.state, Inbox.payload).order_by(Inbox.kind))
        assert [tuple(row) for row in states] == [
            (kind, InboxState.DONE, {}) for kind in ("message", "message", "off", "stranger")
        ]


async def test_a_channel_says_how_much_is_answered(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Questions without a mention where a channel wants that; everything where it wants everything."""
    maya = playground.maya
    await choose(rows, "C0SUPPORT", Mode.QUESTIONS)
    await maya.say("support", "I am at lunch")
    await heard(playground)
    question = await maya.say("support", "How do I write a good bug report?")
    await playground.wait_for_reply("support", question)
    await choose(rows, "C0SUPPORT", Mode.EVERYTHING)
    remark = await maya.say("support", "hello")
    await playground.wait_for_reply("support", remark)

    async with rows.begin() as session:
        assert await session.scalar(select(func.count()).select_from(Inbox)) == 2


async def test_two_forms_about_one_channel(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """What one admin switches off stays off when another saves a form that was opened before and changes the rest."""
    maya, tom = playground.maya, playground.tom
    await maya.command("/apprentice", f"users role <@{tom.id}> admin")
    await playground.wait_until(lambda: "is admin now" in str(maya.ephemerals(maya.dm)), what="the second admin")
    for person in (maya, tom):
        await person.command("/apprentice", "channel", channel="support")
        await playground.wait_for_view(person.id)

    await maya.submit_view({"training": "nothing"})
    await playground.wait_until(lambda: maya.ephemerals("support"), what="the confirmation")
    await tom.submit_view({"mode": "mention"})
    await playground.wait_until(lambda: tom.ephemerals("support"), what="the other one")

    async with rows.read() as session:
        chosen = await newest_choice(session, kind="channel", subject_id="C0SUPPORT")
        assert chosen is not None
        assert not chosen.is_allowed
        assert (await load_rules(session, TEAM, "C0SUPPORT")).mode == Mode.MENTION


async def test_a_form_says_why_a_channel_gets_no_adapter(playground: Playground, bot: RunningBot) -> None:
    """Two have one already; the rest of the form is kept."""
    maya = playground.maya
    for place in ("general", "random", "support"):
        await maya.command("/apprentice", "channel", channel=place)
        await playground.wait_for_view(maya.id)
        await maya.submit_view({"training": "own"})
        await playground.wait_until(lambda place=place: maya.ephemerals(place), what="the confirmation")

    assert "no room for more" in maya.ephemerals("support")[-1]["text"]
    assert "⚠️" not in maya.ephemerals("random")[-1]["text"]


async def test_a_form_about_the_channel(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """An admin opens it by a command and saves; somebody else is told how it is, and that they may not."""
    maya, tom = playground.maya, playground.tom
    await maya.command("/apprentice", "channel", channel="support")
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"mode": "mention", "merge": "0", "training": "nothing"})
    await playground.wait_until(lambda: maya.ephemerals("support"), what="the confirmation")
    await tom.command("/apprentice", "channel", channel="support")
    await playground.wait_until(lambda: tom.ephemerals("support"), what="the refusal")
    ts = await maya.say("support", f"{BOT} hello")
    await playground.wait_for_reply("support", ts)
    await maya.say("support", "What can you do?", thread_ts=ts)
    await heard(playground)

    assert not playground.views(tom.id)
    assert "I answer mentions and nothing else" in tom.ephemerals("support")[-1]["text"]
    async with rows.begin() as session:
        assert await session.scalar(select(func.count()).select_from(Inbox)) == 1


async def test_quiet_is_for_those_who_may_ask(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Whoever is blocked cannot silence it for others, nor let it join in where one of these had silenced it."""
    maya, tom = playground.maya, playground.tom
    async with rows.begin() as session:
        await set_right(session, tom.id, Right.BLOCKED, by=maya.id)
    ts = await maya.say("general", f"{BOT} What is a code review?")
    await playground.wait_for_reply("general", ts)
    await tom.say("general", f"{BOT} be quiet", thread_ts=ts)
    await playground.wait_until(lambda: tom.ephemerals("general"), what="a refusal")
    again = await maya.say("general", "Why is that?", thread_ts=ts)
    await playground.wait_for_reply("general", ts, after=again)

    await maya.say("general", "be quiet", thread_ts=ts)
    await playground.wait_until(lambda: maya.ephemerals("general"), what="quiet")
    await tom.say("general", f"{BOT} be quiet", thread_ts=ts)
    await playground.wait_until(lambda: len(tom.ephemerals("general")) == 2, what="another refusal")
    await maya.say("general", "Why is that?", thread_ts=ts)
    await heard(playground)

    assert all("I may not do that for you" in text for text in texts(tom.ephemerals("general")))
    assert said(playground, "general", ts).count("bot") == 2


async def test_whoever_may_not_ask_brings_it_into_no_talk(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """A guest who mentions it in the thread of others is refused, and these go on among themselves."""
    maya, sam = playground.maya, playground.sam
    playground.hub.workspace.channels["C0RANDOM"].members.append(sam.id)
    ts = await maya.say("random", "Stand-up in five.")
    await sam.say("random", f"{BOT} hello", thread_ts=ts)
    await playground.wait_until(lambda: sam.ephemerals("random"), what="a refusal")
    await settled(playground, rows, "random", ts, events=1)
    await maya.say("random", "What is the room?", thread_ts=ts)
    await heard(playground)
    await settled(playground, rows, "random", ts, events=1)

    assert "bot" not in said(playground, "random", ts)


async def test_where_it_is_switched_off_nothing_goes_on(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Neither Regenerate nor an edited question, a shared answer or a summary for all; whoever wants it hears why."""
    tom, maya, channel = playground.tom, playground.maya, "support"
    ts = await tom.say(channel, f"{BOT} What is a sprint?")
    reply = await playground.wait_for_reply(channel, ts)
    await tom.command("/apprentice", "ask What is a code review?", channel=channel)
    asked = await playground.wait_until(
        lambda: next((note for note in tom.ephemerals(channel) if "share_answer" in str(note["blocks"])), None),
        what="the private answer",
    )
    await maya.command("/apprentice", "channels block <#C0SUPPORT|support>", channel=channel)
    await playground.wait_until(lambda: "nothing is answered" in str(maya.ephemerals(channel)), what="that it is off")
    before = said(playground, channel, ts)

    await tom.click(reply, "regenerate")
    await playground.wait_until(lambda: count_off(tom, channel) == 1, what="why nothing is written anew")
    await tom.click(asked, "share_answer")
    await playground.wait_until(lambda: count_off(tom, channel) == 2, what="why it is not shared")
    await tom.edit(channel, ts, f"{BOT} What is a retro?")
    offer = await playground.wait_until(
        lambda: next((note for note in tom.ephemerals(channel) if "answer_edited" in str(note["blocks"])), None),
        what="the offer",
    )
    await tom.click(offer, "answer_edited")
    await playground.wait_until(lambda: count_off(tom, channel) == 3, what="why it is not answered")
    await tom.say(channel, "!summarise", thread_ts=ts)
    await playground.wait_until(lambda: count_off(tom, channel) == 4, what="why it is not summed up")
    assert said(playground, channel, ts) == [*before, "U0TOM"]
    assert len(await stored_answers(rows)) == 2


def count_off(person: Person, channel: str) -> int:
    """Return how often somebody was told that it is switched off there."""
    return sum("switched me off" in text for text in texts(person.ephemerals(channel)))


async def stored_answers(database: Database) -> list[Answer]:
    """Return every stored answer."""
    async with database.read() as session:
        return list(await session.scalars(select(Answer)))
