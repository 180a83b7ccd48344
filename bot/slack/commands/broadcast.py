"""`broadcast`: what the admins tell everybody, in the channels where the assistant is used; it can be taken back."""

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import AdminError
from bot.language import _
from bot.slack.blocks import context, section
from bot.slack.calls import Calls, error_code
from bot.slack.commands.order_buttons import ask, done
from bot.slack.commands.order_words import YES
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.slack.workspaces import serving
from bot.storage import notices
from bot.storage.admin_tables import Notice
from bot.storage.audit import record
from bot.storage.channel_settings import load_rules
from bot.storage.db import Database
from bot.storage.manners_tables import Mode
from bot.storage.tables import now

log = logging.getLogger(__name__)
BUSY = timedelta(days=30)
PAUSE_S = 1.0  # Slack takes about one message a second
MOST_TEXT = 1500
UNDO = "undo"
ASKED = re.compile(r"--to=([0-9a-f]{8})\s+")  # for which channels somebody was asked
UNDONE = re.compile(rf"{UNDO}(?:\s+([0-9A-Z]{{26}}))?", re.IGNORECASE)  # a notice may begin with the word as well


def build_broadcast_commands(database: Database, calls: Calls) -> list[Command]:
    """Build the command."""
    return [
        Command(
            name="broadcast",
            usage=_("TEXT | undo"),
            purpose=_("posts a notice in every channel where I was asked something within 30 days"),
            run=Broadcast(database, calls).run,
            role=Role.ADMIN,
            group=_("Run me"),
            words=(UNDO,),
            example=_("broadcast I am away from 6 to 7 pm for maintenance."),
        )
    ]


