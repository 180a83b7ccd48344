"""A digest of a channel as Slack shows it: what was said since the last one, with links to the longest threads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.conversation.digest import DigestWriter, Payer, Written
from bot.errors import DeliveryError, EngineBusy, EngineUnavailable
from bot.language import _
from bot.slack.blocks import Block, build_note, build_text, context, section
from bot.slack.calls import Calls, is_passing
from bot.slack.commands.orders import BANG
from bot.slack.delivery.chunks import find_urls
from bot.slack.delivery.render import render_mrkdwn
from bot.slack.delivery.safety import neutralise
from bot.slack.delivery.split import split_markdown
from bot.slack.people.directory import Directory
from bot.slack.people.gating import SPOKEN_SUBTYPES
from bot.slack.people.rooms import Rooms
from bot.slack.schedule.runner import DigestOrder
from bot.slack.schedule.words import tell_moment
from bot.slack.text import mentioned_users, parse_message
from bot.slack.turns.admission import Admission, Asker
from bot.storage.db import Database
from bot.storage.inbox import are_gone

PAGE = 200
MOST_MESSAGES = 600
FAR = timedelta(days=7)  # before, a thread may have begun in which something was said since
MOST_THREADS = 40  # whose replies are read
SHOWN_THREADS = 3
LINE_LENGTH = 1500
BODY_LENGTH = 6000


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said in a channel: one line each, oldest first; *busiest* are the threads with most replies.

    *by_others* are the lines that we did not say ourselves.
    """

    lines: list[str]
    people: int
    busiest: list[tuple[str, int]]
    stamps: list[str] = field(default_factory=list)  # of the lines
    by_others: list[str] = field(default_factory=list)


