"""llama.cpp's samplers in a chain, bound to a grammar or free."""

import ctypes
from collections.abc import Callable, Sequence

import llama_cpp as lib

from bot.engine.bound import BoundDraw, Table
from bot.engine.llama.model import Model
from bot.engine.sampling import Stage


class SamplerChain:
    """A chain of llama.cpp's samplers, bound to a grammar or free; frees all of them when it is closed."""

    def __init__(self, model: Model, stages: Sequence[Stage], *, grammar: str = "") -> None:
        self._n_vocab = model.n_vocab
        numbers = [token for stage in stages for token in (*stage.tokens, *(pair[0] for pair in stage.pairs))]
        if numbers and not 0 <= min(numbers) <= max(numbers) < model.n_vocab:
            raise ValueError("a sampler counts or bends a token that does not exist")
        self._grammar = model.compile(grammar) if grammar else None
        self.pointer = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for stage in stages:
            sampler = _SAMPLERS[stage.kind](stage, model.n_vocab)
            for token in stage.tokens:
                lib.llama_sampler_accept(sampler, token)
            lib.llama_sampler_chain_add(self.pointer, sampler)
        self.bound = BoundDraw(model.n_vocab, choose=self._choose, forbid=self._forbid) if grammar else None

    def accept(self, token: int) -> None:
        """Count *token* as written."""
        if not 0 <= token < self._n_vocab:
            raise ValueError(f"token {token} does not exist")
        lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self.pointer, token)

    def _choose(self, table: Table) -> int:
        candidates = _view(table)
        lib.llama_sampler_apply(self.pointer, candidates)
        return int(candidates.data[candidates.selected].id)

    def _forbid(self, table: Table) -> None:
        lib.llama_sampler_apply(self._grammar, _view(table))

    def close(self) -> None:
        """Free the chain and its samplers."""
        lib.llama_sampler_free(self.pointer)
        if self._grammar:
            lib.llama_sampler_free(self._grammar)


def _view(table: Table) -> lib.llama_token_data_array:
    pointer = table.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
    return lib.llama_token_data_array(data=pointer, size=len(table), selected=-1, sorted=False)


def _init_bias(stage: Stage, n_vocab: int) -> object:
    biases = (lib.llama_logit_bias * len(stage.pairs))(*stage.pairs)
    return lib.llama_sampler_init_logit_bias(n_vocab, len(stage.pairs), biases)


_SAMPLERS: dict[str, Callable[[Stage, int], object]] = {
    "bias": _init_bias,
    "penalties": lambda stage, n_vocab: lib.llama_sampler_init_penalties(n_vocab, int(stage.value), *stage.penalties),
    "top_k": lambda stage, _: lib.llama_sampler_init_top_k(int(stage.value)),
    "top_p": lambda stage, _: lib.llama_sampler_init_top_p(stage.value, 1),
    "min_p": lambda stage, _: lib.llama_sampler_init_min_p(stage.value, 1),
    "temperature": lambda stage, _: lib.llama_sampler_init_temp(stage.value),
    "seed": lambda stage, _: lib.llama_sampler_init_dist(int(stage.value)),
    "greedy": lambda *_: lib.llama_sampler_init_greedy(),
}
