"""What a report of a run says of its adapter stays true, whoever decides about it, and however Slack takes that."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import select, update

from bot.learning.figures import RunReport
from bot.learning.forgetting import scrub_report
from bot.learning.sentences import BETTER_AND_WAITS
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.learning import posted as posted_reports
from bot.slack.learning.news import LearningNews
from bot.slack.setup.manifest import build_manifest
from bot.storage.adapters import find_adapter, move_adapter
from bot.storage.audit import ALLOW, FORBID, record
from bot.storage.db import Database
from bot.storage.learning_tables import AdapterState, ReportPost, Run
from bot.storage.preferences import save_preferences
from bot.storage.report_posts import begin_showing, doubt_posts, end_showing
from tests.playground.test_files import PNG
from tests.slack.test_learning_blocks import QUESTION, buttons_of, report, texts_of
from tests.slack.test_learning_posts import build_news, keep_examples

WAITS = report(picture="", before_after=(), outcome=BETTER_AND_WAITS.format(minutes=30))


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that grants what the manifest asks for and nothing else."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        yield opened


def news_of(database: Database, playground: Playground, **settings: Any) -> LearningNews:
    """Return what tells of runs in one bot process."""
    client = AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)
    return build_news(database, Calls(client, bot_user_id="U0APPRENTICE"), **settings)


async def be(database: Database, state: str) -> None:
    """Let somebody decide about the adapter, wherever."""
    async with database.begin() as session:
        adapter = await find_adapter(session, WAITS.adapter)
        assert adapter is not None
        await move_adapter(session, adapter, AdapterState(state), by="U0PRIYA", reasons=["Somebody decided so."])


async def hear(database: Database, news: LearningNews, told: RunReport = WAITS) -> None:
    """Let a run have ended whose adapter waits for objections, and its report be posted."""
    await keep_examples(database, told)
    async with database.begin() as session:
        await session.execute(update(Run).values(report=asdict(told)))
    await be(database, "waiting")
    await news.hear(told)


async def shown_states(database: Database) -> list[str]:
    """Return what is written down of where reports stand."""
    async with database.read() as session:
        return list(await session.scalars(select(ReportPost.shown)))


def edits(playground: Playground) -> int:
    """Return how often a message was changed."""
    return len(playground.log("api", "chat.update"))


@pytest.mark.parametrize(
    ("state", "words", "buttons"),
    [
        ("waiting", "it is served in 30 minutes unless somebody objects", ["Promote", "Veto"]),
        ("active", "The new adapter was better and answers everybody now.", ["Rollback"]),
        ("canary", "some people get it first", ["Promote", "Rollback"]),
        ("rejected", "it answers nobody now", ["Promote anyway"]),
        ("rolled_back", "it answers nobody now", []),
    ],
)
async def test_a_report_follows_its_adapter(
    state: str, words: str, buttons: list[str], playground: Playground, database: Database
) -> None:
    """Words, buttons and what a notification has; once, over two bots that look at the same moment."""
    news, other = (news_of(database, playground, channel_id="C0GENERAL") for _ in range(2))
    await hear(database, news)
    await be(database, state)
    for _ in range(2):
        await asyncio.gather(news.posted.follow(), other.posted.follow())

    (shown,) = playground.messages("general")
    assert words in shown["text"]
    assert words in texts_of(shown["blocks"])
    assert buttons_of(shown["blocks"]) == buttons
    assert edits(playground) == (state != "waiting")


async def test_a_report_follows_whoever_switches_training_off(playground: Playground, database: Database) -> None:
    """What waits has no time to object any more, also once training is on again, nor when the report comes later."""
    news, other = (news_of(database, playground, channel_id="C0GENERAL") for _ in range(2))
    await hear(database, news)
    for action in (FORBID, ALLOW):
        async with database.begin() as session:
            record(session, action, by="U0PRIYA")
        await asyncio.gather(news.posted.follow(), other.posted.follow())
        (shown,) = playground.messages("general")
        assert "it waits until somebody promotes it" in shown["text"]
        assert "30 minutes" not in texts_of(shown["blocks"])
        assert buttons_of(shown["blocks"]) == ["Promote", "Veto"]
    assert edits(playground) == 1
    await other.hear(WAITS)
    assert "it waits until somebody promotes it" in playground.messages("general")[-1]["text"]

    await be(database, "active")
    await news.posted.follow()
    assert "answers everybody now" in playground.messages("general")[0]["text"]


async def test_a_report_keeps_its_picture_and_its_language(
    playground: Playground, database: Database, tmp_path: Any
) -> None:
    """In a direct message it is the person's; a picture that Slack has no more is left out."""
    curves = tmp_path / "curves.png"
    curves.write_bytes(PNG)
    async with database.begin() as session:
        await save_preferences(session, "U0TOM", language="zh")
    news = news_of(database, playground, admins=("U0TOM",))
    await hear(database, news, replace(WAITS, picture=str(curves)))
    await be(database, "active")
    await news.posted.follow()
    (shown,) = playground.messages(playground.tom.dm)
    (image,) = [block for block in shown["blocks"] if block["type"] == "image"]
    assert "新适配器更好，现在回答所有人。" in shown["text"]

    del playground.hub.workspace.files[image["slack_file"]["id"]]
    await be(database, "rolled_back")
    await news.posted.follow()
    (shown,) = playground.messages(playground.tom.dm)
    assert [block for block in shown["blocks"] if block["type"] in {"image", "actions"}] == []


