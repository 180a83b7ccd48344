"""Messages that the app says later: held until their time by the playground's clock, also across a restart."""

from __future__ import annotations

from bot.playground.entities import Message, ScheduledMessage
from bot.playground.hub import Hub
from bot.playground.messaging import post


def hold(hub: Hub, message: Message, *, post_at: int) -> ScheduledMessage:
    """Keep a message for later."""
    workspace = hub.workspace
    held = ScheduledMessage(workspace.next_id("Q"), int(hub.clock.now()), post_at, message)
    workspace.scheduled[held.id] = held
    hub.changed()
    _arm(hub, held)
    return held


def release(hub: Hub, held: ScheduledMessage) -> None:
    """Forget a message that shall not be said after all."""
    del hub.workspace.scheduled[held.id]
    hub.cancel_timer(_timer(held))
    hub.changed()


def arm_all(hub: Hub) -> None:
    """Wait for everything that an earlier run was told to say; what was due meanwhile is said at once."""
    for held in list(hub.workspace.scheduled.values()):
        _arm(hub, held)


def _arm(hub: Hub, held: ScheduledMessage) -> None:
    hub.set_timer(_timer(held), max(0.0, held.post_at - hub.clock.now()), lambda: _say(hub, held))


def _say(hub: Hub, held: ScheduledMessage) -> None:
    """Say a message, unless the app has left or the thread is gone: then Slack drops it without a word."""
    del hub.workspace.scheduled[held.id]
    message = held.message
    channel = hub.workspace.channels.get(message.channel)
    is_there = channel is not None and hub.app.bot_user_id in channel.members
    thread = message.thread_ts
    if is_there and (thread is None or hub.workspace.find(message.channel, thread) is not None):
        message.ts = hub.workspace.next_ts(hub.clock.now())
        post(hub, message)


def _timer(held: ScheduledMessage) -> str:
    return f"scheduled:{held.id}"
