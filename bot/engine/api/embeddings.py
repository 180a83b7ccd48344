"""The call for vectors of texts.

Knows HTTP's replies and the service; how a vector is computed stands in `embedder.py`.
"""

import base64
import struct

from aiohttp import web

from bot.engine.api.admission import Admission
from bot.engine.api.api_error import ApiError
from bot.engine.api.callers import find_caller
from bot.engine.api.refusals import check_length, check_model, check_tokens, overflow
from bot.engine.api.wire import EmbeddingsCall, PromptText
from bot.engine.embedder import find_limit
from bot.engine.service import EngineService


class Embeddings:
    """Answers calls for vectors from one service."""

    def __init__(self, service: EngineService, admission: Admission) -> None:
        self._service = service
        self._admission = admission

    async def answer(self, http: web.Request, parsed: EmbeddingsCall) -> web.Response:
        """Return a vector of length one for each input."""
        check_model(self._service, parsed.model)
        facts = self._service.facts
        if not facts.embeds:
            message = f"The model {facts.name!r} has no embeddings: its file declares no pooling type."
            raise ApiError(400, message, param="model", code="embeddings_not_supported")
        if parsed.model not in {"", facts.name}:
            message = "Embeddings are computed without adapters: name the base model."
            raise ApiError(400, message, param="model", code="embeddings_not_supported")
        texts = [await self._encode(text) for text in parsed.inputs]
        count = sum(map(len, texts))
        self._admission.check_budget(find_caller(http, parsed.user), tokens=count)
        try:
            vectors = [await self._service.embed(tokens) for tokens in texts]
        except ValueError as error:
            raise ApiError(500, f"{error}.", kind="server_error", code="engine_error") from error
        data = [
            {"object": "embedding", "index": index, "embedding": pack(vector) if parsed.is_base64 else vector}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": count, "total_tokens": count}
        return web.json_response({"object": "list", "data": data, "model": facts.name, "usage": usage})

    async def _encode(self, text: PromptText) -> tuple[int, ...]:
        if isinstance(text, str):
            check_length(self._service, len(text.encode()), param="input")
            text = await self._service.encode_text(text)
        check_tokens(self._service, text, param="input")
        limit = find_limit(self._service.loaded)
        if len(text) > limit:
            raise overflow(len(text), limit, param="input")
        return text


def pack(vector: list[float]) -> str:
    """Return a vector as the official client asks for it: little-endian floats in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
