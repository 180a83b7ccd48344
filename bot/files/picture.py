"""Whether a picture can be shown to a model; runs in the worker only, where a bomb harms nobody."""

import io

from bot.files.found import Extract, Trouble, Unreadable

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MOST_POINTS = 50_000_000  # looked up in the file's header, before anything is unpacked


def look_at_picture(content: bytes) -> Extract:
    """Return that a picture has no text; raise *Unreadable* for one that nobody can see."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # there is a limit of our own
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            is_small = picture.width * picture.height <= MOST_POINTS
            if is_small:
                picture.load()
    except MemoryError:
        raise
    except Exception as error:  # hostile files make every decoder stumble in every way
        raise Unreadable(Trouble.DAMAGED) from error
    if not is_small:
        raise Unreadable(Trouble.HEAVY)
    return Extract("")
