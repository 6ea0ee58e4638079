"""Records of the files of a run."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer_core.card import LABEL
from fer_core.machine import Machine
from fer_core.metrics.record import Metrics
from fer_core.preprocessing import Preprocessing
from fer_core.provenance import Component, Dataset, Extension, Model, Split, Start
from fer_core.records import Classes, Count, Fraction, Name, Number, Record, Sha256, Text, misfit
from fer_core.types import Role

FORMAT: Literal[2] = 2
"""Of all files of a run."""

_AtLeastOne = Annotated[Count, Field(ge=1)]
_Seed = Annotated[int, Field(ge=0, lt=1 << 63)]


class Best(Record):
    """The best evaluation so far: its score by the selection metric, epoch and step."""

    score: float
    epoch: Number
    step: Count


class Environment(Machine):
    """`env.json`: where and with which versions a run was made.

    Attributes:
        started: Time of the beginning, ISO 8601.
        command: Words of the command line.
        python: Version.
        platform: System and machine.
        versions: Of distributions.
        config_sha256: Of the configuration that the run began with.
        components: What the run was made of at its beginning; resuming keeps it.
        finished: Time of the end; empty before it.
        training_seconds: Of each session of the training.
        evaluated_per_second: Images/s of the final evaluation, reading included.
        recompilations: What was compiled again while training, and why, once for each time.
    """

    format: Literal[2]
    started: Text
    command: tuple[Text, ...]
    python: Text
    platform: Text
    versions: dict[Name, Text]
    config_sha256: Sha256
    components: tuple[Component, ...] = ()
    finished: Text = ""
    training_seconds: tuple[Annotated[float, Field(ge=0, le=1e12)], ...] = ()
    evaluated_per_second: Annotated[float, Field(gt=0, le=1e12)] | None = None
    recompilations: tuple[Text, ...] = ()


class NonFinite(Record):
    """`nonfinite.json`: where a non-finite loss ended a training, and the ids of the images of that step."""

    step: Count
    epoch: Count
    loss: Text
    ids: tuple[str, ...]


class Membership(Record):
    """`experiment.json`: the experiment that a run belongs to.

    Attributes:
        experiment: Its name.
        recipe: Name of the recipe that all its models share; empty where each has its own.
        grid: Values of the grid, as `KEY=VALUE`.
    """

    format: Literal[2]
    experiment: Name
    recipe: Text = ""
    grid: tuple[Text, ...] = ()


class Training(Record):
    """How long the training was and how the weights were chosen.

    Attributes:
        select: Which weights are the result.
        metric: What the epoch was chosen by.
        selected_on_test: Whether the epoch was chosen on the part that is reported.
        seed: Of all randomness.
        epochs: Passes over the training samples that were planned.
        steps: Optimizer steps that were planned.
        stopped: Why the training ended early; None where it did not.
    """

    select: Literal["last", "best:val", "best:test"]
    metric: Name
    selected_on_test: bool
    seed: _Seed
    epochs: _AtLeastOne
    steps: _AtLeastOne
    stopped: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.selected_on_test != (self.select == "best:test"):
            raise misfit("selected_on_test", self.selected_on_test, f"what select={self.select} says")
        return self


class ScoredWeights(Record):
    """Weights of a run: their epoch and step, and their metrics on every part that has faces."""

    epoch: Number
    step: Count
    metrics: dict[Role, Metrics]


class Result(Record):
    """`result.json`: what a run was and its results; equal runs give equal bytes.

    Attributes:
        model: Name and options.
        classes: Names of the classes, in the model's order.
        dataset: What was trained on.
        split: How it was divided.
        start: What the weights were before.
        preprocessing: How images reach the model.
        protocol: How long the training was, and how the weights were chosen.
        config_sha256: Of the configuration.
        extended: The run that this one was extended from; None where it was not.
        best: The chosen weights.
        last: Those of the end.
        components: What the run was made of.
    """

    format: Literal[2]
    model: Model
    classes: Classes
    dataset: Dataset
    split: Split
    start: Start
    preprocessing: Preprocessing
    protocol: Training
    config_sha256: Sha256
    extended: Extension | None = None
    best: ScoredWeights
    last: ScoredWeights
    components: tuple[Component, ...] = ()

    @property
    def metrics(self) -> dict[Role, Metrics]:
        """Metrics of the chosen weights."""
        return self.best.metrics

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, weights in (("best", self.best), ("last", self.last)):
            for part, metrics in weights.metrics.items():
                metrics.check_classes(self.classes, f"{name}.metrics.{part}")
        for part, counts in self.dataset.counts.items():
            if not set(counts) <= set(self.classes):
                raise misfit(f"dataset.counts.{part}", counts, "numbers of the classes")
        return self


class Renamed(Record):
    """New names of classes on both sides of an evaluation."""

    dataset: dict[Name, Name] = {}
    checkpoint: dict[Name, Name] = {}


class LabelSpace(Record):
    """The rule that matched different classes, and what it changed.

    Attributes:
        names: The table of names that the rule applies first; empty where it is `shared`.
        restricted: Whether only classes that the dataset has can be predicted.
        shared: The classes that both sides have.
        left_out: Classes of the dataset whose faces are left out.
        without_faces: Classes of the checkpoint that the dataset lacks.
        renamed: What the table of names did.
    """

    names: dict[Name, Name | None] = {}
    restricted: bool
    shared: Classes
    left_out: tuple[Name, ...] = ()
    without_faces: tuple[Name, ...] = ()
    renamed: Renamed = Renamed()


class EvaluatedWeights(Record):
    """Whose weights were evaluated; fingerprint and digest of their training are None where they are unknown."""

    model: Name
    fingerprint: Sha256 | None = None
    digest: Sha256 | None = None
    head: Name = LABEL


class EvaluatedData(Record):
    """What they were evaluated on."""

    name: Name
    fingerprint: Sha256
    part: Name


class Evaluated(Record):
    """Which weights were evaluated, on which data."""

    weights: EvaluatedWeights
    dataset: EvaluatedData


class Subgroup(Record):
    """How well the faces of one value of an attribute are classified.

    Attributes:
        value: Of the attribute.
        count: Number of faces.
        accuracy: Share of right predictions.
        interval: 95 % interval of the accuracy (Wilson's, faces as independent).
        mean_class_accuracy: Mean of the recalls of the classes that these faces have.
    """

    value: Name
    count: _AtLeastOne
    accuracy: Fraction
    interval: tuple[Fraction, Fraction]
    mean_class_accuracy: Fraction


class EvaluationRecord(Evaluated):
    """`evaluation-PART.json`: an evaluation outside of a run.

    Attributes:
        classes: What was measured.
        metrics: What it gave.
        label_space: The rule that matched different classes; None if they were the same.
        subgroups: Attribute -> figures for each of its values.
    """

    format: Literal[2]
    classes: Classes
    metrics: Metrics
    label_space: LabelSpace | None = None
    subgroups: dict[Name, tuple[Subgroup, ...]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.metrics.check_classes(self.classes, "metrics")
        return self
