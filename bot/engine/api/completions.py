"""The two completion calls: from a parsed call to requests of the engine.

Knows the service; llama.cpp stays behind it, and what a reply looks like stands in `replies.py` and `delivery.py`.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace

from aiohttp import web

from bot.engine.api.admission import Admission
from bot.engine.api.api_error import ApiError
from bot.engine.api.callers import find_caller
from bot.engine.api.choice_reader import ChoiceReader, Echo
from bot.engine.api.delivery import Order, collect, stream
from bot.engine.api.encoding import encode_messages, see
from bot.engine.api.fields import refuse
from bot.engine.api.refusals import check_length, check_model, check_tokens, overflow
from bot.engine.api.replies import ReplyForm
from bot.engine.api.token_names import TokenNames
from bot.engine.api.tool_fields import ToolUse
from bot.engine.api.wire import Call, ChatCall, PromptText, TextCall
from bot.engine.chat.chat_prompt import build_extras
from bot.engine.chat.prompt import Prompt
from bot.engine.chat.tool_grammar import build_answer_grammar, build_tool_grammar
from bot.engine.chat.tool_stream import ToolStream
from bot.engine.llama.model import convert_schema
from bot.engine.roster import Served
from bot.engine.service import EngineService
from bot.engine.types import Reasoning, Request, SamplingParams

TAIL_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Reading:
    """How the text of a call's answers is to be understood."""

    reasoning: Reasoning | None = None
    shown: Mapping[int, bytes] = field(default_factory=dict)


