"""Metrics as tables of pandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.metrics.record import Metrics

FIGURES = ("count", "accuracy", "mean_class_accuracy", "macro_f1", "cross_entropy")


def metrics_frame(rows: Iterable[tuple[Mapping[str, str | float], Metrics]]) -> pd.DataFrame:
    """One row each: what identifies it, then the figures, then the recall of every class as `recall_CLASS`.

    Figures of heads for extra targets are called `TARGET.METRIC`, and how many images have the target
    `TARGET.count`; those of further metrics of the label have the metric's name.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {**key}
            | {name: getattr(metrics, name) for name in FIGURES}
            | {f"recall_{name}": value for name, value in metrics.recall.items()}
            | {".".join(filter(None, which)): value for which, value in metrics.further.items()}
            | {f"{target}.count": head.count for target, head in metrics.heads.items()}
            for key, metrics in rows
        ]
    )
