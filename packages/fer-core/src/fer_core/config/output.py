"""A configuration as text: the file beside a run, the answer of `--dry-run`, and the schema for editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fer_core.config.layers import Resolved
from fer_core.config.schema import Config, plain
from fer_core.config.yaml_text import Tree, flow

_COMMENT_COLUMN = 60


def dump_config(config: Config) -> str:
    """YAML of `config` with every key, in the order of the schema; equal configurations give equal text."""
    return "".join(f"{line}\n" for line, _ in _lines(plain(config)))


def describe(resolved: Resolved) -> str:
    """YAML of the resolved configuration; each value's layer follows as a comment."""
    lines = list(_lines(plain(resolved.config)))
    column = max(len(line) for line, key in lines if key and len(line) <= _COMMENT_COLUMN)
    return "".join(
        f"{line:<{column}}  # {resolved.origin[key]}\n" if key in resolved.origin else f"{line}\n"
        for line, key in lines
    )


def json_schema() -> dict[str, Any]:
    """JSON schema of a configuration file, for editors. No key is required: a file may hold any part."""
    schema = Config.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for variant in (part, *part.get("anyOf", ())):
            variant.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "fer-run configuration"}


def _lines(values: Tree, above: str = "", indent: int = 0) -> Iterator[tuple[str, str]]:
    """Each line of block YAML with the dotted name of the value on it, empty for the head of a mapping."""
    for key, value in values.items():
        head = f"{' ' * indent}{flow(key)}:"
        if isinstance(value, dict) and value:
            yield head, ""
            yield from _lines(value, f"{above}{key}.", indent + 2)
        else:
            yield f"{head} {flow(value)}", above + key
