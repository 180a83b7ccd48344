"""The fields of a request that bend, bind or end an answer: sampling, response format, stop strings.

Knows the wire's names and limits; nothing of models.
"""

from bot.engine.api.fields import Fields, check_unicode, refuse
from bot.engine.chat.json_schema import ANY_OBJECT, SchemaError, check_schema
from bot.engine.types import SamplingParams

MAX_STOPS = 16
MAX_BIASES = 1024


def parse_sampling(fields: Fields) -> SamplingParams:
    """Return how the answer's tokens are drawn."""
    return SamplingParams(
        temperature=fields.number("temperature", 1.0, low=0, high=2),
        top_p=fields.number("top_p", 1.0, low=0, high=1),
        top_k=fields.integer("top_k", 40, low=-1, high=1_000_000) or 0,
        min_p=fields.number("min_p", 0.0, low=0, high=1),
        seed=fields.integer("seed", low=-(2**63), high=2**63 - 1),
        frequency_penalty=fields.number("frequency_penalty", 0.0, low=-2, high=2),
        presence_penalty=fields.number("presence_penalty", 0.0, low=-2, high=2),
        repetition_penalty=fields.number("repetition_penalty", 1.0, low=0.01, high=10),
        logit_bias=_parse_bias(fields.take("logit_bias")),
    )


def _parse_bias(value: object) -> tuple[tuple[int, float], ...]:
    """Return pairs of token and bias; whether the tokens exist is not known here."""
    biases = {} if value is None else value
    if not isinstance(biases, dict) or len(biases) > MAX_BIASES or not all(_is_bias(*item) for item in biases.items()):
        refuse("logit_bias", f"must map at most {MAX_BIASES} token ids to numbers from -100 to 100")
    return tuple((int(token), float(bias)) for token, bias in biases.items())


def _is_bias(token: str, bias: object) -> bool:
    is_number = isinstance(bias, int | float) and not isinstance(bias, bool)
    return token.isascii() and token.isdigit() and len(token) < 10 and is_number and -100 <= bias <= 100  # type: ignore[operator]


def parse_response_format(value: object) -> str:
    """Return the JSON schema that the answer must follow, empty for any text."""
    kind = value.get("type") if isinstance(value, dict) else None
    if value is None or kind == "text":
        return ""
    if kind == "json_object":
        return ANY_OBJECT
    wrapped = value.get("json_schema") if isinstance(value, dict) and kind == "json_schema" else None
    if not isinstance(wrapped, dict) or "schema" not in wrapped:
        refuse("response_format", "must have the type text, json_object, or json_schema with json_schema.schema")
    try:
        return check_schema(wrapped["schema"])
    except SchemaError as error:
        refuse("response_format", f"cannot be kept: the schema {error}")


def parse_stop(value: object) -> tuple[str, ...]:
    """Return the texts that end the answer."""
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(_is_stop(stop) for stop in stops):
        refuse("stop", f"must be a text or a list of at most {MAX_STOPS} texts of 1 to 200 characters")
    return tuple(check_unicode(stop, "stop") for stop in stops)


def _is_stop(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def parse_stream_options(value: object, *, is_stream: bool) -> bool:
    """Return whether the stream ends with its usage."""
    if value is None:
        return False
    if not is_stream or not isinstance(value, dict) or set(value) - {"include_usage"}:
        refuse("stream_options", "must be {include_usage: true or false} and needs stream to be true")
    if not isinstance(value.get("include_usage", False), bool):
        refuse("stream_options", "must have true or false as include_usage")
    return value.get("include_usage") is True
