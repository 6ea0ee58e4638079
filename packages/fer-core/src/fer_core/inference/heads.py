"""What the heads of a model predict, beside the extra targets of the dataset, and the metrics of it all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_core.errors import FerError
from fer_core.metrics import HeadMetrics, Metrics, compute_metrics
from fer_core.metrics.apply import apply_metrics
from fer_core.metrics.selection import core_metrics
from fer_core.types import HEAD, TARGET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.data.targets import Target
    from fer_core.inference.predict import Predictions
    from fer_core.types import Measured

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Head:
    """Predictions for an extra target.

    Attributes:
        classes: Class names, of a distribution too; empty for numbers.
        truth: Indices of classes int64 [N], -1 where the target is missing; or numbers float32 [N], NaN there.
        predicted: Probabilities float32 [N, K], or numbers float32 [N].
    """

    classes: tuple[str, ...]
    truth: NDArray[Any]
    predicted: NDArray[np.float32]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which samples have the target, [N]."""
        return np.asarray(self.truth >= 0 if self.classes else ~np.isnan(self.truth))

    def measure(self, name: str, further: Sequence[str] = ()) -> HeadMetrics:
        """The core's metrics and those named `further`, over the samples that have the target `name`."""
        measures: Measured = "classes" if self.classes else "numbers"
        truth, predicted = self.truth[self.present], self.predicted[self.present].astype(np.float64)
        if not len(truth):
            return HeadMetrics(count=0)
        if lost := int((~np.isfinite(predicted)).reshape(len(truth), -1).any(axis=1).sum()):
            raise FerError(
                f"the head {name} gives no finite predictions for {lost} of {len(truth)} images, because its "
                "weights diverged: lower the learning rate, clip the gradients or train in higher precision"
            )
        known = truth if self.classes else truth.astype(np.float64)
        names = dict.fromkeys((*core_metrics(measures), *further))
        return HeadMetrics(
            count=len(truth), figures=apply_metrics(names, measures, f"the target {name}", known, predicted)
        )

    def columns(self, name: str) -> dict[str, NDArray[Any]]:
        """Columns of a table: `target_NAME` and `head_NAME`, and probabilities of classes as `head_NAME:CLASS`."""
        if not self.classes:
            return {TARGET + name: self.truth, HEAD + name: self.predicted}
        names = np.array([*self.classes, None], dtype=object)
        shares = {f"{HEAD}{name}:{each}": self.predicted[:, k] for k, each in enumerate(self.classes)}
        return {TARGET + name: names[self.truth], HEAD + name: names[self.predicted.argmax(axis=1)], **shares}


def heads_of(
    found: Predictions, targets: Mapping[str, Target], classes: Mapping[str, tuple[str, ...]]
) -> dict[str, Head]:
    """The heads whose target the dataset has, too; classes are matched by name.

    Args:
        found: Of a model.
        targets: Of every row of the dataset's table.
        classes: Classes of each head, none for numbers, as the model was trained.
    """
    heads = {}
    for name, predicted in found.heads.items():
        if name not in targets or name not in classes:
            continue
        target, own = targets[name].take(found.rows), classes[name]
        if bool(target.classes) != bool(own) or (own and not set(own) & set(target.classes)):
            logger.warning(
                f"head {name} is not measured: it was trained on {_told(own)}, here are {_told(target.classes)}"
            )
            continue
        truth = target.values
        if own:
            numbers = [own.index(each) if each in own else -1 for each in target.classes]
            truth = np.array([*numbers, -1])[target.labels]
            if lost := [each for each in target.classes if each not in own]:
                logger.warning(
                    f"head {name} does not know {', '.join(lost)}: such faces are left out of its metrics"
                )
        heads[name] = Head(own, truth, predicted)
    return heads


def measure(
    found: Predictions, classes: Sequence[str], heads: Mapping[str, Head], further: Sequence[str] = ()
) -> Metrics:
    """The metrics of predictions and of heads.

    Args:
        found: Of a model.
        classes: Class names.
        heads: Of the same predictions.
        further: Names of metrics beside the core's.

    Raises:
        FerError: A probability is not finite, or a metric of a plugin fails.
    """
    metrics = compute_metrics(found.labels, found.probabilities, classes)
    scores = found.probabilities.astype(np.float64)
    others = apply_metrics(further, "classes", "the label", found.labels, scores)
    figures = {name: head.measure(name, further) for name, head in sorted(heads.items())}
    return metrics.model_copy(update={"others": others, "heads": figures})


def _told(classes: Sequence[str]) -> str:
    return f"the classes {', '.join(classes)}" if classes else "numbers"
