"""What is decided about a message together with its storing: on both databases, whatever comes twice or breaks."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.slack.intake import LOOP_WORDS, Known, Manners, accept
from bot.slack.people.gating import Guests, hear
from bot.storage import inbox
from bot.storage.admin_tables import Right
from bot.storage.channel_settings import ChannelRules, all_settings, load_rules, save_rules
from bot.storage.db import Database
from bot.storage.manners_tables import BotWord, Mode, ThreadManners
from bot.storage.rights import set_right
from bot.storage.tables import Inbox, now
from bot.storage.thread_manners import find_manners, prune_manners, set_muted
from bot.storage.threads import Place
from tests.builders import said

MANNERS = Manners(guests=Guests(bots=frozenset({"BDEPLOY"})))
ROOT = "1000.000000"


async def say(database: Database, text: str = "ok", *, at: float, user: str = "U1", **event: Any) -> str:
    """Let somebody say something in the thread, and return what became of it."""
    ts = f"{1000 + at:.6f}"
    fields = {"type": "message", "channel": "C1", "ts": ts, "thread_ts": ROOT, "user": user, "text": text}
    body = {"team_id": "T1", "event_id": f"Ev{ts}", "authorizations": [{"team_id": "T1"}], "event": fields | event}
    heard = hear(body, bot_user_id="UBOT", guests=MANNERS.guests)
    assert heard is not None
    async with database.begin() as session:
        return await accept(session, heard, MANNERS, Known())


async def outcomes(database: Database) -> list[str]:
    """Return the kinds of what waits, and let it be done."""
    async with database.begin() as session:
        rows = list(await session.scalars(select(Inbox).where(Inbox.state != "done").order_by(Inbox.id)))
        await inbox.finish(session, [row.id for row in rows])
        return [row.kind for row in rows]


async def test_a_thread_goes_on_until_it_is_idle(database: Database) -> None:
    """A mention begins it, every word keeps it alive, a day of silence ends it."""
    assert await say(database, "anybody?", at=0) == "ignored"
    assert await say(database, "<@UBOT> hi", at=1) == "accepted"
    assert await say(database, at=23 * 3600) == "accepted"
    assert await say(database, at=46 * 3600) == "accepted"
    assert await say(database, at=71 * 3600) == "ignored"
    assert await say(database, "<@UBOT> still there?", at=72 * 3600) == "accepted"
    assert await say(database, at=73 * 3600) == "accepted"


async def test_a_thread_from_before_goes_on(database: Database) -> None:
    """Where the assistant took part before anybody kept manners, it still does, from its newest message on."""
    async with database.begin() as session:
        await said(session, ts="1000.500000", place=Place("T1", "C1", ROOT))

    assert await say(database, at=3600) == "accepted"
    assert await say(database, at=90_000 + 3600) == "ignored"


async def test_mute_and_follow(database: Database) -> None:
    """Muted, it answers mentions and nothing else; told to follow, it takes part where it never was mentioned."""
    await say(database, "<@UBOT> hi", at=0)
    assert await say(database, "be quiet here", at=1) == "accepted"
    assert await say(database, at=2) == "ignored"
    assert await say(database, "<@UBOT> once more", at=3) == "accepted"
    assert await say(database, at=4) == "ignored"
    assert await outcomes(database) == ["message", "hush", "message"]

    async with database.begin() as session:
        await set_muted(session, Place("T1", "C1", ROOT), is_muted=False, ts="1005.000000")
        await set_muted(session, Place("T1", "C2", ROOT), is_muted=False, ts="1005.000000")
    assert await say(database, at=6) == "accepted"
    assert await say(database, at=6.5, channel="C2") == "accepted"


async def test_a_talk_between_people_is_told_of_once(database: Database) -> None:
    """It begins with a mention of somebody else and ends with one of the assistant; the second is not announced."""
    await say(database, "<@UBOT> hi", at=0)
    assert await say(database, "<@U2> look", at=1) == "accepted"
    assert await say(database, "I do", at=2, user="U2") == "ignored"
    await say(database, "<@UBOT> go on", at=3)
    assert await say(database, "<@U2> again", at=4) == "ignored"
    assert await say(database, "what?", at=5, user="U2") == "ignored"

    assert await outcomes(database) == ["message", "talk", "message"]


async def test_remarks_by_turns_become_a_talk(database: Database) -> None:
    """The first two may be for the assistant; with the third it is clear that they are not."""
    await say(database, "<@UBOT> hi", at=0)
    await say(database, "<@UBOT> and from me", at=0.5, user="U2")
    await outcomes(database)
    assert await say(database, "that is wrong", at=1, user="U2") == "accepted"
    await outcomes(database)
    assert await say(database, "it seems so", at=2) == "accepted"
    await outcomes(database)
    assert await say(database, "told you", at=3, user="U2") == "accepted"

    assert await outcomes(database) == ["talk"]
    assert await say(database, "well", at=4) == "ignored"


async def test_a_newcomers_remark_is_left_alone(database: Database) -> None:
    """It is for whoever asked, and so is the answer to it: a talk; a newcomer who asks something is answered."""
    async with database.begin() as session:
        await said(session, ts="1000.500000", place=Place("T1", "C1", ROOT))
    assert await say(database, "I doubt that", at=1, user="U2") == "ignored"
    assert await say(database, "so do I", at=2) == "accepted"
    assert await outcomes(database) == ["talk"]

    await say(database, "<@UBOT> go on", at=3)
    assert await say(database, "what does it cost?", at=4, user="U3") == "accepted"
    assert await outcomes(database) == ["message", "message"]


async def test_a_remark_about_an_unanswered_question_is_left_alone(database: Database) -> None:
    """Somebody helps faster than the assistant; whoever asked is still answered, and goes on with it."""
    await say(database, "<@UBOT> hi", at=0)
    assert await say(database, "try it again", at=1, user="U2") == "ignored"
    assert await outcomes(database) == ["message"]
    assert await say(database, "that did not help", at=2) == "accepted"


async def test_a_redelivery_changes_nothing(database: Database) -> None:
    """The twin of a mention and a late second delivery are known; the thread stays as it was."""
    assert await say(database, "<@UBOT> hi", at=0) == "accepted"
    assert await say(database, "<@UBOT> hi", at=0, type="app_mention") == "known"
    assert await say(database, "be quiet here", at=1) == "accepted"
    async with database.begin() as session:
        await set_muted(session, Place("T1", "C1", ROOT), is_muted=False, ts="1002.000000")

    assert await say(database, "<@UBOT> be quiet here", at=1) == "known"
    assert await say(database, at=3) == "accepted"


async def test_a_stranger_is_refused_once_and_not_stored(database: Database) -> None:
    """The refusal waits in the inbox like an answer, without a word of what was said; an admin's word changes that."""
    assert await say(database, "<@UBOT> secret plan", at=0, user_team="T9", user="U9") == "accepted"
    assert await say(database, "<@UBOT> hello?", at=1, user_team="T9", user="U9") == "ignored"
    async with database.begin() as session:
        row = await session.scalar(select(Inbox))
        assert row is not None
        assert row.kind == "stranger"
        assert "secret" not in str(row.payload)
        await set_right(session, "U9", Right.MEMBER, by="U1")
    assert await say(database, "<@UBOT> now?", at=2, user_team="T9", user="U9") == "accepted"


