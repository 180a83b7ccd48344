"""Calls every method of `llama.py` with arguments that nobody should give; a process of its own, because it may die.

Run as `python -m tests.engine.misuse MODEL ADAPTER OTHER_MODEL SEED CALLS`; writes one JSON line: how many calls were
answered, refused by ValueError, or ended otherwise. The call that is being made stands in the file misuse.last.
"""

import json
import random
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bot.engine.llama.adapter import Adapter
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, convert_schema, start_backend
from bot.engine.llama.sampler import SamplerChain
from bot.engine.sampling import Stage, build_stages
from bot.engine.types import SamplingParams
from bot.errors import ModelFileError

WILD = (
    -(2**63),
    -(2**31) - 1,
    -(2**31),
    -1000,
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    63,
    64,
    65,
    255,
    256,
    257,
    300,
    1000,
)
WILD += (2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**62, 2**63 - 1, 2**63)
GRAMMARS = ("root ::= ", "root ::= root", 'root ::= "a"{1,99999999}', "x ::= y", 'root ::= "a" | root root', "\x00")
GRAMMARS += ("root ::= [^\\x00-\\uffff]*", 'root ::= ("a"*)*', 'root ::= "é"+', "(" * 9000, 'root ::= "\\uZZZZ"')
SCHEMAS = ('{"type": "x"}', '{"$ref": "#"}', "[]", "{}", '{"enum": []}', '{"type": "object"}', "1")


