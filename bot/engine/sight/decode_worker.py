"""The process that decodes one picture for `decoder.py`: base64 on stdin, a line of JSON and its points on stdout.

It has no secrets, writes no files, starts no processes and reaches no network and nobody's files; its limits end it in
the middle of anything.
"""

import base64
import json
import sys
from io import BytesIO
from typing import TYPE_CHECKING

from bot.confine import confine, limit

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MOST_POINTS = 50_000_000  # looked up in the file's header, before anything is unpacked
LONGEST, SHORTEST = 2048, 32  # pixels; models cut what they get down to less, and some fall over a side of one pixel


def main() -> None:
    """Decode the picture and write what it shows."""
    limit()
    from PIL import GifImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    confine()
    Image.MAX_IMAGE_PIXELS = None  # there is a limit of our own
    try:
        picture = decode(base64.b64decode(sys.stdin.buffer.read(), validate=True))
    except MemoryError:
        say({"trouble": "it takes too much memory"})
    except TroubleError as error:
        say({"trouble": str(error)})
    except Exception:  # noqa: BLE001 - decoders have many ways to refuse, and their words are the file's
        say({"trouble": "it is damaged, or none of PNG, JPEG, GIF and WebP"})
    else:
        say({"width": picture.width, "height": picture.height}, picture.tobytes())


class TroubleError(Exception):
    """Why a picture is not taken."""


def decode(content: bytes) -> "Image.Image":
    """Return the picture as people see it: upright, on white, no larger than a model can use."""
    from PIL import Image, ImageOps

    with Image.open(BytesIO(content), formats=FORMATS) as opened:
        if opened.width * opened.height > MOST_POINTS:
            raise TroubleError(f"it has more than {MOST_POINTS // 1_000_000} million pixels")
        opened.draft("RGB", (LONGEST, LONGEST))  # a JPEG is unpacked smaller at once
        ImageOps.exif_transpose(opened, in_place=True)
        is_clear = "A" in opened.mode or "transparency" in opened.info
        shown = opened.convert("RGBA" if is_clear else "RGB")
    shown.thumbnail((LONGEST, LONGEST))
    flat = Image.new("RGB", shown.size, "white")
    flat.paste(shown, mask=shown.getchannel("A") if is_clear else None)
    room = (max(flat.width, SHORTEST), max(flat.height, SHORTEST))
    if room == flat.size:
        return flat
    framed = Image.new("RGB", room, "white")
    framed.paste(flat)
    return framed


def say(reply: dict[str, object], points: bytes = b"") -> None:
    """Write the one line, and the points behind it."""
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n" + points)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