async def test_a_refusal_does_not_make_a_thread_ours(database: Database) -> None:
    """What people say after a stranger was refused is their own."""
    await say(database, "<@UBOT> hi", at=0, user_team="T9", user="U9")

    assert await say(database, "who is that?", at=1) == "ignored"


async def test_two_bots_do_not_talk_for_ever(database: Database) -> None:
    """An allowed bot is heard a few times within a while, wherever it says it."""
    word = {"bot_id": "BDEPLOY", "user": "UDEPLOY"}
    for number in range(LOOP_WORDS):
        assert await say(database, "<@UBOT> deployed", at=number, thread_ts=None, **word) == "accepted"
    assert await say(database, "<@UBOT> deployed", at=50, **word) == "ignored"
    assert await say(database, "<@UBOT> and me?", at=51) == "accepted"

    async with database.begin() as session:
        for row in await session.scalars(select(BotWord)):
            row.at -= timedelta(hours=1)
    assert await say(database, "<@UBOT> deployed", at=52, **word) == "accepted"


async def test_the_rules_of_a_channel(database: Database) -> None:
    """They are chosen by somebody, count from the next message on, and can be listed."""
    async with database.begin() as session:
        await save_rules(session, "T1", "C1", ChannelRules(Mode.QUESTIONS, merge_s=3), by="U1")
        await save_rules(session, "T1", "C2", ChannelRules(Mode.OFF), by="U1")
        await save_rules(session, "T1", "C2", ChannelRules(Mode.EVERYTHING), by="U2")
    assert await say(database, "is it?", at=0, thread_ts=None) == "accepted"
    assert await say(database, "it is", at=1, thread_ts=None) == "ignored"

    async with database.read() as session:
        assert await load_rules(session, "T1", "C1") == ChannelRules(Mode.QUESTIONS, merge_s=3)
        assert await load_rules(session, "T1", "C3") == ChannelRules()
        rows = {row.channel_id: (row.mode, row.by) for row in await all_settings(session, "T1")}
    assert rows == {"C1": ("questions", "U1"), "C2": ("everything", "U2")}


@pytest.mark.parametrize(("merge_s", "is_waiting"), [(None, True), (0, False)])
async def test_only_replies_wait_for_more(database: Database, merge_s: float | None, is_waiting: bool) -> None:
    """The first message of a thread is answered at once; a channel can want that of all."""
    async with database.begin() as session:
        await save_rules(session, "T1", "C1", ChannelRules(merge_s=merge_s), by="U1")
    await say(database, "<@UBOT> hi", at=0, thread_ts=None)
    await say(database, "and this", at=1, thread_ts=ROOT)

    async with database.read() as session:
        ready = [row.ready_at for row in await session.scalars(select(Inbox).order_by(Inbox.id))]
    assert [at is not None for at in ready] == [False, is_waiting]


async def test_old_threads_are_forgotten_and_quiet_ones_are_not(database: Database) -> None:
    """A thread that somebody muted stays muted."""
    await say(database, "<@UBOT> hi", at=0)
    await say(database, "<@UBOT> hi", at=1, channel="C2")
    async with database.begin() as session:
        await set_muted(session, Place("T1", "C2", ROOT), is_muted=True, ts=ROOT)
        await prune_manners(session, before=now())

    async with database.read() as session:
        assert [row.channel_id for row in await session.scalars(select(ThreadManners))] == ["C2"]
        assert await find_manners(session, Place("T1", "C1", ROOT)) is None


async def test_a_batch_with_two_messages_of_one_new_thread_is_stored(database: Database) -> None:
    """Both are decided within one commit; the second knows what the first has begun."""
    texts = ("<@UBOT> hi", "one more thing")
    async with database.begin() as session:
        for number, text in enumerate(texts):
            event = {"type": "message", "channel": "C1", "ts": f"100{number}.000000", "user": "U1", "text": text}
            body = {"team_id": "T1", "event_id": f"Ev{number}", "event": {**event, "thread_ts": ROOT}}
            found = hear(body, bot_user_id="UBOT")
            assert found is not None
            assert await accept(session, replace(found, is_stranger=False), MANNERS, Known()) == "accepted"
