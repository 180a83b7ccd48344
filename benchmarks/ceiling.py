"""The benchmark's side of the bare loop: starts the process and asks it for turns."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.arms import Serving

DECODE_ONLY, DECODE_AND_SAMPLE = "bare decode", "bare decode + sampling"
LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A running bare loop."""

    process: asyncio.subprocess.Process
    facts: dict[str, Any]

    async def time_decode(
        self, prompts: Sequence[Sequence[int]], *, steps: int, sampling: dict[str, float] | None
    ) -> float:
        """Return the seconds of *steps* decode steps over the prompts."""
        answer = await self._ask({"kind": "time", "prompts": prompts, "steps": steps, "sampling": sampling})
        return float(answer["seconds"])

    async def continue_greedily(self, prompts: Sequence[Sequence[int]], *, steps: int) -> list[list[tuple[int, float]]]:
        """Return each prompt's greedy tokens, computed alone, with the lead of each over the second likeliest."""
        answer = await self._ask({"kind": "greedy", "prompts": prompts, "steps": steps})
        return [[(int(token), float(lead)) for token, lead in tokens] for tokens in answer["answers"]]

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        await self.process.stdin.drain()
        return await _read(self.process)


@asynccontextmanager
async def start_ceiling(serving: Serving, *, unified: bool = False) -> AsyncIterator[Ceiling]:
    """Run the bare loop with the context that the servers have: cells of its own for each sequence."""
    options = {
        "path": str(serving.model),
        "cells": serving.cells if unified else serving.n_ctx * serving.sequences,
        "sequences": serving.sequences,
        "threads": serving.threads,
        "gpu_layers": serving.gpu_layers,
        "unified": unified,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.bare_loop", json.dumps(options)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    try:
        yield Ceiling(process, await _read(process))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _read(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the bare loop ended; its last words are above")
    answer: dict[str, Any] = json.loads(line)
    return answer