class Completions:
    """Answers completion calls from one service."""

    def __init__(self, service: EngineService, admission: Admission) -> None:
        self._service = service
        self._admission = admission

    async def chat(self, http: web.Request, parsed: ChatCall) -> web.StreamResponse:
        """Answer a conversation."""
        with self._choose(parsed.call) as served:
            prompt = await self._encode_chat(parsed)
            dialect = self._service.loaded.encoder.dialect
            reasoning = dialect.reason_after(prompt.tail)
            reading = Reading(reasoning, self._show(dialect.marks(with_tools=bool(parsed.tool_use.tools))))
            call = await self._bind(parsed.call, parsed.tool_use, reasoning)
            if parsed.resumed:
                check_tokens(self._service, parsed.resumed, param="resumed_token_ids")
                prompt = replace(prompt, tokens=prompt.tokens + parsed.resumed)
                call = replace(call, resumed_tokens=len(parsed.resumed))
            form = dialect.tools if parsed.tool_use.tools else None
            readers = [ChoiceReader(ToolStream(form, parsed.tool_use) if form else None) for _ in range(call.answers)]
            requests = self._build_requests(call, prompt, reading, param="messages")
            return await self._answer(http, served, self._order(call, served, requests, readers, is_chat=True))

    async def text(self, http: web.Request, parsed: TextCall) -> web.StreamResponse:
        """Continue texts or lists of tokens."""
        with self._choose(parsed.call) as served:
            call = await self._bind(parsed.call, ToolUse(), None)
            requests, readers = list[Request](), list[ChoiceReader]()
            for text in parsed.prompts:
                tokens = await self._encode_text(text)
                requests += self._build_requests(call, Prompt(tokens), self._read_resumed(call, tokens), param="prompt")
                shown = text if isinstance(text, str) else self._names().show(tokens)
                echo = Echo(shown, tokens[0], is_all=call.max_tokens == 0) if call.echoes else None
                readers += [ChoiceReader(echo=echo) for _ in range(call.answers)]
            return await self._answer(http, served, self._order(call, served, requests, readers, is_chat=False))

    @contextmanager
    def _choose(self, call: Call) -> Iterator[Served]:
        """Hold the model or adapter that a call names, so that it is not unloaded before the answer is complete.

        A call for which there is no room is refused here, before anything is rendered or tokenized.
        """
        check_model(self._service, call.model)
        if not self._service.facts.answers:
            message = f"The model {self._service.facts.name!r} computes embeddings only."
            raise ApiError(400, message, param="model", code="completions_not_supported")
        with self._service.roster.use(call.model) as served:
            self._admission.check_room(served.backlog, call.user, call.answers)
            yield served

    async def _encode_chat(self, parsed: ChatCall) -> Prompt:
        size = sum(len(message.content.encode()) for message in parsed.messages)
        size += sum(len(json.dumps(message.extra, ensure_ascii=False).encode()) for message in parsed.messages)
        check_length(self._service, size, param="messages")
        extras = build_extras(
            self._service.loaded.encoder.dialect,
            parsed.messages,
            tool_use=parsed.tool_use,
            options=parsed.options,
            effort=parsed.effort,
        )
        return await encode_messages(self._service, parsed.messages, extras)

    async def _encode_text(self, text: PromptText) -> tuple[int, ...]:
        if isinstance(text, str):
            check_length(self._service, len(text.encode()), param="prompt")
            text = await self._service.encode_text(text)
        check_tokens(self._service, text, param="prompt")
        return text

    def _read_resumed(self, call: Call, tokens: tuple[int, ...]) -> Reading:
        """Return how an interrupted answer to a conversation was understood, so that it goes on the same way."""
        if call.resumed_tokens is None:
            return Reading()
        dialect = self._service.loaded.encoder.dialect
        end = len(tokens) - call.resumed_tokens
        tail = self._names().spell(tokens[max(0, end - TAIL_TOKENS) : end])
        return Reading(dialect.reason_after(tail), self._show(dialect.marks(with_tools=False)))

    def _show(self, marks: Sequence[str]) -> Mapping[int, bytes]:
        control = self._service.loaded.encoder.control
        return {control[mark][0]: mark.encode() for mark in marks if mark in control}

    def _names(self) -> TokenNames:
        model = self._service.loaded.model
        return TokenNames(model.pieces, model.token_text)

    def _order(
        self,
        call: Call,
        served: Served,
        requests: Sequence[Request],
        readers: Sequence[ChoiceReader],
        *,
        is_chat: bool,
    ) -> Order:
        sha256 = self._service.sha256
        form = ReplyForm(
            reply_id=f"{'chatcmpl' if is_chat else 'cmpl'}-{secrets.token_hex(12)}",
            model=served.name,
            fingerprint=f"fp_{sha256[:12]}" if sha256 else None,
            is_chat=is_chat,
            includes_reasoning=call.includes_reasoning,
            returns_token_ids=call.returns_token_ids,
            names=self._names(),
        )
        return Order(call=call, form=form, requests=requests, readers=readers)

    async def _answer(self, http: web.Request, served: Served, order: Order) -> web.StreamResponse:
        caller = find_caller(http, order.call.user)
        entering = self._admission.enter(
            served.backlog, order.requests, caller=caller, deadline_seconds=order.call.deadline_seconds
        )
        with entering:
            headers = self._admission.describe(caller)
            if order.requests[0].pictures:
                await see(self._service, order.requests)
            steps = self._service.generate(served, order.requests)
            async with aclosing(steps), aclosing(self._admission.meter(caller, steps)) as deltas:
                if order.call.is_stream:
                    return await stream(http, order, deltas, line=served.line, headers=headers)
                return await collect(order, deltas, headers=headers)

    async def _bind(self, call: Call, use: ToolUse, reasoning: Reasoning | None) -> Call:
        """Check what only the model can tell about a call's sampling: its tokens and its grammar."""
        n_vocab = self._service.facts.n_vocab
        if any(token >= n_vocab for token, _ in call.sampling.logit_bias):
            refuse("logit_bias", f"has a token id outside 0 to {n_vocab - 1}")
        form = self._service.loaded.encoder.dialect.tools
        if call.schema:
            grammar = await self._compile(
                lambda: build_answer_grammar(call.schema, reasoning, convert_schema), param="response_format"
            )
        elif use.is_bound and form:
            grammar = await self._compile(
                lambda: build_tool_grammar(form, use, reasoning, convert_schema), param="tools"
            )
        else:
            return call
        return replace(call, sampling=replace(call.sampling, grammar=grammar), ignore_eos=False)

    async def _compile(self, build: Callable[[], str], *, param: str) -> str:
        try:
            return await asyncio.to_thread(lambda: self._service.loaded.model.check_grammar(build()))
        except ValueError as error:
            message = f"{param} cannot be kept: {str(error)[:300]}."
            raise ApiError(400, message, param=param, code="invalid_value") from error

    def _build_requests(self, call: Call, prompt: Prompt, reading: Reading, *, param: str) -> list[Request]:
        room = self._service.facts.n_ctx - len(prompt.tokens)
        if room < 1:
            raise overflow(len(prompt.tokens), self._service.facts.n_ctx, param=param)
        first = Request(
            request_id="",
            prompt=prompt.tokens,
            max_tokens=room if call.max_tokens is None else max(1, min(call.max_tokens, room)),
            sampling=call.sampling,
            stop=call.stop,
            ignore_eos=call.ignore_eos,
            scope=call.scope or (f"once {secrets.token_hex(8)}" if call.answers > 1 else ""),
            shared_length=prompt.shared_length,
            resumed_tokens=call.resumed_tokens or 0,
            user=call.user,
            top_logprobs=call.top_logprobs,
            prompt_logprobs=call.prompt_logprobs,
            priority=call.priority,
            deadline=time.monotonic() + call.deadline_seconds if call.deadline_seconds else None,
            reasoning=reading.reasoning,
            shown=reading.shown,
            pictures=prompt.pictures,
        )
        return [
            replace(first, request_id=secrets.token_hex(8), sampling=_vary(call, index))
            for index in range(call.answers)
        ]


def _vary(call: Call, index: int) -> SamplingParams:
    seed = call.sampling.seed
    return call.sampling if seed is None else replace(call.sampling, seed=seed + index)
