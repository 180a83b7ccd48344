"""Take the README's pictures from the real page: screenshots, and a short film of a question and its answer.

    python docs/make_pictures.py                        # starts `bot demo` itself
    python docs/make_pictures.py --url http://127.0.0.1:3010     # a demo that already runs
    python docs/make_pictures.py --app "python my_app.py"        # any Bolt app on a fresh playground
    python docs/make_pictures.py --only homes --url …            # the Home tabs of a demo in which people did something

Needs Chromium with its driver and emoji (apt-get install chromium chromium-driver fonts-noto-color-emoji) and the
extra `test`.
"""

import argparse
import base64
import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

WIDE, NARROW, FILM = (1280, 800), (390, 844), (960, 640)
FILM_BYTES = 2_000_000
START_SECONDS = 180.0
ANSWER_SECONDS = 180.0
FRAME_MS = 90
LAST_MS = 2500
COMPOSER = ".main .pane-foot textarea"
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars")
OFFLINE = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
HOME, DIVIDER = ".home .block-header", ".home hr"
BOTTOM = "return [...document.querySelectorAll(arguments[0])].at(arguments[1]).getBoundingClientRect().bottom"
TALK = (
    ("U0TOM", "The release notes for 2.4 are written, but somebody has to review them before Thursday."),
    ("U0PRIYA", "I review them tomorrow. Maya, can you update the pricing page?"),
    ("U0MAYA", "Yes, on Wednesday."),
    ("U0TOM", "Then I send the notes to the customers on Friday."),
)
NOTES = "# Deploying\n\nWe deploy to production on Tuesday mornings. Maya starts it and watches it for an hour.\n"
BUSY = "return Boolean(document.querySelector('.streaming, .status'))"


