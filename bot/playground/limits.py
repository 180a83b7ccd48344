"""Slack's rate limits: so many calls a minute of each method in one workspace, and one message a second in a channel.

Slack promises no more than a tier's number; whoever stays below it here stays below it there.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0
TIER_2, TIER_3, TIER_4 = 20, 50, 100
PER_MINUTE = {
    "agents.sessions.rename": TIER_3,
    "agents.sessions.setStatus": TIER_3,
    "assistant.threads.setTitle": TIER_4,
    "bots.info": TIER_3,
    "chat.appendStream": TIER_4,
    "chat.delete": TIER_3,
    "chat.postEphemeral": TIER_4,
    "chat.scheduleMessage": TIER_3,
    "chat.startStream": TIER_2,
    "chat.stopStream": TIER_2,
    "chat.update": TIER_3,
    "conversations.history": TIER_3,
    "conversations.info": TIER_3,
    "conversations.list": TIER_2,
    "conversations.members": TIER_4,
    "conversations.open": TIER_3,
    "conversations.replies": TIER_3,
    "files.completeUploadExternal": TIER_4,
    "files.getUploadURLExternal": TIER_4,
    "files.info": TIER_4,
    "reactions.add": TIER_3,
    "reactions.get": TIER_3,
    "reactions.remove": TIER_2,
    "team.info": TIER_3,
    "users.info": TIER_4,
    "users.list": TIER_2,
    "views.open": TIER_4,
    "views.publish": TIER_4,
    "views.push": TIER_4,
    "views.update": TIER_4,
}
POSTS = "chat.postMessage"
POSTS_AT_ONCE, POSTS_WINDOW_S = 4, 4.0  # one a second in a channel, with short bursts


class Limits:
    """Counts the calls of one workspace; *now* is the playground's clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls: dict[str, deque[float]] = {}

    def take(self, method: str, channel: str, *, percent: float) -> int:
        """Count a call and return 0, or the seconds after which the method takes another one."""
        if method == POSTS:
            return self._take(f"{method}:{channel}", most=POSTS_AT_ONCE, window=POSTS_WINDOW_S)
        if method not in PER_MINUTE:
            return 0
        return self._take(method, most=max(1, int(PER_MINUTE[method] * percent / 100)), window=WINDOW_S)

    def clear(self) -> None:
        """Forget every call."""
        self._calls.clear()

    def _take(self, name: str, *, most: int, window: float) -> int:
        calls, now = self._calls.setdefault(name, deque()), self._now()
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= most:
            return max(1, math.ceil(calls[-most] + window - now))
        calls.append(now)
        return 0
