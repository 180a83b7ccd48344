"""What the assistant does with what stands in Slack: sums up, lists what is to be done, translates, explains, drafts.

Nothing of what is read is stored, and each is written with a scope of its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from textwrap import wrap
from typing import Any

from bot.conversation.digest import Payer, Written
from bot.errors import DeliveryError
from bot.language import _
from bot.slack.blocks import context
from bot.slack.calls import Calls
from bot.slack.commands.orders import BANG, Call, Reply, UsageError
from bot.slack.delivery.render import render_mrkdwn
from bot.slack.people.access import tell_away
from bot.slack.people.directory import FRESH_S, Directory
from bot.slack.people.rooms import Rooms
from bot.slack.schedule.commands import read_zone
from bot.slack.schedule.digests import ChannelDigests, Heard, show_written
from bot.slack.tools.reading import LANGUAGES
from bot.slack.turns.admission import Admission, Asker
from bot.storage.schedule_tables import Kind, Schedule
from bot.storage.tables import new_id

SUMMARY, ACTIONS, TRANSLATION, EXPLANATION, REPLY = (
    "tool_summary",
    "tool_actions",
    "tool_translation",
    "tool_explanation",
    "tool_reply",
)
CITED = re.compile(r"\[(\d{1,3})\]")
MOST_SOURCES = 8
PIECE = 1000  # characters of a text that is translated at once
DAY = timedelta(days=1)


class Tools:
    """Reads for one person what they may read, and writes what they want of it."""

    def __init__(
        self,
        reader: ChannelDigests,
        rooms: Rooms,
        *,
        calls: Calls,
        directory: Directory,
        admission: Admission,
    ) -> None:
        self._reader = reader
        self._writer = reader.writer
        self._rooms = rooms
        self._calls = calls
        self._directory = directory
        self._admission = admission

    async def now(self, user_id: str) -> datetime:
        """Return this moment in the time zone that the person has chosen in Slack."""
        user, _is_fresh = await self._directory.user(user_id, fresh_s=FRESH_S, stale_s=FRESH_S)
        return datetime.now(UTC).astimezone(read_zone(str((user or {}).get("tz") or "")))

    async def language(self, user_id: str) -> str:
        """Return the name of the language that the person has chosen in Slack."""
        return LANGUAGES.get((await self._directory.locale(user_id))[:2], "English")

    async def find_refusal(self, call: Call, source_id: str = "") -> str:
        """Return why somebody may not have this written, or not of that channel; empty: they may."""
        refusal = await self._admission.find_refusal(Asker(call.user_id, call.channel_id, call.team_id))
        if not refusal and call.lead == BANG:  # what everybody there sees
            refusal = await self._rooms.find_off(call.team_id, call.channel_id)
        return refusal if refusal or not source_id else await self._refuse_source(call, source_id)

    async def _refuse_source(self, call: Call, source_id: str) -> str:
        is_alone = call.lead != BANG or call.channel_id.startswith("D")
        place = "" if is_alone else call.channel_id  # what only one person sees is said nowhere
        wanted = Schedule(kind=Kind.DIGEST, channel_id=place, thread_ts="", source_id=source_id, text="")
        wanted.team_id, wanted.user_id = call.team_id, call.user_id
        try:
            return await self._rooms.find_refusal(wanted)
        except DeliveryError as error:
            return str(error)

    async def tell_channel(self, call: Call, prompt: str, source_id: str, since: datetime | None) -> Reply:
        """Write what *prompt* asks for of a channel; without *since*, of its last day."""
        moment = await self.now(call.user_id)
        refusal = await self.find_refusal(call, source_id)
        if refusal:
            return Reply(refusal, is_done=False)
        await call.tell(Reply(tell_reading()))
        try:
            heard = await self._reader.hear(source_id, since=since or moment - DAY, until=moment)
        except DeliveryError:
            return Reply(tell_away(), is_done=False)
        reply = await self._tell(call, prompt, source_id, heard)
        refusal = await self._refuse_source(call, source_id)  # others can have come to read while it was written
        return Reply(refusal, is_done=False) if refusal else reply

    async def tell_thread(self, call: Call, prompt: str, thread_ts: str, *, until_ts: str = "") -> Reply:
        """Write what *prompt* asks for of a thread, or of its part up to a message."""
        refusal = await self.find_refusal(call, call.channel_id)
        if refusal:
            return Reply(refusal, is_done=False)
        await call.tell(Reply(tell_reading()))
        try:
            heard = await self._reader.hear_thread(call.channel_id, thread_ts, until_ts=until_ts)
        except DeliveryError:
            return Reply(tell_away(), is_done=False)
        return await self._tell(call, prompt, call.channel_id, heard)

    async def last_message(self, call: Call) -> Call:
        """Return the call with what was said last in its thread as its words; raise *UsageError* without any."""
        if call.thread_ts is None:
            return replace(call, words="")
        if refusal := await self.find_refusal(call, call.channel_id):
            raise UsageError(refusal)
        try:
            heard = await self._reader.hear_thread(call.channel_id, call.thread_ts)
        except DeliveryError as error:
            raise UsageError(tell_away()) from error
        last = heard.lines[-1] if heard.lines else ""
        source_ts = heard.stamps[-1] if heard.lines else ""
        words = last.partition(": ")[2]
        return replace(call, words=words, source_ts=source_ts, is_ours=last not in heard.by_others)

    async def read(self, message: Mapping[str, Any], *, channel_id: str) -> Mapping[str, Any]:
        """Return a message without what it quotes of places that not all who read there may read."""
        are_ours = partial(self._rooms.are_ours_in, channel_id)
        return await self._directory.readable(message, channel_id=channel_id, are_ours=are_ours)

    def is_own(self, message: Mapping[str, Any]) -> bool:
        """Return whether we ourselves said a message."""
        return self._calls.is_own(message)

    async def tell_text(self, call: Call, prompt: str, **values: str) -> Reply:
        """Write what *prompt* asks for of one text, the call's words."""
        text = call.words.strip()
        refusal = await self.find_refusal(call)
        if refusal:
            return Reply(refusal, is_done=False)
        await call.tell(Reply(tell_reading()))
        pieces = split_text(text) if prompt == TRANSLATION else [text]  # each is written in full
        written = [await self._write(call, prompt, piece.splitlines(), **values) for piece in pieces]
        if call.source_ts and await self._reader.lacks(call.channel_id, [call.source_ts]):
            return Reply(tell_deleted(), is_done=False)
        whole = Written("\n".join(one.text for one in written), any(one.is_cut for one in written))
        return _build(whole, "" if call.is_ours else text, [], call)

    async def _tell(self, call: Call, prompt: str, source_id: str, heard: Heard) -> Reply:
        if not heard.lines:
            return Reply(_("Nothing was said there in that time."))
        lines = [f"[{number}] {line}" for number, line in enumerate(heard.lines, 1)]
        written = await self._write(call, prompt, lines)
        if await self._reader.lacks(source_id, heard.stamps):
            return Reply(tell_deleted(), is_done=False)
        sources = [] if prompt == REPLY else await self._link(source_id, heard, written.text)
        said = _("1 message") if len(lines) == 1 else _("{count} messages").format(count=len(lines))
        return _build(written, "\n".join(heard.by_others), [_("From {messages}").format(messages=said), *sources], call)

    async def _write(self, call: Call, prompt: str, lines: Sequence[str], **values: str) -> Written:
        scope = f"tool/{call.team_id}/{call.user_id}/{new_id()}"
        payer = Payer(call.user_id, "" if call.channel_id.startswith("D") else call.channel_id)
        return await self._writer.write(lines, scope=scope, payer=payer, prompt=prompt, **values)

    async def _link(self, channel_id: str, heard: Heard, written: str) -> list[str]:
        """Return links to the messages that are cited; if none is, to the first and the last one."""
        numbers = dict.fromkeys(int(found) for found in CITED.findall(written))
        cited = [number for number in numbers if 1 <= number <= len(heard.stamps)]
        links = []
        for number in (cited or sorted({1, len(heard.stamps)}))[:MOST_SOURCES]:
            ts = heard.stamps[number - 1]
            found = await self._calls.call_if_possible("chat.getPermalink", channel=channel_id, message_ts=ts)
            if found and found.get("permalink"):
                links.append(f"<{found['permalink']}|[{number}]>")
        return links


def _build(written: Written, material: str, sources: Sequence[str], call: Call) -> Reply:
    """Build what is shown: its links lead where the *material* does that others wrote, and nowhere else."""
    body, shown = show_written(written, material=material)
    if not body.strip():
        return Reply(_("My model wrote nothing. Please try again."), is_done=False)
    blocks = [*shown, *([context(" · ".join(sources))] if sources else [])]
    return Reply(render_mrkdwn(body), blocks, is_for_all=call.lead == BANG)


def split_text(text: str) -> list[str]:
    """Return a text in pieces so short that what is written of each is not cut off."""
    pieces: list[str] = []
    for line in text.splitlines():
        for part in wrap(line, PIECE) or [""]:
            is_room = bool(pieces) and len(pieces[-1]) + len(part) < PIECE
            pieces[-1:] = [f"{pieces[-1]}\n{part}"] if is_room else [*pieces[-1:], part]
    return [piece for piece in pieces if piece.strip()]


def tell_deleted() -> str:
    """Say that something of what was read is there no more."""
    return _("A message was deleted while I read, so I show nothing that I wrote of it. Order it again for the rest.")


def tell_reading() -> str:
    """Say that it takes a moment."""
    return _("I am reading. People who wait for an answer go first, so this may take a moment.")
