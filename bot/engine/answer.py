"""One answer on its way out: samples its next token, turns it into text and decides whether it is the last.

Belongs to the loop's thread.
"""

from collections.abc import Collection

from bot.engine.batching.plan import Piece
from bot.engine.batching.sequence import Sequence
from bot.engine.bound import DEAD_END, NOT_NUMBERS
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model
from bot.engine.llama.sampler import SamplerChain
from bot.engine.sampling import build_stages, measure_logprob
from bot.engine.text_stream import TextStream
from bot.engine.types import Delta, FinishReason, TokenLogprob

TOO_LATE = "The deadline passed before the answer could begin."
REASONS = {
    NOT_NUMBERS: "The model produced no numbers (NaN).",
    DEAD_END: "No token of this model continues what response_format asks for.",
}


class Answer:
    """A sequence with its sampler and its text; the sampler survives a preemption."""

    def __init__(self, sequence: Sequence, model: Model, *, arrived: float) -> None:
        self.sequence = sequence
        self.waits_since = arrived
        self.last_token = -1
        self.is_first = True
        request = sequence.request
        self._pieces = model.pieces
        self._shown = request.shown  # control tokens by which this answer's form is read
        self._ends: Collection[int] = () if request.ignore_eos else model.eog
        stages = build_stages(
            request.sampling,
            prompt=request.prompt,
            resumed_tokens=request.resumed_tokens,
            max_tokens=request.max_tokens,
        )
        self._chain = SamplerChain(model, stages, grammar=request.sampling.grammar)
        self._text = TextStream(request.stop, request.reasoning)
        self._scores: list[TokenLogprob] = []
        for token in request.prompt[len(request.prompt) - request.resumed_tokens :]:
            self._text.push(self._spell(token))  # what was certain then was delivered then; only the rest is held

    def score(self, context: Context, piece: Piece, index: int) -> None:
        """Measure each prompt token of *piece* by the logits before it; the batch's item *index* is the first."""
        request = self.sequence.request
        for position in range(piece.start, min(piece.start + piece.count, len(request.prompt) - 1)):
            logits = context.logits(index + position - piece.start)
            token = request.prompt[position + 1]
            self._scores.append(measure_logprob(logits, token, top=request.prompt_logprobs or 0))

    def advance(self, context: Context, index: int) -> Delta:
        """Sample from the logits at *index* and return what became visible."""
        sequence = self.sequence
        request = sequence.request
        token = context.sample(self._chain, index)
        if token < 0:
            return Delta(request.request_id, finish_reason="error", error=REASONS[token])
        logprobs: tuple[TokenLogprob, ...] = ()
        if request.top_logprobs is not None:
            logprobs = (measure_logprob(context.logits(index), token, top=request.top_logprobs),)
        sequence.append(token)
        self.last_token = token
        scores: tuple[TokenLogprob, ...] = ()
        if self._scores:
            scores, self._scores = tuple(self._scores), []
        was_thinking = self._text.is_thinking
        text, reason = self._read(token)
        return Delta(
            request.request_id,
            text=text,
            token_ids=(token,),
            logprobs=logprobs,
            prompt_logprobs=scores,
            cached_tokens=sequence.cached,
            finish_reason=reason,
            reasoning=self._text.take_reasoning(),
            reasoning_tokens=int(was_thinking or self._text.is_thinking),
            stop_reason=self._text.stop_reason,
        )

    def cut(self) -> Delta:
        """Return the last delta of an answer whose deadline has passed; an error if it has not begun."""
        request_id, stop_reason = self.sequence.request.request_id, "deadline"
        if not self.sequence.generated:
            return Delta(request_id, finish_reason="error", error=TOO_LATE, stop_reason=stop_reason)
        text = self._text.finish()
        return Delta(
            request_id,
            text=text,
            cached_tokens=self.sequence.cached,
            finish_reason="length",
            reasoning=self._text.take_reasoning(),
            stop_reason=stop_reason,
        )

    def _read(self, token: int) -> tuple[str, FinishReason | None]:
        """Return the text that is certain after *token*, and why the answer ends here if it does."""
        if token in self._ends:
            return self._text.finish(), "stop"
        text = self._text.push(self._spell(token) if self._shown else self._pieces[token])
        if self._text.is_stopped:
            return text, "stop"
        if self.sequence.is_full:
            return text + self._text.finish(), "length"
        return text, None

    def _spell(self, token: int) -> bytes:
        return self._shown.get(token, self._pieces[token])

    def close(self) -> None:
        """Free the sampler."""
        self._chain.close()
