"""The ceiling: a loop around `llama_decode` with nothing else in it, in a process that does nothing else.

A process of its own reads one JSON object a line from standard input and writes one back. What a turn is: prompts of
equal length are put into the cache, then each step decodes one token for every sequence. Either nothing is drawn (the
same tokens go in again), or each sequence draws its next token by the given chain of C samplers.
"""

import ctypes
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp as lib
import numpy as np
from numpy.typing import NDArray


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _ignore(_level: int, _text: bytes, _data: object) -> None:
    """Keep the output to the answers."""


class BareLoop:
    """One model and one context of *cells* cells for *sequences* sequences."""

    def __init__(self, path: Path, *, cells: int, sequences: int, threads: int, gpu_layers: int, unified: bool) -> None:
        lib.llama_log_set(_ignore, ctypes.c_void_p(0))
        lib.llama_backend_init()
        model_params = lib.llama_model_default_params()
        model_params.n_gpu_layers = gpu_layers
        self.model = lib.llama_model_load_from_file(os.fsencode(path), model_params)
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.kv_unified = cells, sequences, unified
        params.n_batch = params.n_ubatch = 512
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self.ctx = lib.llama_init_from_model(self.model, params)
        self.memory = lib.llama_get_memory(self.ctx)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = int(lib.llama_vocab_n_tokens(self.vocab))
        self.batch = lib.llama_batch_init(512, 0, 1)

    def facts(self) -> dict[str, Any]:
        """Return what the benchmark has to know of the model."""
        ends = [token for token in range(self.n_vocab) if lib.llama_vocab_is_eog(self.vocab, token)]
        return {
            "end_tokens": ends,
            "n_vocab": self.n_vocab,
            "n_ctx_train": int(lib.llama_model_n_ctx_train(self.model)),
            "system": lib.llama_print_system_info().decode(),
        }

    def fill(self, items: Sequence[tuple[int, int, int, bool]]) -> None:
        """Lay (sequence, token, position, whether its logits are wanted) into the batch."""
        for index, (sequence, token, position, is_wanted) in enumerate(items):
            self.batch.token[index], self.batch.pos[index] = token, position
            self.batch.n_seq_id[index], self.batch.seq_id[index][0] = 1, sequence
            self.batch.logits[index] = is_wanted
        self.batch.n_tokens = len(items)

    def decode(self) -> None:
        """Compute the batch and wait for the result."""
        code = lib.llama_decode(self.ctx, self.batch)
        lib.llama_synchronize(self.ctx)
        if code:
            raise RuntimeError(f"llama_decode returned {code}")

    def prefill(self, prompts: Sequence[Sequence[int]]) -> None:
        """Begin anew with these prompts, a sequence each; all but the last token of each are computed."""
        lib.llama_memory_clear(self.memory, True)
        for sequence, prompt in enumerate(prompts):
            for start in range(0, len(prompt) - 1, 512):
                part = prompt[start : min(start + 512, len(prompt) - 1)]
                self.fill([(sequence, token, start + index, False) for index, token in enumerate(part)])
                self.decode()

    def time_decode(self, prompts: Sequence[Sequence[int]], *, steps: int, sampling: dict[str, float] | None) -> float:
        """Return the seconds of *steps* steps with one token for each sequence."""
        self.prefill(prompts)
        chains = [self.build_chain(sampling, seed) for seed in range(len(prompts))] if sampling else []
        tokens = [prompt[-1] for prompt in prompts]
        position, width = len(prompts[0]) - 1, len(prompts)
        self.fill([(sequence, token, position, True) for sequence, token in enumerate(tokens)])
        batch, chosen = self.batch, range(width)
        began = time.perf_counter()
        for step in range(steps):
            for index in chosen:
                batch.pos[index] = position + step
            self.decode()
            for index, chain in enumerate(chains):
                batch.token[index] = lib.llama_sampler_sample(chain, self.ctx, index)
        seconds = time.perf_counter() - began
        for chain in chains:
            lib.llama_sampler_free(chain)
        return seconds

    def build_chain(self, sampling: dict[str, float], seed: int) -> object:
        """Return the samplers that the servers are asked for, in the order top_k, top_p, temperature."""
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling["temperature"] <= 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
            return chain
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(int(sampling["top_k"])))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(sampling["top_p"], 1))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(sampling["temperature"]))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(seed))
        return chain

    def logits(self) -> NDArray[np.float32]:
        """Return the logits of the batch's last item."""
        pointer = lib.llama_get_logits_ith(self.ctx, self.batch.n_tokens - 1)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,))

    def continue_greedily(self, prompt: Sequence[int], *, steps: int) -> Iterator[tuple[int, float]]:
        """Yield the likeliest tokens after *prompt*, one sequence alone, each with its lead over the second."""
        self.prefill([prompt])
        token, position = prompt[-1], len(prompt) - 1
        for step in range(steps):
            self.fill([(0, token, position + step, True)])
            self.decode()
            second, first = np.argpartition(self.logits(), -2)[-2:]
            values = self.logits()
            if values[second] > values[first]:
                second, first = first, second
            token = int(values.argmax())
            yield token, float(values[first] - values[second])


def main() -> None:
    """Answer commands until the input ends."""
    options = json.loads(sys.argv[1])
    loop = BareLoop(Path(options.pop("path")), **options)
    print(json.dumps(loop.facts()), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        prompts, steps = command["prompts"], command["steps"]
        if command["kind"] == "greedy":
            answers = [list(loop.continue_greedily(prompt, steps=steps)) for prompt in prompts]
            print(json.dumps({"answers": answers}), flush=True)
        else:
            seconds = loop.time_decode(prompts, steps=steps, sampling=command["sampling"])
            print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
