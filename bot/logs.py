"""Logging: one line a record, as text or as JSON; secrets are blotted out wherever they turn up."""

import json
import logging
import re
import sys

SECRETS = re.compile(
    r"(xox[a-z]?[.-][\w.-]{4,}|xapp-[\w.-]{4,}|xoxe[.-][\w.-]{4,}|Bearer\s+[\w.~+/=-]{8,})|(://[^:/@\s]+):[^@\s]+@"
)
QUIET = ("slack_bolt", "slack_sdk", "aiosqlite", "alembic", "apscheduler", "aiohttp.access", "matplotlib", "PIL")
DETAIL = re.compile(r"DETAIL:.*")  # PostgreSQL quotes the row that it refuses
BARE = "bare"  # for a child process whose lines its parent logs with time and level


class Scrubbing(logging.Formatter):
    """The text form; a child class changes only the layout."""

    def format(self, record: logging.LogRecord) -> str:
        """Lay the record out, then blot out what looks like a secret."""
        return scrub(self.layout(record))

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
    """Blot out Slack's tokens, bearer tokens and passwords in addresses."""
    text = SECRETS.sub(lambda found: f"{found[2]}:[secret]@" if found[2] else "[secret]", text)
    return DETAIL.sub("DETAIL: [hidden]", text)


def set_up_logging(level: str, form: str) -> None:
    """Send every record to standard error; the libraries' chatter only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    layouts = {"text": "%(asctime)s %(levelname)-7s %(name)s: %(message)s", BARE: "%(message)s"}
    handler.setFormatter(JsonLines() if form == "json" else Scrubbing(layouts[form], "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
