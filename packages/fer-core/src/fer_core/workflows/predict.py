"""Predicting the expressions of images: what `fer-run predict` needs."""

from __future__ import annotations

from pathlib import Path

from fer_core.errors import FerError
from fer_core.files import write_atomically
from fer_core.inference import Face, Failed, Predictor
from fer_core.inference.sources import find_images
from fer_core.runs.resolve import LATEST, resolve_weights

__all__ = ["Face", "Failed", "Predictor", "find_images", "no_weights", "write_atomically"]


def no_weights() -> FerError:
    """The error for a command without weights; it suggests those of the latest run, if there is one."""
    runs = Path("runs")
    try:
        latest = f", such as -m {runs / LATEST} ({resolve_weights(runs / LATEST).path.parent})"
    except FerError:
        latest = ""
    return FerError(
        f"predict needs weights: name them with -m{latest}; a weight file, a run folder, or FOLDER/{LATEST}"
    )
