"""How long whoever needs the engine waits while it is away, as it is when it is loaded, or full."""

import asyncio

from bot.errors import EngineBusy, EngineUnavailable

ENGINE_PATIENCE_S = 90.0


class Patience:
    """How long one answer, or one digest, waits for an engine that is away or full."""

    def __init__(self) -> None:
        self._deadline = asyncio.get_running_loop().time() + ENGINE_PATIENCE_S

    async def wait(self, error: EngineUnavailable | EngineBusy) -> None:
        """Wait before another try; raise *error* when there has been time enough."""
        if asyncio.get_running_loop().time() > self._deadline:
            raise error
        await asyncio.sleep(error.retry_after if isinstance(error, EngineBusy) else 0.2)
