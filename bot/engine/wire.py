"""Requests of the OpenAI API, parsed strictly into plain data.

Knows the wire's names and limits; it must not know llama.cpp or aiohttp's requests.
"""

from dataclasses import dataclass, replace

from bot.engine.fields import Fields, refuse
from bot.engine.json_schema import ANY_OBJECT, SchemaError, check_schema
from bot.engine.template import Message
from bot.engine.types import SamplingParams

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
MAX_ANSWERS = 8
MAX_STOPS = 16
MAX_BIASES = 1024
MAX_TOKENS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What both kinds of completion have in common."""

    model: str
    max_tokens: int | None
    answers: int
    is_stream: bool
    includes_usage: bool
    returns_token_ids: bool
    sampling: SamplingParams
    stop: tuple[str, ...]
    ignore_eos: bool
    top_logprobs: int | None
    scope: str
    user: str
    resumed_tokens: int
    schema: str = ""
    prompt_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A conversation to answer."""

    messages: tuple[Message, ...]
    call: Call


@dataclass(frozen=True, slots=True)
class TextCall:
    """A text or a list of tokens to continue."""

    prompt: str | tuple[int, ...]
    call: Call


@dataclass(frozen=True, slots=True)
class TokenizeCall:
    """A conversation or a text to count."""

    model: str
    messages: tuple[Message, ...]
    text: str | None
    add_generation_prompt: bool
    add_special_tokens: bool


@dataclass(frozen=True, slots=True)
class AdapterCall:
    """An adapter to load or unload."""

    name: str
    path: str = ""
    sha256: str = ""


def parse_adapter(body: object, *, is_load: bool) -> AdapterCall:
    """Parse the body of `POST /v1/load_lora_adapter` or `POST /v1/unload_lora_adapter`."""
    fields = Fields(body)
    name = fields.text("lora_name", limit=128)
    path, sha256 = (fields.text("lora_path", limit=4096), fields.text("sha256", limit=64)) if is_load else ("", "")
    if not name:
        refuse("lora_name", "must be given")
    if is_load and not path.startswith("/"):
        refuse("lora_path", "must be an absolute path")
    fields.finish()
    return AdapterCall(name, path, sha256)


def parse_chat(body: object) -> ChatCall:
    """Parse the body of `POST /v1/chat/completions`."""
    fields = Fields(body)
    messages = parse_messages(fields.take("messages"))
    wants_logprobs = fields.flag("logprobs")
    top = fields.integer("top_logprobs", low=0, high=20)
    if top is not None and not wants_logprobs:
        refuse("top_logprobs", "needs logprobs to be true")
    call = _parse_call(fields, top_logprobs=(top or 0) if wants_logprobs else None, default_max_tokens=None)
    return ChatCall(messages, call)


def parse_text(body: object) -> TextCall:
    """Parse the body of `POST /v1/completions`."""
    fields = Fields(body)
    prompt = _parse_prompt(fields.take("prompt"))
    top, scored = (fields.integer(name, low=0, high=20) for name in ("logprobs", "prompt_logprobs"))
    call = replace(_parse_call(fields, top_logprobs=top, default_max_tokens=16), prompt_logprobs=scored)
    if scored is not None and (call.is_stream or call.answers > 1):
        refuse("prompt_logprobs", "cannot be combined with stream or n")
    if call.resumed_tokens > (0 if isinstance(prompt, str) else len(prompt)):
        refuse("resumed_tokens", "must not exceed the tokens of the prompt")
    return TextCall(prompt, call)


def parse_tokenize(body: object) -> TokenizeCall:
    """Parse the body of `POST /tokenize`."""
    fields = Fields(body)
    messages, prompt = fields.take("messages"), fields.take("prompt")
    if (messages is None) == (prompt is None):
        refuse("messages", "or prompt must be given, not both")
    if prompt is not None and not isinstance(prompt, str):
        refuse("prompt", "must be a text")
    generation_prompt, special = fields.take("add_generation_prompt"), fields.take("add_special_tokens")
    call = TokenizeCall(
        model=fields.text("model"),
        messages=parse_messages(messages) if prompt is None else (),
        text=prompt if isinstance(prompt, str) else None,
        add_generation_prompt=generation_prompt is not False,
        add_special_tokens=special is not False,
    )
    fields.finish()
    return call


