"""The open pages: who is looking, and the frames that are pushed to them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from bot.playground.entities import Json

BACKLOG = 2000  # frames; a page that is further behind is cut off and loads everything anew


class Viewer:
    """One open page of one person."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.frames: asyncio.Queue[Json | None] = asyncio.Queue(BACKLOG)

    def push(self, frame: Json | None) -> bool:
        """Queue a frame (None ends the connection) and say whether there was room."""
        try:
            self.frames.put_nowait(frame)
        except asyncio.QueueFull:
            return False
        return True


class Live:
    """Sends each frame to the pages of those who may see it."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()

    def join(self, user: str) -> Viewer:
        """Start sending frames to a new page of *user*."""
        viewer = Viewer(user)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Stop sending frames to a page."""
        self._viewers.discard(viewer)

    def watching(self, users: Collection[str]) -> set[str]:
        """Return those of *users* who have a page open."""
        return {viewer.user for viewer in self._viewers} & set(users)

    def push(self, frame: Json, users: Collection[str] | None = None) -> None:
        """Send *frame* to the pages of *users*, or to every page."""
        for viewer in list(self._viewers):
            if (users is None or viewer.user in users) and not viewer.push(frame):
                self._cut_off(viewer)

    def close(self) -> None:
        """End every page's connection."""
        for viewer in list(self._viewers):
            self._cut_off(viewer)

    def _cut_off(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        while not viewer.push(None):
            viewer.frames.get_nowait()
