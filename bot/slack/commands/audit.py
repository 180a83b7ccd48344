"""`audit` and `feedback`: what was done by whom, and what people think of the answers."""

from collections.abc import Mapping
from itertools import dropwhile
from typing import Any

from bot.admin import audit_log, feedback
from bot.admin.feedback import Week
from bot.language import _
from bot.slack.blocks import Block, clip, list_reasons, section
from bot.slack.calls import Calls
from bot.slack.commands.order_words import CHANNEL, USER, read_number, read_words
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.slack.delivery.render import escape
from bot.slack.delivery.uploads import send_file
from bot.slack.turns.answer_choice import make_safe
from bot.storage.db import Database
from bot.storage.opinions import Disliked, Remark

MOST_SHOWN, SHOWN = 50, 15
MOST_WEEKS, WEEKS = 26, 8
WORST = 5
BAR = 10


def build_audit_commands(database: Database, calls: Calls) -> list[Command]:
    """Build the two commands."""
    orders = AuditOrders(database, calls)
    return [
        Command(
            name="feedback",
            usage=_("[trend [WEEKS] | worst]"),
            purpose=_("what people think of my answers week by week, and the worst of what everybody could read"),
            run=orders.feedback,
            role=Role.ADMIN,
            group=_("Run me"),
            words=("trend", "worst"),
            example="feedback worst",
        ),
        Command(
            name="audit",
            usage=_("[last [N] | find WORD | export | verify [SEAL]]"),
            purpose=_("who did what with me; `verify` proves that nothing was changed afterwards"),
            run=orders.audit,
            role=Role.ADMIN,
            group=_("Run me"),
            words=("last", "find", "export", "verify"),
            example=_("audit find users"),
        ),
    ]


class AuditOrders:
    """Looks back."""

    def __init__(self, database: Database, calls: Calls) -> None:
        self._database = database
        self._calls = calls

    async def audit(self, call: Call) -> Reply:
        """Show, send or prove the log."""
        words = read_words(call.words, "last")
        if words.verb == "export":
            text = await audit_log.export_audit(self._database, by=call.user_id)
            await send_file(self._calls, call.user_id, text, name="audit-export.jsonl", title=_("Audit log"))
            return Reply(_("It is in your direct messages with me."))
        if words.verb == "verify":
            return await self._verify(words.rest)
        if words.verb == "find" and len(words.parts) == 1:
            return Reply(await self._show(MOST_SHOWN, words.rest.strip("<@#>").partition("|")[0]))
        if words.verb == "last" and len(words.parts) <= 1:
            return Reply(await self._show(read_number(words.rest or str(SHOWN), least=1, most=MOST_SHOWN), ""))
        raise UsageError(_("I do not understand that."))

    async def _show(self, most: int, containing: str) -> str:
        rows = await audit_log.read_audit(self._database, most=most, containing=containing)
        lines = [
            f"{row['number']}. {row['at'][:16].replace('T', ' ')}  {_name(row['by'])}  *{escape(row['action'])}*  "
            f"{_name(row['target'])}{_tell_details(row['details'])}"
            for row in rows
        ]
        return clip("\n".join(lines), 2900) or _("There is nothing.")

    async def _verify(self, head: str) -> Reply:
        chain = await audit_log.verify_audit(self._database, head=head)
        return Reply(tell_chain(chain.count, chain.seal, chain.broken_at, has_head=chain.has_head))

    async def feedback(self, call: Call) -> Reply:
        """Show the trend, or the worst answers."""
        words = read_words(call.words, "trend")
        if words.verb == "worst" and not words.rest:
            found = await feedback.read_worst(self._database, most=WORST)
            if not found:
                return Reply(_("No public answer of the last {days} days has a thumb down.").format(days=30))
            blocks = [await self._describe(item) for item in found]
            return Reply(_("The answers that people liked least"), blocks)
        if words.verb == "trend" and len(words.parts) <= 1:
            weeks = read_number(words.rest or str(WEEKS), least=1, most=MOST_WEEKS)
            trend = await feedback.read_trend(self._database, weeks=weeks)
            told = list(dropwhile(lambda week: not (week.answers or week.ups or week.downs), trend[:-1]))
            better, worse = await feedback.read_verdicts(self._database, weeks=weeks)
            sentence = _("Of what I called fixed, its authors found {better} better and {worse} not.")
            last = [sentence.format(better=better, worse=worse)] if better + worse else []
            return Reply("\n".join([*map(render_week, [*told, trend[-1]]), *last]))
        raise UsageError(_("I do not understand that."))

    async def _describe(self, item: Disliked) -> Block:
        link = await self._calls.call_if_possible(
            "chat.getPermalink", channel=item.channel_id, message_ts=item.reply_ts
        )
        look = _("look")
        place = f"<{link['permalink']}|{look}>" if link else f"<#{item.channel_id}>"
        reasons = ", ".join(list_reasons().get(reason, reason).lower() for reason in item.reasons)
        answer = make_safe(clip(item.answer, 600), asked=item.question)
        return section(
            f"👎 {item.downs}  👍 {item.ups}  {place}{f'  ({escape(reasons)})' if reasons else ''}\n"
            f"*{escape(clip(item.question, 300))}*\n{escape(answer)}"
            + "".join(f"\n• {tell_remark(remark)}" for remark in item.remarks)
        )


def tell_remark(remark: Remark) -> str:
    """Say what somebody wrote beside a 👎, with their name where they want that."""
    said = _("“{text}”").format(text=escape(clip(" ".join(remark.text.split()), 300)))
    return f"{said} (<@{remark.user_id}>)" if remark.user_id else said


def render_week(week: Week) -> str:
    """Say in a line how a week was."""
    liked = "" if week.liked is None else f"{'▓' * round(BAR * week.liked):░<{BAR}} {week.liked:.0%}"
    return _("{begin}  {answers} answers  👍 {ups}  👎 {downs}  ✍️ {corrections}").format(
        begin=week.begin.isoformat(),
        answers=week.answers,
        ups=week.ups,
        downs=week.downs,
        corrections=week.corrections,
    ) + (f"  {liked}" if liked else "")


def tell_chain(count: int, seal: str, broken_at: int | None, *, has_head: bool) -> str:
    """Say whether the log is whole, and what to note so that a missing end shows next time."""
    if broken_at is not None:
        return _("⚠️ Row {number} was changed, or one before it is missing. Rows 1 to {count} hold.").format(
            number=broken_at, count=count
        )
    if not has_head:
        return _("⚠️ The rows hold, but the seal that you noted is not among them: the newest rows were cut off.")
    return _(
        "All {count} rows hold. Note this seal elsewhere; `audit verify SEAL` shows later that none went: {seal}"
    ).format(count=count, seal=f"`{seal}`")


def _name(subject: str) -> str:
    """Return who or what it was as Slack shows it."""
    if USER.fullmatch(subject):
        return f"<@{subject}>"
    if CHANNEL.fullmatch(subject):
        return f"<#{subject}>"
    return f"`{escape(subject)}`" if subject else ""


def _tell_details(details: Mapping[str, Any]) -> str:
    """Say what is plain of the details; none of them has a text of the team."""
    plain = [f"{name} {value}" for name, value in details.items() if isinstance(value, int | str) and value != ""]
    return f"  {escape(', '.join(plain)[:120])}" if plain else ""
