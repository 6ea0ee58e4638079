"""Typed records of every file that fer writes and reads back; a misfit is an error of one line.

A record is a frozen pydantic model. Reading one checks all of it at once, and returns an object that the rest
of the code can trust.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, from_json

from fer_core.errors import FerError, one_line

MAX_BYTES = 256 << 20
"""Largest file that is read as a record: what is larger was not written by fer."""

_EXPECTED = {
    "missing": "a value",
    "extra_forbidden": "no such field",
    "int_type": "a whole number",
    "invalid-json-value": "a plain value",
    "recursion_loop": "a value that does not contain itself",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "mapping_type": "a mapping",
    "none_required": "null",
}
"""What pydantic's kinds of error ask for, in words."""


MISFIT = "misfit"
"""Kind of the errors that `misfit` makes."""


def misfit(field: str, value: object, expected: str) -> PydanticCustomError:
    """The error for a field that does not fit the others, to be raised by a validator of the whole record."""
    context = {"field": field, "found": found(value), "expected": expected}
    return PydanticCustomError(MISFIT, "{field} is {found}, expected {expected}", context)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("printable text")
    return text


def _sha256(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError("a sha256 as 64 hexadecimal digits")
    return text


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names that differ")
    return names


MAX_COUNT = 1 << 53
Text = Annotated[str, AfterValidator(_printable)]
"""Text on one line, as terminals can show it."""
MAX_NAME = 200
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_printable)]
Sha256 = Annotated[str, AfterValidator(_sha256)]
MAX_CLASSES = 1000
Classes = Annotated[tuple[Name, ...], Field(min_length=2, max_length=MAX_CLASSES), AfterValidator(_distinct)]
"""Names of the classes of a task; a label is an index into them."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Number = Annotated[
    float, Field(ge=0, le=MAX_COUNT), PlainSerializer(lambda value: int(value) if value.is_integer() else value)
]
"""A number that is written without a fraction where it has none."""
Options = dict[str, JsonValue]
"""Options of a component: plain values, which its factory checks."""


class Record(BaseModel):
    """A mapping of known fields: strict types, finite numbers, nothing unknown, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, text: str | bytes, where: str, advice: str) -> Self:
        """The record in a JSON text.

        Args:
            text: Strict JSON: numbers are finite.
            where: Begins the message of an error: the file's path.
            advice: Ends it: what to do.

        Raises:
            FerError: `text` is not JSON, or a field does not fit the schema.
        """
        if isinstance(text, str):  # a lone surrogate, which no JSON has, is refused as what it is
            text = text.encode("utf-8", "backslashreplace")
        try:
            from_json(text, allow_inf_nan=False)  # pydantic alone lets NaN pass where any value may stand
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise FerError(f"{where}: {explain(error)}: {advice}") from None
        except ValueError as error:
            raise FerError(one_line(f"{where}: not valid JSON ({error}): {advice}")) from None

    @classmethod
    def check(cls, content: object, where: str, advice: str) -> Self:
        """The record in plain values that were read from another format than JSON; see `parse`."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise FerError(f"{where}: {explain(error)}: {advice}") from None
        except RecursionError:
            raise FerError(f"{where}: nested too deeply: {advice}") from None

    @classmethod
    def read(cls, path: Path, advice: str) -> Self:
        """The record in a JSON file.

        Raises:
            FerError: The file is missing, unreadable, too large, or rejected by `parse`.
        """
        return cls.parse(read_bytes(path, advice), str(path), advice)

    def text(self) -> str:
        """Sorted, indented JSON, so that equal records are equal bytes."""
        return json.dumps(self.plain(), indent=2, sort_keys=True, allow_nan=False) + "\n"

    def line(self) -> str:
        """Sorted JSON on one line."""
        return json.dumps(self.plain(), sort_keys=True, allow_nan=False) + "\n"

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON; fields that have their default are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


def read_bytes(path: Path, advice: str) -> bytes:
    """The content of a regular file.

    Raises:
        FerError: The file is missing, not a regular file, unreadable or larger than `MAX_BYTES`.
    """
    try:
        if path.exists() and not path.is_file():
            raise FerError(f"{path} is not a regular file: {advice}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise FerError(f"{path} cannot be read ({reason}): {advice}") from error
    if len(content) > MAX_BYTES:
        raise FerError(f"{path} is larger than {MAX_BYTES >> 20} MiB, which fer never writes: {advice}")
    return content


def explain(error: ValidationError) -> str:
    """The first thing that does not fit, as `FIELD is FOUND, expected EXPECTED`."""
    first = error.errors(include_url=False)[0]
    field = name_of(first["loc"])
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "extra_forbidden":
        return f"{field} is not a known field"
    if first["type"] == MISFIT:
        return first["msg"] if not first["loc"] else f"{field}.{first['msg']}"
    return f"{field} is {found(first['input'])}, expected {_expected(first)}"


def name_of(location: tuple[int | str, ...]) -> str:
    """`("split", "classes", 3)` as `split.classes[3]`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return one_line(name)[:120] or "the top level"


def found(value: object) -> str:
    """A value that does not fit, on one line and shortened."""
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    text = one_line(text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _expected(problem: ErrorDetails) -> str:
    words = _EXPECTED.get(problem["type"])
    if words is not None:
        return words
    context = problem.get("ctx", {})
    if problem["type"] in ("literal_error", "enum"):
        return str(context["expected"])
    return problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
