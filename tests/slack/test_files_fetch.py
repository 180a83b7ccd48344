"""Files come from Slack's own host and from nowhere else; the token goes there and no further."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from bot.slack.files.fetch import FileFetcher, NotFetched, file_fetcher

TOKEN = "xoxb-very-secret"
LIMIT = 100_000
PATH = "/files-pri/T1-F1/notes.txt"
HOSTS = (Path(__file__).parent / "payloads" / "hostile_hosts.txt").read_text().splitlines()
SCHEMES = (
    *("http://", "ftp://", "file://", "gopher://", "dict://", "ldap://", "data:", "javascript:", "//", "https:/"),
    *("https:", "HTTPS:\\\\", "https:\\\\", "https:/\\", "jar:https://", "ws://", "wss://", "blob:https://", "unix://"),
    *("view-source:https://", "http+unix://", "netdoc://", "\\\\", "///"),
)
PATHS = (
    *("/", "/etc/passwd", "/files-pri/", "/api/auth.test", "/files-pri/../api/auth.test", "/files-pri/T1-F1/../../x"),
    *("/files-pri\\T1-F1", "/files-pri/T1-F1/a\tb", "/files-pri/T1-F1/a\nb", "/files-pri/T1-F1/a\rb"),
    *("/files-pri/T1/#x", "/files-pri/T1-F1/?t=1", "/files-pri/T1-F1/ü", "/FILES-PRI/T1-F1/x"),
    *("/files-private/T1-F1/x", "/files-pri/" + "x" * 9000),
)


def corpus() -> list[str]:
    """Return addresses that no file of Slack's has."""
    wrong = [f"{scheme}{host}{PATH}" for host in HOSTS for scheme in ("https://", "http://")]
    wrong += [f"{scheme}files.slack.com{PATH}" for scheme in SCHEMES]
    wrong += [f"https://files.slack.com{path}" for path in PATHS]
    wrong += [f"{blank}https://files.slack.com{PATH}" for blank in (" ", "\n", "\t", "\0", "\u200b", "\ufeff")]
    wrong += [f"https://{quote(host, safe='')}{PATH}" for host in ("files.slack.com/@evil.example", "evil.example\n")]
    wrong += [
        "",
        "https://",
        "https://files.slack.com",
        "files.slack.com" + PATH,
        PATH,
        "https://files.slack.com" + "/files-pri/" + "x" * 9000,
    ]
    return wrong


class Trap:
    """A server that notes whoever knocks, and can answer in every bad way."""

    def __init__(self) -> None:
        self.knocks: list[tuple[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer by the last part of the path."""
        self.knocks.append((request.path, request.headers.get("Authorization", "")))
        kind = request.path.rpartition("/")[2]
        if kind.startswith("redirect"):
            return web.Response(status=int(kind[8:]), headers={"Location": f"{self.url}/elsewhere/{kind}"})
        if kind == "login":
            return web.Response(text="<!DOCTYPE html><title>Sign in</title>", content_type="text/html")
        if kind == "announced":
            return web.Response(body=bytes(LIMIT + 1))
        if kind in {"endless", "inflated"}:
            response = web.StreamResponse()
            if kind == "inflated":
                response.enable_compression(
                    web.ContentCoding.gzip, strategy=0
                ) if False else response.enable_compression()
            await response.prepare(request)
            for _ in range(1000):
                await response.write(bytes(10_000))
            return response
        if kind.isdigit():
            return web.Response(status=int(kind))
        return web.Response(body=b"hello", headers={"Set-Cookie": "session=1; Path=/"})


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    """Serve the trap."""
    trap, app = Trap(), web.Application()
    app.router.add_route("*", "/{path:.*}", trap.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    trap.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield trap
    await runner.cleanup()


@pytest.fixture
async def fetcher(trap: Trap) -> AsyncIterator[FileFetcher]:
    """Open a fetcher whose Slack is the trap, as the playground would be."""
    async with file_fetcher(api_url=f"{trap.url}/api/", most_bytes=LIMIT) as opened:
        yield opened


async def reason_of(fetcher: FileFetcher, url: str) -> str:
    """Return why nothing was fetched."""
    with pytest.raises(NotFetched) as caught:
        await fetcher.fetch(url, token=TOKEN)
    return caught.value.reason


async def test_no_other_address_is_ever_asked(
    fetcher: FileFetcher, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than two hundred addresses that look like Slack's or lead inside: no name is looked up, nobody is called."""

    async def fail(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    wrong = corpus()
    port = trap.url.rpartition(":")[2]
    wrong += [
        f"http://{host}:{port}{PATH}"
        for host in ("localhost", "127.1", "2130706433", "[::1]", "0.0.0.0", "x@127.0.0.1")
    ]
    wrong += [
        f"{trap.url}@evil.example{PATH}",
        f"{trap.url}.evil.example{PATH}",
        f"{trap.url}{PATH}?next=1",
        f"{trap.url}/api/auth.test",
    ]

    assert len(set(wrong)) >= 200
    assert {url for url in wrong if await reason_of(fetcher, url) != "outside"} == set()
    assert trap.knocks == []


async def test_a_file_comes_with_the_token_and_no_cookie(fetcher: FileFetcher, trap: Trap) -> None:
    """The one good way; what a server plants is not carried on."""
    for _ in range(2):
        assert await fetcher.fetch(f"{trap.url}{PATH}", token=TOKEN) == b"hello"
    assert trap.knocks == [(PATH, f"Bearer {TOKEN}")] * 2
    assert fetcher.is_ours(f"https://files.slack.com{PATH}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(fetcher: FileFetcher, trap: Trap, status: int) -> None:
    """The token stays where it was sent."""
    assert await reason_of(fetcher, f"{trap.url}/files-pri/T1-F1/redirect{status}") == "gone"
    assert len(trap.knocks) == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("login", "login"),
        ("announced", "too_large"),
        ("endless", "too_large"),
        ("inflated", "too_large"),
        ("404", "gone"),
        ("500", "gone"),
    ],
)
async def test_what_is_no_file_or_too_large_is_left(fetcher: FileFetcher, trap: Trap, kind: str, reason: str) -> None:
    """A page to sign in, a length that is too large or a lie, a compressed flood."""
    assert await reason_of(fetcher, f"{trap.url}/files-pri/T1-F1/{kind}") == reason


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://acme.slack.com/files/U1/F1/notes.txt", True),
        ("https://acme.enterprise.slack.com/files/U1/F1/notes.txt", True),
        ("https://acme.slack.com.evil.example/files/U1/F1/x", False),
        ("https://evil.example/files/U1/F1/x", False),
        ("https://acme.slack.com/files/U1/F1/x|<!channel>", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_only_slack_is_linked(url: str, is_shown: bool) -> None:
    """A citation leads into Slack or is no link."""
    fetcher = FileFetcher(None, api_url="https://slack.com/api/", most_bytes=1)  # type: ignore[arg-type]
    assert fetcher.is_permalink(url) is is_shown
