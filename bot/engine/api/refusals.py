"""Errors that more than one call can end in.

Knows the wire's names and the service; nothing of how an answer is made.
"""

from bot.engine.api.api_error import ApiError
from bot.engine.service import EngineService


def check_model(service: EngineService, name: str) -> None:
    """Refuse a model or adapter that is not served."""
    if name and not service.roster.has(name):
        raise ApiError(404, f"The model {name!r} does not exist.", param="model", code="model_not_found")


def check_tokens(service: EngineService, tokens: tuple[int, ...], *, param: str) -> None:
    """Refuse tokens that the model does not have, and none at all."""
    if not tokens:
        raise ApiError(400, f"{param} must not be empty.", param=param, code="invalid_value")
    if not all(0 <= token < service.facts.n_vocab for token in tokens):
        message = f"{param} has a token id outside 0 to {service.facts.n_vocab - 1}."
        raise ApiError(400, message, param=param, code="invalid_value")


def check_length(service: EngineService, size: int, *, param: str) -> None:
    """Refuse a text that cannot fit by its bytes alone, before anybody tokenizes it."""
    least = size // service.loaded.model.longest_piece
    if least >= service.facts.n_ctx:
        raise overflow(least, service.facts.n_ctx, param=param)


def overflow(prompt_tokens: int, limit: int, *, param: str) -> ApiError:
    """Return the error for a prompt that can never fit, in the words that clients look for."""
    message = (
        f"This model's maximum context length is {limit} tokens. "
        f"However, your {param} resulted in {prompt_tokens} tokens. Please reduce the length of the {param}."
    )
    details = {"n_prompt_tokens": prompt_tokens, "n_ctx": limit}
    return ApiError(400, message, param=param, code="context_length_exceeded", details=details)
