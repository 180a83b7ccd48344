"""What is said about reminders and digests: when they come, what they are, why one did not come."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from bot.language import _
from bot.slack.delivery.render import escape
from bot.storage.schedule_tables import Kind, Schedule

TOKEN = re.compile(
    r"<@[UW][A-Z0-9]{2,30}(?:\|[^<>]*)?>|<#[CG][A-Z0-9]{2,30}(?:\|[^<>]*)?>|<https?://[^<>|\s]+(?:\|[^<>]*)?>"
)
SHOWN_LENGTH = 120


def tell_moment(moment: datetime) -> str:
    """Say a moment as Slack shows it to each reader, in their own language and time zone."""
    shown = moment.strftime("%Y-%m-%d %H:%M %Z")
    return f"<!date^{int(moment.timestamp())}^{{date_long_pretty}} {{time}}|{shown}>"


def tell_rule(cron: str) -> str:
    """Say in words when a cron line of ours comes; any other is shown as it is."""
    minute, hour, day, _month, weekday = cron.split()
    if hour.startswith("*/"):
        return _("every {count} hours").format(count=hour[2:])
    if minute.startswith("*/"):
        return _("every {count} minutes").format(count=minute[2:])
    if hour == "*" and minute == "0":
        return _("every hour")
    if not (minute.isdecimal() and hour.isdecimal() and _month == "*"):
        return f"`cron {escape(cron)}`"
    at = f"{int(hour):02}:{int(minute):02}"
    if day.isdecimal() and weekday == "*":
        return _("on day {day} of every month at {time}").format(day=day, time=at)
    days = _tell_days(weekday) if day == "*" else ""
    return _("{days} at {time}").format(days=days, time=at) if days else f"`cron {escape(cron)}`"


def _tell_days(field: str) -> str:
    fixed = {"*": _("every day"), "1-5": _("every weekday"), "6,0": _("every Saturday and Sunday")}
    if field in fixed:
        return fixed[field]
    names = [_("Sunday"), _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday")]
    found = re.fullmatch(r"([0-6])(?:#([1-4])|(L))", field)
    if found:
        nth = {"1": _("first"), "2": _("second"), "3": _("third"), "4": _("fourth")}.get(found[2] or "", _("last"))
        return _("every {nth} {day} of the month").format(nth=nth, day=names[int(found[1])])
    if re.fullmatch(r"[0-6](?:,[0-6])*", field):
        return _("every {days}").format(days=_(", ").join(names[int(number)] for number in field.split(",")))
    return ""


def tell_planned(schedule: Schedule, times: Sequence[datetime], *, write: Callable[[str], str]) -> str:
    """Say what is planned and when it comes next, so that a misunderstanding shows at once.

    *write* tells how its author writes an order.
    """
    what = tell_what(schedule)
    moments = [tell_moment(moment) for moment in times]
    if not schedule.cron:
        when = moments[0] if moments else ""
        sentence = _("{what}: {when} ({zone}).").format(what=what, when=when, zone=schedule.tz)
    else:
        rule = tell_rule(schedule.cron)
        sentence = _("{what}: {rule} ({zone}).").format(what=what, rule=rule, zone=schedule.tz)
        sentence += " " + _("Next: {moments}.").format(moments=_(", then ").join(moments))
    return f"{sentence} " + _("To take it back: {order}.").format(order=write(f"schedule remove {schedule.id}"))


def tell_what(schedule: Schedule) -> str:
    """Say what a schedule does."""
    if schedule.kind == Kind.DIGEST:
        where = _("you alone") if not schedule.channel_id else f"<#{schedule.channel_id}>"
        return _("Digest of <#{source}> for {where}").format(source=schedule.source_id, where=where)
    text = make_safe(schedule.text if len(schedule.text) <= SHOWN_LENGTH else f"{schedule.text[:SHOWN_LENGTH]}…")
    if not schedule.channel_id:
        return _("Reminder for you “{text}”").format(text=text)
    return _("Reminder for <#{channel}> “{text}”").format(channel=schedule.channel_id, text=text)


def tell_list(schedules: Sequence[Schedule], *, reader: str) -> str:
    """Say what is planned, one line each."""
    if not schedules:
        return _("Nothing is planned. `remind me tomorrow at 9:00 to …` plans something.")
    lines = []
    for schedule in schedules:
        when = tell_rule(schedule.cron) + f" ({schedule.tz})" if schedule.cron else ""
        moment = "" if schedule.next_at is None else tell_moment(schedule.next_at)
        parts = [f"*{schedule.id}*", tell_what(schedule), when, _("next: {moment}").format(moment=moment)]
        by = "" if schedule.user_id == reader else _("by <@{person}>").format(person=schedule.user_id)
        lines.append(" · ".join(part for part in (*parts, by) if part))
    return "\n".join(lines)


def tell_reminder(schedule: Schedule, *, late: str) -> str:
    """Say what somebody wanted to be reminded of; *late* says that it was due a while ago, if it was."""
    text = make_safe(schedule.text)
    if schedule.channel_id:
        sentence = _("⏰ <@{person}> wants you to remember: {text}").format(person=schedule.user_id, text=text)
    else:
        sentence = _("⏰ You asked me to remind you: {text}").format(text=text)
    return f"{sentence}\n{late}" if late else sentence


def mentions(schedule: Schedule, user_id: str) -> bool:
    """Return whether a reminder in a channel calls somebody, each time that it comes."""
    called = (match[0] for match in TOKEN.finditer(schedule.text))
    return bool(schedule.channel_id) and any(_plain(token) == f"<@{user_id}>" for token in called)


def tell_late(due: datetime, *, was_there: bool) -> str:
    """Say that something comes late, and why."""
    down, kept = (
        _("_This was due {moment}; I was not running then._"),
        _("_This was due {moment}; it did not work then._"),
    )
    return (kept if was_there else down).format(moment=tell_moment(due))


def tell_missed(schedule: Schedule, due: datetime, *, was_there: bool) -> str:
    """Say that it is too late for something."""
    sentence = _("I was not running when this was due ({moment}), and it is too late for it now. {what}.")
    if was_there:
        sentence = _("This did not work when it was due ({moment}), and it is too late for it now. {what}.")
    return sentence.format(moment=tell_moment(due), what=tell_what(schedule))


def tell_ended(schedule: Schedule, reason: str) -> str:
    """Say why a schedule has come to its end."""
    return _("I have ended this: {what}. {reason}").format(what=tell_what(schedule), reason=reason)


def tell_failed(schedule: Schedule, *, error_id: str) -> str:
    """Say that one time of a schedule did not work."""
    sentence = _("Something went wrong on my side with this: {what} (error {error_id}).")
    return sentence.format(what=tell_what(schedule), error_id=error_id)


def make_safe(text: str) -> str:
    """Return somebody's words as Slack's markup: people, channels and links as they are, everybody is not called."""
    shown, position = [], 0
    for match in TOKEN.finditer(text):
        shown += [escape(text[position : match.start()]), _plain(match[0])]
        position = match.end()
    return "".join([*shown, escape(text[position:])])


def _plain(token: str) -> str:
    """Return a reference without the label that somebody may have given it."""
    return re.sub(r"\|[^<>]*>$", ">", token)
