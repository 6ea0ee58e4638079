"""The text of a split protocol, `NAME[:ARGUMENTS][+holdout]`, against the form that its spec gives."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_core import registry
from fer_core.errors import FerError, one_line
from fer_core.types import HOLDOUT, SplitSpec, split_name

_NUMBER = r"\d{1,9}"


@dataclass(frozen=True)
class Protocol:
    """A split protocol that can be followed.

    Attributes:
        name: Of the spec, as `fer-run list splits` shows it.
        rest: The arguments as text.
        arguments: For `SplitSpec.divide`, numbers as int.
        held_out: Whether it ends in `+holdout`.
    """

    name: str
    rest: str
    arguments: tuple[int | str, ...]
    held_out: bool

    @property
    def base(self) -> str:
        """The text without `+holdout`."""
        return f"{self.name}:{self.rest}" if self.rest else self.name


def read_protocol(text: str) -> Protocol:
    """A protocol from its text.

    Raises:
        FerError: The name is unknown, or the arguments have another form.
    """
    name, rest = split_name(text)
    spec: SplitSpec = registry.find("splits", name)
    rest, held_out = rest.removesuffix(HOLDOUT), rest.endswith(HOLDOUT)
    found = re.fullmatch(_pattern(spec), rest)
    if found is None:
        raise FerError(f"the split {one_line(text)} is not valid: write {written(spec)}")
    given = (argument for argument in found.groups() if argument is not None)
    numbers = map(_is_number, parts_of(spec))
    arguments = tuple(int(each) if number else each for each, number in zip(given, numbers, strict=False))
    return Protocol(spec.name, rest.removeprefix(":"), arguments, held_out)


def written(spec: SplitSpec) -> str:
    """How a protocol is written, without `+holdout`: `kfold:N:K[:sorted]`."""
    return f"{spec.name}:{spec.form}" if spec.form else spec.name


def parts_of(spec: SplitSpec) -> list[str]:
    """Names of the arguments: `N`, `K` and `sorted` of `N:K[:sorted]`."""
    return re.findall(r"[^][:]+", spec.form)


def _is_number(part: str) -> bool:
    return len(part) == 1 and part.isupper()


def _pattern(spec: SplitSpec) -> str:
    """A regular expression for what follows the name, with a group for each argument."""
    pattern = ""
    for token in re.findall(r"[][:]|[^][:]+", f":{spec.form}" if spec.form else ""):
        if token in ("[", "]"):
            pattern += "(?:" if token == "[" else ")?"
        elif token == ":":
            pattern += ":"
        else:
            pattern += f"({_NUMBER if _is_number(token) else '.+' if token.isupper() else re.escape(token)})"
    return pattern
