"""The model that is served, which must be the very file that is trained on."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.engine.types import ModelInfo
from bot.errors import EngineBusy, EngineUnavailable, LearningError

LOOK_S = 1.0
PATIENCE_S = 600.0  # with an engine that starts, or that still computes its file's checksum


async def find_served_base(
    client: EngineClient, *, model_path: Path | None, cache: Path, say: Callable[[str], None]
) -> ModelInfo:
    """Return the served base; wait for an engine that starts, and say so.

    Raise *LearningError* when it serves another file than *model_path*, *EngineUnavailable* when it stays away.
    """
    if model_path is None:
        raise LearningError(
            "The model is served elsewhere (ENGINE_URL), and only a file at hand can be trained on: unset ENGINE_URL "
            "and set MODEL_PATH to a GGUF, so that the bot serves it itself."
        )
    base = await _wait_for_base(client, say)
    try:
        found = await asyncio.to_thread(hash_model, model_path, cache)
    except FileNotFoundError as error:
        raise LearningError(
            f"MODEL_PATH: {model_path} is there no more: put the file back that the engine serves."
        ) from error
    if found != base.sha256:
        raise LearningError(
            f"The served model is not the file that MODEL_PATH names now ({model_path}), and only a file at hand can "
            "be trained on: start the bot again, so that its engine serves that file."
        )
    return base


async def _wait_for_base(client: EngineClient, say: Callable[[str], None]) -> ModelInfo:
    patience = time.monotonic() + PATIENCE_S
    while True:
        try:
            served = await client.models()
            if served and served[0].sha256:
                return served[0]
            error: EngineUnavailable | EngineBusy | LearningError = LearningError(
                "The model's server does not say which file it serves: learning needs the bot's own engine."
            )
        except (EngineUnavailable, EngineBusy) as found:
            error = found
        if time.monotonic() > patience:
            raise error
        say("waiting for the engine")
        await asyncio.sleep(LOOK_S)