class ChannelDigests:
    """Reads a channel and has a digest of it written."""

    def __init__(
        self,
        calls: Calls,
        directory: Directory,
        writer: DigestWriter,
        admission: Admission,
        rooms: Rooms,
        *,
        database: Database,
    ) -> None:
        self._database = database
        self._admission = admission
        self._rooms = rooms
        self._calls = calls
        self._directory = directory
        self.writer = writer

    async def write(self, order: DigestOrder) -> dict[str, Any]:
        """Return a digest as arguments of chat.postMessage; raise a passing *DeliveryError* for what passes."""
        heard = await self.hear(order.source_id, since=order.since, until=order.until)
        since = tell_moment(order.since)
        if not heard.lines:
            sentence = _("Nothing was said in <#{channel}> since {since}.")
            return {"text": sentence.format(channel=order.source_id, since=since)}
        asker = Asker(order.user_id, order.channel_id, order.team_id)
        if await self._admission.find_refusal(asker, is_counted=True):
            sentence = _("There is no digest of <#{channel}> this time: the tokens that it may take are used up.")
            return {"text": sentence.format(channel=order.source_id)}
        scope, payer = f"digest/{order.team_id}/{order.source_id}", Payer(order.user_id, order.channel_id)
        try:
            written = await self.writer.write(heard.lines, scope=scope, payer=payer)
        except (EngineBusy, EngineUnavailable) as error:
            raise DeliveryError(is_passing=True) from error
        if await self.lacks(order.source_id, heard.stamps):
            raise DeliveryError(is_passing=True)  # it is written anew from what is left
        body, shown = show_written(written, material="\n".join(heard.lines))
        head = _("*Digest of <#{channel}> since {since}*").format(channel=order.source_id, since=since)
        blocks = [section(head), *shown, context(await self._tell_sources(order, heard))]
        return {"text": f"{head}\n{render_mrkdwn(body)}"[:BODY_LENGTH], "blocks": blocks}

    async def _tell_sources(self, order: DigestOrder, heard: Heard) -> str:
        """Say what it was written from, with links to where most was said."""
        parts = [_("{messages} messages of {people} people").format(messages=len(heard.lines), people=heard.people)]
        for ts, replies in heard.busiest:
            found = await self._calls.call_if_possible("chat.getPermalink", channel=order.source_id, message_ts=ts)
            if found and found.get("permalink"):
                label = _("1 reply") if replies == 1 else _("{count} replies").format(count=replies)
                parts.append(f"<{found['permalink']}|{label}>")
        return " · ".join(parts)

    async def lacks(self, channel_id: str, stamps: Collection[str]) -> bool:
        """Return whether a message was deleted since it was read: what was written of it is shown to nobody."""
        async with self._database.read() as session:
            return await are_gone(session, channel_id, stamps)

    async def hear(self, channel_id: str, *, since: datetime, until: datetime) -> Heard:
        """Read what was said between the two moments, threads included, also in those that began before."""
        begun, latest = since.timestamp(), f"{until.timestamp():.6f}"
        span, far = {"oldest": f"{begun:.6f}", "latest": latest}, f"{(since - FAR).timestamp():.6f}"
        known = await self._read("conversations.history", channel=channel_id, oldest=far, latest=latest)
        said = [root for root in known if float(root["ts"]) >= begun]
        lively = [root for root in known if max(float(root["ts"]), float(root.get("latest_reply") or 0)) >= begun]
        threads = sorted(lively, key=lambda message: int(message.get("reply_count") or 0), reverse=True)
        for root in threads[:MOST_THREADS]:
            if root.get("reply_count"):
                replies = await self._read("conversations.replies", channel=channel_id, ts=str(root["ts"]), **span)
                said += [reply for reply in replies if reply.get("ts") != root["ts"]]
        spoken = [one for one in said if _is_spoken(one)]
        busiest = [(str(root["ts"]), int(root["reply_count"])) for root in threads if root.get("reply_count")]
        return await self._note(channel_id, spoken, busiest[:SHOWN_THREADS])

    async def hear_thread(self, channel_id: str, thread_ts: str, *, until_ts: str = "") -> Heard:
        """Read a thread (up to a message), with what the assistant said, without the orders that it was given."""
        said = await self._read("conversations.replies", channel=channel_id, ts=thread_ts)
        said = [one for one in said if not until_ts or float(one["ts"]) <= float(until_ts)]
        spoken = [one for one in said if one.get("user") and one.get("subtype") in SPOKEN_SUBTYPES]
        return await self._note(channel_id, [one for one in spoken if not str(one.get("text")).startswith(BANG)], [])

    async def _note(self, channel_id: str, said: list[Mapping[str, Any]], busiest: list[tuple[str, int]]) -> Heard:
        newest = sorted(said, key=lambda one: float(one["ts"]))[-MOST_MESSAGES:]
        are_ours = partial(self._rooms.are_ours_in, channel_id)
        spoken = [await self._directory.readable(one, channel_id=channel_id, are_ours=are_ours) for one in newest]
        users = {str(message["user"]) for message in spoken}
        names = await self._directory.names(
            [*users, *(name for message in spoken for name in mentioned_users(message))]
        )
        lines = [_line(message, names) for message in spoken]
        others = [line for line, message in zip(lines, spoken, strict=True) if not self._calls.is_own(message)]
        return Heard(lines, len(users), busiest, [str(message["ts"]) for message in spoken], others)

    async def _read(self, method: str, **where: Any) -> list[Mapping[str, Any]]:
        """Read every page, up to what a digest can take."""
        found: list[Mapping[str, Any]] = []
        cursor: dict[str, Any] = {}
        while len(found) < MOST_MESSAGES:
            try:
                answer = await self._calls.call(method, limit=PAGE, **where, **cursor)
            except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
                raise DeliveryError(is_passing=is_passing(error)) from error
            found += answer.get("messages") or []
            following = (answer.get("response_metadata") or {}).get("next_cursor")
            if not following:
                break
            cursor = {"cursor": following}
        return found


def show_written(written: Written, *, material: str) -> tuple[str, list[Block]]:
    """Return what a model wrote and the blocks that show it, with a word where its end is missing.

    Its links lead where the *material* does, and nowhere else.
    """
    safe = neutralise(written.text, known_urls=find_urls(material))
    body, *rest = split_markdown(safe, limit=BODY_LENGTH) if safe.strip() else [""]
    cut = _("I reached my length limit: the end is missing.") if body and (rest or written.is_cut) else ""
    return body, [*build_text(body), *build_note(cut)]


def _is_spoken(message: Mapping[str, Any]) -> bool:
    """Return whether a person said it."""
    return bool(message.get("user")) and not message.get("bot_id") and message.get("subtype") in SPOKEN_SUBTYPES


def _line(message: Mapping[str, Any], names: Mapping[str, str]) -> str:
    text = " ".join(parse_message(message, bot_user_id="", names=names).split())
    return f"{names.get(str(message['user']), message['user'])}: {text}"[:LINE_LENGTH]
