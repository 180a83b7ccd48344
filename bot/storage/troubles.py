"""What a database says when it does not do what it was told: what passes, and what to say of the rest."""

import sqlite3
from traceback import walk_tb

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from bot.errors import REFUSED, first_line

DISK = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}


def is_away(error: BaseException) -> bool:
    """Return whether it is the database that has a trouble which can pass: no connection, no room, no lock."""
    # A server that is shut down takes its socket's file along, which is no error of the connection to Python.
    is_drivers = isinstance(error, OSError) and any(
        str(frame.f_globals.get("__name__")).startswith("asyncpg.") for frame, _ in walk_tb(error.__traceback__)
    )
    cannot_connect = isinstance(error, ConnectionError) or type(error).__module__.startswith("asyncpg") or is_drivers
    # asyncpg has no narrower class for a server that comes or goes; errors of class 22 are of the values themselves
    # (https://www.postgresql.org/docs/current/errcodes-appendix.html).
    is_data = str(getattr(getattr(error, "orig", None), "sqlstate", "") or "").startswith("22")
    is_restarting = type(error) is DBAPIError and not is_data
    return cannot_connect or is_restarting or isinstance(error, OperationalError | InterfaceError)


def explain_refusal(error: Exception) -> str:
    """Return what the database or the system said, and the mend where it is the disk's."""
    said = getattr(error, "orig", None) or error
    is_disk = getattr(said, "sqlite_errorcode", 0) & 0xFF in DISK or getattr(said, "errno", None) in REFUSED
    mend = " Make room there, or give this user the right to write there, and try again." if is_disk else ""
    return f"{first_line(error)}.{mend}"
