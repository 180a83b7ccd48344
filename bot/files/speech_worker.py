"""The process that writes down what is said in a recording, for `reader.py`: bytes on stdin, JSON on stdout.

It has no secrets, reaches no network, works with low priority, and keeps nothing. The speech model is a
folder on this machine: nothing is ever downloaded.
"""

import io
import json
import logging
import sys
from pathlib import Path

from bot.confine import confine, limit
from bot.files.found import Trouble

MEMORY_BYTES = 8 * 1024**3  # a large speech model takes about three
MOST_SECONDS = 3600.0  # of a recording; what is said later is left out, and said so
THREADS = 2


def main() -> None:
    """Write down one recording."""
    limit(memory_bytes=MEMORY_BYTES, cpu_seconds=1800, has_threads=True, niceness=15)
    logging.disable()
    confine(read=[Path(sys.argv[1])])
    recording = io.BytesIO(sys.stdin.buffer.read())
    try:
        reply = write_down(sys.argv[1], recording)
    except MemoryError:
        reply = {"trouble": Trouble.HEAVY}
    except Exception:  # noqa: BLE001 - whatever a decoder makes of a hostile file, the answer is the same
        reply = {"trouble": Trouble.DAMAGED}
    sys.stdout.buffer.write(json.dumps(reply).encode())
    sys.stdout.buffer.flush()


def write_down(model_folder: str, recording: io.BytesIO) -> dict[str, object]:
    """Return what is said, a line for each piece, with its time."""
    from faster_whisper import WhisperModel

    model = WhisperModel(model_folder, device="cpu", cpu_threads=THREADS, local_files_only=True)
    pieces, _ = model.transcribe(recording, vad_filter=False, condition_on_previous_text=False)
    lines, is_cut = [], False
    for piece in pieces:
        if piece.start > MOST_SECONDS:
            is_cut = True
            break
        if text := piece.text.strip():
            lines.append(f"[{int(piece.start) // 60}:{int(piece.start) % 60:02}] {text}")
    if not lines:
        return {"trouble": Trouble.EMPTY}
    return {"text": "\n".join(lines), "pages": [], "is_cut": is_cut}


if __name__ == "__main__":
    main()
