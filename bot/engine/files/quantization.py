"""Makes smaller copies of a model beside it, and measures what each one loses; the work is done by the workbench."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from bot.engine.files.gguf_header import SHARD, Header, read_header
from bot.engine.files.gguf_types import BY_NAME
from bot.engine.files.perplexity import Change, compare, count_perplexity
from bot.engine.files.workbench import WorkFailed, run
from bot.engine.machine.footprint import describe_kinds
from bot.errors import ModelFileError

BITS = {"Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9}
KIND_IN_NAME = re.compile(r"[-._](?:f16|f32|bf16|fp16|fp32)$", re.IGNORECASE)
MIB = 2**20
Report = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Rung:
    """A model and what it costs: its size, its perplexity, and the change against the source; none for the source."""

    path: Path
    kind: str
    size: int
    perplexity: float
    change: Change | None = None
    fallbacks: int = 0


def check_source(path: Path, *, is_forced: bool) -> Header:
    """Return the header of a model that may be made smaller; *ModelFileError* for one that already was."""
    header = read_header(path)
    if header.is_adapter:
        raise ModelFileError(f"{path} is an adapter: quantize the model below it.")
    kinds = describe_kinds(header)
    small = sum(size for kind, size in kinds.items() if BY_NAME[kind].is_quantized)
    if not is_forced and small > sum(kinds.values()) // 2:
        raise ModelFileError(
            f"{path} is quantized already ({header.file_type}): start from its F16 or BF16 file, or add --force and "
            "lose quality twice."
        )
    return header


def name_target(source: Path, kind: str) -> Path:
    """Return where the smaller copy goes: beside the source, with the type in its name."""
    found = SHARD.fullmatch(source.name)
    stem = KIND_IN_NAME.sub("", found[1] if found else source.stem)
    return source.with_name(f"{stem}-{kind}.gguf")


def climb(source: Path, kinds: Sequence[str], *, text: Path, is_forced: bool, report: Report) -> list[Rung]:
    """Return the source and its smaller copies with what they cost; a copy that is there already is only measured."""
    header = check_source(source, is_forced=is_forced)
    numbers = sum(prod(tensor.shape) for tensor in header.tensors)
    wanted = {kind: name_target(source, kind) for kind in kinds}
    missing = [kind for kind, target in wanted.items() if not is_whole(target)]
    needed = sum(int(numbers * BITS[kind] / 8) for kind in missing)
    free = shutil.disk_usage(source.parent).free
    if needed > free:
        raise ModelFileError(
            f"{source.parent} has room for {free / MIB:,.0f} MiB, and about {needed / MIB:,.0f} MiB are needed: "
            "name fewer types with --to, or free some."
        )
    base = _score(source, text, report=report)
    rungs = [Rung(source, header.file_type, header.file_bytes, count_perplexity(base))]
    for kind, target in wanted.items():
        fallbacks = _write(source, target, kind=kind, is_forced=is_forced, report=report) if kind in missing else 0
        scores = _score(target, text, report=report)
        size = target.stat().st_size
        rungs.append(Rung(target, kind, size, count_perplexity(scores), compare(base, scores), fallbacks))
    return rungs


def is_whole(path: Path) -> bool:
    """Whether a model is there as a whole."""
    try:
        return bool(read_header(path).tensors)
    except ModelFileError:
        return False


def _write(source: Path, target: Path, *, kind: str, is_forced: bool, report: Report) -> int:
    """Write one copy under another name first, so that no half model ever has the right one."""
    draft = target.with_name(f".{target.name}.unfinished")
    try:
        result = run(
            ["quantize", str(source), str(draft), kind, "yes" if is_forced else "no"],
            report=lambda share: report(f"writing {target.name}", share),
        )
        if not is_whole(draft):
            raise WorkFailed(f"{target.name} was not written as a whole.")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return int(result["fallbacks"])


def _score(model: Path, text: Path, *, report: Report) -> list[float]:
    result = run(["score", str(model), str(text)], report=lambda share: report(f"reading with {model.name}", share))
    return [float(score) for score in result["scores"]]
