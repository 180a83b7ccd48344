"""The reports of runs in Slack: posted where people read of them, and kept to what their adapters are by now."""

import asyncio
import logging
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.language import ENGLISH, speaking
from bot.learning.figures import RunReport
from bot.learning.reporting import report_of
from bot.slack.calls import error_code, is_failing, is_passing
from bot.slack.delivery.render import escape
from bot.slack.learning.report import NOT_READY, PEOPLE, build_report, find_shown, post_report, tell_report
from bot.slack.people.rooms import Rooms
from bot.slack.people.speech import Speech
from bot.storage.adapters import adapter_of_run, find_shown_state
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, ReportPost, Run
from bot.storage.leases import drop_lease, take_lease
from bot.storage.preferences import find_unseen
from bot.storage.report_posts import begin_showing, end_showing, find_outdated, forget_post, save_post
from bot.storage.runs import keep_picture
from bot.storage.tables import new_id, now

LEASE, LEASE_S = "reports", 120.0  # for longer than showing one anew takes
REST_S = 60.0  # after Slack did not take it
PATIENCE = timedelta(days=1)  # with a report that Slack fails at while it takes others

log = logging.getLogger(__name__)


class PostedReports:
    """Posts the report of a run, and shows it anew whenever its adapter is something else, whoever decided so."""

    def __init__(self, database: Database, rooms: Rooms, speech: Speech) -> None:
        self._database = database
        self._rooms = rooms
        self._calls = rooms.calls
        self._speech = speech
        self._not_before = 0.0

    async def post(self, report: RunReport, state: str, *, target: str) -> None:
        """Post what a channel may read of a report; raise while Slack is away, so that it is tried again."""
        picture = await asyncio.to_thread(_read, report.picture)
        shown = await self._find_shown(report, target)
        try:
            with speaking(await self.language_in(target)):
                posted = await post_report(
                    self._calls,
                    channel_id=target,
                    report=shown,
                    picture=picture,
                    state=state,
                    keep=partial(self._keep_picture, report.run_id),
                )
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError("Slack is away; the report of a run is posted later.", is_passing=True) from error
            log.error(  # noqa: TRY400 - our own sentence
                "learning: Slack does not take the report (%s): the bot must be in %s (see ADMIN_CHANNEL_ID)",
                error_code(error),
                target,
            )
            return
        if state:
            place = {"channel_id": posted.channel_id, "ts": posted.ts, "picture_id": posted.picture_id}
            async with self._database.begin() as session:
                await save_post(session, report.run_id, reader_id=target, state=state, **place)

    async def follow(self) -> None:
        """Show each report anew that does not say what its adapter is now; another bot may be doing so."""
        if time.monotonic() < self._not_before:
            return
        async with self._database.read() as session:
            if not await find_outdated(session):
                return
        async with self._database.begin() as session:
            fence = await take_lease(session, LEASE, owner=new_id(), seconds=LEASE_S)
        if fence is None:
            return
        try:
            async with self._database.read() as session:
                outdated = await find_outdated(session)
            for post, adapter in outdated:
                await self._show(post, adapter)
        except DeliveryError:
            log.info("learning: Slack is away; what reports say of their adapters follows later")
            self._not_before = time.monotonic() + REST_S
        finally:
            async with self._database.begin() as session:
                await drop_lease(session, LEASE, fence=fence)

    async def _show(self, post: ReportPost, adapter: Adapter) -> None:
        """Show a report anew, and forget where it stands if it can or needs to be changed no more."""
        async with self._database.begin() as session:
            mark = await begin_showing(session, post.channel_id, post.ts)
            run = await session.get_one(Run, post.run_id)
            made = await adapter_of_run(session, post.run_id)
            state = await find_shown_state(session, made or adapter)
        try:
            await self._edit(post, await self._find_shown(report_of(run), post.reader_id), state)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            log.info("learning: the report of run %d cannot be shown anew (%s)", run.id, error_code(error))
            if is_failing(error) and now() - adapter.changed_at < PATIENCE:
                self._not_before = time.monotonic() + REST_S
                return
            state = ""  # it is gone, or nobody may change it any more
        async with self._database.begin() as session:
            if state in {"", AdapterState.TAINTED}:  # which it stays for good
                await forget_post(session, post.channel_id, post.ts)
            else:
                await end_showing(session, post.channel_id, post.ts, mark=mark, state=state)

    async def _edit(self, post: ReportPost, report: RunReport, state: str) -> None:
        """Put the words and buttons of a state into a report; its picture may be gone from Slack."""
        with speaking(await self.language_in(post.reader_id)):
            text = escape(tell_report(report, state))
            blocks = [build_report(report, state=state, picture_id=one) for one in dict.fromkeys((post.picture_id, ""))]
        place = {"channel": post.channel_id, "ts": post.ts}
        for number, shown in enumerate(blocks, 1):
            try:
                await self._calls.call_soon("chat.update", **place, text=text, blocks=shown)
            except SlackApiError as error:
                if error_code(error) != NOT_READY or number == len(blocks):
                    raise
            else:
                return

    async def _find_shown(self, report: RunReport, target: str) -> RunReport:
        async with self._database.read() as session:
            unseen = await find_unseen(session)
        return (await find_shown(report, target, self._rooms)).without_words_of(unseen)

    async def _keep_picture(self, run_id: int, picture_id: str) -> None:
        async with self._database.begin() as session:
            await keep_picture(session, run_id, picture_id)

    async def language_in(self, target: str) -> str:
        """Return the language of a person; a channel, where people of several may read, hears English."""
        return await self._speech.language_of(target) if target.startswith(PEOPLE) else ENGLISH


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError:
        return None