class Camera:
    """A browser that looks at one playground."""

    def __init__(self, driver: webdriver.Chrome, url: str, folder: Path) -> None:
        self.driver = driver
        self.url = url
        self.folder = folder

    def set_up(self, size: tuple[int, int], *, dark: bool = False, scale: int = 2) -> None:
        """Become a screen of a size and a theme."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": scale, "mobile": size[0] < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})

    def go(self, *places: str) -> None:
        """Open a place of the page, loaded anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#/{'/'.join(places)}")
        self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, COMPOSER), what="the page")
        time.sleep(0.6)

    def write(self, text: str, css: str = COMPOSER) -> None:
        """Type something and send it."""
        self.driver.find_element(By.CSS_SELECTOR, css).send_keys(text, Keys.ENTER)

    def order(self, text: str, *, until: str) -> None:
        """Give a slash command, and wait for its reply."""
        before = len(self.driver.find_elements(By.CSS_SELECTOR, "article.message"))
        self.driver.find_element(By.CSS_SELECTOR, COMPOSER).send_keys(text, Keys.ESCAPE, Keys.ENTER)
        told = lambda: [row.text for row in self.driver.find_elements(By.CSS_SELECTOR, "article.message")[before:]]  # noqa: E731
        self.wait(lambda: any(until in text for text in told()), what=f"the reply to {text}")

    def click(self, css: str) -> None:
        """Press the last thing that matches."""
        self.driver.execute_script(
            "const found = [...document.querySelectorAll(arguments[0])].at(-1); found.focus(); found.click()", css
        )

    def wait_for_answer(self) -> None:
        """Wait until an answer has come to its end."""
        thumbs = lambda: self.driver.find_elements(By.CSS_SELECTOR, ".thumb.positive")  # noqa: E731 - said once
        self.wait(lambda: thumbs() and not self.driver.execute_script(BUSY), what="an answer with its thumbs")
        time.sleep(0.4)

    def wait(self, is_true: Callable[[], Any], *, what: str, seconds: float = ANSWER_SECONDS) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not is_true():
            if time.monotonic() > deadline:
                raise SystemExit(f"Waited {seconds:g} s for {what} at {self.url}; is the app connected and answering?")
            time.sleep(0.05)

    def shoot(self, name: str) -> None:
        """Save what is to be seen as a picture."""
        time.sleep(0.4)
        path = self.folder / f"{name}.png"
        image = Image.open(io.BytesIO(self.frame())).convert("RGB")
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path}  {image.width} × {image.height}, {path.stat().st_size // 1024} KiB")

    def frame(self, **options: Any) -> bytes:
        """Return what is to be seen now."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", **options})
        return base64.b64decode(shot["data"])

    def say(self, user: str, channel: str, text: str) -> None:
        """Let somebody write something, as their own page would."""
        body = json.dumps({"user": user, "channel": channel, "text": text}).encode()
        request = urllib.request.Request(  # noqa: S310 - the playground's own address
            f"{self.url}/page/messages", data=body, headers={"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).read()  # noqa: S310 - see above


class Film:
    """Frames as they are seen, each shown as long as it was."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.frames: list[Image.Image] = []
        self.times: list[int] = []
        self._last = b""

    def roll(self, seconds: float = 0.0, until: Callable[[], Any] = lambda: False, longest: float = 0.0) -> None:
        """Record for some seconds, or until something is true."""
        start = time.monotonic()
        while (passed := time.monotonic() - start) < (longest or seconds) and not until():
            self.take()
            time.sleep(max(0.0, FRAME_MS / 1000 - (time.monotonic() - start - passed)))

    def take(self) -> None:
        """Record one frame; a frame like the one before only lengthens it."""
        seen = self.camera.frame()
        if seen == self._last:
            self.times[-1] += FRAME_MS
        else:
            self._last = seen
            self.frames.append(Image.open(io.BytesIO(seen)).convert("RGB"))
            self.times.append(FRAME_MS)

    def save(self, path: Path) -> None:
        """Write the film, as good as fits into its size."""
        times = [min(length, 900) for length in self.times[:-1]] + [LAST_MS]
        for quality in (82, 70, 55, 40, 25):
            self.frames[0].save(
                path, save_all=True, append_images=self.frames[1:], duration=times, loop=0, quality=quality, method=4
            )
            if path.stat().st_size <= FILM_BYTES:
                break
        seconds = sum(times) / 1000
        print(f"{path}  {len(self.frames)} frames, {seconds:.0f} s, {path.stat().st_size // 1024} KiB at {quality}")


def film_a_question(camera: Camera, question: str, correction: str) -> None:
    """Film a question, the answer that streams in, a thumb down and the correction."""
    camera.set_up(FILM, scale=1)
    camera.go("U0PRIYA", "D0PRIYA")
    film = Film(camera)
    film.roll(0.6)
    field = camera.driver.find_element(By.CSS_SELECTOR, COMPOSER)
    for at in range(0, len(question), 2):
        field.send_keys(question[at : at + 2])
        film.take()
    field.send_keys(Keys.ENTER)
    find = camera.driver.find_elements
    film.roll(until=lambda: find(By.CSS_SELECTOR, ".thumb.positive"), longest=ANSWER_SECONDS)
    film.roll(1.4)
    camera.click(".thumb.negative")
    film.roll(until=lambda: find(By.CSS_SELECTOR, "dialog.modal textarea"), longest=5.0)
    film.roll(0.8)
    for answer_field in find(By.CSS_SELECTOR, "dialog.modal textarea")[:1]:
        for at in range(0, len(correction), 3):
            answer_field.send_keys(correction[at : at + 3])
            film.take()
        film.roll(0.8)
        answer_field.send_keys(Keys.CONTROL, Keys.ENTER)
    film.roll(1.5)
    film.save(camera.folder / "demo.webp")


def take_screenshots(camera: Camera, question: str) -> None:
    """Take the still pictures: a chat, a channel's thread with the inspector, the modal, a phone."""
    camera.set_up(WIDE)
    camera.go("U0MAYA", "D0MAYA")
    camera.shoot("welcome")
    camera.write(question)
    camera.wait_for_answer()
    camera.shoot("chat")
    camera.set_up(NARROW)
    camera.go("U0MAYA", "D0MAYA")
    camera.shoot("phone")
    camera.set_up(WIDE)
    camera.go("U0MAYA", "D0MAYA")
    camera.click(".thumb.negative")
    camera.wait(lambda: camera.driver.find_elements(By.CSS_SELECTOR, "dialog.modal[open]"), what="the modal")
    camera.shoot("modal")
    camera.driver.find_element(By.CSS_SELECTOR, "dialog.modal [aria-label=Close]").click()
    take_thread(camera, question)


def take_thread(camera: Camera, question: str) -> None:
    """Take a thread in a channel, dark, with the inspector open."""
    camera.set_up(WIDE, dark=True)
    camera.go("U0MAYA", "C0SUPPORT")
    camera.say("U0TOM", "C0SUPPORT", "Morning! A customer asks something I am not sure about.")
    camera.say("U0PRIYA", "C0SUPPORT", "Ask the apprentice, that is what it is there for :slightly_smiling_face:")
    camera.write(f"@Apprentice {question[0].lower()}{question[1:]}")
    camera.wait(lambda: camera.driver.find_elements(By.CSS_SELECTOR, ".thread-bar"), what="a thread")
    camera.click(".thread-bar")
    camera.wait_for_answer()
    camera.click("#toggle-inspector")
    camera.click(".log-row:has(.kind-event)")
    camera.shoot("inspector-dark")


def take_surfaces(camera: Camera) -> None:
    """Take what else people order and share: the menu of a message, what is planned, a file that is asked about."""
    camera.set_up(WIDE)
    camera.go("U0MAYA", "C0RANDOM")
    for user, text in TALK:
        camera.say(user, "C0RANDOM", text)
    camera.wait(lambda: TALK[-1][1] in camera.driver.page_source, what="the talk")
    camera.click("article.message")  # its tools appear where the focus is
    camera.click("article.message [title='More actions'], .tools [title='More actions'], [title='More actions']")
    camera.shoot("shortcuts")
    camera.go("U0TOM", "D0TOM")
    camera.order("/apprentice remind me tomorrow at 9:00 to send the notes", until="notes")
    camera.order("/apprentice digest every Monday 9:00 summarise #support to me", until="Monday")
    camera.order("/apprentice schedule", until="Monday")
    camera.shoot("schedule")
    camera.go("U0PRIYA", "D0PRIYA")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deploy.md"
        path.write_text(NOTES)
        camera.driver.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(path))
        camera.write("When do we deploy, and who starts it?")
        camera.wait_for_answer()
    camera.shoot("file")


