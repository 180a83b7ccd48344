"""What makes a model see: whether a file can be its mmproj, by its header alone."""

from pathlib import Path

from bot.engine.files.checksum import check_gguf
from bot.engine.files.gguf_header import Header, read_header
from bot.errors import ModelFileError


def check_mmproj(path: Path) -> Header:
    """Return the header of an mmproj for pictures, or raise *ModelFileError* if it is none or damaged."""
    check_gguf(path, "MODEL_MMPROJ")
    header = read_header(path)
    if not is_mmproj(header):
        kind = header.architecture or "unknown"
        raise ModelFileError(f"MODEL_MMPROJ: {path} is no mmproj, it is a file of the kind {kind}.")
    if header.metadata.get("clip.has_vision_encoder") is not True:
        raise ModelFileError(f"MODEL_MMPROJ: {path} is not for pictures.")
    return header


def is_mmproj(header: Header) -> bool:
    """Whether a file is what makes a model see or hear, and no model itself."""
    return header.architecture == "clip"


def name_projector(header: Header) -> str:
    """Return by what name llama.cpp knows how the pictures are made fit for the model."""
    return header.text("clip.projector_type") or header.text("clip.vision.projector_type") or "unknown"
