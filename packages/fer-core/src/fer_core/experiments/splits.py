"""`kfold:10:*` and `seed-shuffle:0-4`: several splits in one text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_core.errors import FerError
from fer_core.experiments.schema import number_range

ALL = "*"
REPETITIONS = 10
"""What `*` means for a shuffle, which has no last repetition: 0-9."""
LONGEST = 50
"""Characters of a slug; a folder's name has at most 255 bytes."""
_NUMBERED = ("kfold", "stratified-shuffle", "seed-shuffle")


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

    `K` of `kfold:N:K`, `stratified-shuffle:K` and `seed-shuffle:K[:S]` may be a number, a range `0-4`, or `*`
    (every fold, or repetitions 0-9). `S` may be a number, or `*` for the number of K.

    Raises:
        FerError: A part of the protocol is not a number.
    """
    base, plus, held = text.partition("+")
    name, *rest = base.split(":")
    place = 1 if name == "kfold" else 0
    if name not in _NUMBERED or len(rest) <= place:
        return [SplitChoice(text, None)]
    count = REPETITIONS
    try:
        if name == "kfold":
            (count,) = number_range(rest[0])
        numbers = list(range(count)) if rest[place] == ALL else number_range(rest[place])
    except ValueError as error:
        raise FerError(
            f"the split {text} is not valid ({error}): write {name}:{'N:' * place}K, K a number, 0-4, or *"
        ) from None
    choices = []
    for number in numbers:
        parts = [*rest[:place], str(number), *(str(number) if part == ALL else part for part in rest[place + 1 :])]
        choices.append(SplitChoice(":".join([name, *parts]) + plus + held, number))
    return choices
