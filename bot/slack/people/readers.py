"""Who will read an answer? Only what all of them may read is used for it: asked of Slack, remembered for a minute.

What is public in the workspace is for its members. In a channel that is shared with another organisation, or in which
there is a guest, not everybody who reads along is one. What Slack does not tell counts as no.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.slack.calls import Calls
from bot.slack.people.access import Access
from bot.slack.workspaces import key_of
from bot.storage.tables import Audience

FRESH_S = 60.0  # who has left or come in counts by then
STEADY_S = 600.0  # who is a guest changes seldom, and whoever is not listed yet counts as one
PAGE = 1000
MOST_PAGES = 20  # nobody looks through more; a larger channel counts as one with guests

People = frozenset[str] | None  # None: Slack does not tell


class Readers:
    """Knows whether all who read along in a place are members of the workspace."""

    def __init__(self, calls: Calls, access: Access, *, now: Callable[[], float] = time.monotonic) -> None:
        self.calls = calls
        self.access = access
        self._now = now
        self._known: dict[str, tuple[float, People]] = {}

    async def are_ours(self, user_id: str, channel_id: str, audience: Audience) -> bool:
        """Return whether whoever asks, and everybody who can read the answer there, is a member of the workspace."""
        if audience is Audience.SHARED or not await self.access.is_ours(user_id):
            return False
        return audience is Audience.DIRECT or await self.are_all_ours(channel_id)

    async def are_all_ours(self, channel_id: str) -> bool:
        """Return whether everybody in a channel is a member of the workspace."""
        here = await self._keep(f"members/{channel_id}", lambda: self._list_here(channel_id), fresh_s=FRESH_S)
        ours = await self._keep("ours", self._list_ours, fresh_s=STEADY_S)
        return here is not None and ours is not None and here <= ours

    async def _keep(self, name: str, ask: Callable[[], Awaitable[People]], *, fresh_s: float) -> People:
        key = key_of(name)
        moment = self._now()
        if self._known.get(key, (0.0, None))[1] is None:
            fresh_s = FRESH_S  # what Slack did not tell it may tell soon
        if key not in self._known or moment - self._known[key][0] >= fresh_s:
            self._known = {name: kept for name, kept in self._known.items() if moment - kept[0] < STEADY_S}
            self._known[key] = (moment, await ask())
        return self._known[key][1]

    async def _list_here(self, channel_id: str) -> People:
        found = await self._read("conversations.members", channel=channel_id)
        return frozenset(map(str, found)) if found else None  # in a place in which somebody asks there is somebody

    async def _list_ours(self) -> People:
        """Return every member of the workspace; its own apps are let pass, for they are nobody."""
        found = await self._read("users.list")
        if found is None:
            return None
        return frozenset(str(user["id"]) for user in found if user.get("is_bot") or self.access.is_member(user))

    async def _read(self, method: str, **where: Any) -> list[Any] | None:
        found: list[Any] = []
        cursor: dict[str, str] = {}
        for _page in range(MOST_PAGES):
            answer: Mapping[str, Any] | None = await self.calls.call_if_possible(method, limit=PAGE, **where, **cursor)
            if answer is None or not isinstance(answer.get("members"), list):
                return None
            found += answer["members"]
            following = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not following:
                return found
            cursor = {"cursor": following}
        return None
