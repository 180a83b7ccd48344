"""Says what a model file is, from its header alone; its chat template is tried in the sandbox, nothing else runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.engine.chat.dialect import read_dialect
from bot.engine.chat.template import ChatTemplate, Extras, Message, TemplateFailure
from bot.engine.files.gguf_header import Header, read_header
from bot.engine.files.mmproj import is_mmproj, name_projector
from bot.engine.machine.fit_report import count_parameters, size
from bot.engine.machine.footprint import describe_kinds
from bot.errors import ModelFileError

TALK = (
    Message("system", "Be brief."),
    Message("user", "What is a lint?"),
    Message("assistant", "A small mistake."),
    Message("user", "Thanks."),
)
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up.",
        "parameters": {"type": "object", "properties": {}},
    },
}
KINDS_SHOWN, LONGEST_LINE = 4, 300


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a chat template works here, and what it can do."""

    problem: str = ""
    has_system: bool = False
    has_tools: bool = False
    has_reasoning: bool = False


def describe(path: Path) -> Mapping[str, str]:
    """Return what a file is, as names and values; *ModelFileError* for what is no GGUF."""
    header = read_header(path)
    common = {
        "name": header.text("general.name") or path.stem,
        "architecture": header.architecture or "unknown",
        "size": f"{size(header.file_bytes)}, {count_parameters(header)} parameters",
        "weights": _describe_weights(header),
    }
    kind = _describe_adapter if header.is_adapter else _describe_mmproj if is_mmproj(header) else _describe_model
    found = {**common, **kind(header)}
    return {name: make_printable(value) for name, value in found.items()}


def make_printable(text: str) -> str:
    """Return a text of a file without what a terminal would obey, cut to a line."""
    return "".join(letter if letter.isprintable() else "·" for letter in text[:LONGEST_LINE])


def _describe_weights(header: Header) -> str:
    kinds = describe_kinds(header)
    total = sum(kinds.values()) or 1
    shown = [(kind, 100 * count / total) for kind, count in kinds.items()][:KINDS_SHOWN]
    shares = ", ".join(f"{share:.0f} % {kind}" for kind, share in shown if share >= 1)
    return f"{header.file_type} ({shares})" if header.file_type != "unknown" else shares


def _describe_model(header: Header) -> Mapping[str, str]:
    layers, width = header.number("block_count"), header.number("embedding_length")
    heads = max(header.numbers("attention.head_count", count=layers), default=0)
    heads_kv = max(header.numbers("attention.head_count_kv", count=layers, default=heads), default=0)
    words = header.text("tokenizer.ggml.model") or "none"
    return {
        "layers": f"{layers} × {width}, {heads} heads, {heads_kv or heads} of them for keys and values",
        "context": f"{header.number('context_length')} tokens",
        "vocabulary": f"{header.length('tokenizer.ggml.tokens')} tokens ({words})",
        **_describe_template(header),
        "licence": header.text("general.license") or "the file does not say",
    }


def _describe_adapter(header: Header) -> Mapping[str, str]:
    ranks = {
        min(tensor.shape) for tensor in header.tensors if tensor.name.endswith((".lora_a", ".lora_b")) and tensor.shape
    }
    targets = {".".join(tensor.name.split(".")[-3:-1]) for tensor in header.tensors if tensor.name.endswith(".lora_a")}
    alpha = header.metadata.get("adapter.lora.alpha")
    base = header.text("apprentice.base_sha256")
    named = header.text("general.base_model.0.name") or header.text("general.base_model.0.repo_url")
    return {
        "kind": f"an adapter (LoRA) of rank {', '.join(map(str, sorted(ranks))) or 'unknown'}, alpha {alpha}",
        "changes": ", ".join(sorted(targets)) or "nothing",
        "made for": f"the model with SHA-256 {base}" if base else named or "the file does not say",
    }


def _describe_mmproj(header: Header) -> Mapping[str, str]:
    side, patch = (header.metadata.get(f"clip.vision.{key}", "?") for key in ("image_size", "patch_size"))
    sees = header.metadata.get("clip.has_vision_encoder") is True
    return {
        "kind": f"an mmproj ({name_projector(header)}), by which a model {'sees pictures' if sees else 'hears'}",
        "pictures": f"{side} × {side} pixels in patches of {patch}" if sees else "none",
        "made for": "the model that it was published with: set MODEL_PATH to that one, MODEL_MMPROJ to this file",
    }


def _describe_template(header: Header) -> Mapping[str, str]:
    source = header.text("tokenizer.chat_template")
    if not source:
        return {"chat template": "none in the file: ChatML is used"}
    trial = try_template(header)
    if trial.problem:
        return {"chat template": f"cannot be used here: {trial.problem}"}
    yes = {True: "yes", False: "no"}
    return {
        "chat template": f"{len(source)} characters, renders; system prompt: {yes[trial.has_system]}",
        "tools": yes[trial.has_tools],
        "reasoning": "yes, kept out of the answer" if trial.has_reasoning else "no",
    }


def try_template(header: Header) -> Trial:
    """Render a short conversation in the sandbox."""
    source = header.text("tokenizer.chat_template")
    bos, eos = (_read_token(header, f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos"))
    try:
        template = ChatTemplate(source, bos=bos, eos=eos)
        template.render_whole(TALK[1:])
    except TemplateFailure as error:
        return Trial(problem=str(error))
    dialect = read_dialect(source)
    has_tools = dialect.tools is not None and "look_up" in _render(template, Extras(tools=(TOOL,)))
    return Trial("", TALK[0].content in _render(template), has_tools, dialect.reasoning is not None)


def _render(template: ChatTemplate, extras: Extras | None = None) -> str:
    try:
        return template.render_whole(TALK, extras or Extras())
    except TemplateFailure:
        return ""


def _read_token(header: Header, key: str) -> str:
    """Return the text of a token that the header names by its number."""
    tokens, number = header.metadata.get("tokenizer.ggml.tokens"), header.metadata.get(key)
    if not isinstance(tokens, tuple) or not isinstance(number, int) or not 0 <= number < len(tokens):
        return ""
    return str(tokens[number])


def list_files(folder: Path) -> list[Path]:
    """Return the models and adapters below a folder; of one in several files the first."""
    found = sorted(path for path in folder.rglob("*.gguf") if not path.name.startswith("."))
    return [path for path in found if "-of-" not in path.name or "-00001-of-" in path.name]


def summarize(path: Path) -> tuple[str, str, str]:
    """Return size, type and context in few words, for a list; a damaged file is said to be one."""
    try:
        header = read_header(path)
    except ModelFileError:
        return size(path.stat().st_size), "damaged", ""
    if header.is_adapter:
        return size(header.file_bytes), "adapter", ""
    if is_mmproj(header):
        return size(header.file_bytes), "mmproj", ""
    return size(header.file_bytes), header.file_type, str(header.number("context_length"))
