"""Writes an adapter that PEFT saved as the GGUF adapter that llama.cpp serves: half floats, complete or not at all.

Names and order are those of llama.cpp's own converter. Where that one goes wrong without a word (rsLoRA,
`alpha_pattern`), the scale is written so that the served adapter equals the trained one.
"""

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from math import isclose, sqrt
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from bot.engine.files.gguf_header import Header
from bot.errors import LearningError
from bot.learning.atomic import replacing
from bot.learning.proof.adapter_file import check_complete
from bot.learning.training.lora_rules import check_lora
from bot.learning.training.placement import Place, find_places

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MATRIX = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the file says of where it comes from; the engine refuses it over another base than this one."""

    run_id: str
    base_sha256: str
    template_sha256: str
    dataset_sha256: str

    def values(self) -> dict[str, str]:
        """Return what stands in the file's header."""
        return {
            "apprentice.run_id": self.run_id,
            "apprentice.base_sha256": self.base_sha256,
            "apprentice.template_sha256": self.template_sha256,
            "apprentice.dataset_sha256": self.dataset_sha256,
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """The two matrices whose product, scaled, is added to a weight: A reads what comes in, B writes what goes out."""

    a: Floats
    b: Floats

    @property
    def rank(self) -> int:
        """How many directions the adapter has here."""
        return int(self.b.shape[1])


def export_adapter(folder: Path, target: Path, *, base: Header, origin: Origin) -> None:
    """Write the adapter in *folder* for *base* to *target*, or raise *LearningError* and leave what was there."""
    config, pairs = read_adapter(folder)
    places = find_places(base, pairs)
    for module, pair in pairs.items():
        check_pair(module, pair, places[module])
    alpha, factors = choose_scale(config, pairs)
    with replacing(target) as draft:
        with closing(gguf.GGUFWriter(draft, base.architecture)) as writer:
            _write_header(writer, base, origin, alpha=alpha)
            for module, pair in pairs.items():
                name, heads = places[module].tensor, places[module].heads
                writer.add_tensor(f"{name}.lora_a", round_half(pair.a, module))
                writer.add_tensor(f"{name}.lora_b", round_half(_turn(pair.b, heads) * factors[module], module))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        check_complete(draft)


def read_adapter(folder: Path) -> tuple[Mapping[str, object], Mapping[str, Pair]]:
    """Return the configuration and the matrices of each module that PEFT saved in *folder*."""
    try:
        config = json.loads((folder / CONFIG).read_text())
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise LearningError(f"{folder} holds no adapter that can be read ({error}).") from error
    check_lora(config)
    halves: dict[str, dict[str, Floats]] = {}
    for name, tensor in weights.items():
        found = MATRIX.fullmatch(name)
        if not found:
            raise LearningError(f"{folder} holds {name}, which a GGUF adapter cannot carry.")
        halves.setdefault(found[1], {})[found[2]] = tensor.float().numpy()
    torn = [module for module, half in halves.items() if len(half) != 2]
    if torn or not halves:
        what = f"only one matrix of {torn[0]}" if torn else "no matrices"
        raise LearningError(f"{folder} holds {what}: the training did not end well, let it run again.")
    return config, {module: Pair(half["A"], half["B"]) for module, half in halves.items()}


def check_pair(module: str, pair: Pair, place: Place) -> None:
    """Raise *LearningError* if two matrices do not fit the weight that they are for, or are no numbers."""
    if (pair.b.shape[0], pair.a.shape[1]) != (place.rows, place.columns) or pair.a.shape[0] != pair.rank:
        shape = f"{pair.b.shape} and {pair.a.shape}"
        raise LearningError(f"The adapter's {module} has the shapes {shape}, and {place.tensor} does not fit to them.")
    if not (np.isfinite(pair.a).all() and np.isfinite(pair.b).all()):
        raise LearningError(f"The adapter's {module} holds NaN or infinity: the training went wrong, lower its rate.")


def choose_scale(config: Mapping[str, object], pairs: Mapping[str, Pair]) -> tuple[float, Mapping[str, float]]:
    """Return the alpha for the header and a factor for each B.

    llama.cpp scales by alpha / rank with one alpha for all, or by 1 where alpha is 0. If one alpha gives every module
    PEFT's scale, it is written and the matrices stay as they are; otherwise each scale goes into its B.
    """
    scales = {module: find_scale(config, module, pair.rank) for module, pair in pairs.items()}
    alphas = [scale * pairs[module].rank for module, scale in scales.items()]
    if all(isclose(alpha, alphas[0], rel_tol=1e-9) for alpha in alphas):
        return alphas[0], dict.fromkeys(pairs, 1.0)
    return 0.0, scales


def find_scale(config: Mapping[str, object], module: str, rank: int) -> float:
    """Return what PEFT multiplies a module's product with."""
    patterns = config.get("alpha_pattern")
    known = patterns.items() if isinstance(patterns, dict) else ()
    own = [value for pattern, value in known if re.match(rf"(.*\.)?({pattern})$", module)]
    alpha = float(str(own[0] if own else config["lora_alpha"]))
    return alpha / (sqrt(rank) if config.get("use_rslora") else rank)


def _turn(matrix: Floats, heads: int) -> Floats:
    """Interleave the rows of each head's two halves, as llama.cpp rotates neighbours and transformers halves."""
    if not heads:
        return matrix
    rows, columns = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def round_half(matrix: Floats, module: str) -> NDArray[np.float16]:
    """Return a matrix as half floats, or raise *LearningError* if it is too large for them."""
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(matrix, dtype=np.float16)
    if not np.isfinite(rounded).all():
        raise LearningError(
            f"The adapter's {module} is too large for half floats: the training went wrong, lower its rate."
        )
    return rounded


def _write_header(writer: gguf.GGUFWriter, base: Header, origin: Origin, *, alpha: float) -> None:
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_name(f"Apprentice run {origin.run_id}")
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, base.text("general.name") or base.path.stem)
    writer.add_tags(["lora"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, value in origin.values().items():
        writer.add_string(key, value)
