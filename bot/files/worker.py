"""The process that reads one file for `reader.py`: its bytes on stdin, one line of JSON on stdout, then it ends.

It has no secrets, writes no files, starts no processes and reaches no network and nobody's files; its limits end it in
the middle of anything.
"""

import json
import logging
import sys

from bot.confine import confine, limit
from bot.files.found import Trouble, Unreadable
from bot.files.kinds import Kind


def main() -> None:
    """Read the file and say what is in it."""
    limit()
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
