"""The record of a classification's metrics in files."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from fer_core.records import Count, Fraction, Name, Number, Record, misfit

LARGEST = 1e100
"""Largest figure, so that none overflows where it is drawn."""
Figure = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


def figure_name(target: str, metric: str) -> str:
    """`TARGET.METRIC` of a head; of the label, whose target is empty, `METRIC`."""
    return f"{target}.{metric}" if target else metric


class HeadMetrics(Record):
    """Metrics of the head for an extra target.

    Attributes:
        count: Number of images that have the target; they alone are measured.
        figures: By the name of the metric; empty where no image has the target.
    """

    count: Count
    figures: dict[Name, Figure] = {}


class Metrics(Record):
    """What `compute_metrics` gives; see there.

    Attributes:
        accuracy: Share of right predictions.
        mean_class_accuracy: Mean of the recalls of the classes that have images.
        macro_f1: Mean F1 over the classes.
        cross_entropy: Mean of -log of the label's probability.
        recall: Of each class; None where no image has it.
        confusion: Numbers of images; rows are the true classes, in the order of the classes.
        count: Number of images.
        others: Figures of the metrics that a configuration names, by name.
        heads: Of the heads for extra targets, by the name of the target.
    """

    accuracy: Fraction
    mean_class_accuracy: Fraction
    macro_f1: Fraction
    cross_entropy: Annotated[float, Field(ge=0, le=LARGEST)]
    recall: dict[Name, Fraction | None]
    confusion: tuple[tuple[Count, ...], ...]
    count: Annotated[Count, Field(ge=1)]
    others: dict[Name, Figure] = {}
    heads: dict[Name, HeadMetrics] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sides = {len(self.confusion), *map(len, self.confusion)}
        if sides != {len(self.recall)}:
            raise misfit("confusion", self.confusion, f"{len(self.recall)} rows of {len(self.recall)} numbers")
        if sum(map(sum, self.confusion)) != self.count:
            raise misfit("count", self.count, "the sum of the confusion matrix")
        return self

    def check_classes(self, classes: tuple[str, ...], field: str) -> None:
        """Raise what `misfit` gives where the metrics are of other classes."""
        if set(self.recall) != set(classes):
            raise misfit(f"{field}.recall", self.recall, "one number for each class")

    @property
    def further(self) -> dict[tuple[str, str], float]:
        """(target, metric) -> figure: of the heads, and of the label (with an empty target) those of `others`."""
        heads = {(head, name): value for head, of in self.heads.items() for name, value in of.figures.items()}
        return {("", name): value for name, value in self.others.items()} | heads

    def value(self, name: str) -> float:
        """The figure of that name, of a head as `TARGET.METRIC`. Raises KeyError if it was not measured."""
        if name not in type(self).model_fields:
            target, _, metric = name.rpartition(".")
            return self.further[target, metric]
        found: float = getattr(self, name)
        return found


class MetricsRow(Record):
    """A line of `metrics.jsonl`: one evaluation.

    Attributes:
        epoch: Passes over the training samples so far; 2.5 is in the middle of the third.
        step: Optimizer steps so far.
        lr: Learning rate of the last step.
        train: Means of the terms of the loss since the evaluation before, by name, and `accuracy`.
        val: Metrics on the validation part by name; empty where it is not watched.
        test: Likewise.
    """

    epoch: Number
    step: Count
    lr: float
    train: dict[Name, Figure] = {}
    val: dict[Name, Figure] = {}
    test: dict[Name, Figure] = {}

    def part(self, name: str) -> dict[str, float]:
        """`train`, `val` or `test`."""
        figures: dict[str, float] = getattr(self, name)
        return figures

    def scalars(self, joint: str) -> dict[str, float]:
        """All figures by flat names: those of parts as `PART<joint>NAME`, in an order that a resumed run keeps."""
        flat: dict[str, float] = {"epoch": self.epoch, "step": self.step, "lr": self.lr}
        for part in ("train", "val", "test"):
            flat |= {f"{part}{joint}{name}": value for name, value in sorted(self.part(part).items())}
        return flat
