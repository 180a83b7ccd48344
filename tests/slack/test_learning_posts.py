"""A report with its picture, and news for those who taught, as the playground shows them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, replace

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import update

from bot.errors import DeliveryError
from bot.learning.figures import RunReport
from bot.learning.reporting import find_shown_report
from bot.learning.rollout.evidence import find_breach
from bot.learning.rollout.watch import Event
from bot.playground.membership import leave
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.learning import news as learning_news
from bot.slack.learning import report as learning_report
from bot.slack.learning.news import LearningNews
from bot.slack.learning.report import post_report, tell_taught
from bot.slack.people.access import Access, Home
from bot.slack.people.directory import Directory
from bot.slack.people.rooms import Rooms
from bot.slack.people.speech import Speech
from bot.slack.setup.manifest import build_manifest
from bot.storage.adapters import find_adapter, move_adapter
from bot.storage.admin_tables import Right
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunExample, RunState
from bot.storage.leases import renew_lease, take_lease
from bot.storage.preference_tables import PRIVATE
from bot.storage.preferences import save_preferences
from bot.storage.rights import set_right
from bot.storage.runs import untold
from tests.playground.test_files import PNG
from tests.slack.test_learning_blocks import QUESTION, report, texts_of


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that grants what the manifest asks for and nothing else."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        yield opened


@pytest.fixture
def calls(playground: Playground) -> Calls:
    """Return the bot's calls to the playground."""
    return Calls(AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url))


def build_news(database: Database, calls: Calls, *, channel_id: str = "", admins: Collection[str] = ()) -> LearningNews:
    """Build what tells of runs, in the playground's workspace."""
    directory = Directory(calls)
    access = Access(database, directory, owners=frozenset(), home=Home("T0PLAYGRND"))
    speech = Speech(database, directory)
    return LearningNews(database, Rooms(calls, access), speech, channel_id=channel_id, admins=admins)


async def keep_examples(database: Database, told: RunReport) -> None:
    """Keep a run of which nobody has been told, with an adapter that answers, and whose corrections it learned from."""
    async with database.begin() as session:
        session.add(Run(id=told.run_id, state=RunState.DONE, trigger="cli", channel_id=told.channel_id, report={}))
        await session.flush()
        adapter = {"name": told.adapter, "path": "", "sha256": "", "base_sha256": "", "watch": {}}
        state, channel_id = AdapterState.ACTIVE, told.channel_id
        session.add(Adapter(run_id=told.run_id, state=state, channel_id=channel_id, **adapter))
        for item in told.before_after:
            row = {"row_table": "corrections", "row_id": item.row.partition(":")[2], "user_id": item.person}
            values = {"source": "correction", "split": "train", "weight": 1.0, "sha256": ""}
            session.add(RunExample(run_id=told.run_id, **row, **values))


async def test_a_report_has_its_picture(playground: Playground, calls: Calls) -> None:
    """The picture stands in the report and in its thread, and whoever reads the channel sees it."""
    ts = (await post_report(calls, channel_id="C0GENERAL", report=report(), picture=PNG)).ts

    shown, shared = playground.messages("general", ts)
    (image,) = [block for block in shown["blocks"] if block["type"] == "image"]
    file_id = image["slack_file"]["id"]
    assert shared["files"][0]["id"] == file_id
    assert playground.tom.file(file_id) == ("image/png", PNG)
    assert shown["text"] == "Run 7: Run 7 learned 50 things and answers everybody now."
    assert not [entry for entry in playground.log("api") if not entry["ok"]]


async def test_a_report_stands_there_once(playground: Playground, database: Database) -> None:
    """A bot that was killed after it had posted it, before that was written down, does not post it again."""
    for _ in range(2):
        calls = Calls(
            AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url), bot_user_id="U0APPRENTICE"
        )
        news = build_news(database, calls, channel_id="C0GENERAL")
        await news.hear(report(picture=""))

    said = [message["text"] for message in playground.messages("general") if message["bot_id"]]
    assert said == ["Run 7: Run 7 learned 50 things and answers everybody now."]