class Misuse:
    """The objects to misuse, and the dice."""

    def __init__(self, model: Path, adapter: Path, other: Path, *, seed: int) -> None:
        self.rng = random.Random(seed)
        self.model, self.other = Model(model, n_gpu_layers=0), Model(other, n_gpu_layers=0)
        self.adapter_path = adapter
        self.adapter, self.closed = Adapter(self.model, adapter), Adapter(self.model, adapter)
        self.closed.close()
        self.contexts = [self.build(self.model, is_unified=True), self.build(self.model, is_unified=False)]
        self.foreign = self.build(self.other, is_unified=True)
        self.foreign.decode([(0, np.arange(20, dtype=np.int32), 0, 1)])
        self.states = [b"", b"\0" * 100, self.foreign.save(0).tobytes()]
        self.left = self.build(self.model, is_unified=True)
        self.left.decode([(0, np.arange(5, dtype=np.int32), 0, 1)])
        self.left.close()
        self.calls: list[Callable[[], object]] = [
            *[self.decode] * 6,
            *[self.decode_well] * 6,
            self.build_next,
            self.trim,
            *[self.copy] * 3,
            self.save,
            *[self.load] * 2,
            self.length,
            self.sample,
            self.logits,
            self.attach,
            self.chain,
            self.vocabulary,
            self.grammar,
            self.context,
            self.closed_context,
            self.embed,
        ]

    @staticmethod
    def build(model: Model, *, is_unified: bool) -> Context:
        """Return a small context."""
        return Context(model, n_cells=256, n_slots=4, n_batch=32, kv_unified=is_unified, threads=1)

    def wild(self) -> int:
        """Return a number that may be anything."""
        return self.rng.choice(WILD)

    def slot(self) -> int:
        """Return a slot that mostly exists."""
        return self.rng.randrange(4) if self.rng.random() < 0.8 else self.wild()

    @property
    def ctx(self) -> Context:
        """Return either context."""
        return self.rng.choice(self.contexts)

    def decode(self) -> object:
        """Decode pieces with something wrong in them."""
        pieces = []
        for _ in range(self.rng.choice([0, 1, 1, 2, 4, 9])):
            size = self.rng.choice([0, 1, 2, 5, 31, 32, 33, 64])
            tokens = np.array([self.rng.randrange(270) for _ in range(size)], dtype=np.int32)
            if size and self.rng.random() < 0.2:
                tokens = tokens.astype(self.rng.choice([np.int64, np.float64]))
                tokens[self.rng.randrange(size)] = self.rng.choice([-5, -1, 273, 2**31])
            wanted = self.rng.choice([0, 1, 1, size, size + 1, -1, self.wild()])
            pieces.append((self.slot(), tokens, self.rng.choice([0, 1, 5, self.wild()]), wanted))
        return self.ctx.decode(pieces)

    def decode_well(self) -> object:
        """Let a slot go on as it should, so that there is something to misuse."""
        ctx, slot = self.ctx, self.rng.randrange(4)
        size = self.rng.choice([1, 1, 3, 20])
        tokens = np.array([self.rng.randrange(270) for _ in range(size)], dtype=np.int32)
        code = ctx.decode([(slot, tokens, ctx.length(slot), self.rng.choice([0, 1]))])
        if code == 1:
            ctx.trim(slot, 0)
        return code

    def build_next(self) -> object:
        """Go on from a batch that may not be there."""
        ctx = self.ctx
        count = self.rng.choice([0, 1, 1, 2])
        ctx.build_next([self.rng.choice([1, self.wild()]) for _ in range(count)], [self.wild() for _ in range(count)])
        return ctx.compute()

    def trim(self) -> object:
        """Cut anywhere."""
        return self.ctx.trim(self.slot(), self.wild())

    def copy(self) -> object:
        """Copy anything over anything."""
        return self.ctx.copy(self.slot(), self.slot(), length=self.wild())

    def save(self) -> object:
        """Save, and keep it for `load`."""
        state = self.ctx.save(self.slot()).tobytes()
        self.states = [*self.states[-6:], state]
        return len(state)

    def load(self) -> object:
        """Load what may be damaged, of another model, or cut."""
        state = bytearray(self.rng.choice(self.states))
        kind = self.rng.randrange(4)
        if kind == 0 and state:
            state[self.rng.randrange(min(len(state), 64))] = self.rng.randrange(256)
        elif kind == 1:
            state = state[: self.rng.randrange(len(state) + 1)]
        elif kind == 2:
            state += b"\0" * self.rng.choice([1, 100])
        array = np.frombuffer(bytes(state), dtype=np.uint8)
        return self.ctx.load(self.slot(), array, length=self.rng.choice([0, 1, 20, self.wild()]))

    def length(self) -> object:
        """Ask for a slot that may not exist."""
        return self.ctx.length(self.slot())

    def sample(self) -> object:
        """Sample where there may be no logits."""
        chain = SamplerChain(self.model, build_stages(SamplingParams(), prompt=(1,), resumed_tokens=0, max_tokens=9))
        try:
            return self.ctx.sample(chain, self.rng.choice([0, 1, 19, 20, self.wild()]))
        finally:
            chain.close()

    def logits(self) -> object:
        """Read logits that may not be there."""
        return float(self.ctx.logits(self.rng.choice([0, 1, 19, 20, self.wild()])).sum())

    def attach(self) -> object:
        """Attach what may be closed, and take it away again."""
        ctx = self.ctx
        try:
            ctx.attach(self.rng.choice([self.adapter, self.closed, None]))
        finally:
            ctx.attach(None)
        return None

    def chain(self) -> object:
        """Build a chain of stages that make no sense, and use it."""
        kinds = ["top_k", "top_p", "min_p", "temperature", "seed", "greedy", "penalties", "bias"]
        values = [float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 1e30, 1.0, 40.0]
        stages = []
        for _ in range(self.rng.randrange(4)):
            kind = self.rng.choice(kinds)
            fields = {"tokens": (self.wild(),)} if self.rng.random() < 0.3 else {}
            if kind == "bias":
                fields["pairs"] = ((self.wild(), self.rng.choice(values)),)
            if kind == "penalties":
                fields["penalties"] = tuple(self.rng.choice(values) for _ in range(3))
            stages.append(Stage(kind, self.rng.choice(values), **fields))
        stages.append(Stage(self.rng.choice(["greedy", "seed"]), 1))
        grammar = self.rng.choice(["", "", "", 'root ::= "a"+'])
        chain = SamplerChain(self.model, stages, grammar=grammar)
        ctx = self.ctx
        ctx.trim(0, 0)
        ctx.decode([(0, np.array([1, 2], dtype=np.int32), 0, 1)])
        try:
            return ctx.sample(chain, 1)
        finally:
            chain.close()

    def vocabulary(self) -> object:
        """Ask the vocabulary for what it does not have."""
        token = self.wild()
        text = self.rng.choice(["", "\x00", "\ud800", "a" * 70_000, "<|im_end|>" * 99, "🎉" * 999, "\n" * 9999])
        flags = {"add_special": self.rng.random() < 0.5, "parse_special": self.rng.random() < 0.5}
        calls = [
            lambda: self.model.piece(token),
            lambda: self.model.token_text(token),
            lambda: self.model.tokenize(text, **flags),
        ]
        return self.rng.choice(calls)()

    def grammar(self) -> object:
        """Compile grammars that are none."""
        if self.rng.random() < 0.5:
            return self.model.check_grammar(convert_schema(self.rng.choice(SCHEMAS)))
        return self.model.compile(self.rng.choice(GRAMMARS)) is not None

    def context(self) -> object:
        """Open contexts of absurd sizes."""
        sizes = {"n_cells": 256, "n_slots": 4, "n_batch": 32, "threads": 1}
        sizes[self.rng.choice(list(sizes))] = self.wild()
        if sizes["n_cells"] in {2**31 - 1, 2**31, 2**32} or sizes["threads"] > 300:
            sizes = {"n_cells": -1, "n_slots": 4, "n_batch": 32, "threads": 1}  # would be tried for a long time
        context = Context(self.model, kv_unified=self.rng.random() < 0.5, **sizes)
        context.close()
        context.close()
        return None

    def embed(self) -> object:
        """Ask contexts for the vector of a text, though they were not made for that."""
        tokens = [self.rng.choice([1, 2, self.wild()]) for _ in range(self.rng.choice([0, 1, 5, 33]))]
        return self.rng.choice([*self.contexts, self.left]).embed(tokens).sum()

    def closed_context(self) -> object:
        """Go on with a context that is closed, as with one that never was."""
        calls = [
            lambda: self.left.decode([(0, np.arange(5, dtype=np.int32), 5, 1)]),
            lambda: self.left.build_next([1], [5]),
            self.left.compute,
            lambda: self.left.attach(None),
            lambda: self.left.save(0),
            lambda: self.left.length(0),
            lambda: self.left.trim(0, 1),
            lambda: self.left.copy(0, 1, length=1),
            lambda: self.left.logits(4).sum(),
            self.left.close,
        ]
        return self.rng.choice(calls)()


def main(model: str, adapter: str, other: str, seed: str, calls: str) -> None:
    """Misuse and count."""
    start_backend()
    misuse = Misuse(Path(model), Path(adapter), Path(other), seed=int(seed))
    ends = Counter[str]()
    with Path("misuse.last").open("w") as note:
        for number in range(int(calls)):
            call = misuse.rng.choice(misuse.calls)
            note.seek(0)
            note.write(f"{number} {call.__name__:20}")
            note.flush()
            try:
                call()
                ends[f"{call.__name__} answered"] += 1
            except (ValueError, OverflowError, struct.error, ModelFileError):
                ends[f"{call.__name__} refused"] += 1
            except Exception as error:  # noqa: BLE001 - counted, and judged by the test
                ends[f"!{call.__name__} {type(error).__name__}: {error}"[:120]] += 1
    sys.stdout.write(json.dumps(ends) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:6])
