"""A finished run, as the Python interface returns it."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core import distributed
from fer_core.metrics.frame import metrics_frame
from fer_core.runs.folder import BEST
from fer_core.runs.reading import read_result
from fer_core.runs.records import Result
from fer_core.types import EVALUATED

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run: its folder, and what its `result.json` says."""

    folder: Path
    result: Result

    @property
    def checkpoint(self) -> Path:
        """The weights that were chosen."""
        return self.folder / BEST

    def to_frame(self) -> pd.DataFrame:
        """Metrics: one row for the chosen (`best`) and the last weights on every part that was measured."""
        weights = {"best": self.result.best, "last": self.result.last}
        return metrics_frame(
            ({"weights": name, "epoch": found.epoch, "part": part}, metrics)
            for name, found in weights.items()
            for part, metrics in found.metrics.items()
        )

    def __repr__(self) -> str:
        metrics = self.result.metrics
        figures = [f"{part} accuracy {metrics[part].accuracy:.2%}" for part in EVALUATED if part in metrics]
        return f"<run {self.folder}: {self.result.model.name} on {self.result.dataset.name}, {', '.join(figures)}>"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        table: str = self.to_frame().to_html(index=False, float_format="{:.4g}".format)
        return f"<p>{escape(repr(self)[1:-1])}</p>{table}"


def finished_run(folder: Path) -> Run:
    """The run in a folder that was trained just now, in every process that took part."""
    gc.collect()  # parts of a run refer to each other, and its weights would stay until the next full collection
    result = None
    if distributed.is_main():  # the others would look for it before it is written
        result = read_result(folder)
    return Run(folder, distributed.share(result))