@pytest.mark.parametrize(("name", "title"), [("curves.png", "Curves of run 7"), ("data.png", "Data of run 7")])
async def test_a_picture_is_called_what_it_is(playground: Playground, calls: Calls, name: str, title: str) -> None:
    """Where nothing was trained there are no curves: the picture shows the data and is called so."""
    ts = (await post_report(calls, channel_id="C0GENERAL", report=report(picture=f"/runs/7/{name}"), picture=PNG)).ts

    shown, shared = playground.messages("general", ts)
    (image,) = [block for block in shown["blocks"] if block["type"] == "image"]
    assert image["alt_text"].startswith("Curves" if name == "curves.png" else "The data")
    assert shared["files"][0]["title"] == title


async def test_a_picture_that_slack_still_processes_is_waited_for(
    playground: Playground, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack refuses it in a block at first; if it does so for too long, a line says where the picture is."""
    monkeypatch.setattr(learning_report, "PROCESSING_S", (0.05, 0.05, 0.05))
    playground.fault("slow_files", seconds=60)
    posting = asyncio.create_task(post_report(calls, channel_id="C0GENERAL", report=report(), picture=PNG))
    await playground.wait_until(lambda: playground.log("api", "chat.update"), what="the first try")
    await playground.advance(61)
    ts = (await posting).ts
    assert "image" in [block["type"] for block in playground.message("general", ts)["blocks"]]

    ts = (await post_report(calls, channel_id="C0GENERAL", report=report(), picture=PNG)).ts
    message = playground.message("general", ts)
    assert "image" not in [block["type"] for block in message["blocks"]]
    assert "The picture is in this thread." in texts_of(message["blocks"])


async def test_without_the_right_to_upload_the_report_is_complete(playground: Playground, calls: Calls) -> None:
    """A line says what is missing."""
    playground.fault("missing_method", methods="files.*", error="missing_scope")
    ts = (await post_report(calls, channel_id="C0GENERAL", report=report(), picture=PNG)).ts

    said = texts_of(playground.message("general", ts)["blocks"])
    assert "could not be uploaded (missing_scope)" in said
    assert "Rollback" in said


async def test_a_person_can_be_reported_to(playground: Playground, calls: Calls) -> None:
    """Where there is no channel for admins, the report goes into a direct message, picture and all."""
    ts = (await post_report(calls, channel_id="U0MAYA", report=report(), picture=PNG)).ts
    assert [message["ts"] for message in playground.messages(playground.maya.dm)] == [ts]
    assert playground.messages(playground.maya.dm, ts)[1]["files"]


@pytest.mark.parametrize("first", ["U0GONE", "U0SAM", "U0LENA", "U0APPRENTICE"])
async def test_the_first_admin_who_is_here_hears_of_runs(
    first: str, playground: Playground, calls: Calls, database: Database
) -> None:
    """Not one who is misspelt, a guest, of another organisation or a bot: nobody heard of anything then."""
    news = build_news(database, calls, admins=(first, "U0MAYA", "U0TOM"))
    await news.hear(report(picture=""))
    await news.tell(Event("run-7", is_rollback=True, reasons=("It is worse.",)))

    assert len(playground.messages(playground.maya.dm)) == 2
    assert not playground.messages(playground.tom.dm)


async def test_whoever_taught_hears_of_it(playground: Playground, calls: Calls) -> None:
    """Before and after of what is right now; nothing where nothing is."""
    wrong = QUESTION.__class__("Where is the key?", "With Sam", "?", "?", is_right=False)
    known = {"person_id": "U0TOM", "adapter": "apprentice-7", "run_id": 7}
    assert await tell_taught(calls, items=[replace(QUESTION, row="corrections:C7"), wrong], **known)
    assert not await tell_taught(calls, items=[wrong], **known)

    (message,) = playground.messages(playground.tom.dm)
    said = texts_of(message["blocks"])
    assert "Before: I do not know." in said
    assert "Priya owns it." in said
    assert "Where is the key?" not in said
    assert "Don't tell me such things" in said
    (asked,) = [block for block in message["blocks"] if block.get("block_id") == "verdict:C7"]
    assert {one["action_id"]: one["value"] for one in asked["elements"]} == {
        "verdict:up": "C7:apprentice-7",
        "verdict:down": "C7:apprentice-7",
    }


@pytest.mark.parametrize("latency", [0.0, 0.5])
async def test_whoever_taught_hears_of_it_once(playground: Playground, database: Database, latency: float) -> None:
    """Where the look of the minute falls into the telling, another bot looks as well, and one is killed right after."""
    people = {"U0TOM": playground.tom, "U0PRIYA": playground.priya, "U0MAYA": playground.maya}
    taught = tuple(replace(QUESTION, person=person, row=f"corrections:{person}") for person in people)
    told = replace(report(picture=""), decision="promote", before_after=taught)
    await keep_examples(database, told)
    async with database.begin() as session:
        await session.execute(update(Run).values(report=asdict(told)))
    client = AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)
    ours, other = (build_news(database, Calls(client, bot_user_id="U0APPRENTICE")) for _ in range(2))
    if latency:
        playground.fault("latency", seconds=latency)

    async def look(news: LearningNews) -> None:
        await asyncio.sleep(latency * 2)
        await news.tell_of_promoted()

    first = await asyncio.gather(ours.hear(told), look(ours), look(other), return_exceptions=True)
    assert all(isinstance(error, DeliveryError | None) for error in first)
    await ours.hear(told)
    async with database.begin() as session:  # as if it had been killed before it was written down
        await session.execute(update(RunExample).values(told_at=None))
    await other.tell_of_promoted()

    assert [len(playground.messages(person.dm)) for person in people.values()] == [1, 1, 1]
    async with database.read() as session:
        assert await untold(session, told.run_id) == {}


async def test_what_another_bot_tells_just_now_is_told_later(playground: Playground, database: Database) -> None:
    """Also where that bot was killed meanwhile: then once its time is over."""
    told = report(picture="", before_after=(replace(QUESTION, person="U0TOM", row="corrections:C7"),))
    await keep_examples(database, told)
    async with database.begin() as session:
        fence = await take_lease(session, learning_news.LEASE, owner="another", seconds=60)
    client = AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)
    news = build_news(database, Calls(client, bot_user_id="U0APPRENTICE"))
    with pytest.raises(DeliveryError):
        await news.hear(told)
    assert playground.messages(playground.tom.dm) == []

    async with database.begin() as session:
        assert await renew_lease(session, learning_news.LEASE, fence=fence or 0, seconds=-1)
    await news.hear(told)

    assert len(playground.messages(playground.tom.dm)) == 1


async def test_each_decision_of_the_watch_is_said(playground: Playground, calls: Calls, database: Database) -> None:
    """Also where it decides the same again, in the same words, after somebody has promoted what it took back."""
    told = report()
    await keep_examples(database, told)
    news = build_news(database, calls, channel_id="C0GENERAL")
    event = Event(told.adapter, is_rollback=True, reasons=("4 of its last 4 answers failed.",))
    for state in (AdapterState.ROLLED_BACK, AdapterState.ACTIVE, AdapterState.ROLLED_BACK):
        async with database.begin() as session:
            adapter = await find_adapter(session, told.adapter)
            assert adapter is not None
            await move_adapter(session, adapter, state, by="watch", reasons=event.reasons)
        for _ in range(2 * (state == AdapterState.ROLLED_BACK)):  # once more, where another place has not taken it
            await news.tell(event)

    assert len(playground.messages("general")) == 2


async def test_news_are_told_in_the_language_of_whoever_reads_them(
    playground: Playground, calls: Calls, database: Database
) -> None:
    """A person hears theirs; a channel, where people of several languages may read, hears English."""
    async with database.begin() as session:
        await save_preferences(session, "U0TOM", language="zh")
    news = build_news(database, calls, admins=("U0TOM",))
    reasons = (
        find_breach(["U1"] * 4, people=1),
        "Too many 👎.",
    )  # the second is an older version's, and stays as it is
    event = Event("apprentice-2", is_rollback=True, reasons=reasons, channel_id="C0GENERAL")
    await news.tell(event)

    own, everybodys = playground.messages(playground.tom.dm)[-1]["text"], playground.messages("general")[-1]["text"]
    assert "我在 <#C0GENERAL> 里撤回了 `apprentice-2`" in own
    assert "它最近有 4 个回答失败、为空或陷入循环，共 4 个。 Too many 👎." in own
    assert "I took `apprentice-2` back in <#C0GENERAL>" in everybodys
    assert "4 of its last 4 answers failed" in everybodys


@pytest.mark.parametrize("channel", ["C0GENERAL", "C0NORTHWIND", "C0SUPPORT"])
async def test_what_an_adapter_answers_is_said_among_members(
    channel: str, playground: Playground, calls: Calls, database: Database
) -> None:
    """A report has its figures wherever it stands; its questions not where a guest or another company reads."""
    if channel == "C0SUPPORT":
        await playground.maya.invite(channel, "U0SAM")
    await build_news(database, calls, channel_id=channel).hear(report(picture="", before_after=(QUESTION,)))

    said = str(playground.messages(channel))
    assert "92%" in said
    assert ("Priya owns it." in said) is (channel == "C0GENERAL")


@pytest.mark.parametrize(
    ("change", "is_told"),
    [("stays", True), ("leaves", False), ("guest", False), ("blocked", False)],
)
async def test_whoever_left_hears_nothing_of_what_is_answered_there(
    change: str, is_told: bool, playground: Playground, calls: Calls, database: Database
) -> None:
    """The author of a correction in a private channel with an adapter of its own: it may know more by now."""
    await playground.maya.invite("leads", "U0APPRENTICE")
    taught = replace(QUESTION, person="U0PRIYA", row="corrections:C7")
    told = report(picture="", channel_id="C0LEADS", is_private=True, before_after=(taught,))
    await keep_examples(database, told)
    if change == "leaves":
        leave(playground.hub, playground.hub.workspace.channels["C0LEADS"], user="U0PRIYA")
    if change == "guest":
        playground.hub.workspace.users["U0PRIYA"].is_guest = True
    if change == "blocked":
        async with database.begin() as session:
            await set_right(session, "U0PRIYA", Right.BLOCKED, by="U0MAYA")
    await build_news(database, calls).hear(told)

    assert bool(playground.messages(playground.priya.dm)) is is_told


async def test_a_report_has_no_words_of_whoever_wants_none_shown(
    playground: Playground, calls: Calls, database: Database
) -> None:
    """Neither where it is posted nor when somebody asks for it; the author alone is told what became of them."""
    taught = replace(QUESTION, taught="On Mill Lane.", person="U0PRIYA", row="corrections:C7")
    other = replace(QUESTION, taught="With Sam.", person="U0TOM", row="corrections:C8")
    told = report(picture="", before_after=(taught, other))
    await keep_examples(database, told)
    async with database.begin() as session:
        await save_preferences(session, "U0PRIYA", shown=PRIVATE)
        run = await session.get_one(Run, told.run_id)
        run.report = asdict(told)
    await build_news(database, calls, channel_id="C0GENERAL").hear(told)

    asked = await find_shown_report(database, run)
    for shown in (str(playground.messages("general")), str(asked)):
        assert "With Sam." in shown
        assert "On Mill Lane." not in shown
    assert "On Mill Lane." in str(playground.messages(playground.priya.dm))
