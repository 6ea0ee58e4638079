"""Trees of plain values, as files hold them, altered: by a table, or by what hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from hypothesis import strategies as st

Place = tuple[str | int, ...]


class Marked:
    """Stands in a tree for what only the text of a file can hold, or only objects."""

    def __init__(self, text: str, make: Callable[[], Any] = lambda: None) -> None:
        self.text, self.make = text, make

    def __repr__(self) -> str:
        return self.text


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(400):
        value = [value]
    return value


def _endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


REMOVED, ABSENT = Marked("null"), Marked("null")
DEEP = Marked("[" * 20_000 + "]" * 20_000, _deep)
ENDLESS = Marked("&a [*a]", _endless)
LAUGHS = Marked("[&a [1, 1], &b [*a, *a], &c [*b, *b], *c]", _endless)
DIGITS = Marked("1" + "0" * 5_000, lambda: 10**5_000)


def _extra(old: Any) -> Any:
    if isinstance(old, dict):
        return {**old, "altered": 1}
    return [*old, 1] if isinstance(old, list) else [old, old]


TABLE: dict[str, Callable[[Any], Any]] = {
    "removed": lambda old: REMOVED,
    "null": lambda old: None,
    "true": lambda old: True,
    "zero": lambda old: 0,
    "number": lambda old: 7,
    "fraction": lambda old: 0.5,
    "text": lambda old: "altered",
    "empty text": lambda old: "",
    "list": lambda old: [],
    "list of null": lambda old: [None],
    "mapping": lambda old: {},
    "other mapping": lambda old: {"altered": {"altered": 1}},
    "wrapped": lambda old: [old],
    "negative": lambda old: -1,
    "large": lambda old: 1_000_000,
    "huge": lambda old: 10**30,
    "of many digits": lambda old: DIGITS,
    "huge fraction": lambda old: 1e308,
    "nan": lambda old: float("nan"),
    "infinity": lambda old: float("inf"),
    "control characters": lambda old: "\x1b[2J\x00\r\n\t",
    "surrogate": lambda old: "\ud800",
    "path": lambda old: "../../altered",
    "long text": lambda old: "x" * 300_000,
    "long list": lambda old: [0] * 100_000,
    "deep": lambda old: DEEP,
    "endless": lambda old: ENDLESS,
    "laughs": lambda old: LAUGHS,
    "extra": _extra,
    "twice": lambda old: old * 2 if isinstance(old, list | str) else {"altered": old},
    "shorter": lambda old: old[1:] if isinstance(old, list | str) else {"": old},
}
"""What a field becomes."""
CYCLES = ("endless", "laughs")
PLAIN_WAYS = (
    "removed",
    "null",
    "true",
    "number",
    "text",
    "empty text",
    "list",
    "mapping",
    "negative",
    "huge",
    "nan",
)
"""Those that whoever edits a file may make."""

TENSORS: dict[str, Callable[[torch.Tensor], Any]] = {
    "of nan": lambda old: (
        torch.full_like(old, float("nan")) if old.is_floating_point() else old.float() * torch.nan
    ),
    "of infinity": lambda old: torch.full_like(old.float(), float("inf")),
    "of integers": lambda old: old.long(),
    "of doubles": lambda old: old.double(),
    "complex": lambda old: old.to(torch.complex64),
    "empty": lambda old: old.new_zeros(0),
    "of another shape": lambda old: old.new_zeros(3, 5),
    "flat": lambda old: old.flatten(),
    "sparse": lambda old: old.to_sparse(),
    "of a huge shape": lambda old: old.new_zeros(1).expand(1 << 40),
}
"""What a tensor becomes."""

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def places(tree: Any, schema: Any, at: Place = ()) -> Iterator[Place]:
    """A tree, and every field that it has or that its JSON schema allows; of a list the first item."""
    yield at
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places(value, {}, (*at, key))
        yield from ((*at, key) for key in schema.get("properties", ()) if key not in tree)
    elif isinstance(tree, list | tuple) and len(tree):
        yield from places(tree[0], {}, (*at, 0))


def value_at(tree: Any, place: Place) -> Any:
    """What stands at a place, or ABSENT."""
    for part in place:
        if isinstance(tree, dict) and part not in tree:
            return ABSENT
        tree = tree[part]
    return tree


def put(tree: Any, place: Place, value: Any) -> Any:
    """A copy of `tree` with another value at `place`."""
    if not place:
        return None if value is REMOVED else value
    first, *rest = place
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if rest:
        copy[first] = put(tree[first], tuple(rest), value)
    elif value is not REMOVED:
        copy[first] = value
    elif not isinstance(copy, dict) or first in copy:
        del copy[first]
    return copy


def ways(value: Any) -> dict[str, Callable[[Any], Any]]:
    """How a value can be altered, by name."""
    return TABLE | TENSORS if isinstance(value, torch.Tensor) else TABLE


def sweep(tree: Any, schema: Any) -> list[tuple[Place, str]]:
    """Every field of a tree with every alteration of it."""
    return [(place, name) for place in places(tree, schema) for name in ways(value_at(tree, place))]


def altered_at(tree: Any, place: Place, name: str) -> Any:
    """`tree` with one field altered as a table says."""
    old = value_at(tree, place)
    return put(tree, place, ways(old)[name](old))


@st.composite
def altered(draw: Callable[..., Any], tree: Any, schema: Any) -> Any:
    """`tree` with some fields of values that the schema allows, and up to two fields altered."""
    properties = schema.get("properties", {})
    for key in draw(st.lists(st.sampled_from(sorted(properties)), max_size=2)) if properties else []:
        tree = {**tree, key: draw(fitting(properties[key], schema))}
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(list(places(tree, schema))))
        old = value_at(tree, place)
        value = draw(ANYTHING) if draw(st.booleans()) else ways(old)[draw(st.sampled_from(sorted(ways(old))))](old)
        tree = put(tree, place, value)
        if not isinstance(tree, dict | list):
            break
    return tree


def fitting(part: Any, schema: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a part of a JSON schema allows."""
    if "$ref" in part:
        return st.deferred(lambda: fitting(schema["$defs"][part["$ref"].rpartition("/")[2]], schema, depth + 1))
    if "const" in part or "enum" in part:
        return st.sampled_from(part.get("enum", [part.get("const")]))
    for several in ("anyOf", "oneOf"):
        if several in part:
            return st.one_of(*(fitting(one, schema, depth) for one in part[several]))
    kind = part.get("type")
    if kind == "object":
        return _objects(part, schema, depth)
    if kind == "array":
        items = part.get("items", {}) if isinstance(part.get("items", {}), dict) else {}
        longest = min(part.get("maxItems", 4), 4) if depth < 4 else part.get("minItems", 0)
        least = part.get("minItems", 0)
        return st.lists(fitting(items, schema, depth + 1), min_size=least, max_size=max(least, longest))
    if kind == "integer":
        low = part.get("minimum", part.get("exclusiveMinimum", -1) + 1 if "exclusiveMinimum" in part else None)
        return st.integers(low, part.get("maximum"))
    if kind == "number":
        low, high = (
            part.get("minimum", part.get("exclusiveMinimum")),
            part.get("maximum", part.get("exclusiveMaximum")),
        )
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    if kind == "string":
        return (
            st.from_regex(part["pattern"])
            if "pattern" in part
            else st.text(min_size=part.get("minLength", 0), max_size=8)
        )
    return {"boolean": st.booleans(), "null": st.none()}.get(str(kind), ANYTHING)


def _objects(part: Any, schema: Any, depth: int) -> st.SearchStrategy[Any]:
    known = {key: fitting(value, schema, depth + 1) for key, value in part.get("properties", {}).items()}
    required = {key: known[key] for key in part.get("required", ()) if key in known}
    if known:
        return st.fixed_dictionaries(
            required, optional={key: known[key] for key in known.keys() - required.keys()}
        )
    more = part.get("additionalProperties")
    inner = fitting(more, schema, depth + 1) if isinstance(more, dict) else ANYTHING
    return st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3)
