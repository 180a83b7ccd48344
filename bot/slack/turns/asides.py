"""What the assistant says about its own manners, each once: that it is off, quiet, stays out, or may not answer."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.language import _
from bot.slack import pledges
from bot.slack.blocks import ANSWER_EDITED, FOLLOW, QUIET, Block, build_button, context, section
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.feedback.lesson_words import tell_agreed, tell_unasked
from bot.slack.feedback.lessons import AGREED, REQUEST, UNASKED, Lessons
from bot.slack.people.gating import Verdict
from bot.slack.schedule.words import tell_moment
from bot.slack.throttle import Full
from bot.slack.turns.whisper import tell_as_sent, tell_off
from bot.storage import exported
from bot.storage.tables import Inbox

OFFER = "offer"  # the inbox's word for a question that was edited after its answer
SIGN = "zipper_mouth_face"  # where it is quiet, for all who write there and wait for an answer

log = logging.getLogger(__name__)


class Asides:
    """Brings to their outcome those events that are not answered."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.lessons: Lessons | None = None  # who asks authors

    def knows(self, kind: str) -> bool:
        """Return whether an event of *kind* wants a word beside the answers."""
        said = {Verdict.OFF, Verdict.HUSH, Verdict.TALK, Verdict.STRANGER, Verdict.CROWDED, Verdict.STALE}
        return kind in {*said, OFFER, REQUEST, AGREED, UNASKED, pledges.CUT, exported.EXPORTED}

    async def tell(self, row: Inbox) -> None:
        """Say what *row* wants said; raise a passing *DeliveryError* while Slack is away."""
        try:
            await self._tell(row)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            log.warning("turns: a word of the kind %s could not be shown (%s)", row.kind, error_code(error))

    async def _tell(self, row: Inbox) -> None:
        match row.kind:
            case Verdict.STRANGER | Verdict.STALE:
                await self._calls.post(
                    f"{row.event_id}/aside",
                    looks_first=row.attempts > 1,
                    channel=row.channel_id,
                    thread_ts=row.thread_ts,
                    text=tell_stranger() if row.kind == Verdict.STRANGER else tell_stale(),
                )
            case Verdict.CROWDED if row.channel_id.startswith("D"):
                text = tell_crowded(Full(row.payload["full"]), row.payload["seconds"])
                await self._calls.call("chat.postMessage", channel=row.channel_id, thread_ts=row.thread_ts, text=text)
            case Verdict.CROWDED:
                await self._whisper(row, tell_crowded(Full(row.payload["full"]), row.payload["seconds"]), [])
            case Verdict.HUSH:
                sign = {
                    "channel": row.channel_id,
                    "timestamp": row.thread_ts,
                    "name": SIGN,
                }  # from where it can be taken away
                await self._calls.call_if_possible("reactions.add", **sign)
                await self._whisper(row, tell_hush(), [build_button(_("Join in again"), FOLLOW, row.thread_ts)])
            case Verdict.TALK:
                await self._whisper(row, tell_talk(), build_talk_buttons(row.thread_ts))
            case _ if row.kind == OFFER:
                await self._offer(row)
            case pledges.CUT:
                await self._tell_cut(row)
            case exported.EXPORTED:
                await self._tell_alone(row, tell_exported(row.payload["by"], row.received_at))
            case _ if row.kind in {AGREED, UNASKED}:
                tell = tell_agreed if row.kind == AGREED else tell_unasked
                await self._tell_alone(row, tell(row.payload["author_id"]))
            case _ if row.kind == REQUEST:
                if self.lessons is not None:
                    await self.lessons.ask(row)
            case _:
                await self._whisper(row, tell_off(), [])

    async def _offer(self, row: Inbox) -> None:
        """Ask whoever edited a question, and nobody else, whether it shall be answered again."""
        if row.payload.get("is_order"):
            await self._whisper(row, tell_as_sent(), [])
            return
        if row.payload.get("is_private"):
            await self._whisper(row, tell_edited_since(), [])
            return
        text = _("You edited your question. Shall I answer it again?")
        button = build_button(_("Answer the edited question"), ANSWER_EDITED, row.payload["answer_id"])
        await self._calls.call(
            "chat.postEphemeral",
            channel=row.channel_id,
            thread_ts=row.thread_ts,
            user=row.payload["user_id"],
            text=text,
            blocks=[section(text), {"type": "actions", "elements": [button]}],
        )

    async def _tell_cut(self, row: Inbox) -> None:
        """Tell whoever gave an order where they gave it, or where they are alone with us if we are not there."""
        text, user_id = tell_cut(row.received_at), str(row.payload["user_id"])
        try:
            if row.channel_id and not row.channel_id.startswith("D"):
                await self._whisper(row, text, [])
                return
        except SlackApiError as error:
            if is_passing(error):
                raise
        await self._calls.post(f"{row.event_id}/cut", looks_first=row.attempts > 1, channel=user_id, text=text)

    async def _tell_alone(self, row: Inbox, text: str) -> None:
        """Tell a person where they are alone with us."""
        where = row.payload["user_id"]
        await self._calls.post(f"{row.event_id}/told", looks_first=row.attempts > 1, channel=where, text=text)

    async def _whisper(self, row: Inbox, text: str, buttons: list[Block]) -> None:
        """Tell only the person; an ephemeral message in a thread that does not exist yet would never be shown."""
        thread = {"thread_ts": row.thread_ts} if row.payload.get("is_reply") else {}
        blocks = [context(text), *([{"type": "actions", "elements": buttons}] if buttons else [])]
        await self._calls.call(
            "chat.postEphemeral",
            channel=row.channel_id,
            user=row.payload["user_id"],
            text=text,
            blocks=blocks,
            **thread,
        )


