"""A word to whoever pressed something, where they pressed it, that nobody else sees."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.language import _
from bot.slack.blocks import Block, build_note
from bot.slack.calls import Calls


async def whisper(calls: Calls, body: Mapping[str, Any], text: str, extra: Sequence[Block] = ()) -> None:
    """Tell only the person who pressed, with *extra* below the words."""
    place, message = body.get("container") or {}, body.get("message") or {}
    thread_ts = message.get("thread_ts") or place.get("thread_ts")
    await calls.call_if_possible(
        "chat.postEphemeral",
        channel=(body.get("channel") or {}).get("id") or place.get("channel_id"),
        user=body["user"]["id"],
        text=text,
        blocks=[*build_note(text), *extra],
        **({"thread_ts": thread_ts} if thread_ts else {}),
    )


def tell_kept() -> str:
    """Say to somebody else why the answer that its asker wants to keep is not replaced."""
    return _("Whoever asked likes this answer, so it stays. Ask me again in your own words if you want another one.")


def tell_off() -> str:
    """Say why nothing is answered in a channel."""
    return _("An admin has switched me off in this channel. Ask me in a direct message instead.")


def tell_as_sent() -> str:
    """Say to whoever edited an order, or made one of a message, that the edit orders nothing."""
    return _("An order counts as it was sent: nothing is done when you edit one. Send it again to have it carried out.")


def tell_gone() -> str:
    """Say why a button below an answer does nothing."""
    return _("I do not know this answer any more: its question was deleted, or what I had stored of it.")


def tell_untaken(code: str) -> str:
    """Say that Slack refused what was to be shown, and with which word."""
    return _("Slack did not take it ({code}). Please try again.").format(code=code)
