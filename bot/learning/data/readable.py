"""Whether a text is one that a person or a model could have meant. Pure."""

import re
from zlib import compress

_RESIDUE = re.compile(
    r"<\|[\w/ ]{2,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|</?tool_call>|<\uff5c[^<>]{2,40}\uff5c>"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffd]")
_WORD = re.compile(r"\w")
LONG = 60
MOST_CHARACTERS = 20_000  # more is too long to be learned, and some patterns take long over it
FRAME = 8  # bytes that even nothing takes
REPEATED = 8  # times smaller when it is packed: prose is two or three times, a table five


def find_fault(text: str) -> str:
    """Return in words why nothing should be learned from *text*; empty: nothing speaks against it."""
    if len(text) > MOST_CHARACTERS:
        return "longer than what is trained on"
    if not _WORD.search(text):
        return "a text is empty"
    if _CONTROL.search(text):
        return "a text is damaged: half characters or control signs"
    if _RESIDUE.search(text):
        return "a text has signs of the chat template in it"
    if len(text) > LONG and (len(compress(text.encode(), 1)) - FRAME) * REPEATED < len(text):
        return "a text repeats itself without end"
    return ""
