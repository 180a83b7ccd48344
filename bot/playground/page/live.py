"""The page's WebSocket: pushes frames to one person until the page goes."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from aiohttp import WSMsgType, web

from bot.playground.live import Viewer
from bot.playground.page.request import HUB, PageRequest

CLOSE_SECONDS = 0.3  # how long a page may take to agree to a close


async def handle_live(request: web.Request) -> web.StreamResponse:
    """Serve one page's live connection."""
    hub = request.app[HUB]
    user = PageRequest(hub, request.query).user
    socket = web.WebSocketResponse(heartbeat=30, timeout=CLOSE_SECONDS)
    await socket.prepare(request)
    viewer = hub.live.join(user.id)
    writer = asyncio.create_task(_write(socket, viewer))
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT and '"ping"' in message.data:
                viewer.push({"type": "pong"})
    finally:
        hub.live.leave(viewer)
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
    return socket


async def _write(socket: web.WebSocketResponse, viewer: Viewer) -> None:
    with suppress(ConnectionError):
        while (frame := await viewer.frames.get()) is not None:
            await socket.send_str(json.dumps(frame))
        await socket.close(code=1001, message=b"load again")
