"""What every command that uses the settings does first; imports them only then."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.settings import Settings


def start(*, is_serving: bool = False) -> "Settings":
    """Read the settings and set up logging; who serves others waits for no reader of its log."""
    from bot.logs import set_up_logging
    from bot.settings import load_settings

    os.umask(0o077)  # what a team writes is nobody else's to read, whatever mode DATA_DIR has
    settings = load_settings()
    handler = None
    if is_serving:
        from bot.log_writer import LogWriter

        with suppress(OSError):  # no standard error, or one inside this process
            handler = LogWriter(sys.stderr.fileno())
    set_up_logging(settings.log_level, settings.log_format, known=settings.secrets(), handler=handler)
    return settings
