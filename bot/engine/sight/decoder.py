"""Has a picture decoded by a process of its own, which ends with it: what a file does to its decoder harms nobody else.

Knows processes; which decoders there are stands in `decode_worker.py`.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress

from bot.engine.llama.mtmd import Points
from bot.engine.sight.decode_worker import LONGEST

SECONDS = 30.0
AT_ONCE = 2
MOST_REPLY = 3 * LONGEST * LONGEST + 1024


class PictureRefused(ValueError):  # noqa: N818 - reads as a state, not as a mistake
    """A picture cannot be shown; the text goes on after "the picture"."""


class Decoder:
    """Decodes pictures, a few at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)

    async def decode(self, data: str) -> Points:
        """Return the points of a picture whose file is given in base64, or raise *PictureRefused*."""
        async with self._free:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-m", "bot.engine.sight.decode_worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
                cwd="/",
                limit=MOST_REPLY,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(SECONDS):
                    reply, _ = await process.communicate(data.encode("ascii"))
            except TimeoutError:
                raise PictureRefused("takes too long to decode") from None
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, 9)
                await process.wait()
        return _read(reply)


def _read(reply: bytes) -> Points:
    line, _, points = reply.partition(b"\n")
    try:
        said = json.loads(line)
    except ValueError:
        raise PictureRefused("cannot be decoded: it takes too much memory or time") from None
    if "trouble" in said:
        raise PictureRefused(f"cannot be decoded: {said['trouble']}")
    return Points(said["width"], said["height"], points)
