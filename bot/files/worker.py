"""The process that reads one file for `reader.py`: its bytes on stdin, one line of JSON on stdout, then it ends.

It has no secrets, writes no files, starts no processes and reaches no network and nobody's files; its limits end it in
the middle of anything.
"""

import json
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

from bot.confine import confine
from bot.files.found import Trouble, Unreadable
from bot.files.kinds import Kind

MEMORY_BYTES = 1024**3
CPU_SECONDS = 20
LIMITS = (
    (resource.RLIMIT_AS, MEMORY_BYTES),
    (resource.RLIMIT_CPU, CPU_SECONDS),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_NPROC, 0),
    (resource.RLIMIT_NOFILE, 64),
)


def main() -> None:
    """Read the file and say what is in it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the bot, which ends this process
    for kind, value in LIMITS:
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(10)
    logging.disable()
    from bot.files.extract import extract

    confine()
    try:
        found = extract(Kind(sys.argv[1]), sys.stdin.buffer.read())
    except Unreadable as error:
        say({"trouble": error.trouble})
    except MemoryError:
        say({"trouble": Trouble.HEAVY})
    else:
        say({"text": found.text, "pages": found.pages, "is_cut": found.is_cut})


def say(reply: dict[str, object]) -> None:
    """Write the one line."""
    sys.stdout.buffer.write(json.dumps(reply).encode())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
