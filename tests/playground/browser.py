"""A real browser on a real playground with a small real Bolt app: what the page's tests drive."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    JavascriptException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.testing import Playground
from tests.playground.page_app import build_app

T = TypeVar("T")
PATIENCE = 20.0  # a busy machine is no fault of the page
COMPOSER = ".main .pane-foot textarea"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
)


class Stage:
    """A playground and its app on an event loop of their own, so that tests can drive the browser plainly."""

    def __init__(self, *, with_app: bool = True) -> None:
        self.playground = Playground()
        self.app: AsyncApp | None = None
        self.submitted: list[dict[str, Any]] = []
        self._with_app = with_app
        self._handler: AsyncSocketModeHandler | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Stage":
        self._thread.start()
        self.do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The page's address."""
        return self.playground.base_url

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the playground's loop and wait for it."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(30)

    async def _open(self) -> None:
        await self.playground.__aenter__()
        if not self._with_app:
            return
        client = AsyncWebClient(token=self.playground.options.bot_token, base_url=self.playground.api_url)
        self.app = build_app(client, self.submitted)
        self._handler = AsyncSocketModeHandler(self.app, self.playground.options.app_token, web_client=client)
        await self._handler.connect_async()
        await self.playground.wait_for_connection()

    async def _close(self) -> None:
        if self._handler is not None:
            await self._handler.close_async()
        unfinished = asyncio.all_tasks() - {asyncio.current_task()}
        await self.playground.__aexit__(None, None, None)
        for task in unfinished:  # an answer of the app that a test did not wait for
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports close on the next rounds of the loop


class Page:
    """The browser as a person uses it: find by CSS, wait, type, press."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def go(self, user: str, *places: str) -> None:
        """Open a place as somebody, with everything loaded anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#/{'/'.join((user, *places))}")
        self.see(".topbar .me-button .avatar")

    def all(self, css: str) -> list[WebElement]:
        """Return what matches now and can be seen."""
        return [element for element in self.driver.find_elements(By.CSS_SELECTOR, css) if element.is_displayed()]

    def see(self, css: str, text: str = "", *, patience: float = PATIENCE) -> WebElement:
        """Wait until something that matches shows *text*."""
        return self.wait(
            lambda: next((element for element in self.all(css) if text in element.text), None),
            what=f"{css} with {text!r}",
            patience=patience,
        )

    def gone(self, css: str) -> None:
        """Wait until nothing that matches can be seen."""
        self.wait(lambda: not self.all(css), what=f"{css} to go")

    def wait(self, look: Callable[[], T | None], *, what: str, patience: float = PATIENCE) -> T:
        """Wait until *look* returns something true."""
        deadline = time.monotonic() + patience
        while True:
            try:
                if found := look():
                    return found
            except (StaleElementReferenceException, JavascriptException, ElementClickInterceptedException):
                pass  # the page has just drawn itself anew, or moved
            if time.monotonic() > deadline:
                shown = self.driver.find_element(By.TAG_NAME, "body").text
                raise AssertionError(f"Waited {patience:g} s for {what}; the page shows: {shown[-1500:]}")
            time.sleep(0.03)

    def click(self, css: str, text: str = "") -> None:
        """Press something as soon as it is there."""

        def press() -> bool:
            self.see(css, text).click()
            return True

        self.wait(press, what=css)

    def write(self, text: str, css: str = COMPOSER) -> None:
        """Type into a field and send it with Enter."""
        self.see(css).send_keys(text, Keys.ENTER)

    def keys(self, *keys: str) -> None:
        """Press keys where the focus is."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, modifier: str, key: str) -> None:
        """Press a key while another is held."""
        webdriver.ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def run(self, script: str, *values: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *values)

    def resize(self, width: int, height: int, *, touch: bool = False) -> None:
        """Become a screen of that size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        """Become a system that prefers light or dark, and stillness: presses must not miss what still moves."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def problems(self) -> list[str]:
        """Return what the browser's console holds against the page since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]


@contextmanager
def open_browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a headless Chromium with a fresh profile; skip the test where there is none."""
    binary = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    driver_binary = shutil.which("chromedriver")
    if binary is None or driver_binary is None:
        pytest.skip("no Chromium with its driver here: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = binary
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=Service(driver_binary))
    except WebDriverException as error:
        pytest.skip(f"Chromium does not start here ({error.msg}): apt-get install --reinstall chromium chromium-driver")
    try:
        yield driver
    finally:
        driver.quit()
