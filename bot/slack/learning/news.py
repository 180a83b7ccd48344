"""Says in Slack what the learning did: the report of each run, what the watch did, what became of corrections."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.language import _, speaking
from bot.learning.figures import BeforeAfter, Decision, RunReport
from bot.learning.reporting import read_run_report
from bot.learning.rollout.watch import Event
from bot.learning.sentences import say_again
from bot.slack.calls import error_code, is_passing
from bot.slack.learning.posted import PostedReports
from bot.slack.learning.report import tell_taught
from bot.slack.people.rooms import Rooms
from bot.slack.people.speech import Speech
from bot.storage.adapters import adapter_in, adapter_of_run, decisions_of, find_adapter, find_shown_state
from bot.storage.choices import newest_choice
from bot.storage.db import Database
from bot.storage.learning_tables import AdapterState
from bot.storage.leases import drop_lease, take_lease
from bot.storage.runs import find_run, mark_told, untold
from bot.storage.tables import new_id, now

LEASE, LEASE_S = "taught", 120.0  # for longer than telling one person takes
NEWS = timedelta(days=1)  # what became active longer ago is none

log = logging.getLogger(__name__)


class LearningNews:
    """Tells those who steer it, in the admin channel or else the first admin here, and those who taught it.

    A channel's own run is told of in that channel too; who reads elsewhere is not shown what was said in a private one,
    and guests, other organisations and who has left since nothing that an adapter answers.
    """

    def __init__(
        self, database: Database, rooms: Rooms, speech: Speech, *, channel_id: str, admins: Iterable[str]
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._calls = rooms.calls
        self._speech = speech
        self.posted = PostedReports(database, rooms, speech)
        self._find_target = partial(rooms.find_hearer, channel_id, tuple(admins))
        self._heard: set[tuple[int, str]] = set()
        self._said: set[tuple[str, str]] = set()
        self._telling = asyncio.Lock()

    async def hear(self, report: RunReport) -> None:
        """Post the report of a run, and tell people what became of their corrections if everybody gets them now."""
        async with self._database.read() as session:
            adapter = await adapter_of_run(session, report.run_id)
            state = await find_shown_state(session, adapter) if adapter is not None else ""
        common = await self._find_target()
        for target in dict.fromkeys((report.channel_id, common)):
            if target and (report.run_id, target) not in self._heard:  # one may be taken while the other is not yet
                await self.posted.post(report, state, target=target)
                self._heard.add((report.run_id, target))
        if not common:
            log.warning("learning: nobody to report to: set ADMIN_CHANNEL_ID or ADMIN_USER_IDS")
        if report.decision == Decision.PROMOTE and state == "active":
            await self._tell_authors(report)

    async def tell(self, event: Event) -> None:
        """Say what the watch did; an adapter that became active also has authors to tell."""
        async with self._database.read() as session:
            adapter = await find_adapter(session, event.adapter)
            decisions = await decisions_of(session, adapter.id) if adapter is not None else ()
        for target in filter(None, dict.fromkeys((event.channel_id, await self._find_target()))):
            with speaking(await self.posted.language_in(target)):
                text = tell_event(event)
            await self._say(text, target=target, about=decisions[-1].id if decisions else text)
        if not event.is_rollback:
            async with self._database.read() as session:
                run = await find_run(session, event.adapter)
            if run is not None and run.report:
                await self._tell_authors(read_run_report(run.report))

    async def _say(self, text: str, *, target: str, about: str) -> None:
        """Say something *about* a decision once; raise while Slack is away, so that it is tried again."""
        if (about, target) in self._said:  # one place may have taken it while the other has not yet
            return
        try:
            await self._calls.call_soon("chat.postMessage", channel=target, text=text)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError("Slack is away; what the watch did is said later.", is_passing=True) from error
            log.warning("learning: what the watch did is not taken in %s (%s)", target, error_code(error))
        self._said.add((about, target))

    async def tell_of_promoted(self) -> None:
        """Tell those who taught what everybody gets since a short while, whoever promoted it, and have not heard."""
        async with self._database.read() as session:
            adapter = await adapter_in(session, AdapterState.ACTIVE)
            is_news = adapter is not None and now() - adapter.changed_at < NEWS
            run = await find_run(session, adapter.name) if adapter is not None and is_news else None
        if run is not None and run.report:
            with suppress(DeliveryError):  # the next minute tries again
                await self._tell_authors(read_run_report(run.report))

    async def _tell_authors(self, report: RunReport) -> None:
        """Tell each person once what their corrections changed, unless they asked not to hear of it.

        What a channel's own adapter answers is for those who are in it still.
        """
        for person in await self._find_untold(report):
            async with self._database.read() as session:
                wish = await newest_choice(session, kind="news", subject_id=person)
            if wish is not None and not wish.is_allowed:
                continue
            if not await self._rooms.may_hear(person, report.channel_id):
                continue
            async with self._alone():
                if items := (await self._find_untold(report)).get(person):
                    await self._tell_author(report, person, items)

    async def _find_untold(self, report: RunReport) -> Mapping[str, Sequence[BeforeAfter]]:
        """Return what is to be told to whom of a run."""
        async with self._database.read() as session:
            waiting = await untold(session, report.run_id)
        by_person: dict[str, list[BeforeAfter]] = {}
        for item in report.before_after:
            if item.is_right and item.person and item.row.partition(":")[2] in waiting:
                by_person.setdefault(item.person, []).append(item)
        return by_person

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Keep off whoever would tell the same person in this moment: the look of the minute, or another bot.

        Raise where that is under way elsewhere, so that it is tried again.
        """
        async with self._telling:
            async with self._database.begin() as session:
                fence = await take_lease(session, LEASE, owner=new_id(), seconds=LEASE_S)
            if fence is None:
                raise DeliveryError("Another bot tells what was learned; it is looked at again.", is_passing=True)
            try:
                yield
            finally:
                async with self._database.begin() as session:
                    await drop_lease(session, LEASE, fence=fence)

    async def _tell_author(self, report: RunReport, person: str, items: Sequence[BeforeAfter]) -> None:
        with speaking(await self._speech.language_of(person)):
            is_told = await tell_taught(
                self._calls, person_id=person, items=items, adapter=report.adapter, run_id=report.run_id
            )
        if is_told:  # if not, another run will try again
            async with self._database.begin() as session:
                for item in items:
                    await mark_told(session, item.row.partition(":")[2])


def tell_event(event: Event) -> str:
    """Say what the watch did with an adapter, and why."""
    if not event.was_served:
        here = _(":wastebasket: I threw {adapter}, for {channel}, away before anybody got it: {reasons} {now} answers.")
        anywhere = _(":wastebasket: I threw {adapter} away before anybody got it: {reasons} {now} answers.")
    elif event.is_rollback:
        here = _(":leftwards_arrow_with_hook: I took {adapter} back in {channel}: {reasons} {now} answers now.")
        anywhere = _(":leftwards_arrow_with_hook: I took {adapter} back: {reasons} {now} answers now.")
    else:
        here = _(":white_check_mark: {adapter} answers everybody in {channel} now: {reasons}")
        anywhere = _(":white_check_mark: {adapter} answers everybody now: {reasons}")
    return (here if event.channel_id else anywhere).format(
        adapter=f"`{event.adapter}`",
        channel=f"<#{event.channel_id}>",
        reasons=" ".join(map(say_again, event.reasons)),
        now=f"`{event.serves_now}`" if event.serves_now else _("the base model"),
    )
