"""What `train.metric` may name, and how its figures are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.errors import FerError, nearest
from fer_core.makers import CORE
from fer_core.plugins import load_plugins

if TYPE_CHECKING:
    from fer_core.types import Measured, MetricSpec


def core_metrics(measures: Measured) -> list[str]:
    """Names of the core's metrics of classes or of numbers."""
    entries = (entry for claims in load_plugins().entries["metrics"].values() for entry in claims)
    return [each.name for each in entries if each.plugin.distribution == CORE and each.value.measures == measures]


def metric_of(name: str) -> MetricSpec:
    """The metric of `METRIC` or `TARGET.METRIC`. Raises FerError for an unknown name."""
    spec: MetricSpec = registry.find("metrics", name.partition(".")[2] or name)
    return spec


def check_selection(name: str, further: Iterable[str], targets: Mapping[str, tuple[str, ...]]) -> None:
    """Check that a training measures what its epoch is chosen by.

    Args:
        name: `METRIC` of the label, or `TARGET.METRIC` of a head.
        further: Metrics that the configuration names.
        targets: Extra targets of the dataset: their classes, none for numbers.

    Raises:
        FerError: It does not.
    """
    known = dict.fromkeys((*core_metrics("classes"), *core_metrics("numbers"), *further))
    specs = {metric: registry.find("metrics", metric) for metric in known}
    measured = [metric for metric, spec in specs.items() if spec.measures == "classes"]
    for target, classes in targets.items():
        kind = "classes" if classes else "numbers"
        measured += [f"{target}.{metric}" for metric, spec in specs.items() if spec.measures == kind]
    if name not in measured:
        raise FerError(f"train.metric is {name}, which is not measured here: {nearest(name, measured)}")


def score(name: str, value: float) -> float:
    """A figure as it is compared: the higher, the better."""
    return value if metric_of(name).higher_is_better else -value
