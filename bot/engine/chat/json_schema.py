"""Which JSON schemas an answer can be bound to: everything that the grammar really enforces, within limits.

Pure. A keyword that llama.cpp's converter would ignore is refused, because a promise that is not kept is worse than
none; sizes are bounded, because a grammar is expanded before it is used.
"""

import json
from collections.abc import Iterator, Mapping

MAX_BYTES = 16 * 1024
MAX_DEPTH = 16
MAX_PARTS = 300
MAX_REPEATS = 200
ANY_OBJECT = '{"type": "object"}'
NOTES = {"$schema", "$id", "$defs", "definitions", "title", "description", "default", "examples", "$comment"} | {
    "discriminator"  # OpenAPI's hint beside a oneOf
}
TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}
FORMATS = {"date", "time", "date-time", "uuid"}
BY_KIND: Mapping[str, frozenset[str]] = {
    "$ref": frozenset(),
    "anyOf": frozenset(),
    "oneOf": frozenset(),
    "const": frozenset({"type"}),
    "enum": frozenset({"type"}),
    "object": frozenset({"type", "properties", "required", "additionalProperties"}),
    "array": frozenset({"type", "items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"type", "minLength", "maxLength", "format"}),
}
_SIZES = ("minItems", "maxItems")
Schema = Mapping[str, object]


class SchemaError(ValueError):
    """A schema that cannot be kept, with the reason for the one who wrote it."""


def check_schema(schema: object) -> str:
    """Return *schema* as JSON text if every keyword in it will be enforced."""
    text = json.dumps(schema)
    if len(text) > MAX_BYTES:
        raise SchemaError(f"is larger than {MAX_BYTES} bytes")
    repeats = 0
    for parts, node in enumerate(walk(schema, depth=0), start=1):
        repeats += check_node(node)
        if parts > MAX_PARTS or repeats > MAX_REPEATS:
            raise SchemaError(f"has more than {MAX_PARTS} parts, or lengths that sum to more than {MAX_REPEATS}")
    return text if not isinstance(schema, dict) else json.dumps(unfold_root(schema))


def unfold_root(schema: Schema) -> Schema:
    """Return *schema* without a $ref at the top, beside which the converter would overlook the definitions."""
    if "$ref" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return {**rest, "anyOf": [{"$ref": schema["$ref"]}]}


def walk(node: object, *, depth: int) -> Iterator[Schema]:
    """Yield a schema and every schema inside it."""
    if not isinstance(node, dict):
        raise SchemaError("must consist of objects (true and false are no schemas here)")
    if depth > MAX_DEPTH:
        raise SchemaError(f"is nested deeper than {MAX_DEPTH} levels")
    yield node
    for child in children(node):
        yield from walk(child, depth=depth + 1)


def children(node: Schema) -> list[object]:
    """Return the schemas directly inside *node*."""
    found: list[object] = []
    for name in ("$defs", "definitions", "properties"):
        inner = node.get(name, {})
        if not isinstance(inner, dict):
            raise SchemaError(f"has a {name} that is not an object")
        found += inner.values()
    for name in ("anyOf", "oneOf", "prefixItems"):
        listed = node.get(name, [])
        if not isinstance(listed, list) or (name in node and not listed):
            raise SchemaError(f"has a {name} that is not a list with at least one schema")
        found += listed
    extra = node.get("additionalProperties")
    found += [extra] if not isinstance(extra, bool | None) else []
    return [*found, node["items"]] if "items" in node else found


def check_node(node: Schema) -> int:
    """Refuse what would be ignored in *node*; return how often the grammar repeats something for it."""
    kind = find_kind(node)
    ignored = sorted(set(node) - NOTES - BY_KIND.get(kind, frozenset({"type"})) - {kind})
    if ignored:
        raise SchemaError(f"uses {ignored[0]!r} where it cannot be enforced")
    if kind == "$ref" and not str(node["$ref"]).startswith("#/"):
        raise SchemaError("may have a $ref into itself only")
    if kind == "enum" and not (isinstance(node["enum"], list) and node["enum"]):
        raise SchemaError("has an enum that is not a list with at least one value")
    required = node.get("required", [])
    if not isinstance(required, list) or any(name not in list(_properties(node)) for name in required):
        raise SchemaError("requires a name that is not among its properties")
    if node.get("format", "date") not in sorted(FORMATS) or (
        "format" in node and {"minLength", "maxLength"} & set(node)
    ):
        raise SchemaError(f"may have a format of {', '.join(sorted(FORMATS))} only, and no length with it")
    places = node.get("prefixItems")
    if isinstance(places, list) and ("items" in node or _read_sizes(node) - {len(places)}):
        raise SchemaError("may not combine prefixItems with items or another number of items")
    return max(_read_pair(node, "minItems", "maxItems"), _read_pair(node, "minLength", "maxLength"))


def _read_sizes(node: Schema) -> set[object]:
    """Return the numbers of items that an array may have, as far as they are given."""
    return {repr(node[name]) if type(node[name]) is not int else node[name] for name in _SIZES if name in node}


def _properties(node: Schema) -> Mapping[str, object]:
    inner = node.get("properties", {})
    return inner if isinstance(inner, dict) else {}


def find_kind(node: Schema) -> str:
    """Return what decides how a schema is read."""
    for name in ("$ref", "anyOf", "oneOf", "const", "enum"):
        if name in node:
            return name
    kind = node.get("type")
    if isinstance(kind, list) and kind and all(name in sorted(TYPES) for name in kind):
        return "several types"
    if not isinstance(kind, str) or kind not in TYPES:
        raise SchemaError("has a part whose type is missing or unknown")
    return kind


def _read_pair(node: Schema, least: str, most: str) -> int:
    low, high = node.get(least, 0), node.get(most)
    highest = low if high is None else high
    if type(low) is not int or type(highest) is not int or not 0 <= low <= highest <= MAX_REPEATS:
        raise SchemaError(f"needs {least} and {most} as whole numbers from 0 to {MAX_REPEATS}, the smaller one first")
    return highest
