"""What a backup lacks: files of adapters that the database names and this DATA_DIR does not have, as of another bot."""

from pathlib import Path

from bot.storage.adapters import SERVED, adapters_in
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState


async def find_lacking(url: str, folder: Path) -> list[str]:
    """Return a sentence for each adapter that is served, or waits to be, whose file no backup of *folder* can hold."""
    database = Database(url)
    try:
        async with database.read() as session:
            adapters = await adapters_in(session, *SERVED, AdapterState.WAITING)
    finally:
        await database.close()
    return [
        f"{adapter.path} of {adapter.name} ({adapter.state}) is not in {folder}, and the backup lacks it: back up "
        "where the bot with that DATA_DIR runs as well."
        for adapter in adapters
        if not _is_held(adapter, folder)
    ]


def _is_held(adapter: Adapter, folder: Path) -> bool:
    """Return whether a backup has it where a restored bot looks for it: see `_list_files` and `find_adapter_file`."""
    file = folder / "learning" / "runs" / str(adapter.run_id) / Path(adapter.path).name
    return file.is_file() and not file.is_symlink()
