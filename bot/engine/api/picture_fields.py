"""The parts of a person's message: texts, and pictures that come along with the request.

Knows the wire's names and limits; what a picture's bytes are is found out elsewhere.
"""

import re
import secrets
from typing import NoReturn

from bot.engine.api.fields import refuse
from bot.engine.chat.template import Picture

MAX_BYTES = 20 * 1024 * 1024  # of one picture's file
START = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp);base64,", re.IGNORECASE)
DETAILS = (None, "auto", "low", "high")  # how many tokens a picture takes is the model's affair


def parse_parts(content: list[object], name: str) -> tuple[str, tuple[Picture, ...]]:
    """Return the text of a list of parts, and the pictures for which marks stand in it."""
    texts: list[str] = []
    pictures: list[Picture] = []
    for index, part in enumerate(content):
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict) and part.get("type") == "image_url":
            data = _parse_picture(part.get("image_url"), f"{name}[{index}].image_url")
            pictures.append(Picture(f"\ue002{secrets.token_hex(16)}\ue003", data))
            texts.append(pictures[-1].mark)
        else:
            refuse(name, "may have parts of the types text and image_url only")
    if not texts:
        refuse(name, "must be a text")
    return "".join(texts), tuple(pictures)


def _parse_picture(value: object, name: str) -> str:
    """Return a picture's file in base64."""
    if not isinstance(value, dict) or set(value) - {"url", "detail"} or value.get("detail") not in DETAILS:
        refuse(name, "must have a url, and may have a detail: auto, low or high")
    url = value.get("url")
    start = START.match(url) if isinstance(url, str) else None
    if not isinstance(url, str) or not start or not url.isascii():
        _refuse_url(f"{name}.url")
    if len(url) - start.end() > MAX_BYTES * 4 // 3 + 4:
        refuse(f"{name}.url", f"has a picture of more than {MAX_BYTES} bytes")
    return url[start.end() :]


def _refuse_url(name: str) -> NoReturn:
    refuse(
        name,
        "must have the picture itself, as data:image/png;base64,… (or jpeg, gif, webp): this engine fetches nothing",
    )
