"""A temperature for a run's weights, from the predictions that the run stored."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import FerError
from fer_core.files import write_text
from fer_core.plotting.reliability import draw_reliability
from fer_core.provenance import Calibration, CalibrationFigures, HeadCalibration
from fer_core.runs import folder as run_folder
from fer_core.runs.predictions import label_numbers, probabilities_of, read_head
from fer_core.runs.reading import read_part, read_result
from fer_core.statistics import apply_temperature, fit_temperature, reliability
from fer_core.weights.checkpoint import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fer_core.runs.records import Result
    from fer_core.statistics import Reliability
    from fer_core.types import Role
    from fer_core.weights.header import Header

    Stored = tuple[NDArray[np.float64], NDArray[np.int64]]
    """Probabilities [N, C] and labels [N]."""

logger = logging.getLogger(__name__)

FITTED_ON: Role = "val"
BINS = 15


def calibrate_run(weights: Path) -> Calibration:
    """Fit a temperature on a run's validation predictions and store it with the chosen weights.

    Every further head for classes gets its own. The weights are rewritten atomically with the temperatures in
    their header, which evaluation and prediction apply; `calibration.json` and `reliability-<part>.png`, or
    `reliability-<head>-<part>.png`, say what changed. The stored predictions stay those of the weights alone, so
    calibrating again gives the same.

    Args:
        weights: The `best.safetensors` of a finished run.

    Raises:
        FerError: No finished run, no validation part, weights chosen on test, or no temperature fits.
    """
    folder = _folder(weights)
    result = read_result(folder)
    if result.protocol.selected_on_test:
        raise FerError(
            f"{folder} chose its weights on the test part, so no calibrated figure of it would be honest: train "
            "with -o train.select=best:val"
        )
    if FITTED_ON not in result.metrics:
        raise FerError(
            f"{folder} has no validation part to fit a temperature on: train with -o data.split=official+holdout"
        )
    state, header = load_weights(weights)
    if header.classes != result.classes:
        raise FerError(f"{weights} and {run_folder.RESULT} have other classes: copy them again, or train anew")
    label = {part: _read_predictions(folder, part, result) for part in sorted(result.metrics)}
    temperature, figures = _fit(folder, label)
    heads = {name: each for name in header.targets if (each := _fit_head(folder, name, header, list(label)))}
    found = Calibration(temperature=temperature, heads=heads, fitted_on=FITTED_ON, bins=BINS, figures=figures)
    save_weights(weights, state, header.model_copy(update={"calibration": found}))
    write_text(folder / run_folder.CALIBRATION, found.text())
    return found


def _fit(
    folder: Path, stored: Mapping[Role, Stored], head: str = ""
) -> tuple[float, dict[Role, CalibrationFigures]]:
    """The temperature by the validation part, and what it changes on every part; draws the diagrams."""
    temperature = fit_temperature(*stored[FITTED_ON])
    figures = {}
    for part, (probabilities, labels) in stored.items():
        after = apply_temperature(probabilities, temperature)
        curves = {
            "as trained": reliability(probabilities, labels, BINS),
            f"temperature {temperature:.3f}": reliability(after, labels, BINS),
        }
        name, title = (f"{head}-{part}", f"head {head}, {part}") if head else (part, part)
        draw_reliability(curves, f"Reliability, {title} split").save(folder / f"reliability-{name}.png")
        figures[part] = _figures(labels, (probabilities, after), tuple(curves.values()))
    return temperature, figures


def _fit_head(folder: Path, head: str, header: Header, parts: Sequence[Role]) -> HeadCalibration | None:
    """As `_fit`; None for a head of numbers, and where no face of the validation part has the target."""
    if not header.targets[head]:
        return None
    files = {part: folder / f"{run_folder.HEADS}{part}.csv" for part in parts}
    found = {part: read_head(file, head, header.targets[head]) for part, file in files.items()}
    stored = {part: each for part, each in found.items() if len(each[1])}
    if FITTED_ON not in stored:
        return None
    try:
        temperature, figures = _fit(folder, stored, head)
    except FerError as error:
        logger.warning(f"the head {head} stays as it is: {error}")
        return None
    return HeadCalibration(temperature=temperature, figures=figures)


def _figures(
    labels: NDArray[np.int64], pair: Sequence[NDArray[np.float64]], curves: Sequence[Reliability]
) -> CalibrationFigures:
    rows = np.arange(len(labels))
    entropies = [float(-np.log(np.maximum(each[rows, labels], 1e-12)).mean()) for each in pair]
    accuracy = float((pair[0].argmax(axis=1) == labels).mean())
    return CalibrationFigures(
        count=len(labels),
        accuracy=accuracy,
        expected_calibration_error=(curves[0].error, curves[1].error),
        cross_entropy=(entropies[0], entropies[1]),
    )


def _folder(weights: Path) -> Path:
    folder = weights.parent
    if weights.name != run_folder.BEST:
        raise FerError(
            f"the stored predictions of a run are those of its {run_folder.BEST}, not of {weights.name}: name the "
            "run or that file"
        )
    if not (folder / run_folder.RESULT).is_file():
        raise FerError(
            f"{folder} is not a finished run, since it has no {run_folder.RESULT}, and a temperature is "
            "fitted on a run's stored predictions: name a run, or finish it with fer-run train --resume"
        )
    return folder


def _read_predictions(folder: Path, part: Role, result: Result) -> Stored:
    table = read_part(folder, part, result)
    if table is None:
        raise FerError(f"{folder} has no {run_folder.PREDICTIONS}{part}.csv: copy it again, or train again")
    return probabilities_of(table, result.classes), label_numbers(table, result.classes)
