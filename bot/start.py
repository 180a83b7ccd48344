"""What every command that uses the settings does first; imports them only then."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.settings import Settings


def start() -> "Settings":
    """Read the settings and set up logging."""
    from bot.logs import set_up_logging
    from bot.settings import load_settings

    os.umask(0o077)  # what a team writes is nobody else's to read, whatever mode DATA_DIR has
    settings = load_settings()
    set_up_logging(settings.log_level, settings.log_format, known=settings.secrets())
    return settings
