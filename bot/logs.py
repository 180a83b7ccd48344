"""Logging: one line a record, as text or as JSON; secrets are blotted out wherever they turn up."""

import json
import logging
import re
import select
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from copy import copy
from traceback import walk_tb
from types import TracebackType
from typing import Any
from urllib.parse import quote

SECRETS = re.compile(
    r"(xox[a-z]?[.-][\w.-]{4,}|xapp-[\w.-]{4,}|xoxe[.-][\w.-]{4,}|(?:Bearer|Basic(?!\s+Information\b))\s+[\w.~+/=-]{8,}"
    r"|\b(?:hf_|gh[opsu]_|github_pat_|glpat-|sk-|AKIA)[\w-]{12,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*KEY-----|\Z))|(://[^:/@\s]{0,200}):[^@\s]{1,200}@",
    re.DOTALL,
)
NAMED = re.compile(
    r"((?<![a-z])(?:authorization|cookie|password|passwd|secret|token|ticket|api_?key|signing_?secret|client_?secret"
    r"|oauth\.v2\.access result with code)"
    r"[\"']?\s*(?::|=|%3D)\s*b?[\"']?)(?!\[secret\])[^\s\"'&,;)}]{6,}",
    re.IGNORECASE,
)
SHORTEST = 6  # characters of a secret that is looked for by itself
QUIET = ("slack_bolt", "slack_sdk", "aiosqlite", "alembic", "apscheduler", "aiohttp.access", "matplotlib", "PIL")
DETAIL = re.compile(r"DETAIL:.*")  # PostgreSQL quotes the row that it refuses
AGAIN_S = 60.0  # for so long the same trace is not written again: what is tried each second would fill the disk
LAST_S = 2.0  # for which the end of a process waits for whoever reads what it says
BARE = "bare"  # for a child process whose lines its parent logs with time and level


class Scrubbing(logging.Formatter):
    """The text form; a child class changes only the layout. *known* are secrets without a form of their own."""

    def __init__(self, form: str | None = None, date: str | None = None, *, known: Collection[str] = ()) -> None:
        super().__init__(form, date)
        # JSON and addresses write some characters in their own way; the longest first: one secret may begin another.
        long = [one for one in known if len(one) >= SHORTEST]
        ways = {way for one in long for way in (one, json.dumps(one)[1:-1], quote(one, safe=""))}
        words = map(re.escape, sorted(ways, key=len, reverse=True))
        self._known = re.compile("|".join(words)) if ways else None
        self._traced: dict[Any, float] = {}

    def format(self, record: logging.LogRecord) -> str:
        """Lay the record out, then blot out what is a secret, or looks like one."""
        line = self.layout(self._without_old_trace(record))
        return scrub(self._known.sub("[secret]", line) if self._known else line)

    def _without_old_trace(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a record that says only what kind of error it is, where its very trace was written a moment ago."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return record
        moment, places = time.monotonic(), [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
        key = (record.name, str(record.msg), type(error), *places)
        self._traced = {one: at for one, at in self._traced.items() if moment - at < AGAIN_S}
        if self._traced.setdefault(key, moment) == moment:
            return record
        short = copy(record)
        short.msg, short.args = f"{record.getMessage()} ({type(error).__name__}, its trace is above)", ()
        short.exc_info = short.exc_text = None
        return short

    def layout(self, record: logging.LogRecord) -> str:
        """Return the unscrubbed line."""
        return super().format(record)


class JsonLines(Scrubbing):
    """One JSON object a line, for machines that collect logs."""

    def layout(self, record: logging.LogRecord) -> str:
        """Return the unscrubbed object."""
        fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def scrub(text: str) -> str:
    """Blot out what has the form of a secret: tokens, keys, passwords in addresses, and what is called one."""
    text = SECRETS.sub(lambda found: f"{found[2]}:[secret]@" if found[2] else "[secret]", text)
    text = NAMED.sub(r"\1[secret]", text)
    return DETAIL.sub("DETAIL: [hidden]", text)


def set_up_logging(
    level: str, form: str, *, known: Collection[str] = (), handler: logging.Handler | None = None
) -> None:
    """Send every record to standard error, and what ends the process too; libraries' chatter only from warnings on.

    *handler* writes instead of the thread that logs.
    """
    handler = handler or logging.StreamHandler(sys.stderr)
    layouts = {"text": "%(asctime)s %(levelname)-7s %(name)s: %(message)s", BARE: "%(message)s"}
    is_json = form == "json"
    handler.setFormatter(JsonLines(known=known) if is_json else Scrubbing(layouts[form], "%H:%M:%S", known=known))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _tell_end
    threading.excepthook = lambda found: _tell_end(found.exc_type, found.exc_value, found.exc_traceback)


def flush_log() -> None:
    """Have written what was logged, for whoever reads it within a moment."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def say_last(sentence: str) -> None:
    """Say why this process ends, below what it logged; where nobody reads that, just end."""
    flush_log()
    with suppress(OSError, ValueError):  # a stream inside this process never fills
        if not select.select([], [sys.stderr], [], LAST_S)[1]:
            return
    sys.stderr.write(f"bot: {scrub(sentence)}\n")


def _tell_end(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Log what nobody caught, so that it is scrubbed like everything else."""
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("bot").critical("ended by what nobody caught", exc_info=(kind, error, trace))
