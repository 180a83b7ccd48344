"""Which files a message brings: its own and those of messages that it forwards, whatever the payload looks like."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.files.desk import is_bare, list_files
from bot.slack.files.words import describe
from bot.storage.file_tables import MessageFile

FILE = {"id": "F0ABCDE", "name": "notes.txt", "mimetype": "text/plain", "size": 5, "url_private": "https://x/y"}


def test_files_of_forwarded_messages_count() -> None:
    """Whoever forwards a message with a file asks about that file."""
    event = {"files": [FILE], "attachments": [{"files": [{**FILE, "id": "F0OTHER"}]}, {"text": "no file"}]}
    assert [file.slack_id for file in list_files(event)] == ["F0ABCDE", "F0OTHER"]


def test_what_is_gone_is_left_out_and_what_is_elsewhere_has_no_address() -> None:
    """Deleted files and those beyond a plan's limit; files of Google Drive are never fetched."""
    gone = [{**FILE, "mode": mode} for mode in ("tombstone", "hidden_by_limit")]
    assert list_files({"files": gone}) == []
    (drive,) = list_files({"files": [{**FILE, "mode": "external", "url_private": "https://docs.google.com/x"}]})
    assert drive.url == ""


JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "files", "attachments", "mode", "size", "url_private", "mimetype", "title"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["files", "attachments"]), JUNK, max_size=2))
def test_no_payload_makes_it_fail(event: dict[str, Any]) -> None:
    """People and other apps make these payloads."""
    for file in list_files(event):
        assert 0 <= file.size < 2**31
        assert "\n" not in file.name


@pytest.mark.parametrize(
    ("text", "bare"), [("[file: a.txt]", True), ("[file: a.txt]\n[file: b.txt]", True), ("Why? [file: a.txt]", False)]
)
def test_a_message_of_files_alone(text: str, bare: bool) -> None:
    """Then there is nothing to ask the model when none of them can be read."""
    assert is_bare(text) is bare


@pytest.mark.parametrize("reason", ["too_large", "outside", "login", "gone", "other", "audio", "damaged", "locked"])
def test_every_reason_has_a_sentence_of_its_own(reason: str) -> None:
    """With the file's name, also one that looks like a template."""
    said = describe(MessageFile(name="{limit}.txt", reason=reason), megabytes=20)
    assert "{limit}.txt" in said
    assert said.endswith((".", ")."))