def parse_messages(value: object) -> tuple[Message, ...]:
    """Parse a conversation; contents are texts or lists of text parts."""
    if not isinstance(value, list) or not value:
        refuse("messages", "must be a list with at least one message")
    return tuple(_parse_message(item, f"messages[{index}]") for index, item in enumerate(value))


def _parse_message(item: object, name: str) -> Message:
    if not isinstance(item, dict):
        refuse(name, "must be an object")
    role = item.get("role")
    if role not in ROLES:
        refuse(f"{name}.role", f"must be one of {', '.join(ROLES)}")
    extra = [key for key, value in item.items() if key not in {"role", "content", "name"} and value not in (None, [])]
    if extra:
        refuse(f"{name}.{extra[0]}", "is not supported by this engine yet")
    return Message(ROLES[role], _parse_content(item.get("content"), f"{name}.content"))


def _parse_content(content: object, name: str) -> str:
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                refuse(name, "may have parts of type text only")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        refuse(name, "must be a text")
    return check_unicode(content, name)


def check_unicode(text: str, name: str) -> str:
    """Return *text*, refusing half characters: llama.cpp's tokenizer would end the process at one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        refuse(name, "contains half of a surrogate pair")
    return text


def _parse_prompt(value: object) -> str | tuple[int, ...]:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], (str, list)):
        value = value[0]
    if isinstance(value, str):
        return check_unicode(value, "prompt")
    if isinstance(value, list) and value and all(type(token) is int for token in value):
        return tuple(value)
    return refuse("prompt", "must be one text or one list of token ids that is not empty")


def _parse_call(fields: Fields, *, top_logprobs: int | None, default_max_tokens: int | None) -> Call:
    newer = fields.integer("max_completion_tokens", low=1, high=MAX_TOKENS)
    older = fields.integer("max_tokens", default_max_tokens, low=1, high=MAX_TOKENS)
    is_stream = fields.flag("stream")
    call = Call(
        model=fields.text("model"),
        max_tokens=newer or older,
        answers=fields.integer("n", 1, low=1, high=MAX_ANSWERS) or 1,
        is_stream=is_stream,
        includes_usage=_parse_stream_options(fields.take("stream_options"), is_stream=is_stream),
        returns_token_ids=fields.flag("return_token_ids"),
        sampling=_parse_sampling(fields),
        stop=_parse_stop(fields.take("stop")),
        ignore_eos=fields.flag("ignore_eos"),
        top_logprobs=top_logprobs,
        scope=fields.text("cache_salt", limit=512),
        user=fields.text("user", limit=512),
        resumed_tokens=fields.integer("resumed_tokens", 0, low=0, high=MAX_TOKENS) or 0,
        schema=_parse_response_format(fields.take("response_format")),
    )
    if call.schema and call.resumed_tokens:
        refuse("resumed_tokens", "cannot be combined with response_format")
    fields.finish()
    return call


def _parse_sampling(fields: Fields) -> SamplingParams:
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


def _parse_response_format(value: object) -> str:
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


def _parse_stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(_is_stop(stop) for stop in stops):
        refuse("stop", f"must be a text or a list of at most {MAX_STOPS} texts of 1 to 200 characters")
    return tuple(stops)


def _is_stop(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _parse_stream_options(value: object, *, is_stream: bool) -> bool:
    if value is None:
        return False
    if not is_stream or not isinstance(value, dict) or set(value) - {"include_usage", "continuous_usage_stats"}:
        refuse("stream_options", "must be {include_usage: true or false} and needs stream to be true")
    return value.get("include_usage") is True
