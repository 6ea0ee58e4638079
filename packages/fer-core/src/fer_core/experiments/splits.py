"""`kfold:10:*` and `seed-shuffle:0-4`: several splits in one text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_core import registry
from fer_core.data.protocols import parts_of, read_protocol, written
from fer_core.errors import FerError
from fer_core.experiments.schema import number_range
from fer_core.types import SplitSpec

ALL = "*"
NUMBERED = "K"
"""The argument of a form that numbers folds or repetitions."""
COUNT = "N"
"""The argument that says how many there are."""
REPETITIONS = 10
"""What `*` means for a shuffle, which has no last repetition: 0-9."""
LONGEST = 50
"""Characters of a slug; a folder's name has at most 255 bytes."""


@dataclass(frozen=True)
class SplitChoice:
    """One split.

    Attributes:
        protocol: As `data.split` takes it.
        number: Of the fold or repetition; None where the protocol has none.
    """

    protocol: str
    number: int | None

    @property
    def slug(self) -> str:
        """The protocol as a part of a folder's name."""
        name, _, path = self.protocol.partition(":")
        text = f"file-{path.rpartition('/')[2]}" if name == "file" else self.protocol
        return re.sub(r"[^\w.+-]", "-", text)[:LONGEST]


def expand_split(text: str) -> list[SplitChoice]:
    """The splits that `text` stands for.

    `K` of a protocol's form, as in `kfold:N:K` and `seed-shuffle:K[:S]`, may be a number, a range `0-4`, or `*`:
    up to `N` where there is one, else the repetitions 0-9. `*` for an argument behind it is the number of K.

    Raises:
        FerError: The protocol is unknown, or an argument does not fit.
    """
    base, plus, held = text.partition("+")
    name, *rest = base.split(":")
    spec: SplitSpec = registry.find("splits", name)
    parts = parts_of(spec)
    if NUMBERED not in parts or len(rest) <= (place := parts.index(NUMBERED)):
        read_protocol(text)
        return [SplitChoice(text, None)]
    count = REPETITIONS
    try:
        if COUNT in parts[:place]:
            (count,) = number_range(rest[parts.index(COUNT)])
        numbers = list(range(count)) if rest[place] == ALL else number_range(rest[place])
    except ValueError as error:
        raise FerError(
            f"the split {text} is not valid ({error}): write {written(spec)}, K a number, 0-4, or *"
        ) from None
    choices = []
    for number in numbers:
        given = [*rest[:place], str(number), *(str(number) if part == ALL else part for part in rest[place + 1 :])]
        choices.append(SplitChoice(":".join([name, *given]) + plus + held, number))
    for choice in choices:
        read_protocol(choice.protocol)
    return choices
