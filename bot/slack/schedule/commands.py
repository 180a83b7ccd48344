"""`remind`, `digest` and `schedule`: what people want at a certain time, in their own time zone."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.conversation.when import When, WrongTimeError, check_when, next_times
from bot.language import _
from bot.slack.commands.order_words import read_number
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.slack.people.directory import FRESH_S, Directory
from bot.slack.people.rooms import Rooms
from bot.slack.schedule.reading import HERE, read_digest, read_reminder
from bot.slack.schedule.words import mentions, tell_list, tell_planned, tell_what
from bot.storage.clocks import find_skew
from bot.storage.db import Database
from bot.storage.schedule_tables import Kind, Schedule
from bot.storage.schedules import add_schedule, count_schedules, find_schedule, list_schedules, remove_schedule
from bot.storage.tables import Audience, now

MOST_OF_ONE_PERSON = 20
MOST_IN_ONE_CHANNEL = 10
MOST_OF_ONE_IN_CHANNEL = 5  # so that nobody has all of a channel's
TEXT_LENGTH = 1000
LONGEST_BESIDE = 500  # what stands around a text: when, and channels with their names
SHORTEST_REMINDER = timedelta(minutes=15)
SHORTEST_DIGEST = timedelta(hours=1)
SHOWN = 2  # of the next dates
LATE_S, LONGEST_LATE_S = 60, 86_400  # between what was said and what is done about it


def build_schedule_commands(
    database: Database, directory: Directory, rooms: Rooms, *, clock: Callable[[], datetime] = now
) -> list[Command]:
    """Build the orders about what happens later."""
    orders = ScheduleOrders(database, directory, rooms, clock=clock)
    group = _("Reminders and digests")
    return [
        Command(
            name="remind",
            usage=_("me|here|#CHANNEL WHEN to TEXT"),
            purpose=_("remind you or a channel: in 20 minutes, tomorrow at 9:00, every Monday 9:00"),
            run=orders.remind,
            group=group,
            words=("me", "here"),
            example=_("remind me tomorrow at 9:00 to call Tom"),
        ),
        Command(
            name="digest",
            usage=_("WHEN summarise #CHANNEL|here [here|to me|in #CHANNEL]"),
            purpose=_("tell what was said in a channel since the last time"),
            run=orders.digest,
            group=group,
            words=("every",),
            example=_("digest every Monday 9:00 summarise #support here"),
        ),
        Command(
            name="schedule",
            usage=_("[list|remove NUMBER]"),
            purpose=_("what you have planned, and what is planned for this channel"),
            run=orders.schedule,
            group=group,
            words=("list", "remove"),
            example=_("schedule remove 3"),
        ),
    ]


class ScheduleOrders:
    """Reads what people want, checks that they may have it, and keeps it."""

    def __init__(
        self, database: Database, directory: Directory, rooms: Rooms, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._directory = directory
        self._rooms = rooms
        self._clock = clock

    async def remind(self, call: Call) -> Reply:
        """Plan a reminder."""
        _check_length(call.words, TEXT_LENGTH + LONGEST_BESIDE)
        moment = await self._now(call)
        # In a thread: what dateparser has to read takes seconds the first time, and nobody else waits for that.
        wish = await asyncio.to_thread(read_reminder, call.words, now=moment)
        _check_length(wish.text, TEXT_LENGTH)
        channel_id = _find_place(wish.place, call)
        is_in_thread = wish.place == HERE and channel_id == call.channel_id
        schedule = Schedule(
            kind=Kind.REMINDER,
            channel_id=channel_id,
            thread_ts=(call.thread_ts or "") if is_in_thread else "",
            text=wish.text,
        )
        return await self._plan(call, schedule, wish.when, moment, shortest=SHORTEST_REMINDER)

    async def digest(self, call: Call) -> Reply:
        """Plan a digest."""
        _check_length(call.words, LONGEST_BESIDE)
        moment = await self._now(call)
        wish = await asyncio.to_thread(read_digest, call.words, now=moment)
        source_id = call.channel_id if wish.source == HERE else wish.source
        if source_id.startswith("D"):
            raise UsageError(_("Name the channel that I shall read, such as #support."))
        schedule = Schedule(
            kind=Kind.DIGEST, channel_id=_find_place(wish.place, call), thread_ts="", source_id=source_id, text=""
        )
        return await self._plan(call, schedule, wish.when, moment, shortest=SHORTEST_DIGEST)

    async def schedule(self, call: Call) -> Reply:
        """List what is planned, or take something back."""
        verb, _space, rest = call.words.strip().partition(" ")
        if verb.lower() in {"", "list"} and not rest.strip():
            is_told = bool(call.channel_id) and await self._rooms.is_in(call.channel_id, call.user_id)
            here = call.channel_id if is_told else "-"
            async with self._database.read() as session:
                found = await list_schedules(session, call.team_id, user_id=call.user_id, channel_id=here)
            return Reply(tell_list(found, reader=call.user_id))
        if verb.lower() not in {"remove", "delete", "cancel"}:
            raise UsageError(_("I can list what is planned, or remove one of it by its number."))
        return await self._remove(call, read_number(rest.strip().lstrip("#"), least=1))

    async def _remove(self, call: Call, number: int) -> Reply:
        """Take back what one has planned oneself, or what calls one; admins anything; it stands in the audit."""
        async with self._database.begin() as session:
            found = await find_schedule(session, call.team_id, number)
            is_own = found is not None and found.user_id == call.user_id
            is_called = found is not None and mentions(found, call.user_id)
            if found is None or not (is_own or is_called or call.role >= Role.ADMIN):
                return Reply(
                    _("You have planned nothing with the number {number}.").format(number=number), is_done=False
                )
            await remove_schedule(session, found, by=call.user_id)
        if is_own:
            return Reply(_("Taken back: {what}.").format(what=tell_what(found)))
        # What somebody has planned for themselves, or for a channel, is not for every admin to read.
        person = f"<@{found.user_id}>"
        reply = Reply(_("Taken back: number {number}, of {person}.").format(number=number, person=person))
        await self._tell_author(found, by=call.user_id, is_called=is_called)
        return reply

    async def _tell_author(self, schedule: Schedule, *, by: str, is_called: bool) -> None:
        """Tell whoever had planned something that an admin, or somebody whom it calls, has taken it back."""
        await self._rooms.enter(schedule.team_id, schedule.user_id)
        called = _("{person} has taken this back, since it mentions them: {what}.")
        steered = _("{person}, an admin, has taken this back: {what}.")
        text = (called if is_called else steered).format(person=f"<@{by}>", what=tell_what(schedule))
        await self._rooms.calls.call_if_possible("chat.postMessage", channel=schedule.user_id, text=text)

    async def _plan(
        self, call: Call, schedule: Schedule, when: When, moment: datetime, *, shortest: timedelta
    ) -> Reply:
        try:
            check_when(when, now=moment, shortest=shortest)
        except WrongTimeError as error:
            return Reply(str(error), is_done=False)
        times = next_times(when, after=moment, count=SHOWN)
        schedule.team_id, schedule.user_id = call.team_id, call.user_id
        schedule.cron, schedule.tz, schedule.next_at = when.cron, str(moment.tzinfo), times[0]
        refusal = await self._rooms.find_refusal(schedule)
        if not refusal:
            schedule.was_shared = await self._is_shared(schedule.channel_id)
            refusal = await self._keep(schedule)
        if refusal:
            return Reply(refusal, is_done=False)
        return Reply(tell_planned(schedule, times, write=call.written))

    async def _is_shared(self, channel_id: str) -> bool:
        """Return whether another organisation reads in a channel; empty: only a person does."""
        if not channel_id:
            return False
        return await self._directory.audience(channel_id, channel_type=None, is_shared=False) is Audience.SHARED

    async def _keep(self, schedule: Schedule) -> str:
        """Store a schedule, unless somebody has too many; return why not."""
        async with self._database.begin() as session:
            if await count_schedules(session, schedule.team_id, user_id=schedule.user_id) >= MOST_OF_ONE_PERSON:
                return _("You have {count} of these already; take one back first.").format(count=MOST_OF_ONE_PERSON)
            here = schedule.channel_id
            own = {"user_id": schedule.user_id, "channel_id": here}
            if here and await count_schedules(session, schedule.team_id, **own) >= MOST_OF_ONE_IN_CHANNEL:
                sentence = _("You have {count} of these in this channel already; take one back first.")
                return sentence.format(count=MOST_OF_ONE_IN_CHANNEL)
            if here and await count_schedules(session, schedule.team_id, channel_id=here) >= MOST_IN_ONE_CHANNEL:
                return _("This channel has {count} of these already.").format(count=MOST_IN_ONE_CHANNEL)
            await add_schedule(session, schedule)
        return ""

    async def _now(self, call: Call) -> datetime:
        """Return this moment in the time zone that the person has chosen in Slack; when they gave a late order."""
        user, _is_fresh = await self._directory.user(call.user_id, fresh_s=FRESH_S, stale_s=FRESH_S)
        async with self._database.read() as session:  # what is due is found by the clock that all bots share
            moment = self._clock() - await find_skew(session)
        late = moment.timestamp() - float(call.ts or 0)
        if LATE_S < late < LONGEST_LATE_S:  # it was away: "in ten minutes" is ten minutes after it was said
            moment -= timedelta(seconds=late)
        return moment.astimezone(read_zone(str((user or {}).get("tz") or "")))


def _check_length(text: str, most: int) -> None:
    """Refuse what is too long, before it is read: some ways to read take long over a thousand blanks."""
    if len(text) > most:
        raise UsageError(_("That is too long: at most {count} characters.").format(count=min(most, TEXT_LENGTH)))


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name, UTC for one that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _find_place(place: str, call: Call) -> str:
    """Return the channel that is meant, empty for the person alone; a direct message is theirs anyway."""
    channel_id = call.channel_id if place == HERE else place
    return "" if channel_id.startswith("D") else channel_id
