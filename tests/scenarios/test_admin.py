"""The assistant as admins run it and as guests meet it: in Slack, by commands, buttons and forms."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, func, select

from bot.admin.model import find_choice
from bot.app import RunningBot
from bot.playground.testing import Person, Playground
from bot.settings import STARTER_MODEL
from bot.storage.admin_tables import Notice, ReviewRow, Right, UserRight
from bot.storage.audit import verify_chain
from bot.storage.db import Database
from bot.storage.learning_tables import AuditRow
from bot.storage.schedule_tables import Schedule
from bot.storage.standing import stands
from bot.storage.tables import Answer, AnswerState, Audience, Correction, Message
from tests.scenarios.conftest import StartBot
from tests.scenarios.test_feedback import ask

BOT = "<@U0APPRENTICE>"
COMMAND = "/apprentice"


async def order(playground: Playground, person: Person, text: str, *, channel: str | None = None) -> dict[str, Any]:
    """Give the command and return what only this person is told."""
    where = channel or person.dm
    before = len(person.ephemerals(where))
    await person.command(COMMAND, text, channel=where)
    return (await playground.wait_until(lambda: person.ephemerals(where)[before:], what=f"the answer to {text}"))[0]


async def press(playground: Playground, person: Person, message: dict[str, Any], action: str) -> dict[str, Any]:
    """Press a button of a message that only this person sees, and return what stands in its place."""
    where = message["channel"]
    shown = json.dumps(person.ephemerals(where))
    await person.click(message, action)
    await playground.wait_until(lambda: json.dumps(person.ephemerals(where)) != shown, what=f"what {action} does")
    return person.ephemerals(where)[-1]


async def count(rows: Database, statement: Select[tuple[int]]) -> int:
    """Count rows."""
    async with rows.begin() as session:
        return await session.scalar(statement) or 0


async def test_guests_strangers_and_the_blocked_get_nothing(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Each hears why, once, where they asked; nothing they said is stored; an admin can let a guest in."""
    maya, tom, sam, lena = playground.maya, playground.tom, playground.sam, playground.person("U0LENA")
    ts = await sam.say(sam.dm, "hello from a guest")
    refused = await playground.wait_for_reply(sam.dm, ts)
    assert "only help members" in refused["text"]
    await sam.command(COMMAND, "status")
    await lena.say("northwind", f"{BOT} hello from outside")
    await playground.wait_until(lambda: "I only answer members" in str(playground.hub.workspace.messages), what="no")
    assert await count(rows, select(func.count()).select_from(Message)) == 0

    allowed = await order(playground, maya, "users allow <@U0SAM>")
    assert "may use me as any member may" in allowed["text"]
    second = await sam.say(sam.dm, "hello again")
    await playground.wait_for_reply(sam.dm, second)
    assert await count(rows, select(func.count()).select_from(Message)) == 1

    question = await order(playground, maya, "users block <@U0TOM>")
    assert "Block <@U0TOM>?" in question["text"]
    blocked = await press(playground, maya, question, "order:yes")
    assert "<@U0TOM> is blocked" in blocked["text"]
    third = await tom.say(tom.dm, "may I?")
    assert "only help members" in (await playground.wait_for_reply(tom.dm, third))["text"]
    assert "any more" in (await press(playground, maya, blocked, "order:undo"))["text"]
    fourth = await tom.say(tom.dm, "and now?")
    assert (await playground.wait_for_reply(tom.dm, fourth))["markdown_text"]
    async with rows.begin() as session:
        actions = list(await session.scalars(select(AuditRow.action).order_by(AuditRow.number)))
        assert (await verify_chain(session)).broken_at is None
    assert actions == ["users.role", "users.block", "users.reset"]

    await order(playground, maya, "users block <@U0TOM> --yes")
    lifted = await order(playground, maya, "users role <@U0TOM> member")
    assert "<@U0TOM> was blocked, and is not any more. <@U0TOM> is member now" in lifted["text"]
    assert "was blocked" not in (await order(playground, maya, "users role <@U0TOM> reviewer"))["text"]


