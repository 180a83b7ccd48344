"""The pictures that an engine is shown: decoded elsewhere, cut into sights, and each computed once a conversation.

A thread of its own computes them while answers go on growing; it takes the cores that the answers leave.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bot.engine.llama.mtmd import Eyes, Part
from bot.engine.sight.decoder import Decoder, PictureRefused
from bot.engine.types import Placed, Sight

KEPT_BYTES = 256 * 1024 * 1024
Key = tuple[str, tuple[int, ...]]


class Gallery:
    """Looks at pictures for one model."""

    def __init__(self, eyes: Eyes, *, n_batch: int) -> None:
        self._eyes = eyes
        self._n_batch = n_batch
        self._decoder = Decoder()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._kept: OrderedDict[Key, NDArray[np.float32]] = OrderedDict()
        self._used = 0

    async def look(self, data: str) -> tuple[Part, ...]:
        """Return what stands in a prompt for the picture whose file is given in base64, or raise *PictureRefused*."""
        points = await self._decoder.decode(data)
        try:
            parts = await asyncio.get_running_loop().run_in_executor(self._thread, self._eyes.look, points)
        except ValueError as error:
            raise PictureRefused(f"is refused: {error}") from error
        largest = max((len(part.ids) for part in parts if isinstance(part, Sight) and not part.is_causal), default=0)
        if largest > self._n_batch:
            raise PictureRefused(f"takes {largest} tokens at once, and this engine computes {self._n_batch}")
        return parts

    async def see(self, pictures: Iterable[Placed], *, scope: str) -> None:
        """Compute what is to be read in place of the pictures' tokens; *scope* finds what it was shown before."""
        for sight in (placed.sight for placed in pictures):
            known = self._kept.get((scope, sight.ids))
            if known is not None:
                self._kept.move_to_end((scope, sight.ids))
                sight.rows, sight.source = known, None
                continue
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._eyes.see, sight)
            except ValueError as error:
                raise PictureRefused(f"is refused: {error}") from error
            if scope and sight.rows is not None:
                self._keep((scope, sight.ids), sight.rows)

    def _keep(self, key: Key, rows: NDArray[np.float32]) -> None:
        if key not in self._kept:
            self._used += rows.nbytes
        self._kept[key] = rows
        while self._used > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._used -= oldest.nbytes

    def close(self) -> None:
        """Begin nothing more; the eyes themselves are the model's."""
        self._thread.shutdown(wait=False, cancel_futures=True)
