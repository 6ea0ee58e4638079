"""A temperature for a run's weights, from the predictions that the run stored."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_core.errors import FerError
from fer_core.evaluation.evaluate import GROUP
from fer_core.files import write_json
from fer_core.runs import folder as run_folder
from fer_core.statistics import apply_temperature, fit_temperature, reliability, save_reliability
from fer_core.weights.checkpoint import TEMPERATURE, load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fer_core.statistics import Reliability

CALIBRATION = "calibration.json"
FITTED_ON = "val"
BINS = 15


@dataclass(frozen=True)
class Figures:
    """Of one part: pairs are before and after the temperature; accuracy stays."""

    count: int
    accuracy: float
    expected_calibration_error: tuple[float, float]
    cross_entropy: tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and what it does on every part whose predictions are stored."""

    weights: Path
    temperature: float
    figures: dict[str, Figures]

    def content(self) -> dict[str, Any]:
        """Plain values, without a path."""
        figures = {part: asdict(found) for part, found in self.figures.items()}
        return {"temperature": self.temperature, "fitted_on": FITTED_ON, "bins": BINS, "figures": figures}


def calibrate_run(place: Path) -> Calibration:
    """Fit a temperature on a run's validation predictions and store it with the chosen weights.

    The weights are rewritten atomically with `temperature` in their header, which evaluation and prediction apply;
    `calibration.json` and `reliability-<part>.png` say what changed. The stored predictions stay those of the
    weights alone, so calibrating again gives the same.

    Args:
        place: A run's folder, or its `best.safetensors`.

    Raises:
        FerError: No finished run, no validation part, weights chosen on test, or nothing that fits.
    """
    folder = _folder(place)
    result = _read_result(folder)
    if result["protocol"]["selected_on_test"]:
        raise FerError(
            f"{folder} chose its weights on the test part, so no calibrated figure of it would be honest: train "
            "with -o train.select=best:val"
        )
    if FITTED_ON not in result["metrics"]:
        raise FerError(
            f"{folder} has no validation part to fit a temperature on: train with -o data.split=official+holdout"
        )
    weights = folder / run_folder.BEST
    state, header = load_weights(weights)
    stored = {
        part: _read_predictions(folder, part, result, header["classes"]) for part in sorted(result["metrics"])
    }
    temperature = fit_temperature(*stored[FITTED_ON])
    figures = {}
    for part, (probabilities, labels) in stored.items():
        after = apply_temperature(probabilities, temperature)
        curves = {
            "as trained": reliability(probabilities, labels, BINS),
            f"temperature {temperature:.3f}": reliability(after, labels, BINS),
        }
        save_reliability(folder / f"reliability-{part}.png", curves, f"{part} split")
        figures[part] = _figures(labels, (probabilities, after), tuple(curves.values()))
    found = Calibration(weights, temperature, figures)
    save_weights(weights, state, {**header, TEMPERATURE: temperature, "calibration": found.content()})
    write_json(folder / CALIBRATION, found.content())
    return found


def _figures(
    labels: NDArray[np.int64], pair: Sequence[NDArray[np.float64]], curves: Sequence[Reliability]
) -> Figures:
    rows = np.arange(len(labels))
    entropies = [float(-np.log(np.maximum(each[rows, labels], 1e-12)).mean()) for each in pair]
    accuracy = float((pair[0].argmax(axis=1) == labels).mean())
    return Figures(len(labels), accuracy, (curves[0].error, curves[1].error), (entropies[0], entropies[1]))


def _folder(place: Path) -> Path:
    if place.is_dir():
        folder = place
    elif place.is_file() and place.name == run_folder.BEST:
        folder = place.parent
    elif place.is_file():
        raise FerError(
            f"the stored predictions of a run are those of its {run_folder.BEST}, not of {place.name}: name the "
            "run or that file"
        )
    else:
        raise FerError(f"there is no run or checkpoint {place}: name a folder that fer-run train made")
    if not (folder / run_folder.RESULT).is_file():
        raise FerError(
            f"{folder} is no finished run, since it has no {run_folder.RESULT}, and a temperature is fitted on a "
            "run's stored predictions: name a run, or finish it with fer-run train --resume"
        )
    return folder


def _read_result(folder: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads((folder / run_folder.RESULT).read_text(encoding="utf-8"))
        if not isinstance(result["protocol"]["selected_on_test"], bool) or not isinstance(result["metrics"], dict):
            raise ValueError("it has another form")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FerError(
            f"cannot read {folder / run_folder.RESULT} ({error!r}): copy it again, or train anew"
        ) from error
    return result


def _read_predictions(
    folder: Path, part: str, result: dict[str, Any], classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities [N, C] and labels [N] of `predictions-PART.csv`, its columns the weights' classes."""
    path = folder / f"predictions-{part}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *lines = csv.reader(file)
        wanted = ["id", "label", "predicted", *(f"p_{name}" for name in classes)]
        if head not in (wanted, [*wanted, GROUP]):
            raise ValueError("its columns are not the weights' classes")
        labels = np.array([list(classes).index(line[1]) for line in lines], dtype=np.int64)
        probabilities = np.array([line[3 : len(wanted)] for line in lines], dtype=np.float64)
    except (OSError, ValueError, IndexError) as error:
        raise FerError(f"cannot read {path} ({error}): copy it again, or train anew") from error
    if len(labels) != result["metrics"][part]["count"]:
        raise FerError(
            f"{path} is not the run's own, since it has {len(labels)} faces: copy it again, or train anew"
        )
    return probabilities, labels
