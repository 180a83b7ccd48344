"""What a message says, as the chat methods and response URLs take it: text, Markdown, blocks, metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bot.playground.blocks import check_message_blocks, is_too_long
from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.web_api.arguments import Arguments

MAX_TEXT = 40_000
MAX_MARKDOWN = 12_000
MAX_ATTACHMENTS = 100
MAX_METADATA = 4_000


@dataclass(frozen=True, slots=True)
class Content:
    """A message's content; None means that the argument was not given."""

    text: str | None
    markdown_text: str | None
    blocks: list[Json] | None
    attachments: list[Json] | None
    metadata: Json | None

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to show."""
        return not (self.text or self.markdown_text or self.blocks or self.attachments)

    def fields(self) -> dict[str, Any]:
        """Return the message's fields for a new message."""
        return {
            "text": self.text if self.text is not None else (self.markdown_text or ""),
            "markdown_text": self.markdown_text,
            "blocks": self.blocks or [],
            "attachments": self.attachments or [],
            "metadata": self.metadata,
        }


def read_content(args: Arguments, *, max_text: int = MAX_TEXT) -> Content:
    """Read and check the content arguments of a call."""
    text, markdown = args.text("text"), args.text("markdown_text")
    blocks = read_blocks(args)
    if markdown is not None and (text is not None or blocks is not None):
        raise SlackError("markdown_text_conflict")
    if len(text or "") > max_text or len(markdown or "") > MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    attachments = args.json_list("attachments", error="invalid_attachments")
    if len(attachments or []) > MAX_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    return Content(text, markdown, blocks, attachments, read_metadata(args))


def read_blocks(args: Arguments) -> list[Json] | None:
    """Read a call's blocks and check them against Block Kit's rules."""
    blocks = args.json_list("blocks", error="invalid_blocks_format")
    if blocks is not None:
        check_blocks(blocks)
    return blocks


def check_blocks(blocks: list[Any]) -> None:
    """Refuse blocks that Slack would refuse."""
    problems = check_message_blocks(blocks)
    if problems:
        raise SlackError(
            "invalid_blocks", messages=problems, errors=[text.removeprefix("[ERROR] ") for text in problems]
        )
    if is_too_long(blocks):
        raise SlackError("msg_blocks_too_long")


def read_metadata(args: Arguments) -> Json | None:
    """Read a call's metadata, which needs a type and a payload."""
    metadata = args.json_object("metadata", error="invalid_metadata_format")
    if metadata is None or metadata == {}:
        return metadata
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > MAX_METADATA:
        raise SlackError("metadata_too_large")
    return metadata
