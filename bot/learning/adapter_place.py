"""Where an adapter's file lies: DATA_DIR may have been moved since it was made, or be another bot's."""

from pathlib import Path

from bot.engine.files.checksum import hash_model
from bot.storage.learning_tables import Adapter


def find_adapter_file(adapter: Adapter, folder: Path | None) -> Path:
    """Return an adapter's file: the very one below *folder*, where runs keep theirs now, or else where it was made."""
    made = Path(adapter.path)
    own = folder / "runs" / str(adapter.run_id) / made.name if folder is not None else made
    try:
        is_own = own != made and own.is_file() and hash_model(own) == adapter.sha256
    except OSError:
        return made
    return own if is_own else made


def is_of_others(adapter: Adapter, folder: Path | None) -> bool:
    """Return whether an adapter's file lies where *folder* is not, so that another bot may have it."""
    return folder is not None and not find_adapter_file(adapter, folder).is_relative_to(folder)
