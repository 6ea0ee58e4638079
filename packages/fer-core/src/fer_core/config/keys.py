"""What the schema says of its keys: their names, and what each takes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from fer_core.config.schema import Config, Section


def section_of(model: type[BaseModel] | None, key: str) -> type[Section] | None:
    """The section that stands under `key` of `model`, or None for a plain value."""
    field = model.model_fields.get(key) if model else None
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def expectation(path: tuple[str, ...]) -> str:
    """What the key at `path` takes, in words."""
    model: type[Section] | None = Config
    for part in path[:-1]:
        model = section_of(model, part)
    extra = model.model_fields[path[-1]].json_schema_extra if model else None
    return str(extra["expects"]) if isinstance(extra, dict) else "another value"


def schema_keys(model: type[Section] = Config, prefix: str = "") -> Iterator[str]:
    """Dotted name of every key of the schema, in its order; sections that hold keys are not listed."""
    for key in model.model_fields:
        section = section_of(model, key)
        if section is None:
            yield prefix + key
        else:
            yield from schema_keys(section, f"{prefix}{key}.")
