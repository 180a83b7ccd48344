"""Pictures in a conversation, in the OpenAI form: for one answer only, and never stored."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_SHOWN = 4
TOKENS = 1_000  # that a picture may take of a prompt, where a server does not say


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as it came."""

    mimetype: str
    content: bytes
    file_id: str = ""


def show_pictures(messages: Sequence[Mapping[str, object]], pictures: Sequence[Picture]) -> list[Mapping[str, object]]:
    """Return the conversation with *pictures* in its last message."""
    if not pictures or not messages:
        return list(messages)
    *before, last = messages
    shown = [{"type": "image_url", "image_url": {"url": _build_url(picture)}} for picture in pictures]
    return [*before, {**last, "content": [{"type": "text", "text": last["content"]}, *shown]}]


def _build_url(picture: Picture) -> str:
    return f"data:{picture.mimetype};base64,{base64.b64encode(picture.content).decode()}"
