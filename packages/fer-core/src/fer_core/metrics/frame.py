"""Metrics as tables of pandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.metrics.record import Metrics

FIGURES = ("count", "accuracy", "mean_class_accuracy", "macro_f1", "cross_entropy")


def metrics_frame(rows: Iterable[tuple[Mapping[str, str | float], Metrics]]) -> pd.DataFrame:
    """One row each: what identifies it, then the figures, then the recall of every class as `recall_CLASS`."""
    import pandas as pd

    return pd.DataFrame(
        [
            {**key}
            | {name: getattr(metrics, name) for name in FIGURES}
            | {f"recall_{name}": value for name, value in metrics.recall.items()}
            for key, metrics in rows
        ]
    )
