"""A model hub on this machine: it can break off, lie, move, refuse, and remembers what it was asked."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

CONTENT = b"GGUF" + bytes(range(256)) * 16 * 1024
COMMIT = "a" * 40


@dataclass
class Hub:
    """A model hub with the two calls that a download needs; it can break off, lie, or refuse."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: {"model.gguf": CONTENT})
    requests: list[str] = field(default_factory=list)
    cut_at: int | None = None
    spoiled: bool = False
    excess: int = 0
    status: int = 0
    error: str = ""
    renamed: bool = False
    storage: str = ""
    ignores_ranges: bool = False
    tokens: list[str] = field(default_factory=list)
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as the hub does for a file in its large storage."""
        wanted = request.headers.get("Range", "")
        self.requests.append(f"{request.method} {request.path} {wanted}".strip())
        file = request.path.rpartition("/resolve/")[2].partition("/")[2]
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.renamed and request.path.startswith("/team/"):
            return web.Response(status=307, headers={"Location": request.path.replace("/team/", "/crew/")})
        if self.storage and request.method == "GET":
            return web.Response(status=302, headers={"Location": f"{self.storage}{request.path}"})
        if self.status:
            return web.Response(status=self.status, headers={"X-Error-Code": self.error})
        if file not in self.files:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        content = self.files[file]
        sha256 = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{sha256}"', "X-Linked-ETag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
        headers |= {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = int(wanted.removeprefix("bytes=").partition("-")[0] or 0)
        if start:
            self.resumed.set()
        start = 0 if self.ignores_ranges else start
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(content))})
        return await self._send(request, content, start=start, headers=headers)

    async def _send(
        self, request: web.Request, content: bytes, *, start: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = len(content) - start + self.excess
        await response.prepare(request)
        body = bytes(len(content)) if self.spoiled else content
        end = len(content) if self.cut_at is None else self.cut_at
        with suppress(ConnectionError):
            await response.write(body[start:end] + bytes(self.excess))
            if end < len(content):
                await asyncio.sleep(0.2)
                if request.transport:
                    request.transport.close()
        return response


@asynccontextmanager
async def running_hub() -> AsyncIterator[Hub]:
    """Run a hub on this machine."""
    hub = Hub()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hub.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hub.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield hub
    await runner.cleanup()
