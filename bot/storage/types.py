"""Column types that behave the same on SQLite and on PostgreSQL."""

import sys
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with a time zone; SQLite forgets the zone, so every moment is stored in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a naive moment: nobody could say later what it meant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


class TokenIds(TypeDecorator[Sequence[int]]):
    """Token ids as little-endian 32-bit integers: four bytes a token, a tenth of what JSON takes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Pack the ids."""
        return None if value is None else _little_endian(array("i", value)).tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Sequence[int] | None:  # noqa: ARG002
        """Unpack the ids."""
        return None if value is None else tuple(_little_endian(array("i", value)))


def _little_endian(ids: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        ids.byteswap()
    return ids
