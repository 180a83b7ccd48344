"""Says a plan in words: what is used, why, and what would not fit, in the log and after `--fit`."""

from math import prod

from bot.engine.files.gguf_header import Header
from bot.engine.machine.fit import LONGEST_N_CTX, Fit, Machine, Need
from bot.engine.machine.footprint import Footprint
from bot.engine.types import EngineOptions

MIB, GIB = 2**20, 2**30


def render_fit(fit: Fit, *, header: Header, footprint: Footprint, machine: Machine, options: EngineOptions) -> str:
    """Return the block: a name and its value in each line."""
    cache = footprint.count_cache(cells=fit.room.n_cells, slots=fit.slots, kv_type=options.kv_type)
    shared = "shared by all" if options.kv_unified else "split between them"
    more = ", more in main memory" if options.host_cache_bytes else ""
    kind = f"{header.architecture}, {count_parameters(header)} parameters, {header.file_type}"
    lines = {
        "model": f"{header.path.stem}: {kind}",
        "file": f"{header.path}, {size(footprint.weights)} of weights",
        "context": f"{fit.room.n_ctx} tokens for a conversation: {_explain_context(fit, footprint, options)}",
        "conversations": f"{options.max_sequences} at once, {fit.slots} remembered{more}",
        "KV cache": f"{fit.room.n_cells} cells of {options.kv_type}, {shared}: {size(cache)}",
        "GPU": _explain_layers(fit, machine, options),
        "threads": f"{fit.threads}: {_explain_threads(fit, machine, options)}; at most {fit.batch} tokens in a step",
        **{need.place: _explain_need(need, fit) for need in fit.needs if need.layers or need is fit.needs[-1]},
    }
    if fit.missing:
        lines["does not fit"] = _explain_better(fit, fit)
    elif fit.better:
        lines["would not fit"] = _explain_better(fit.better, fit)
    if footprint.note:
        lines["uncertain"] = f"{footprint.note}; when it does not fit after all, less is taken"
    has_template = bool(header.text("tokenizer.chat_template"))
    lines["chat template"] = "from the file" if has_template else "none in the file: ChatML"
    return "\n".join(f"  {name:<14} {value}" for name, value in lines.items())


def explain_lack(fit: Fit, *, header: Header, footprint: Footprint, machine: Machine, options: EngineOptions) -> str:
    """Return the sentence for a model that does not fit, with what to do about it."""
    free = sum(device.free for device in machine.devices if not device.is_unified) + machine.memory
    needed = sum(need.total + need.margin for need in fit.needs)
    cache = footprint.count_cache(cells=fit.room.n_cells, slots=fit.slots, kv_type=options.kv_type)
    mends = []
    if options.n_ctx and cache > fit.missing:
        mends.append("lower ENGINE_N_CTX or ENGINE_MAX_SEQUENCES")
        mends += ["set ENGINE_KV_TYPE=q8_0"] if options.kv_type in {"f16", "f32", "bf16"} else []
    mends.append("choose a smaller model or a smaller quantization of it (`bot models quantize`)")
    if options.n_gpu_layers < 0:
        mends.append(f"set ENGINE_N_GPU_LAYERS={fit.gpu_layers} to try it all the same")
    return (
        f"{header.path} does not fit: with {fit.room.n_ctx} tokens for a conversation it needs {size(needed)}, "
        f"and {size(free)} are free. You can {', or '.join(mends)}."
    )


def count_parameters(header: Header) -> str:
    """Return how many numbers a model has, as people say it."""
    count = sum(prod(tensor.shape) for tensor in header.tensors)
    return f"{count / 1e9:,.1f} B" if count >= 1e9 else f"{count / 1e6:,.1f} M"


def size(count: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / MIB:,.1f} MiB"


def _explain_context(fit: Fit, footprint: Footprint, options: EngineOptions) -> str:
    if options.n_ctx:
        return f"as you asked (trained for {footprint.n_ctx_train})"
    if fit.room.n_ctx == footprint.n_ctx_train:
        return "what it was trained for"
    if fit.room.n_ctx == LONGEST_N_CTX:
        return f"trained for {footprint.n_ctx_train}, more only if ENGINE_N_CTX says so"
    why = "the shortest that is tried" if fit.missing else "what memory allows"
    return f"{why} (trained for {footprint.n_ctx_train})"


def _explain_layers(fit: Fit, machine: Machine, options: EngineOptions) -> str:
    if not machine.devices:
        return "none that llama.cpp can use: the processor computes"
    where = ", ".join(
        f"{layers} on {device.name} ({device.description})"
        for layers, device in zip(fit.split, machine.devices, strict=False)
        if layers
    )
    if options.n_gpu_layers >= 0:
        return f"{fit.gpu_layers} of {fit.n_layers} layers, as you asked" + (f": {where}" if where else "")
    if not fit.gpu_layers:
        return f"0 of {fit.n_layers} layers: {machine.devices[0].name} has not enough free memory for one"
    why = "all of them fit" if fit.gpu_layers == fit.n_layers else "as many as fit, the processor computes the rest"
    return f"{fit.gpu_layers} of {fit.n_layers} layers: {where}; {why}"


def _explain_threads(fit: Fit, machine: Machine, options: EngineOptions) -> str:
    if options.threads:
        return "as you asked"
    if fit.gpu_layers == fit.n_layers:
        return "the GPU computes"
    if fit.threads == machine.cores - 1:
        return f"{machine.cores} physical cores, one stays free"
    return f"so few weights are computed fastest by few of {machine.cores} physical cores"


def _explain_need(need: Need, fit: Fit) -> str:
    parts = [f"{size(need.weights)} weights", f"{size(need.cache)} KV cache", f"{size(need.compute)} to compute"]
    if fit.room.adapters:
        parts.append(f"{size(need.spare)} for {fit.room.adapters} adapters")
    left = f"{size(max(0, need.free))} that are free ({size(need.margin)} are left alone)"
    return f"{size(need.total)} of {left}: {', '.join(parts)}"


def _explain_better(better: Fit, fit: Fit) -> str:
    place = max(better.needs, key=lambda need: need.missing).place
    if better.gpu_layers != fit.gpu_layers:
        return f"{better.gpu_layers} layers on the GPU: {size(better.missing)} are missing in {place}"
    room = better.room
    adapters = f" beside {room.adapters} adapters" if room.adapters else ""
    return (
        f"{room.n_cells} cells for conversations of {room.n_ctx} tokens{adapters}: "
        f"{size(better.missing)} are missing in {place}"
    )
