"""Where everything stands in a GGUF file, field by field, so that the tests can damage each of them on purpose."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class Field:
    """A run of bytes and what it is: *count*, *length*, *type*, *name*, *value*, *dimensions*, *shape*, *offset* …"""

    kind: str
    start: int
    size: int
    owner: str = ""

    @property
    def end(self) -> int:
        """Return the position behind the field."""
        return self.start + self.size


class Walker:
    """Walks through a valid file and notes its fields."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.fields: list[Field] = []

    def note(self, kind: str, size: int, owner: str = "") -> bytes:
        """Note a field and return its bytes."""
        self.fields.append(Field(kind, self.position, size, owner))
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, kind: str, form: str, owner: str = "") -> int:
        """Note a number and return it."""
        return int(struct.unpack(f"<{form}", self.note(kind, struct.calcsize(form), owner))[0])

    def text(self, kind: str, owner: str = "") -> str:
        """Note a length and a text and return the text."""
        length = self.number("length", "Q", owner)
        return self.note(kind, length, owner).decode("utf-8", "replace")

    def value(self, kind: int, owner: str) -> None:
        """Note a value of a type; of an array the first three members alone."""
        if kind == STRING:
            self.text("value", owner)
        elif kind == ARRAY:
            member, count = self.number("type", "i", owner), self.number("length", "Q", owner)
            for index in range(count):
                if index == 3:
                    self.skip(member, count - index)
                    return
                self.value(member, owner)
        else:
            self.note("value", SIZES[kind], owner)

    def skip(self, kind: int, count: int) -> None:
        """Go past *count* values of a type."""
        if kind != STRING:
            self.position += SIZES[kind] * count
            return
        for _ in range(count):
            self.position += 8 + int.from_bytes(self.data[self.position : self.position + 8], "little")

    def walk(self) -> None:
        """Note the header, the metadata and the tensors' descriptions."""
        self.note("magic", 4)
        self.number("version", "I")
        tensors, entries = self.number("count", "q", "tensors"), self.number("count", "q", "metadata")
        for _ in range(entries):
            key = self.text("name", "key")
            self.value(self.number("type", "i", key), key)
        for _ in range(tensors):
            name = self.text("name", "tensor")
            for _ in range(self.number("dimensions", "I", name)):
                self.number("shape", "q", name)
            self.number("type", "i", name)
            self.number("offset", "Q", name)


def read_layout(data: bytes) -> list[Field]:
    """Return the fields of a valid file, in order."""
    walker = Walker(data)
    walker.walk()
    return walker.fields


def values_of(fields: list[Field], owner: str) -> Iterator[Field]:
    """Yield the values that stand under a key."""
    return (field for field in fields if field.kind == "value" and field.owner == owner)
