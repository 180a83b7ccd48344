"""A playground on a free port, the real Slack SDK's client for it, and a real Bolt app over real sockets."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from selenium import webdriver
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.testing import Playground
from tests.playground.browser import Page, Stage, open_browser

GENERAL, SUPPORT, LEADS = "C0GENERAL", "C0SUPPORT", "C0LEADS"
MAYA, TOM, PRIYA, SAM, BOT = "U0MAYA", "U0TOM", "U0PRIYA", "U0SAM", "U0APPRENTICE"


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Serve a fresh workspace."""
    async with Playground() as served:
        yield served


@pytest.fixture
def client(playground: Playground) -> AsyncWebClient:
    """Return the SDK's client with the app's bot token."""
    return build_client(playground)


def build_client(playground: Playground) -> AsyncWebClient:
    """Return the SDK's client for a playground."""
    return AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)


class Recorder:
    """A Bolt app that remembers every event it hears."""

    def __init__(self, client: AsyncWebClient) -> None:
        self.app = AsyncApp(client=client)
        self.bodies: list[dict[str, Any]] = []
        self.app.use(self._remember)
        self.handlers: list[AsyncSocketModeHandler] = []

    async def connect(self, playground: Playground) -> None:
        """Open one Socket Mode connection."""
        client = AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)
        handler = AsyncSocketModeHandler(self.app, playground.options.app_token, web_client=client)
        self.handlers.append(handler)
        await handler.connect_async()
        await playground.wait_for_connection()

    async def close(self) -> None:
        """Close all connections."""
        for handler in self.handlers:
            await handler.close_async()

    def events(self, kind: str | None = None, subtype: str | None = None) -> list[dict[str, Any]]:
        """Return the events heard, of one type and subtype if asked."""
        found = [body["event"] for body in self.bodies if "event" in body]
        return [event for event in found if kind in {None, event["type"]} and subtype in {None, event.get("subtype")}]

    async def _remember(self, body: dict[str, Any], next: Callable[[], Any]) -> None:  # noqa: A002 - Bolt's name
        self.bodies.append(body)
        await next()


@pytest.fixture
async def recorder(playground: Playground, client: AsyncWebClient) -> AsyncIterator[Recorder]:
    """Connect a Bolt app that acknowledges and remembers everything."""
    recorder = Recorder(client)

    @recorder.app.event({"type": "message"})
    async def on_message() -> None:
        return

    for kind in (
        "app_mention",
        "reaction_added",
        "reaction_removed",
        "member_joined_channel",
        "app_home_opened",
        "app_context_changed",
        "agent_session_stopped",
        "agent_session_title_changed",
    ):
        recorder.app.event(kind)(on_message)
    await recorder.connect(playground)
    yield recorder
    await recorder.close()


async def error_of(call: Any) -> str:
    """Return the error code with which a call of the SDK fails."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Start one browser for all tests of this file; each test has its own origin, so its own storage."""
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def stage(driver: webdriver.Chrome) -> Iterator[Stage]:
    """Serve a fresh workspace with the app connected."""
    with Stage() as stage:
        yield stage
        driver.get("about:blank")


@pytest.fixture
def page(driver: webdriver.Chrome, stage: Stage) -> Iterator[Page]:
    """Open the page; whatever a test does, the console must stay clean."""
    page = Page(driver, stage.url)
    page.resize(1280, 800)
    page.prefer("light")
    page.problems()
    yield page
    assert page.problems() == []
