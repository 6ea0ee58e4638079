"""The provenance of a training, as weight files, results and states record it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fer_core.records import Count, Fraction, Name, Options, Positive, Record, Sha256, Text
from fer_core.types import Role

if TYPE_CHECKING:
    from fer_core.types import ClassChanges, ClassTable

Loss = Annotated[float, Field(ge=0)]


class Component(Record):
    """A component that took part in a training, and the distribution that it came from.

    Attributes:
        kind: As `fer-run list` calls it: `models`, `losses`...
        name: Its registered name.
        distribution: Which installed it.
        version: Of the distribution.
    """

    kind: Name
    name: Name
    distribution: Name
    version: Name


class Model(Record):
    """A model's name and the options of its factory."""

    name: Name
    options: Options = {}


class Start(Record):
    """What the weights were before training, in words, and sha256 of the files they came from.

    Attributes:
        description: In words.
        weights_sha256: Of the trained weights; None where there were none.
        backbone_sha256: Of the files of backbone weights.
    """

    description: Text
    weights_sha256: Sha256 | None = None
    backbone_sha256: tuple[Sha256, ...] = ()


class Relabelled(Record):
    """Numbers of faces of the classes that were merged or renamed (by new name), and left out."""

    renamed: dict[Name, dict[Name, Count]] = {}
    left_out: dict[Name, Count] = {}


def relabelled(changes: ClassChanges) -> Relabelled:
    """The record of what a table of classes did."""
    renamed = {new: dict(old) for new, old in changes.renamed.items()}
    return Relabelled(renamed=renamed, left_out=dict(changes.left_out))


class Dataset(Record):
    """A dataset as it was opened.

    Attributes:
        name: Registered name, or `a+b`.
        fingerprint: Over ids, labels and pixels.
        options: Of its factory.
        kept_classes: `data.classes`, where it is a list.
        renamed_classes: `data.classes`, where it is a mapping; None for a class that is left out.
        layout: Which layout was found, in words.
        label_space: What was done to the classes of each dataset.
        votes_unused: Datasets of a union whose votes are not used.
        counts: Faces of each class in each part.
        soft_targets: sha256 of the tables of soft targets.
    """

    name: Name
    fingerprint: Sha256
    options: Options = {}
    kept_classes: tuple[Name, ...] = ()
    renamed_classes: dict[Name, Name | None] = {}
    layout: Text = ""
    label_space: dict[Name, Relabelled] = {}
    votes_unused: tuple[Name, ...] = ()
    counts: dict[Role, dict[Name, Count]] = {}
    soft_targets: tuple[Sha256, ...] = ()

    @property
    def class_table(self) -> ClassTable | None:
        """`data.classes`."""
        return self.kept_classes or self.renamed_classes or None


class CalibrationFigures(Record):
    """The effect of a temperature on one part: pairs are before and after it; accuracy does not change."""

    count: Annotated[Count, Field(ge=1)]
    accuracy: Fraction
    expected_calibration_error: tuple[Fraction, Fraction]
    cross_entropy: tuple[Loss, Loss]


class HeadCalibration(Record):
    """The temperature of a further head, and what it changes, as of `Calibration`."""

    temperature: Positive
    figures: dict[Role, CalibrationFigures] = {}


class Calibration(Record):
    """Temperatures that logits are divided by, so that probabilities match the observed accuracy.

    Attributes:
        method: How they were found: one temperature by the cross-entropy.
        temperature: Of the logits.
        heads: Of further heads for classes, each with its own.
        fitted_on: Part of the data.
        bins: Of the calibration error.
        figures: What changed on every part with stored predictions.
    """

    method: Literal["temperature"] = "temperature"
    temperature: Positive
    heads: dict[Name, HeadCalibration] = {}
    fitted_on: Role
    bins: Annotated[int, Field(ge=1, le=1000)]
    figures: dict[Role, CalibrationFigures] = {}


class Split(Record):
    """How a dataset was divided.

    Attributes:
        protocol: In the grammar of `fer_core.data.splits`.
        holdout: Share that `+holdout` takes from the training part.
        seed: Of every random split.
        digest: Over the ids in every part.
        fraction: Share of the training part that was trained on (`data.fraction`).
    """

    protocol: Text
    holdout: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=1 << 32)]
    digest: Sha256
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0

    @property
    def share(self) -> str:
        """What follows the protocol where only a part was trained on; else empty."""
        return "" if self.fraction == 1 else f" with {self.fraction:.3g} of the training part"


class Extension(Record):
    """The run that a longer one was extended from.

    Attributes:
        config_sha256: Of its configuration.
        epochs: Its planned length.
        epoch: Finished epochs after which the longer run took over.
        step: Optimizer steps by then.
    """

    config_sha256: Sha256
    epochs: Annotated[Count, Field(ge=1)]
    epoch: Count
    step: Count