async def test_nobody_orders_above_their_role(playground: Playground, bot: RunningBot) -> None:
    """A member is refused an admin's command and button; a reviewer gets the queue and no more."""
    maya, tom = playground.maya, playground.tom
    assert "Only the admins" in (await order(playground, tom, "users list"))["text"]
    assert "Only reviewers" in (await order(playground, tom, "dataset stats"))["text"]
    assert "Only the admins" in (await order(playground, tom, "budget list"))["text"]
    assert "Only admins look at the budgets" in (await order(playground, tom, "budget <@U0MAYA>"))["text"]
    assert "is reviewer now" in (await order(playground, maya, "users role <@U0TOM> reviewer"))["text"]
    assert "No correction waits" in (await order(playground, tom, "dataset review"))["text"]
    assert "Only the admins" in (await order(playground, tom, "dataset export sft"))["text"]
    assert "ADMIN_USER_IDS" in (await order(playground, maya, "users block <@U0MAYA> --yes"))["text"]


async def test_while_slack_is_away_nobody_hears_that_they_are_a_guest(
    playground: Playground, bot: RunningBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order whose author Slack does not tell says that, to members and admins alike."""
    monkeypatch.setattr("bot.slack.people.access.FRESH_S", 0.0)
    monkeypatch.setattr("bot.slack.calls.TRIES", 1)
    assert "Everybody else" in (await order(playground, playground.maya, "users list"))["text"]
    playground.fault("server_error", methods="users.info")
    for person in (playground.maya, playground.priya):
        assert "Slack does not answer me" in (await order(playground, person, "users list"))["text"]
    playground.fault("server_error", enabled=False)
    assert "Everybody else" in (await order(playground, playground.maya, "users list"))["text"]


@pytest.mark.usefixtures("hasty_slack")
async def test_an_order_of_which_slack_said_that_it_failed_is_not_carried_out_later(
    playground: Playground, bot: RunningBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gave it may have given it again; what comes through in time is carried out."""
    monkeypatch.setattr("bot.slack.people.access.FRESH_S", 0.0)
    monkeypatch.setattr("bot.slack.people.rights.SLACK_WAITS_S", 3.0)
    playground.fault("latency", seconds=4, methods="users.info", times=1)
    before = len(playground.tom.ephemerals(playground.tom.dm))
    await playground.tom.command(COMMAND, "remind me in 30 minutes to call")
    await asyncio.sleep(2)
    told = str(playground.tom.ephemerals(playground.tom.dm)[before:])
    assert "I remind" not in told, told
    assert await count(rows, select(func.count()).select_from(Schedule)) == 0
    await order(playground, playground.tom, "remind me in 30 minutes to call")
    assert await count(rows, select(func.count()).select_from(Schedule)) == 1


async def test_a_used_up_budget_is_said_before_the_model_is_asked(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """The first answer is given, the second refused with when it is free again; an admin gives more at once."""
    maya, tom = playground.maya, playground.tom
    async with start_bot(budget_tokens_per_person=5):
        await playground.wait_for_connection()
        await ask(playground, tom)
        ts = await tom.say(tom.dm, "another one?")
        refused = await playground.wait_for_reply(tom.dm, ts)
        assert "You have used what one person may use" in refused["text"]
        assert "<!date^" in refused["text"]
        assert await count(rows, select(func.count()).select_from(Answer)) == 1
        assert "of 5" in (await order(playground, tom, "budget"))["text"]
        given = await order(playground, maya, "budget <@U0TOM> unlimited")
        assert "as many tokens as they like" in given["text"]
        again = await tom.say(tom.dm, "and now?")
        assert (await playground.wait_for_reply(tom.dm, again))["markdown_text"]


async def test_a_channel_is_switched_off_and_on(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Where an admin has blocked it, a mention hears so, and nothing is stored."""
    maya, tom = playground.maya, playground.tom
    off = await order(playground, maya, "channels block <#C0SUPPORT|support>")
    assert "nothing is answered" in off["text"]
    await tom.say("support", f"{BOT} hello?")
    await playground.wait_until(
        lambda: [one for one in tom.ephemerals("support") if "switched me off" in one["text"]], what="the refusal"
    )
    assert await count(rows, select(func.count()).select_from(Message)) == 0
    assert "C0SUPPORT" in (await order(playground, maya, "channels"))["text"]
    assert "mentions are answered" in (await press(playground, maya, off, "order:undo"))["text"]
    ts = await tom.say("support", f"{BOT} hello!")
    await playground.wait_for_reply("support", ts)


@pytest.mark.parametrize("words", ["channels block <#C0NOSUCH>", "channels mode <#C0NOSUCH|other> off"])
async def test_no_channel_of_another_workspace_is_said_to_be_switched_off(
    playground: Playground, bot: RunningBot, words: str
) -> None:
    """It would go on being answered there; while Slack does not tell, the order counts."""
    maya = playground.maya
    refused = await order(playground, maya, words)
    assert "I do not see <#C0NOSUCH> in this workspace" in refused["text"]
    assert "C0NOSUCH" not in (await order(playground, maya, "channels"))["text"]
    playground.fault("missing_method", methods="conversations.info", error="not_authorized")
    assert "nothing is answered" in (await order(playground, maya, "channels block <#C0SUPPORT>"))["text"]


async def test_a_notice_is_posted_and_taken_back(playground: Playground, bot: RunningBot) -> None:
    """In the channels where the bot is used, after a confirmation; undo deletes every post; it calls nobody."""
    maya = playground.maya
    assert "nowhere to post" in (await order(playground, maya, "broadcast Away at 6."))["text"]
    ts = await maya.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", ts)
    question = await order(playground, maya, "broadcast <!channel> Away at 6.")
    posted = await press(playground, maya, question, "order:yes")
    assert "Posted in 1 of 1 channels" in posted["text"]
    notice = playground.messages("general")[-1]
    assert "<!channel>" not in str(notice)
    assert "Deleted in 1 of 1" in (await press(playground, maya, posted, "order:undo"))["text"]
    assert playground.messages("general")[-1]["ts"] == ts


async def test_the_log_says_where_a_notice_was_posted(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """As whoever posted it was told: not in how many channels it was to be."""
    maya, tom = playground.maya, playground.tom
    for channel in ("general", "support"):
        await playground.wait_for_reply(channel, await tom.say(channel, f"{BOT} hello"))
    playground.fault("missing_method", methods="chat.postMessage", error="not_in_channel")
    posted = await press(playground, maya, await order(playground, maya, "broadcast Away at 6."), "order:yes")
    assert "Posted in 0 of 2" in posted["text"]
    playground.fault("missing_method", enabled=False)
    playground.hub.workspace.channels["C0GENERAL"].is_ext_shared = True
    posted = await press(playground, maya, await order(playground, maya, "broadcast Away at 7."), "order:yes")
    assert "Posted in 1 of 2" in posted["text"]
    assert "Deleted in 1 of 1" in (await press(playground, maya, posted, "order:undo"))["text"]

    async with rows.read() as session:
        said = [(row.action, row.details) for row in await session.scalars(select(AuditRow).order_by(AuditRow.number))]
    assert said == [
        ("broadcast.begin", {"of": 2}),
        ("broadcast.post", {"channels": 0, "of": 2}),
        ("broadcast.begin", {"of": 2}),
        ("broadcast.post", {"channels": 1, "of": 2}),
        ("broadcast.undo", {"channels": 1, "of": 1}),
    ]
    assert "channels 1, of 2" in (await order(playground, maya, "audit find broadcast"))["text"]


async def test_a_notice_is_taken_back_while_it_is_posted(playground: Playground, bot: RunningBot) -> None:
    """Nothing is posted after that, nothing stays, and of two who take it back the second takes back no older one."""
    maya, tom = playground.maya, playground.tom
    for channel in ("general", "random", "support"):
        await playground.wait_for_reply(channel, await tom.say(channel, f"{BOT} hello"))
    before = len(playground.messages("general"))
    older = await press(playground, maya, await order(playground, maya, "broadcast An older one."), "order:yes")
    assert "Posted in 3 of 3" in older["text"]
    question = await order(playground, maya, "broadcast Away at 6.")
    pressing = asyncio.create_task(maya.click(question, "order:yes"))
    await playground.wait_until(lambda: len(playground.messages("general")) > before + 1, what="the first post")

    assert "Deleted in" in (await order(playground, maya, "broadcast undo"))["text"]
    await pressing
    stopped = "It was taken back while I posted it"
    await playground.wait_until(lambda: stopped in str(maya.ephemerals(maya.dm)), what="the end of it")
    assert "There is no notice" in (await order(playground, maya, "broadcast undo"))["text"]

    said = [str(playground.messages(channel)) for channel in ("general", "random", "support")]
    assert [("Away at 6." in one, "An older one." in one) for one in said] == [(False, True)] * 3


async def test_a_notice_that_was_cut_is_taken_back_wherever_it_stands(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """A kill came between Slack's taking it and our noting where; one may begin with the word that takes it back."""
    maya, tom = playground.maya, playground.tom
    for channel in ("general", "random"):
        await playground.wait_for_reply(channel, await tom.say(channel, f"{BOT} hello"))
    text = "Undo your local changes before five."
    posted = await press(playground, maya, await order(playground, maya, f"broadcast {text}"), "order:yes")
    assert "Posted in 2 of 2" in posted["text"]
    async with rows.begin() as session:  # as a kill leaves it
        notice = (await session.scalars(select(Notice))).one()
        notice.posts = {channel: ts if channel == "C0GENERAL" else "" for channel, ts in notice.posts.items()}
    assert "Deleted in 2 of 2 channels." in (await order(playground, maya, "broadcast undo"))["text"]
    assert text not in str([playground.messages(channel) for channel in ("general", "random")])
    assert "There is no notice" in (await order(playground, maya, "broadcast undo"))["text"]


async def test_a_notice_is_posted_where_its_admin_was_asked_about(playground: Playground, bot: RunningBot) -> None:
    """And asked again where others talk to the assistant by now; nothing is said in a channel that is off."""
    maya, tom = playground.maya, playground.tom
    await playground.wait_for_reply("general", await tom.say("general", f"{BOT} hello"))
    await playground.wait_for_reply("support", await tom.say("support", f"{BOT} hello"))
    off = await order(playground, maya, "channels mode <#C0SUPPORT> off")
    if "order:yes" in str(off["blocks"]):
        await press(playground, maya, off, "order:yes")
    question = await order(playground, maya, "broadcast Away at 6.")
    assert "in 1 channels: <#C0GENERAL>" in question["text"]
    await playground.wait_for_reply("random", await tom.say("random", f"{BOT} hello"))
    again = await press(playground, maya, question, "order:yes")
    assert "in 2 channels: <#C0GENERAL> <#C0RANDOM>" in again["text"]
    assert "Away" not in str([playground.messages(channel) for channel in ("general", "random", "support")])
    assert "Posted in 2 of 2" in (await press(playground, maya, again, "order:yes"))["text"]
    assert [str(playground.messages(channel)).count("A notice of") for channel in ("general", "random", "support")] == [
        1,
        1,
        0,
    ]


async def test_a_notice_is_posted_once_however_often_the_button_is_pressed(
    playground: Playground, bot: RunningBot
) -> None:
    """While it is posted the button is still there, and a second process may hear of the second press."""
    maya, tom = playground.maya, playground.tom
    for channel in ("general", "random", "support"):
        await playground.wait_for_reply(channel, await tom.say(channel, f"{BOT} hello"))
    question = await order(playground, maya, "broadcast Away at 6.")
    await asyncio.gather(*(maya.click(question, "order:yes") for _ in range(3)))
    await maya.click(question, "order:yes")
    await playground.wait_until(lambda: "Posted in 3 of 3" in str(maya.ephemerals(maya.dm)), what="the end of it")
    for channel in ("general", "random", "support"):
        assert len([one for one in playground.messages(channel) if "Away at 6." in str(one)]) == 1
    assert str(maya.ephemerals(maya.dm)).count("order it again: `broadcast Away at 6.`") >= 3


async def test_a_file_that_slack_takes_without_saying_so_is_there(playground: Playground, bot: RunningBot) -> None:
    """Nobody is told that it was not taken, and orders it again and again."""
    tom = playground.tom
    playground.fault("lost_answer", seconds=0.05, methods="files.completeUploadExternal")
    told = await order(playground, tom, "my-data")
    playground.fault("lost_answer", enabled=False)
    assert "direct messages with me" in told["text"]
    assert len(playground.hub.workspace.files) == 1
    playground.fault("server_error", methods="files.completeUploadExternal")
    assert "did not take the file" in (await order(playground, tom, "my-data"))["text"]


async def test_people_take_their_data_along_and_are_forgotten(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """A file in their direct messages; then, after a confirmation, nothing of theirs is left, and nothing else gone."""
    maya, tom = playground.maya, playground.tom
    await ask(playground, tom, "Where is the platypus?")
    await ask(playground, maya, "What is a sprint?")
    assert "direct messages with me" in (await order(playground, tom, "my-data"))["text"]
    (file,) = playground.hub.workspace.files.values()
    assert file.title == "What I have stored of you"
    _, content = tom.file(file.id)
    assert "platypus" in content.decode()
    assert "sprint" not in content.decode()

    await order(playground, maya, "data export <@U0TOM>")
    assert [one.title for one in playground.hub.workspace.files.values()][1:] == ["What I have stored of Tom"]
    assert "<@U0MAYA>, an owner of the assistant, has exported a copy" in playground.messages(tom.dm)[-1]["text"]

    question = await order(playground, tom, "forget-me")
    assert "cannot be undone" in question["text"]
    assert await count(rows, select(func.count()).select_from(Message)) == 2
    told = await press(playground, tom, question, "order:yes")
    assert "1 messages" in told["text"]
    async with rows.begin() as session:
        assert list(await session.scalars(select(Message.text))) == ["What is a sprint?"]


async def test_a_reviewer_goes_through_the_queue(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """The newest first: edited and approved, rejected, and the end; not one's own, and none of a private place."""
    maya, tom = playground.maya, playground.tom
    for person, text in ((tom, "first"), (tom, "second, ask ann@example.org"), (maya, "of a reviewer")):
        ts = await person.say("general", f"{BOT} question for {text}")
        reply = await playground.wait_for_reply("general", ts)
        await person.click(reply, "feedback", "negative_button")
        await playground.wait_for_view(person.id)
        await person.submit_view({"reason": "wrong", "correction": text})
    async with asyncio.timeout(30):
        while await count(rows, select(func.count()).select_from(Correction)) < 3:  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)
    await maya.command(COMMAND, "dataset review")
    await playground.wait_until(lambda: "of a reviewer" in str(playground.views(maya.id)), what="the newest one")
    await maya.submit_view({})
    await playground.wait_until(lambda: "another reviewer" in str(playground.views(maya.id)[-1]), what="the next one")
    await playground.wait_until(lambda: "e-mail" in str(playground.views(maya.id)[-1]), what="what is held back")
    block = next(one["block_id"] for one in playground.views(maya.id)[-1]["blocks"] if one["type"] == "input")
    await maya.submit_view({block: "second, but better"})
    await playground.wait_until(lambda: "'first'" in str(playground.views(maya.id)[-1]), what="the last one")
    await maya.act_in_view("review_reject")
    await playground.wait_until(lambda: "No other correction" in str(playground.views(maya.id)[-1]), what="the end")
    async with rows.begin() as session:
        decided = {(row.state, row.text, row.by) for row in await session.scalars(select(ReviewRow))}
    assert decided == {("edited", "second, but better", "U0MAYA"), ("rejected", "", "U0MAYA")}


async def count_public(rows: Database) -> int:
    """Return how many corrections everybody may read."""
    async with rows.read() as session:
        return len(list(await session.scalars(select(Correction.id).where(Correction.audience == Audience.PUBLIC))))


async def test_words_of_a_reviewer_wait_for_another(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """The other one reads both, and approves; whoever is alone is told that nobody else looked."""
    maya, tom, priya = playground.maya, playground.tom, playground.priya
    await order(playground, maya, "users role <@U0TOM> reviewer")
    for text in ("Priya owns it.", "It is Monday."):
        ts = await priya.say("general", f"{BOT} question for {text}")
        await priya.click(await playground.wait_for_reply("general", ts), "feedback", "negative_button")
        await playground.wait_for_view(priya.id)
        await priya.submit_view({"reason": "wrong", "correction": text})
        await playground.wait_until(lambda: not playground.views(priya.id), what="the end of the form")
    async with asyncio.timeout(10):  # until Slack has said who can read there, nobody reviews them
        while await count_public(rows) < 2:  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)

    async def edit(person: Person, text: str, told: str) -> None:
        await person.command(COMMAND, "dataset review")
        view = await playground.wait_for_view(person.id)
        block = next(one["block_id"] for one in view["blocks"] if one["type"] == "input")
        await person.submit_view({block: text} if text else {})
        await playground.wait_until(lambda: told in str(playground.views(person.id)), what=told)
        await person.close_view()

    await maya.command(COMMAND, "dataset review")
    await playground.wait_until(lambda: "It is Monday." in str(playground.views(maya.id)), what="the author's words")
    await edit(tom, "It is Tuesday.", "Another reviewer has to approve your words")
    await edit(tom, "", "Another reviewer has to approve your words")
    await maya.submit_view({})  # what she looked at are other words
    await playground.wait_until(lambda: "changed the words meanwhile" in str(playground.views(maya.id)), what="a word")
    shown = str(playground.views(maya.id)[-1])
    assert "<@U0TOM> changed these words" in shown
    assert "It is Monday." in shown
    assert "It is Tuesday." in shown
    await maya.submit_view({})
    await playground.wait_until(lambda: "Approved." in str(playground.views(maya.id)), what="the second's word")
    await maya.close_view()
    await order(playground, maya, "users role <@U0TOM> member")
    await edit(maya, "Tom owns it.", "nobody else is here")
    async with rows.begin() as session:
        decided = {(row.state, row.text, row.by) for row in await session.scalars(select(ReviewRow))}
    assert decided == {("edited", "It is Tuesday.", "U0MAYA"), ("edited", "Tom owns it.", "U0MAYA")}


async def test_newer_words_wait_behind_approved_ones(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Their author is told so, the reviewer reads both; what no reviewer may read takes the place at once."""
    maya, priya = playground.maya, playground.priya
    ts = await priya.say("general", f"{BOT} Who owns billing?")
    reply = await playground.wait_for_reply("general", ts)

    async def correct(text: str, told: str) -> None:
        before = len(priya.ephemerals("general"))
        await priya.click(playground.message("general", reply["ts"]), "feedback", "negative_button")
        await playground.wait_for_view(priya.id)
        await priya.submit_view({"reason": "wrong", "correction": text})
        await playground.wait_until(lambda: told in str(priya.ephemerals("general")[before:]), what=told)

    async def review(said: str) -> str:
        await maya.command(COMMAND, "dataset review")
        shown = str(await playground.wait_for_view(maya.id))
        await maya.submit_view({})
        await playground.wait_until(lambda: said in str(playground.views(maya.id)), what=said)
        await maya.close_view()
        return shown

    async def find_counting() -> list[str]:
        async with rows.read() as session:
            return list(await session.scalars(select(Correction.text).where(stands())))

    await correct("Sam does.", "I keep what I should have said")
    assert "Approved before" not in await review("Approved.")
    await correct("Lena does.", "goes on counting until one has looked at this")
    assert await find_counting() == ["Sam does."]
    await priya.open_home()
    await playground.wait_until(lambda: "Waits for a reviewer" in str(playground.home(priya.id)), what="Home")
    shown = await review("Approved.")
    assert ("Sam does." in shown, "Lena does." in shown, "Approved before" in shown) == (True, True, True)
    assert await find_counting() == ["Lena does."]

    await order(playground, priya, "preferences remarks private")
    await correct("Tom does.", "I keep what I should have said")
    assert await find_counting() == ["Tom does."]


async def test_of_two_reviewers_the_first_decides(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Whoever still has the form open is told what it is by now, and does not undo it."""
    maya, tom, priya = playground.maya, playground.tom, playground.priya
    for name in ("U0TOM", "U0PRIYA"):
        await order(playground, maya, f"users role <@{name}> reviewer")
    ts = await maya.say("general", f"{BOT} who owns it?")
    await maya.click(await playground.wait_for_reply("general", ts), "feedback", "negative_button")
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"reason": "wrong", "correction": "Nobody owns it."})
    async with asyncio.timeout(30):
        while not await count(rows, select(func.count()).select_from(Correction)):  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.05)
    for person in (tom, priya):
        await person.command(COMMAND, "dataset review")
        await playground.wait_for_view(person.id)

    await tom.act_in_view("review_reject")
    await playground.wait_until(lambda: "Rejected" in str(playground.views(tom.id)), what="the first decision")
    await priya.submit_view({})
    await playground.wait_until(lambda: "it is rejected" in str(playground.views(priya.id)), what="a word about it")
    async with rows.begin() as session:
        assert [(row.state, row.by) for row in await session.scalars(select(ReviewRow))] == [("rejected", "U0TOM")]


async def test_undo_takes_back_no_later_decision(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """An old button neither lifts the block nor undoes the budget or the mode that another admin decided on since."""
    maya, priya = playground.maya, playground.priya
    await order(playground, maya, "users role <@U0PRIYA> admin")
    general = "<#C0GENERAL|general>"
    for first, second in (
        ("users role <@U0TOM> reviewer", "users block <@U0TOM> --yes"),
        (f"budget {general} 100", f"budget {general} 500"),
        (f"channels mode {general} off", f"channels mode {general} mention"),
    ):
        done = await order(playground, maya, first)
        newest = await order(playground, priya, second)
        assert "decided about this since" in (await press(playground, maya, done, "order:undo"))["text"]
    async with rows.begin() as session:
        assert await session.scalar(select(UserRight.right).where(UserRight.user_id == "U0TOM")) == Right.BLOCKED
    assert "nothing is answered" in (await press(playground, priya, newest, "order:undo"))["text"]


async def test_looking_back(playground: Playground, bot: RunningBot) -> None:
    """Health, feedback and the log, read by an admin; the proof names the seal to note."""
    maya = playground.maya
    await ask(playground, maya)
    assert "✅ Model: `starter` answers" in (await order(playground, maya, "health"))["text"]
    assert "1 answers" in (await order(playground, maya, "feedback"))["text"]
    assert "has a thumb down" in (await order(playground, maya, "feedback worst"))["text"]
    await order(playground, maya, "budget <#C0GENERAL|general> 100")
    assert "budget.set" in (await order(playground, maya, "audit find budget"))["text"]
    proof = (await order(playground, maya, "audit verify"))["text"]
    assert "All 1 rows hold" in proof
    seal = proof.split("`")[-2]
    assert "All 1 rows hold" in (await order(playground, maya, f"audit verify {seal}"))["text"]
    assert "cut off" in (await order(playground, maya, f"audit verify {'0' * 64}"))["text"]
    assert "It is written" in (await order(playground, maya, "audit nonsense"))["text"]


async def test_another_model_is_served_and_the_one_before(
    playground: Playground, start_bot: StartBot, rows: Database, tmp_path: Path
) -> None:
    """A message that comes during the switch is answered after it; a broken file changes nothing; `back` goes back."""
    maya, tom = playground.maya, playground.tom
    folder = tmp_path / "data" / "models"
    folder.mkdir(parents=True)
    shutil.copy(STARTER_MODEL, folder / "other.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF but not really")
    async with start_bot(engine_url="", engine_api_key=""):
        await playground.wait_for_connection()
        await ask(playground, tom)
        listed = (await order(playground, maya, "model"))["text"]
        assert "▶ `starter.gguf`" in listed
        assert "• `other.gguf`" in listed
        question = await order(playground, maya, "model switch other.gguf")
        await maya.click(question, "order:yes")
        ts = await tom.say(tom.dm, "Are you there?")
        assert (await playground.wait_for_reply(tom.dm, ts, timeout=60))["markdown_text"]
        await playground.wait_until(lambda: "`other.gguf` answers now" in str(maya.ephemerals(maya.dm)), timeout=60)
        await maya.command(COMMAND, "model switch broken.gguf --yes")
        await playground.wait_until(lambda: "cannot be served" in str(maya.ephemerals(maya.dm)), timeout=60)
        await ask(playground, tom, "Still there?")
        in_the_way = tmp_path / "data" / "model.new"
        in_the_way.mkdir()  # as a full disk: the choice cannot be written down
        await maya.command(COMMAND, "model back")
        await playground.wait_until(lambda: "cannot be kept" in str(maya.ephemerals(maya.dm)), timeout=60)
        assert "▶ `other.gguf`" in (await order(playground, maya, "model"))["text"]
        in_the_way.rmdir()
        await maya.command(COMMAND, "model back")
        await playground.wait_until(lambda: "in place of `other.gguf`" in str(maya.ephemerals(maya.dm)), timeout=60)
    async with rows.begin() as session:
        states = list(await session.scalars(select(Answer.state)))
        models = list(await session.scalars(select(Answer.model).order_by(Answer.id)))
    assert states == [AnswerState.COMPLETE] * 3
    assert models[0] == "starter"
    assert models[-1] == "other"
    kept = tmp_path / "data" / "model.json"
    assert json.loads(kept.read_text())["path"].endswith("starter.gguf")
    assert find_choice(kept, STARTER_MODEL) == STARTER_MODEL.resolve()
    assert find_choice(kept, folder / "other.gguf") is None  # the settings name another one since
    assert find_choice(tmp_path / "nothing.json", STARTER_MODEL) is None


def test_a_chosen_model_that_is_gone_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the settings name is served, and the log says instead of what."""
    gone, kept = tmp_path / "gone.gguf", tmp_path / "model.json"
    kept.write_text(json.dumps({"path": str(gone), "before": "", "configured": str(STARTER_MODEL.resolve())}))

    assert find_choice(kept, STARTER_MODEL) is None
    assert f"{gone}, which an admin chose, is gone" in caplog.text
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "gone.gguf").touch()  # the whole folder was moved
    assert find_choice(kept, STARTER_MODEL) == tmp_path / "models" / "gone.gguf"


@pytest.mark.parametrize("text", ["users", "audit", "data retention", "budget list", "dataset", "channels", "feedback"])
async def test_every_listing_works_on_both_databases(
    playground: Playground, start_bot: StartBot, database_url: str, text: str
) -> None:
    """What only reads never fails, also where nothing is stored."""
    async with start_bot(database_url=database_url):
        await playground.wait_for_connection()
        said = await order(playground, playground.maya, text)
        assert "went wrong" not in said["text"]
        assert said["text"]