def take_homes(camera: Camera) -> None:
    """Take the Home of a teammate as a whole, and the part of an admin's that only admins see."""
    for user, name, end in (("U0TOM", "home", (".home .blocks > *", -1)), ("U0MAYA", "home-admin", (DIVIDER, 0))):
        camera.set_up(WIDE)
        camera.go(user, f"D{user[1:]}", "home")
        camera.wait(lambda: camera.driver.find_elements(By.CSS_SELECTOR, HOME), what="a Home")
        time.sleep(1.0)
        bottom = camera.driver.execute_script(BOTTOM, *end)
        camera.set_up((WIDE[0], int(bottom) + 8), scale=1)
        camera.shoot(name)


@contextmanager
def running_browser() -> Iterator[webdriver.Chrome]:
    """Start a headless Chromium with a fresh profile."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver_binary = shutil.which("chromedriver")
    if binary is None or driver_binary is None:
        raise SystemExit("Chromium or its driver is missing: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = binary
        for switch in (*SWITCHES, *OFFLINE, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        driver = webdriver.Chrome(options=options, service=Service(driver_binary))
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[None]:
    """Run a command meanwhile."""
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_app(url: str) -> None:
    """Wait until the playground answers and an app is connected to it."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/page/state?user=U0MAYA", timeout=5) as answer:  # noqa: S310 - ours
                if json.load(answer)["app"]["connected"]:
                    return
        except OSError:
            pass  # it is still starting
        time.sleep(0.5)
    raise SystemExit(f"No app was connected to {url} within {START_SECONDS:g} s.")


def start_parts(stack: ExitStack, *, url: str | None, app: str | None) -> str:
    """Start what is not running yet and return the playground's address."""
    if url is not None:
        return url.rstrip("/")
    port = free_port()
    found = f"http://127.0.0.1:{port}"
    bot = [sys.executable, "-m", "bot"]
    if app is None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        stack.enter_context(running([*bot, "demo", "--port", str(port)], DATA_DIR=folder))
    else:
        tokens = {"SLACK_BOT_TOKEN": "xoxb-playground", "SLACK_APP_TOKEN": "xapp-playground"}
        stack.enter_context(running([*bot, "playground", "--port", str(port)]))
        stack.enter_context(running(shlex.split(app), SLACK_API_URL=f"{found}/api/", **tokens))
    return found


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="address of a running playground with its app")
    parser.add_argument("--app", help="command that starts a Bolt app; a playground is started for it")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--question", default="What can you do?", help="asked in the screenshots")
    parser.add_argument("--film-question", default="What is a code review?", help="asked in the film, and corrected")
    parser.add_argument("--correction", default="A colleague reads a change before it is merged.")
    parser.add_argument("--only", choices=("film", "screenshots", "surfaces", "homes"), help="take nothing else")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        url = start_parts(stack, url=options.url, app=options.app)
        wait_for_app(url)
        camera = Camera(stack.enter_context(running_browser()), url, options.out)
        if options.only in {None, "film"}:
            film_a_question(camera, options.film_question, options.correction)
        if options.only in {None, "screenshots"}:
            take_screenshots(camera, options.question)
        if options.only in {None, "surfaces"}:
            take_surfaces(camera)
        if options.only in {None, "homes"}:
            take_homes(camera)


if __name__ == "__main__":
    main()
