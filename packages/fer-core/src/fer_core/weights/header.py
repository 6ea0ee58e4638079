"""The header of a weight file: everything that prediction needs, and where the weights come from.

It holds no path, no time and no host, so that equal trainings give equal bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer_core import registry
from fer_core.preprocessing import Preprocessing
from fer_core.provenance import Calibration, Component, Dataset, Model, Split, Start
from fer_core.records import MAX_CLASSES, Classes, Count, Name, Number, Record, Sha256, Text, misfit
from fer_core.types import HEAD, Role

FORMAT: Literal[2] = 2


class Selection(Record):
    """Which weights of a training these are.

    Attributes:
        select: How they were chosen.
        epoch: Passes over the training samples.
        step: Optimizer steps.
        metrics: Figures on the parts that were watched, by name.
    """

    select: Literal["last", "best:val", "best:test"]
    epoch: Number
    step: Count
    metrics: dict[Role, dict[Name, float]] = {}


class Imported(Record):
    """The authors' file that weights were imported from, and the recipe of their preprocessing."""

    sha256: Sha256
    recipe: Text = ""


class Header(Record):
    """The header of a weight file.

    Attributes:
        format: Of the header.
        hook_api: Version of the hooks that wrote it.
        model: Name and options of the model.
        classes: Names of the classes, in the order of the logits.
        preprocessing: How images reach the model.
        dataset: What was trained on; None for imported weights.
        split: How it was divided.
        start: What the weights were before the training.
        selection: Which weights of the training these are.
        components: What the training was made of.
        imported: Where imported weights come from.
        calibration: What logits are divided by; None: 1.
        targets: Name of each extra target, which the model may have a head for -> its classes, none for numbers.
        digests: sha256 of the bytes of tensors by name; those that are there are checked when the file is read.
            Imports write them. A training does not: they would take half as long as saving the weights does.
    """

    format: Literal[2]
    hook_api: Annotated[int, Field(ge=1)]
    model: Model
    classes: Classes
    preprocessing: Preprocessing
    dataset: Dataset | None = None
    split: Split | None = None
    start: Start | None = None
    selection: Selection | None = None
    components: tuple[Component, ...] = ()
    imported: Imported | None = None
    calibration: Calibration | None = None
    targets: dict[Name, Annotated[tuple[Name, ...], Field(max_length=MAX_CLASSES)]] = {}
    digests: dict[str, Sha256] = {}

    @property
    def model_name(self) -> str:
        """Name of the model as it is registered here."""
        return registry.recorded("models", self.model.name, self.components)

    @property
    def temperature(self) -> float:
        """What logits are divided by."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def temperatures(self) -> dict[str, float]:
        """Output of the model -> what it is divided by; empty where the weights are not calibrated."""
        if self.calibration is None:
            return {}
        heads = {HEAD + name: each.temperature for name, each in self.calibration.heads.items()}
        return {"logits": self.calibration.temperature, **heads}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for part, counts in (self.dataset.counts if self.dataset else {}).items():
            if not set(counts) <= set(self.classes):
                raise misfit(f"dataset.counts.{part}", counts, "numbers of the classes")
        if self.calibration is not None and not set(self.calibration.heads) <= set(self.targets):
            raise misfit("calibration.heads", self.calibration.heads, "temperatures of the targets")
        return self


class PartHeader(Record):
    """The header of a file that holds a part of a model, which cannot predict.

    Attributes:
        format: Of the header.
        hook_api: Version of the hooks that wrote it.
        part: Which part it is.
        model: Name of the model.
        imported: Where it comes from.
    """

    format: Literal[2]
    hook_api: Annotated[int, Field(ge=1)]
    part: Literal["backbone"]
    model: Name
    imported: Imported | None = None
