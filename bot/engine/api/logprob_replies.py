"""Log probabilities as the API lists them: one form for chat, one for texts, and vLLM's for prompts.

Pure; knows the wire's names only.
"""

import codecs
import math
from collections.abc import Sequence

from bot.engine.api.token_names import TokenNames
from bot.engine.types import TokenLogprob

Json = dict[str, object]


def build_chat_logprobs(items: Sequence[TokenLogprob], names: TokenNames) -> Json:
    """Return the form of chat completions."""
    content = [
        _build_token(item.token_id, item.logprob, names)
        | {"top_logprobs": [_build_token(token, value, names) for token, value in item.top]}
        for item in items
    ]
    return {"content": content, "refusal": None}


def _build_token(token: int, logprob: float, names: TokenNames) -> Json:
    return {"token": names.text(token), "logprob": logprob, "bytes": list(names.pieces[token]) or None}


class TextLogprobs:
    """The form of text completions, for one answer: it counts where in the text each token begins."""

    def __init__(self, names: TokenNames) -> None:
        self._names = names
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def build(self, items: Sequence[TokenLogprob]) -> Json:
        """Return the next tokens; nothing is known of the first one of a prompt."""
        is_known = [not math.isnan(item.logprob) for item in items]
        return {
            "tokens": [self._names.text(item.token_id) for item in items],
            "token_logprobs": [item.logprob if known else None for item, known in zip(items, is_known, strict=True)],
            "top_logprobs": [
                {self._names.text(token): value for token, value in item.top} if known else None
                for item, known in zip(items, is_known, strict=True)
            ],
            "text_offset": [self._advance(item.token_id) for item in items],
        }

    def _advance(self, token: int) -> int:
        start = self._position
        self._position += len(self._decoder.decode(self._names.pieces[token]))
        return start


def build_prompt_logprobs(items: Sequence[TokenLogprob], names: TokenNames) -> list[Json | None]:
    """Return what vLLM returns: nothing for the first token, then each token and the likeliest in its place."""
    return [None, *(_build_ranks(item, names) for item in items)]


def _build_ranks(item: TokenLogprob, names: TokenNames) -> Json:
    ranked = {token: (value, rank) for rank, (token, value) in enumerate(item.top, start=1)}
    ranked.setdefault(item.token_id, (item.logprob, item.rank))
    return {
        str(token): {"logprob": value, "rank": rank, "decoded_token": names.text(token)}
        for token, (value, rank) in ranked.items()
    }
