"""What an answer was made from, as its reader may see it: the thread's own messages and files, and what was taught.

A correction from elsewhere is shown to members of the workspace with its words; a link to it only where they can read
the place. Guests hear that there was one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bot.language import _
from bot.slack.blocks import Block, clip, section
from bot.slack.calls import Calls
from bot.slack.delivery.render import escape
from bot.slack.turns.answer_choice import make_safe
from bot.storage.askings import is_private
from bot.storage.contexts import Context, ReadCorrection, ReadFile, ReadMessage
from bot.storage.preference_tables import ANONYMOUS, PRIVATE
from bot.storage.threads import Place

MOST_LISTED = 8
EXCERPT = 140
LONG_EXCERPT = 400

Link = Callable[[str, str], Awaitable[str]]  # from a channel and a time to an address, empty when there is none


def link_finder(calls: Calls) -> Link:
    """Return a function that asks Slack where a message stands."""

    async def find(channel_id: str, ts: str) -> str:
        found = await calls.call_if_possible("chat.getPermalink", channel=channel_id, message_ts=ts)
        return str((found or {}).get("permalink") or "")

    return find


async def build_context(context: Context, place: Place, *, find_link: Link, is_ours: bool) -> list[Block]:
    """Build the paragraphs on what stood in the prompt; nothing where nothing did."""
    paragraphs = [
        await _tell_messages(context, place, find_link),
        _tell_summary(context),
        await _tell_taught(context.corrections, place, find_link, is_ours=is_ours),
        _tell_files(context.files),
        _("*My answer before*, which was too long") if context.is_shortened else "",
        _tell_lost(context.lost),
    ]
    return [section(paragraph) for paragraph in paragraphs if paragraph]


async def _tell_messages(context: Context, place: Place, find_link: Link) -> str:
    if not context.messages:
        return ""
    shown = context.messages[-MOST_LISTED:]
    links = await asyncio.gather(*(find_link(place.channel_id, said.ts) for said in shown))
    lines = [_tell_message(said, link) for said, link in zip(shown, links, strict=True)]
    if left := len(context.messages) - len(shown):
        lines.insert(0, _("and {count} before these").format(count=left))
    return "\n".join([_("*Messages it read*"), *(f"• {line}" for line in lines)])


def _tell_message(said: ReadMessage, link: str) -> str:
    name = escape(said.user_name)
    return f"{f'<{link}|{name}>' if link else name}: {_excerpt(said.text, EXCERPT)}"


def _tell_summary(context: Context) -> str:
    if not context.summary:
        return ""
    head = _("*Summary of the first {count} messages*").format(count=context.summarised)
    said = "\n".join(message.text for message in context.messages)
    return f"{head}\n{_excerpt(context.summary, 2 * LONG_EXCERPT, said=said)}"


async def _tell_taught(corrections: Sequence[ReadCorrection], place: Place, find_link: Link, *, is_ours: bool) -> str:
    """Tell what somebody said should have been answered to much the same question."""
    lines = []
    for one in corrections:
        is_here = one.channel_id == place.channel_id
        if one.is_kept and not (is_here and is_alone(place)):  # the answer was shared since, what it rests on was not
            lines.append(_("• a correction whose author shows it to nobody"))
            continue
        if not (is_here or is_ours):
            lines.append(_("• a correction from another place of the workspace"))
            continue
        if one.shown == PRIVATE:
            lines.append(_("• a correction whose author shows it to nobody"))
            continue
        can_open = is_here or one.is_open
        link = await find_link(one.channel_id, one.reply_ts) if can_open else ""
        asked = _excerpt(one.question, EXCERPT) or "…"
        lines.append(
            _("• to “{question}” ({score:.0%} alike), {teacher} said: {text}").format(
                question=f"<{link}|{asked}>" if link else asked,
                score=one.score,
                teacher=_name_teacher(one, can_open=can_open)
                + (_(", in a reviewer's words,") if one.is_edited else ""),
                text=_excerpt(one.text, LONG_EXCERPT),
            )
        )
    return "\n".join([_("*Corrections it was shown*"), *lines]) if lines else ""


def is_alone(place: Place) -> bool:
    """Return whether nobody but the one who asked reads at *place*."""
    return place.channel_id.startswith("D") or is_private(place)


def _name_teacher(one: ReadCorrection, *, can_open: bool) -> str:
    if not can_open:
        return _("somebody who taught it to everyone")
    return _("somebody who wants no name here") if one.shown == ANONYMOUS else f"<@{one.user_id}>"


def _tell_files(files: Sequence[ReadFile]) -> str:
    lines = [
        f"• {escape(clip(file.name, EXCERPT))}{f', {escape(file.part)}' if file.part else ''}"
        for file in files[:MOST_LISTED]
    ]
    return "\n".join([_("*Files it read*"), *lines]) if lines else ""


def _tell_lost(lost: int) -> str:
    return _("Of what it read, {count} was deleted since.").format(count=lost) if lost > 0 else ""


def _excerpt(text: str, length: int, *, said: str | None = None) -> str:
    """Return the beginning of a text; a model's own links only to what people *said*."""
    shown = clip(" ".join(text.split()), length)
    return escape(shown if said is None else make_safe(shown, asked=said)).replace("|", "¦")
