"""Logs: readable, and without secrets."""

import json
import logging
import sys

import pytest

from bot.logs import JsonLines, Scrubbing, scrub


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("token xoxb-123-abcDEF failed", "123-abcDEF"),
        ("xapp-1-A0-99-feed", "A0-99"),
        ("rotated xoxe.xoxp-1-Mi0y", "Mi0y"),
        ("Authorization: Bearer sk-1234567890", "sk-1234567890"),
        ("postgresql+asyncpg://bot:hunter2@db/apprentice", "hunter2"),
        ("Failed to fetch oauth.v2.access result with code: 123.456.ab12cd - error: bad_redirect_uri", "ab12cd"),
    ],
)
def test_secrets_are_blotted_out(line: str, hidden: str) -> None:
    """What looks like a token or a password never reaches the log."""
    assert hidden not in scrub(line)
    assert "[secret]" in scrub(line)


def test_a_quoted_row_is_hidden() -> None:
    """PostgreSQL says which row it refuses, with everything in it."""
    line = "IntegrityError: null value\nDETAIL:  Failing row contains (1, what Maya wrote)."
    assert "Maya" not in scrub(line)


def test_ordinary_lines_stay_as_they_are() -> None:
    """Scrubbing touches nothing else."""
    line = "12:00:01 INFO bot.app: ready: socket transport, http://127.0.0.1:3000/healthz"
    assert scrub(line) == line


def test_where_a_token_is_copied_from_is_no_secret() -> None:
    """Slack has a page of that name, and a credential in its form would be longer words."""
    line = "copy it from your app → Basic Information → App-Level Tokens"
    assert scrub(line) == line


@pytest.mark.parametrize("form", [Scrubbing("%(message)s"), JsonLines()])
def test_a_traceback_is_scrubbed_too(form: logging.Formatter) -> None:
    """A secret inside an exception is as hidden as one in the message."""
    error = ValueError("xoxb-9999-secret")
    info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("bot", logging.ERROR, __file__, 1, "it %s", ("broke",), info)

    line = form.format(record)
    assert "secret" not in line.replace("[secret]", "")
    assert "it broke" in line


def test_json_lines_are_json() -> None:
    """A collector can read every line."""
    record = logging.LogRecord("bot", logging.INFO, __file__, 1, 'a "quoted" line', (), None)

    assert json.loads(JsonLines().format(record))["message"] == 'a "quoted" line'


def test_known_secrets_are_hidden_in_every_form() -> None:
    """A secret without a form of its own is known by its value, as JSON and addresses write it too."""
    known = ('p"ss/w rd', "8f742231b10e8888")
    for form in (Scrubbing("%(message)s", known=known), JsonLines(known=known)):
        record = logging.LogRecord(
            "bot", logging.INFO, __file__, 1, 'a p"ss/w rd b 8f742231b10e8888 c p%%22ss%%2Fw%%20rd', (), None
        )
        line = form.format(record)

        assert "ss/w" not in line
        assert "8f742231" not in line
        assert "ss%2Fw" not in line


def test_the_same_trace_is_written_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again each second says so in a line; another trace, and the same one later, is whole."""

    def fail(cause: str = "7 apples") -> logging.LogRecord:
        try:
            float(cause) if cause else json.loads(cause)
        except ValueError:
            return logging.LogRecord("bot", logging.ERROR, __file__, 1, "it %s", ("broke",), sys.exc_info())
        raise AssertionError

    moment = 0.0
    monkeypatch.setattr("bot.logs.time.monotonic", lambda: moment)
    form = Scrubbing("%(message)s")
    record = fail()
    assert "Traceback" in form.format(record)
    moment = 59.0
    assert form.format(fail()) == "it broke (ValueError, its trace is above)"
    assert "Traceback" in form.format(fail(""))
    moment = 61.0
    again = fail()
    assert "Traceback" in form.format(again)
    assert again.exc_info is not None
    again.msg, again.args = {"what": "a message of any kind"}, ()
    assert "any kind" in form.format(again)
