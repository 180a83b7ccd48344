"""Files from the page: chosen, shown in a tray, sent with a text, or with none."""

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.playground.browser import COMPOSER, Page, Stage

pytestmark = pytest.mark.browser

MAYA, GENERAL = "U0MAYA", "C0GENERAL"
CHOOSER = ".main .pane-foot input[type=file]"


def test_files_go_out_with_the_text(page: Page, stage: Stage, tmp_path: Path) -> None:
    """Two are chosen, one is taken away again, and the other is a card under the message."""
    for name in ("notes.txt", "plan.md"):
        (tmp_path / name).write_text(f"This is {name}")
    page.go(MAYA, GENERAL)
    page.see(COMPOSER)
    page.driver.find_element(By.CSS_SELECTOR, CHOOSER).send_keys(f"{tmp_path / 'notes.txt'}\n{tmp_path / 'plan.md'}")
    page.see(".tray li", "plan.md")
    page.click(".tray [aria-label='Remove notes.txt']")
    page.write("Please read")

    page.see(".message .file-card", "plan.md")
    page.wait(lambda: not page.all(".tray li"), what="an empty tray")
    (message,) = [one for one in stage.playground.messages("general") if one["text"] == "Please read"]
    assert (message["subtype"], [file["name"] for file in message["files"]]) == ("file_share", ["plan.md"])
    file_id = message["files"][0]["id"]
    assert stage.playground.tom.file(file_id)[1] == b"This is plan.md"


def test_a_dropped_file_needs_no_text(page: Page, stage: Stage) -> None:
    """Dropping works as choosing does; one that is too large is refused with a sentence."""
    page.go(MAYA, GENERAL)
    page.see(COMPOSER)
    drop = """
        const [name, size] = arguments;
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(size).fill(97)], name));
        const form = document.querySelector(".main .pane-foot form.composer");
        form.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
    """
    page.run(drop, "huge.txt", 4_100_000)
    page.see(".toast.bad", "4 MB")
    page.run(drop, "small.txt", 10)
    page.see(".tray li", "small.txt")
    page.click(COMPOSER)
    page.keys(Keys.ENTER)

    page.see(".message .file-card", "small.txt")
