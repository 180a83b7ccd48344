"""Requests of the OpenAI API, parsed strictly into plain data.

Knows the wire's names and limits; it must not know llama.cpp or aiohttp's requests.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot.engine.api.fields import Fields, check_unicode, refuse
from bot.engine.api.message_fields import parse_messages
from bot.engine.api.sampling_fields import parse_response_format, parse_sampling, parse_stop, parse_stream_options
from bot.engine.api.tool_fields import ToolUse, parse_tool_use
from bot.engine.chat.template import Message
from bot.engine.types import MOST_FORGOTTEN, SamplingParams

MAX_ANSWERS = 8
MAX_PROMPTS = 64
MAX_TOKENS = 1_000_000
MOST_SALT = 512
MAX_DEADLINE_SECONDS = 3600
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
OPTION = re.compile(r"[A-Za-z]\w{0,63}")
RESERVED_OPTIONS = {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "mark_nonce"}
Options = Mapping[str, object]
PromptText = str | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What both kinds of completion have in common."""

    model: str
    max_tokens: int | None
    answers: int
    is_stream: bool
    includes_usage: bool
    includes_reasoning: bool
    returns_token_ids: bool
    sampling: SamplingParams
    stop: tuple[str, ...]
    ignore_eos: bool
    top_logprobs: int | None
    scope: str
    user: str
    priority: int
    deadline_seconds: float
    schema: str
    resumed_tokens: int | None = None
    prompt_logprobs: int | None = None
    echoes: bool = False


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A conversation to answer."""

    messages: tuple[Message, ...]
    call: Call
    tool_use: ToolUse
    options: Options
    effort: str
    resumed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TextCall:
    """Texts or lists of tokens to continue."""

    prompts: tuple[PromptText, ...]
    call: Call


@dataclass(frozen=True, slots=True)
class TokenizeCall:
    """A conversation or a text to count."""

    model: str
    messages: tuple[Message, ...]
    text: str | None
    add_generation_prompt: bool
    add_special_tokens: bool
    tool_use: ToolUse
    options: Options


@dataclass(frozen=True, slots=True)
class EmbeddingsCall:
    """Texts or lists of tokens to turn into vectors."""

    model: str
    inputs: tuple[PromptText, ...]
    is_base64: bool
    user: str


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


def parse_forget(body: object) -> list[str]:
    """Parse the body of `POST /v1/forget`: the `cache_salt` of a conversation, or of several."""
    fields = Fields(body)
    given = fields.take("cache_salt")
    named = given if isinstance(given, list) else [given]
    scopes = [scope for scope in named if isinstance(scope, str) and 0 < len(scope) <= MOST_SALT]
    if not named or len(scopes) < len(named):
        refuse("cache_salt", f"must be a text of 1 to {MOST_SALT} characters, or a list of such texts")
    if len(scopes) > MOST_FORGOTTEN:
        refuse("cache_salt", f"must name at most {MOST_FORGOTTEN} conversations")
    fields.finish()
    return [check_unicode(scope, "cache_salt") for scope in scopes]


def parse_chat(body: object) -> ChatCall:
    """Parse the body of `POST /v1/chat/completions`."""
    fields = Fields(body)
    messages = parse_messages(fields.take("messages"))
    tool_use, options = parse_tool_use(fields), _parse_options(fields.take("chat_template_kwargs"))
    effort = fields.text("reasoning_effort")
    if effort and effort not in EFFORTS:
        refuse("reasoning_effort", f"must be one of {', '.join(EFFORTS)}")
    wants_logprobs = fields.flag("logprobs")
    top = fields.integer("top_logprobs", low=0, high=20)
    if top is not None and not wants_logprobs:
        refuse("top_logprobs", "needs logprobs to be true")
    resumed = fields.take("resumed_token_ids")
    resumed = () if resumed is None else _parse_input(resumed, "resumed_token_ids")
    call = _parse_call(fields, top_logprobs=(top or 0) if wants_logprobs else None)
    fields.finish()
    if call.schema and tool_use.tools:
        refuse("response_format", "cannot be combined with tools")
    if isinstance(resumed, str) or (resumed and (call.schema or tool_use.tools)):
        refuse("resumed_token_ids", "must be a list of token ids, without tools or response_format")
    return ChatCall(messages, call, tool_use, options, effort, resumed)


def parse_text(body: object) -> TextCall:
    """Parse the body of `POST /v1/completions`."""
    fields = Fields(body)
    prompts = _parse_inputs(fields.take("prompt"), "prompt")
    echoes = fields.flag("echo")
    top, scored = (fields.integer(name, low=0, high=20) for name in ("logprobs", "prompt_logprobs"))
    resumed = fields.integer("resumed_tokens", low=0, high=MAX_TOKENS)
    candidates = fields.integer("best_of", low=1, high=MAX_ANSWERS)
    call = _parse_call(fields, top_logprobs=top, default_max_tokens=16, least=0 if echoes else 1)
    fields.finish()
    if candidates not in {None, call.answers}:
        refuse("best_of", "is supported only when it equals n")
    if scored is not None and (call.is_stream or call.answers > 1 or len(prompts) > 1):
        refuse("prompt_logprobs", "cannot be combined with stream, n or several prompts")
    _check_resumed(resumed, prompts, call)
    if echoes and top is not None and scored is None:
        scored = top
    call = replace(call, prompt_logprobs=scored, resumed_tokens=resumed, echoes=echoes)
    return TextCall(prompts, call)


def _check_resumed(resumed: int | None, prompts: tuple[PromptText, ...], call: Call) -> None:
    if resumed is None:
        return
    if len(prompts) > 1 or resumed > (0 if isinstance(prompts[0], str) else len(prompts[0])):
        refuse("resumed_tokens", "must not exceed the tokens of the one prompt")
    if call.schema:
        refuse("resumed_tokens", "cannot be combined with response_format")


def parse_tokenize(body: object) -> TokenizeCall:
    """Parse the body of `POST /tokenize`."""
    fields = Fields(body)
    messages, prompt = fields.take("messages"), fields.take("prompt")
    if (messages is None) == (prompt is None):
        refuse("messages", "or prompt must be given, not both")
    if prompt is not None and not isinstance(prompt, str):
        refuse("prompt", "must be a text")
    call = TokenizeCall(
        model=fields.text("model"),
        messages=parse_messages(messages) if prompt is None else (),
        text=check_unicode(prompt, "prompt") if isinstance(prompt, str) else None,
        add_generation_prompt=fields.optional_flag("add_generation_prompt") is not False,
        add_special_tokens=fields.optional_flag("add_special_tokens") is not False,
        tool_use=parse_tool_use(fields),
        options=_parse_options(fields.take("chat_template_kwargs")),
    )
    fields.finish()
    return call


def parse_embeddings(body: object) -> EmbeddingsCall:
    """Parse the body of `POST /v1/embeddings`."""
    fields = Fields(body)
    inputs = _parse_inputs(fields.take("input"), "input")
    encoding = fields.text("encoding_format", "float")
    if encoding not in {"float", "base64"}:
        refuse("encoding_format", "must be float or base64")
    if fields.take("dimensions") is not None:
        refuse("dimensions", "is not supported: the model decides how long its vectors are")
    call = EmbeddingsCall(fields.text("model"), inputs, encoding == "base64", fields.text("user", limit=512))
    fields.finish()
    return call


def _parse_inputs(value: object, name: str) -> tuple[PromptText, ...]:
    """Return texts and lists of token ids: one of either, or a list of several."""
    is_several = isinstance(value, list) and bool(value) and all(isinstance(item, str | list) for item in value)
    inputs = value if is_several and isinstance(value, list) else [value]
    if len(inputs) > MAX_PROMPTS:
        refuse(name, f"must not be more than {MAX_PROMPTS} at once")
    return tuple(_parse_input(item, name) for item in inputs)


def _parse_input(value: object, name: str) -> PromptText:
    if isinstance(value, str):
        return check_unicode(value, name)
    if isinstance(value, list) and value and all(type(token) is int for token in value):
        return tuple(value)
    return refuse(name, "must be a text, a list of token ids that is not empty, or a list of these")


def _parse_call(
    fields: Fields, *, top_logprobs: int | None, default_max_tokens: int | None = None, least: int = 1
) -> Call:
    newer = fields.integer("max_completion_tokens", low=least, high=MAX_TOKENS)
    older = fields.integer("max_tokens", default_max_tokens, low=least, high=MAX_TOKENS)
    is_stream = fields.flag("stream")
    grouped, stable = fields.text("prompt_cache_key", limit=512), fields.text("safety_identifier", limit=512)
    return Call(
        model=fields.text("model"),
        max_tokens=older if newer is None else newer,
        answers=fields.integer("n", 1, low=1, high=MAX_ANSWERS) or 1,
        is_stream=is_stream,
        includes_usage=parse_stream_options(fields.take("stream_options"), is_stream=is_stream),
        includes_reasoning=fields.flag("include_reasoning"),
        returns_token_ids=fields.flag("return_token_ids"),
        sampling=parse_sampling(fields),
        stop=parse_stop(fields.take("stop")),
        ignore_eos=fields.flag("ignore_eos"),
        top_logprobs=top_logprobs,
        scope=fields.text("cache_salt", limit=MOST_SALT) or grouped,
        user=fields.text("user", limit=512) or stable,
        priority=fields.integer("priority", 0, low=0, high=2) or 0,
        deadline_seconds=fields.number("deadline_seconds", 0.0, low=0.001, high=MAX_DEADLINE_SECONDS),
        schema=parse_response_format(fields.take("response_format")),
    )


def _parse_options(value: object) -> Options:
    """Return what the chat template is told besides the messages: plain values only."""
    options = {} if value is None else value
    if not isinstance(options, dict):
        refuse("chat_template_kwargs", "must be an object")
    for name, option in options.items():
        if not OPTION.fullmatch(name) or name in RESERVED_OPTIONS:
            refuse("chat_template_kwargs", "has a name that is none or is not free")
        if not isinstance(option, str | int | float | bool | None) or len(str(option)) > 1000:
            refuse("chat_template_kwargs", f"may have short texts, numbers, true and false only, unlike {name}")
        check_unicode(str(option), "chat_template_kwargs")
    return options