async def test_what_slack_did_not_take_is_shown_later(
    playground: Playground, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the adapter is meanwhile what the report said before: nobody knows what Slack took."""
    monkeypatch.setattr(posted_reports, "REST_S", 0.0)
    news = news_of(database, playground, channel_id="C0GENERAL")
    await hear(database, news)
    await be(database, "active")
    playground.fault("server_error", methods="chat.update")
    await news.posted.follow()
    await be(database, "waiting")
    playground.fault("server_error", enabled=False)
    before = edits(playground)
    await news.posted.follow()

    assert edits(playground) == before + 1
    assert await shown_states(database) == ["waiting"]


@pytest.mark.parametrize("reason", ["gone", "tainted", "failing"])
async def test_a_report_that_nobody_needs_any_more_is_forgotten(
    reason: str, playground: Playground, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted in Slack, of an adapter that stays away for good, or one that Slack fails at for a day."""
    monkeypatch.setattr(posted_reports, "REST_S", 0.0)
    news = news_of(database, playground, channel_id="C0GENERAL")
    await hear(database, news)
    if reason == "gone":
        playground.fault("missing_method", methods="chat.update", error="message_not_found")
    if reason == "failing":
        playground.fault("missing_method", methods="chat.update", error="internal_error")
    await be(database, "tainted" if reason == "tainted" else "active")
    await news.posted.follow()
    if reason == "failing":
        assert len(await shown_states(database)) == 1, "it may be Slack's own trouble"
        monkeypatch.setattr(posted_reports, "PATIENCE", -posted_reports.PATIENCE)
        await news.posted.follow()
    before = edits(playground)
    await be(database, "retired")
    await news.posted.follow()

    assert await shown_states(database) == []
    assert edits(playground) == before


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_button_that_shows_an_older_state_does_not_last(
    playground: Playground, database: Database, is_late: bool
) -> None:
    """Somebody vetoes while another promotes: what the first press shows may come after what is so."""
    news = news_of(database, playground, channel_id="C0GENERAL")
    await hear(database, news)
    (shown,) = playground.messages("general")
    place = {"channel_id": "C0GENERAL", "ts": shown["ts"]}
    async with database.begin() as session:
        mark = await begin_showing(session, **place)
    await be(database, "active")
    if is_late:
        await news.posted.follow()
    async with database.begin() as session:  # the press has shown now that it was rejected
        await end_showing(session, **place, mark=mark, state="rejected")
    before = edits(playground)
    await news.posted.follow()

    assert edits(playground) == before + 1
    assert await shown_states(database) == ["active"]


async def test_reports_are_shown_anew_after_a_restore(playground: Playground, database: Database) -> None:
    """A backup's rows are older than what Slack shows."""
    news = news_of(database, playground, channel_id="C0GENERAL")
    await hear(database, news)
    async with database.begin() as session:
        await doubt_posts(session)
    await news.posted.follow()

    assert edits(playground) == 1
    assert await shown_states(database) == ["waiting"]


async def test_a_report_loses_what_it_quotes_when_that_is_deleted(playground: Playground, database: Database) -> None:
    """The words of a person who is forgotten, or that are kept no longer, stand in our own message too."""
    news = news_of(database, playground, channel_id="C0GENERAL")
    told = replace(WAITS, before_after=(QUESTION,))
    await hear(database, news, told)
    (shown,) = playground.messages("general")
    assert QUESTION.question in texts_of(shown["blocks"])
    async with database.begin() as session:
        await scrub_report(session, told.run_id)
    await news.posted.follow()

    (shown,) = playground.messages("general")
    assert QUESTION.question not in str(shown)
    assert buttons_of(shown["blocks"]) == ["Promote", "Veto"]
