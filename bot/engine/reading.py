"""What an OpenAI-compatible server says, read into the bot's own types and errors.

Pure; tolerant of what vLLM and llama-server add or leave out.
"""

import re
from collections.abc import Mapping

from bot.engine.types import Chunk, QueuePlace, Usage
from bot.errors import AdapterAway, ContextOverflow, EngineBusy, EngineError, EngineUnavailable, UnknownModel

OVERFLOW_CODES = {"context_length_exceeded", "exceed_context_size_error"}
OVERFLOW_WORDS = re.compile(r"maximum context length is (\d+)\D+?(\d+) ")
UNAVAILABLE = {502, 503, 504}
BUSY = {429, 507}  # the second: no room for it now
NAMED: Mapping[str, type[EngineError]] = {"model_not_found": UnknownModel, "adapter_unread": AdapterAway}
USUAL_REST_S, LONGEST_REST_S = 5.0, 60.0  # whoever asked would wait without a word
# Where a server begins to repeat what it was asked, which some do: as JSON, or as what it found wrong.
ECHO = re.compile(r"[\[{]\s*[\"'\[{]|\b(?:input|input_value|messages|prompt)\s*=")
SEEING = {"multimodal", "vision", "image"}  # llama-server's, Ollama's and OpenRouter's words


def seeing_models(body: Mapping[str, object]) -> frozenset[str]:
    """Return the models that take pictures, as far as an answer to `GET /v1/models` says so: llama-server and some."""
    seeing: set[str] = set()
    for place in ("data", "models"):
        listed = body.get(place)
        for entry in listed if isinstance(listed, list) else []:
            if isinstance(entry, dict) and SEEING & set(_read_abilities(entry)):
                seeing |= {str(entry[key]) for key in ("id", "name", "model") if entry.get(key)}
    return frozenset(seeing)


def _read_abilities(entry: Mapping[str, object]) -> list[str]:
    architecture = entry.get("architecture")
    inner = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    lists = (entry.get("capabilities"), entry.get("input_modalities"), inner)
    return [word for found in lists if isinstance(found, list) for word in found if isinstance(word, str)]


def read_chunk(event: Mapping[str, object]) -> Chunk:
    """Return the first answer's part of a chunk of a chat or text stream."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    delta = choice.get("delta") or {}
    reason = choice.get("finish_reason")
    prompt = _read_ids(event.get("prompt_token_ids") or choice.get("prompt_token_ids"))
    return Chunk(
        text=str(delta.get("content") or choice.get("text") or ""),
        token_ids=_read_ids(choice.get("token_ids")),
        prompt_token_ids=prompt or None,
        finish_reason=str(reason) if reason else None,
        usage=_read_usage(event.get("usage")),
        queue=_read_place(event.get("queue")),
        logprobs=_read_logprobs(choice.get("logprobs")),
    )


def _read_logprobs(value: object) -> tuple[tuple[str, float], ...]:
    """Return tokens with their log probabilities, in the form of chats or of texts."""
    if not isinstance(value, dict):
        return ()
    if isinstance(value.get("content"), list):
        items = [item for item in value["content"] if isinstance(item, dict)]
        pairs = [(item.get("token"), item.get("logprob")) for item in items]
    else:
        pairs = list(zip(value.get("tokens") or [], value.get("token_logprobs") or [], strict=False))
    return tuple((str(text), float(number)) for text, number in pairs if isinstance(number, int | float))


def _read_place(value: object) -> QueuePlace | None:
    if not isinstance(value, dict):
        return None
    seconds = value.get("estimated_wait_seconds")
    return QueuePlace(_read_count(value.get("position")), seconds if isinstance(seconds, int | float) else None)


def _read_ids(value: object) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else ()


def _read_usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    details = value.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=int(value.get("prompt_tokens") or 0),
        cached_tokens=int(details.get("cached_tokens") or 0),
        completion_tokens=int(value.get("completion_tokens") or 0),
    )


def read_error(status: int, body: object, *, retry_after: str | None = None) -> EngineError:
    """Return the error that an answer with *status*, or an error inside a stream, means for the bot."""
    error = body.get("error") if isinstance(body, dict) else None
    details = error if isinstance(error, dict) else body if isinstance(body, dict) else {}
    message = str(details.get("message") or details.get("detail") or f"the server answered {status}")[:500]
    kinds = {str(details.get("code")), str(details.get("type"))}
    if kinds & OVERFLOW_CODES or (status == 400 and "context length" in message):
        return _read_overflow(message, details)
    message = _cut_echo(message)
    if status in BUSY or "deadline_exceeded" in kinds:
        waiting, seconds = details.get("waiting"), details.get("estimated_wait_seconds")
        return EngineBusy(
            message,
            retry_after=_read_seconds(retry_after),
            is_own_doing=details.get("param") == "user",
            waiting=waiting if isinstance(waiting, int) else None,
            wait_seconds=seconds if isinstance(seconds, int | float) else None,
        )
    if status in UNAVAILABLE or "engine_stopping" in kinds:
        return EngineUnavailable(message)
    for kind in NAMED.keys() & kinds:
        return NAMED[kind](message)
    if status in {401, 403}:
        return EngineError("The model's server refused the key: check ENGINE_API_KEY.")
    return EngineError(f"The model's server refused the request: {message}")


def _cut_echo(message: str) -> str:
    """Return what a server says without the request that it repeats: people's words are for no log and no report."""
    found = ECHO.search(message)
    return message if found is None else f"{message[: found.start()].rstrip(' ;,:=')} …"


def _read_overflow(message: str, details: Mapping[str, object]) -> ContextOverflow:
    found = OVERFLOW_WORDS.search(message)
    limit, prompt = (int(found[1]), int(found[2])) if found else (0, 0)
    return ContextOverflow(
        message,
        prompt_tokens=_read_count(details.get("n_prompt_tokens")) or prompt,
        limit=_read_count(details.get("n_ctx")) or limit,
    )


def _read_count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _read_seconds(value: str | None) -> float:
    try:
        seconds = float(value or "")
    except ValueError:
        return USUAL_REST_S
    if seconds > LONGEST_REST_S:
        return LONGEST_REST_S
    return seconds if seconds >= 0 else USUAL_REST_S  # neither is what is no number
