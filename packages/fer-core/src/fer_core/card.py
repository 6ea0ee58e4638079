"""Model cards: what a user of weights has to know, as data beside the weight file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from fer_core.errors import FerError
from fer_core.records import Count, Name, Record, Text, misfit
from fer_core.refs import read_resource

if TYPE_CHECKING:
    from fer_core.published import WeightsSpec

LABEL = "label"
"""What the head of the expressions is called beside a model's further heads."""

Line = Annotated[Text, Field(min_length=1)]


class CardInput(Record):
    """Something that the weights were made from.

    Attributes:
        kind: `data`: images or labels that were trained on; `weights`: what the training began with, or was taught
            by; `code`.
        name: Of a dataset, as it is registered, or of a package.
        licence: Its licence, or the terms of its use.
        homepage: Where it is.
    """

    kind: Literal["data", "weights", "code"]
    name: Name
    licence: Line
    homepage: Text = ""


class CardFigure(Record):
    """A measured figure.

    Attributes:
        dataset: Registered name of the dataset.
        part: Which of its parts, such as `test`.
        metric: As results call it, such as `accuracy`, `recall` or `expected_calibration_error`.
        value: As results have it: a share of 1, not per cent.
        interval: The 95 % interval that it lies in.
        count: Faces that it was measured on.
        head: The head that was measured: `label`, or one of the model's further heads.
        of_class: The class, where it is the figure of one.
        through: The detector, where faces were found in scenes first.
        note: What else has to be said, such as `mean of three seeds`.
    """

    dataset: Name
    part: Name
    metric: Name
    value: float
    interval: Annotated[tuple[float, float], Field(min_length=2, max_length=2)] | None = None
    count: Annotated[Count, Field(ge=1)] | None = None
    head: Name = LABEL
    of_class: Name | None = None
    through: Name | None = None
    note: Text = ""

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.interval is not None and not self.interval[0] <= self.value <= self.interval[1]:
            raise misfit("interval", self.interval, f"an interval with {self.value} in it")
        return self


class Card(Record):
    """What a user of weights has to know.

    Attributes:
        notice: What is said once when they are used: what they know, how well, and what they are not for.
        licence: Of the weights.
        inputs: What they were made from, each with its licence or terms.
        protocol: How the data were divided, and how the epoch, the seed and all options were chosen.
        figures: What was measured, by class and in all.
        intended_use: What they are for.
        limits: What they are not for, and where they are known to fail.
        commands: What trained them, from the first command to the last.
        head: The head that predicts where none is named: `label`, or one of the model's further heads.
    """

    notice: Line
    licence: Line
    inputs: Annotated[tuple[CardInput, ...], Field(min_length=1)]
    protocol: Line
    figures: tuple[CardFigure, ...]
    intended_use: Line
    limits: Annotated[tuple[Line, ...], Field(min_length=1)]
    commands: Annotated[tuple[Line, ...], Field(min_length=1)]
    head: Name = LABEL


def read_card(spec: WeightsSpec) -> Card:
    """The card of weights.

    Raises:
        FerError: It is missing or damaged.
    """
    where = f"the card of the weights {spec.name} ({spec.card})"
    advice = "reinstall the package that brings them"
    try:
        text = read_resource(spec.card)
    except (OSError, ImportError, UnicodeDecodeError) as error:
        raise FerError(f"{where} cannot be read ({error}): {advice}") from error
    return Card.parse(text, where, advice)
