"""Brings files from Slack, and from nowhere else: the bot's token goes to Slack's file host only, and never further."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp

SLACK = "https://files.slack.com"
TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10, sock_read=30)
PATH = re.compile(r"/files-(?:pri|tmb)/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]{1,2000}")
PERMALINK = re.compile(r"https://[a-z0-9-]+(?:\.enterprise)?\.slack\.com/files/[A-Za-z0-9\-._~%/]{1,500}")
OK = 200


class NotFetched(Exception):  # noqa: N818 - reads as a state
    """A file did not come; *reason* is a word for it, *is_passing* says that it may come later."""

    def __init__(self, reason: str, *, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_passing = is_passing


class FileFetcher:
    """Fetches what Slack's file host, or the playground at *api_url*, holds; never more than *most_bytes*."""

    def __init__(self, session: aiohttp.ClientSession, *, api_url: str, most_bytes: int) -> None:
        self._session = session
        parts = urlsplit(api_url)
        self._playground = f"{parts.scheme}://{parts.netloc}"
        self.most_bytes = most_bytes

    def is_ours(self, url: str) -> bool:
        """Return whether *url* is on a host that may have the token: compared as text, so no parser can be tricked."""
        return any(
            url.startswith(f"{host}/") and PATH.fullmatch(url.removeprefix(host)) and "/../" not in url
            for host in (SLACK, self._playground)
        )

    def is_permalink(self, url: str) -> bool:
        """Return whether *url* leads people to a file in Slack."""
        rest = url.removeprefix(self._playground)
        is_here = rest != url and re.fullmatch(r"/archives/[A-Z0-9]+/p\d+", rest)
        return bool(is_here or PERMALINK.fullmatch(url))

    async def fetch(self, url: str, *, token: str, mimetype: str = "") -> bytes:
        """Return a file's bytes; raise *NotFetched* for whatever is not one of Slack's, too large, or away."""
        if not self.is_ours(url):
            raise NotFetched("outside")
        headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False, timeout=TIMEOUT) as response:
                if response.status != OK:
                    raise NotFetched("gone", is_passing=response.status >= 500 or response.status == 429)
                if response.content_type == "text/html" and mimetype != "text/html":
                    raise NotFetched("login")  # Slack shows its sign-in page instead of saying no
                return await self._take(response)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NotFetched("gone", is_passing=True) from error

    async def _take(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) > self.most_bytes:
            raise NotFetched("too_large")
        content = bytearray()
        async for piece in response.content.iter_chunked(64 * 1024):
            content += piece
            if len(content) > self.most_bytes:
                raise NotFetched("too_large")
        return bytes(content)


@asynccontextmanager
async def file_fetcher(*, api_url: str, most_bytes: int) -> AsyncIterator[FileFetcher]:
    """Open a fetcher with a session of its own: no cookies, no proxy and no password of the environment."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session:
        yield FileFetcher(session, api_url=api_url, most_bytes=most_bytes)