def build_talk_buttons(thread_ts: str) -> list[Block]:
    """Build the two ways on when people talk to each other."""
    return [
        build_button(_("Be quiet here"), QUIET, thread_ts),
        build_button(_("Join in"), FOLLOW, thread_ts),
    ]


def tell_edited_since() -> str:
    """Say to whoever edited a question that was answered for them alone how its new words are answered."""
    return _("You edited a question that I answer for you alone. That is to its old words: order it again for the new.")


def tell_stranger() -> str:
    """Refuse politely, once a thread."""
    return _(
        "Thank you for writing. I only answer members of the organisation that runs me, so I cannot help here, and I "
        "have not kept your message. One of its admins can allow you."
    )


def tell_stale() -> str:
    """Say that a message was missed and found too late."""
    return _("I was away when you wrote this, and that is a while ago. If you still want an answer, write to me again.")


def tell_cut(moment: datetime) -> str:
    """Say that an order may have been carried out or not."""
    said = _(
        "I was interrupted while I did what you ordered or pressed ({moment}). Please see whether it is done, and do "
        "it again if not."
    )
    return said.format(moment=tell_moment(moment))


def tell_exported(by: str, moment: datetime) -> str:
    """Say that what is stored of a person was exported where no order in Slack shows it."""
    said = _("An admin at the terminal ({who}) has exported a copy of what I have stored of you ({moment}).")
    return said.format(who=by, moment=tell_moment(moment))


def tell_hush() -> str:
    """Say that it is quiet now, and how to have it back."""
    return _("I am quiet in this thread now. Mention me to ask me something; `!follow` lets me join in again.")


def tell_talk() -> str:
    """Say that it stays out of a talk between people."""
    return _("You seem to be talking to each other, so I stay out of it until somebody mentions me.")


def tell_crowded(full: Full, seconds: int) -> str:
    """Say that it is too much at once, and when there is room again."""
    if full is Full.PERSON:
        sentence = _(
            "That is more than I can take from one person at once, so I leave this unanswered, and what you write "
            "within the next {seconds} s. Please ask again after that."
        )
    elif full is Full.CHANNEL:
        sentence = _(
            "This channel asks more than I can take at once, so I leave this unanswered. Please ask again in "
            "{seconds} s, or in a direct message."
        )
    else:
        sentence = _(
            "So many messages wait for an answer that I cannot take yours now. Please ask again in a minute or two."
        )
    return sentence.format(seconds=seconds)


def thread_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the channel and the thread in which somebody pressed a button, as Slack says, not as the button does."""
    place = body.get("container") or {}
    message = body.get("message") or {}
    channel_id = (body.get("channel") or {}).get("id") or place.get("channel_id")
    thread_ts = message.get("thread_ts") or place.get("thread_ts") or message.get("ts") or place.get("message_ts")
    return str(channel_id or ""), str(thread_ts or "")
