"""Asks ggml which GPUs there are and how much of their memory is free; knows no model."""

import ctypes
from collections.abc import Collection

from bot.engine.machine.fit import Device

GPU, INTEGRATED = 1, 2  # ggml_backend_dev_type


class Properties(ctypes.Structure):
    """ggml_backend_dev_props, with room for what later versions add at its end."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("free", ctypes.c_size_t),
        ("total", ctypes.c_size_t),
        ("kind", ctypes.c_int),
        ("id", ctypes.c_char_p),
        ("capabilities", ctypes.c_bool * 64),
    )


def list_devices(ggml: ctypes.CDLL, *, kinds: Collection[int] = (GPU, INTEGRATED)) -> tuple[Device, ...]:
    """Return the devices of some kinds, the freest first; an integrated GPU only where there is no other.

    llama.cpp chooses in the same way. One that does not say how much memory it has cannot be planned for.
    """
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype, ggml.ggml_backend_dev_get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    ggml.ggml_backend_dev_get_props.argtypes = [ctypes.c_void_p, ctypes.POINTER(Properties)]
    found: dict[object, tuple[int, Device]] = {}
    for index in range(ggml.ggml_backend_dev_count()):
        handle, facts = ggml.ggml_backend_dev_get(index), Properties()
        ggml.ggml_backend_dev_get_props(handle, ctypes.byref(facts))
        if facts.kind in kinds and facts.total:
            found.setdefault(facts.id or handle, (facts.kind, _describe(facts, handle)))
    least = min((kind for kind, _ in found.values()), default=GPU)
    return tuple(sorted((device for kind, device in found.values() if kind == least), key=lambda device: -device.free))


def _describe(facts: Properties, handle: int) -> Device:
    name, description = (text.decode("utf-8", "replace") for text in (facts.name, facts.description))
    is_unified = facts.kind == INTEGRATED or name.startswith(("MTL", "Metal"))
    return Device(name, description, facts.free, facts.total, is_unified, handle)
