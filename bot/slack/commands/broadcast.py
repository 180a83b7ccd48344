"""`broadcast`: what the admins tell everybody, in the channels where the assistant is used; it can be taken back."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from bot.errors import AdminError
from bot.language import _
from bot.slack.blocks import context, section
from bot.slack.calls import Calls
from bot.slack.commands.order_buttons import ask, done
from bot.slack.commands.order_words import YES, read_words
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.slack.workspaces import serving
from bot.storage import notices
from bot.storage.admin_tables import Notice
from bot.storage.audit import record
from bot.storage.db import Database
from bot.storage.tables import now

BUSY = timedelta(days=30)
PAUSE_S = 1.0  # Slack takes about one message a second
MOST_TEXT = 1500
UNDO = "undo"


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
        if read_words(call.words).verb == UNDO:
            return await self._withdraw(read_words(call.words).rest, call)
        is_sure, text = call.words.endswith(YES), call.words.removesuffix(YES).strip()
        if not text:
            raise UsageError(_("I need the words of the notice."))
        if len(text) > MOST_TEXT:
            raise UsageError(_("A notice has at most {count} characters.").format(count=f"{MOST_TEXT:,}"))
        workspace = serving()
        here = workspace.team_id if workspace else call.team_id  # empty for a whole organisation
        async with self._database.read() as session:
            channels = await notices.busy_channels(session, since=now() - BUSY, team_id=here)
        if not channels:
            return Reply(_("Nobody has asked me anything in a channel within 30 days, so there is nowhere to post."))
        if not is_sure:
            where = " ".join(f"<#{channel}>" for channel in channels[:20])
            question = _("Post this in {count} channels: {where}?").format(count=len(channels), where=where)
            reply = ask(question, f"broadcast {text}", label=_("Post"), is_danger=False)
            return Reply(reply.text, [section(_quiet(text)), *reply.blocks], is_done=False)
        return await self._post(text, channels, call)

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
            said = await self._calls.call_if_possible("chat.postMessage", channel=channel, text=text, blocks=blocks)
            if said is None:
                continue
            ts = str(said["ts"])
            async with self._database.begin() as session:
                stands = await notices.note_posts(session, notice.id, posts | {channel: ts})
            if not stands:  # whoever took it back could not know of this one
                await self._calls.call_if_possible("chat.delete", channel=channel, ts=ts)
                return posts, False
            posts[channel] = ts
        return posts, True

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
        gone = [
            channel
            for channel, ts in notice.posts.items()
            if await self._calls.call_if_possible("chat.delete", channel=channel, ts=ts) is not None
        ]
        counts = {"channels": len(gone), "of": len(notice.posts)}
        async with self._database.begin() as session:
            await notices.forget_posts(session, notice.id, gone)
            record(session, "broadcast.undo", by=call.user_id, target=notice.id, **counts)
        return Reply(_("Deleted in {count} of {all} channels.").format(count=len(gone), all=len(notice.posts)))


def _quiet(text: str) -> str:
    """Return a text that calls nobody: a notice is read when people come by."""
    return text.replace("<!", "&lt;!").replace("<@", "&lt;@")
