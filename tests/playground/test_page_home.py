"""Files and the Home tab as a person sees them in a real browser."""

from typing import Any

import pytest
from selenium.webdriver.common.by import By
from slack_sdk.web.async_client import AsyncWebClient

from tests.playground.browser import Page, Stage
from tests.playground.test_files import PNG

pytestmark = pytest.mark.browser

MAYA, TOM, DM, GENERAL = "U0MAYA", "U0TOM", "D0MAYA", "C0GENERAL"
CONFIRM = {
    "title": {"type": "plain_text", "text": "Take it back?"},
    "text": {"type": "mrkdwn", "text": "The *old* one answers."},
    "confirm": {"type": "plain_text", "text": "Roll back"},
    "deny": {"type": "plain_text", "text": "Cancel"},
}


def client_of(stage: Stage) -> AsyncWebClient:
    """Return the app's client."""
    return AsyncWebClient(token=stage.playground.options.bot_token, base_url=stage.playground.api_url)


def is_drawn(page: Page, css: str) -> bool:
    """Return whether the browser has really drawn a picture."""
    found = page.driver.find_elements(By.CSS_SELECTOR, css)
    return bool(found) and bool(page.run("return arguments[0].complete && arguments[0].naturalWidth > 0", found[0]))


def test_pictures_are_drawn_and_other_files_are_cards(page: Page, stage: Stage) -> None:
    """Shared into a channel, and again in a block of another message."""
    client = client_of(stage)

    async def share() -> None:
        file = (await client.files_upload_v2(file=PNG, filename="c.png", title="Curves", channel=GENERAL))["files"][0]
        await client.files_upload_v2(content="notes", filename="notes.txt", title="Notes", channel=GENERAL)
        block = {"type": "image", "slack_file": {"id": file["id"]}, "alt_text": "The curves"}
        await client.chat_postMessage(channel=GENERAL, text="Report", blocks=[block])

    stage.do(share())
    page.go(MAYA, GENERAL)
    page.see(".file-card", "notes.txt · 5 B")
    page.wait(lambda: is_drawn(page, ".files img"), what="the shared picture")
    page.wait(lambda: is_drawn(page, "figure img[alt='The curves']"), what="the picture in a block")


def test_the_home_tab_shows_what_is_published_and_acts(page: Page, stage: Stage) -> None:
    """It is there for the person it was made for; its button asks first and then reaches the app."""
    client = client_of(stage)
    pressed: list[dict[str, Any]] = []
    assert stage.app is not None

    @stage.app.action("home_roll")
    async def on_roll(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        pressed.append(body)
        await client.views_publish(user_id=body["user"]["id"], view=home("Taken back."))

    def home(words: str) -> dict[str, Any]:
        button = {"type": "button", "action_id": "home_roll", "style": "danger", "confirm": CONFIRM}
        return {
            "type": "home",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": "What I learn"}},
                {"type": "section", "fields": [{"type": "mrkdwn", "text": f"*Now*\n{words}"}]},
                {"type": "divider"},
                {"type": "actions", "elements": [{**button, "text": {"type": "plain_text", "text": "Rollback"}}]},
            ],
        }

    page.go(TOM, "D0TOM", "home")
    page.see(".home .empty", "has not published its Home yet")
    stage.do(client.views_publish(user_id=MAYA, view=home("run-7 answers.")))
    page.go(MAYA, DM)
    page.click(".tab", "Home")
    page.see(".home .block-header", "What I learn")
    page.click(".home button.danger", "Rollback")
    page.click("dialog button.danger, dialog button.primary", "Roll back")
    page.see(".home .section-fields", "Taken back.")
    assert pressed[0]["view"]["type"] == "home"
    page.click(".tab", "Messages")
    page.gone(".home .block-header")
