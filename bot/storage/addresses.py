"""Where a database is: DATABASE_URL as people and hosts write it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util import asbool

SECRET_KEYS = {"password", "sslpassword"}  # of libpq: https://www.postgresql.org/docs/current/libpq-connect.html


def read_url(url: str) -> URL:
    """Read *url* and name the driver that we use; hosts hand out `postgres://…` without one."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    if parsed.get_backend_name() not in drivers:
        raise ValueError(parsed.get_backend_name())
    if "@" in (parsed.host or ""):
        raise ValueError("the end of a password, which would be shown as the host's name")
    return parsed.set(drivername=drivers[parsed.get_backend_name()])


def tell_place(url: URL) -> str:
    """Return an address as people may read it: without a password, which may also stand behind the question mark."""
    open_keys = {key: value for key, value in url.query.items() if key not in SECRET_KEYS}
    return url.set(query=open_keys).render_as_string(hide_password=True)


def find_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None for any other."""
    try:
        parsed = read_url(url)
    except (ArgumentError, ValueError):
        return None  # whoever opens it says what is wrong
    file = file_of(parsed)
    return file.resolve() if file is not None else None


def file_of(url: URL) -> Path | None:
    """Return the file that an address of SQLite names, also where it is a URI; None where it lies in no file."""
    name = url.database or ""
    if name.startswith("file:") and asbool(url.query.get("uri", False)):
        name = "" if url.query.get("mode") == "memory" else unquote(urlsplit(name).path)
    is_file = url.get_backend_name() == "sqlite" and name not in {"", ":memory:"}
    return Path(name) if is_file else None