class Broadcast:
    """Posts notices and deletes them again."""

    def __init__(self, database: Database, calls: Calls) -> None:
        self._database = database
        self._calls = calls

    async def run(self, call: Call) -> Reply:
        """Ask, then post; or delete the newest notice."""
        if (undone := UNDONE.fullmatch(call.words.removesuffix(YES).strip())) is not None:
            return await self._withdraw(undone[1] or "", call)
        is_sure, text = call.words.endswith(YES), call.words.removesuffix(YES).strip()
        asked = ASKED.match(text)
        text = text[asked.end() :] if asked else text
        if not text:
            raise UsageError(_("I need the words of the notice."))
        if len(text) > MOST_TEXT:
            raise UsageError(_("A notice has at most {count} characters.").format(count=f"{MOST_TEXT:,}"))
        channels = await self._find_channels(call)
        if not channels:
            return Reply(_("Nobody has asked me anything in a channel within 30 days, so there is nowhere to post."))
        place = sha256(" ".join(channels).encode()).hexdigest()[:8]
        if not is_sure or (asked and asked[1] != place):  # others have been asked about since: it is asked again
            where = " ".join(f"<#{channel}>" for channel in channels[:20])
            question = _("Post this in {count} channels: {where}?").format(count=len(channels), where=where)
            reply = ask(question, f"broadcast --to={place} {text}", label=_("Post"), is_danger=False)
            return Reply(reply.text, [section(_quiet(text)), *reply.blocks], is_done=False)
        return await self._post(text, channels, call)

    async def _find_channels(self, call: Call) -> Sequence[str]:
        """Return where people asked something of late, but for channels in which nothing is said."""
        workspace = serving()
        here = workspace.team_id if workspace else call.team_id  # empty for a whole organisation
        async with self._database.read() as session:
            busy = await notices.busy_channels(session, since=now() - BUSY, team_id=here)
            rules = {channel: await load_rules(session, call.team_id, channel) for channel in busy}
        return [channel for channel in busy if rules[channel].mode is not Mode.OFF]

    async def _post(self, text: str, channels: Sequence[str], call: Call) -> Reply:
        """Post a notice; the log says that it is begun, and in how many channels it then stood."""
        async with self._database.begin() as session:
            notice = await notices.save_notice(session, text, by=call.user_id)
            record(session, "broadcast.begin", by=call.user_id, target=notice.id, of=len(channels))
        posts, stands = await self._send(notice, channels)
        counts = {"channels": len(posts), "of": len(channels)}
        async with self._database.begin() as session:
            record(session, "broadcast.post", by=call.user_id, target=notice.id, **counts)
        if not stands:
            return Reply(_("It was taken back while I posted it, so I stopped."))
        said_so = _("Posted in {count} of {all} channels.").format(count=len(posts), all=len(channels))
        return done(said_so, f"broadcast {UNDO} {notice.id}", label=_("Delete it again"))

    async def _send(self, notice: Notice, channels: Sequence[str]) -> tuple[dict[str, str], bool]:
        """Return where a notice was posted, and whether it still stands: whoever takes it back ends it."""
        posts: dict[str, str] = {}
        text, by = _quiet(notice.text), f"<@{notice.by}>"
        blocks = [section(f"📣 {text}"), context(_("A notice of {user}").format(user=by))]
        for number, channel in enumerate(channels):
            if number:
                await asyncio.sleep(PAUSE_S)
            if not await self._is_ours(channel):
                continue
            async with self._database.begin() as session:  # so that it is looked for where a kill comes in between
                stands = await notices.note_posts(session, notice.id, posts | {channel: ""})
            if not stands:
                return posts, False
            try:
                said = await self._calls.post(_key(notice.id, channel), channel=channel, text=text, blocks=blocks)
            except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("broadcast: a channel was left out (%s)", error_code(error))
                continue
            ts = str(said["ts"])
            async with self._database.begin() as session:
                stands = await notices.note_posts(session, notice.id, posts | {channel: ts})
            if not stands:  # whoever took it back could not know of this one
                await self._calls.call_if_possible("chat.delete", channel=channel, ts=ts)
                return posts, False
            posts[channel] = ts
        async with self._database.begin() as session:
            return posts, await notices.note_posts(session, notice.id, posts)

    async def _find(self, notice: Notice) -> dict[str, str]:
        """Return where a notice stands, also where it was posted by a process that could not say so any more."""
        found = {channel: ts or await self._look(notice, channel) for channel, ts in notice.posts.items()}
        return {channel: ts for channel, ts in found.items() if ts}

    async def _look(self, notice: Notice, channel: str) -> str:
        try:
            sent = await self._calls.read_sent(channel)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("broadcast: a channel cannot be read (%s)", error_code(error))
            return ""
        return next((one.ts for one in sent if one.key == _key(notice.id, channel)), "")

    async def _is_ours(self, channel_id: str) -> bool:
        """Return whether nobody of another organisation reads in a channel; it may be shared since somebody asked."""
        found = await self._calls.call_if_possible("conversations.info", channel=channel_id)
        channel = (found or {}).get("channel") or {}
        is_shared = channel.get("is_ext_shared") or channel.get("is_pending_ext_shared")
        return bool(channel.get("id")) and not is_shared

    async def _withdraw(self, notice_id: str, call: Call) -> Reply:
        """Delete the newest notice, or the one that is named; what is still being posted stops first."""
        async with self._database.begin() as session:
            notice = await notices.withdraw(session, notice_id.strip().upper())
        if notice is None:
            raise AdminError(_("There is no notice to take back."))
        stands = await self._find(notice)
        gone = [
            channel
            for channel, ts in stands.items()
            if await self._calls.call_if_possible("chat.delete", channel=channel, ts=ts) is not None
        ]
        counts = {"channels": len(gone), "of": len(stands)}
        async with self._database.begin() as session:
            await notices.forget_posts(session, notice.id, gone)
            record(session, "broadcast.undo", by=call.user_id, target=notice.id, **counts)
        return Reply(_("Deleted in {count} of {all} channels.").format(count=len(gone), all=len(stands)))


def _key(notice_id: str, channel_id: str) -> str:
    """Return by what a notice is known in a channel."""
    return f"{notice_id}/{channel_id}"


def _quiet(text: str) -> str:
    """Return a text that calls nobody: a notice is read when people come by."""
    return text.replace("<!", "&lt;!").replace("<@", "&lt;@")
