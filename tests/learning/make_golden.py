"""Writes down what llama.cpp's own converter makes of the tests' adapters, for the tests to compare with.

Run as `python -m tests.learning.make_golden PATH_OF_A_LLAMA_CPP_CHECKOUT` whenever the gguf package is raised; the
converter is in no wheel. The files under `golden/` hold checksums, never a path.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np

from tests.learning.tiny_adapters import attach_adapter, save_adapter
from tests.learning.tiny_models import build_model

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3")
FROM_MODEL_CARD = ("general.name", "general.tags", "general.base_model")  # names, which say nothing of the matrices


def main(checkout: Path) -> None:
    GOLDEN.mkdir(exist_ok=True)
    for kind in KINDS:
        with TemporaryDirectory() as folder:
            made = convert(checkout, kind, Path(folder))
            described = json.dumps(describe(made), indent=1, sort_keys=True)
        (GOLDEN / f"{kind}.json").write_text(described + "\n")
        print(f"wrote golden/{kind}.json")


def convert(checkout: Path, kind: str, folder: Path) -> Path:
    """Let llama.cpp's converter write the adapter of one kind."""
    model = build_model(kind)
    model.config.save_pretrained(folder / "base")
    save_adapter(attach_adapter(model), folder / "adapter")
    target = folder / "adapter.gguf"
    command = [sys.executable, str(checkout / "convert_lora_to_gguf.py"), "--outtype", "f16", "--outfile", str(target)]
    subprocess.run([*command, "--base", str(folder / "base"), str(folder / "adapter")], check=True, capture_output=True)
    return target


def describe(path: Path) -> dict[str, dict[str, object]]:
    """Return what a GGUF adapter holds: its header without names, and a checksum of each tensor."""
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items() if "." in name}
    return {
        "header": {
            name: value
            for name, value in fields.items()
            if not name.startswith((*FROM_MODEL_CARD, "GGUF.", "apprentice."))
        },
        "tensors": {tensor.name: summarize(tensor.data) for tensor in reader.tensors},
    }


def summarize(data: np.ndarray) -> str:
    """Return type, shape and checksum of a tensor."""
    return f"{data.dtype} {data.shape} {hashlib.sha256(data.tobytes()).hexdigest()}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
