"""Makes the package's weights of the finished experiment `compact`: a file in half precision and its card.

    python packages/fer-models-compact/scripts/export_weights.py runs/compact --ferplus DIR --fer2013 DIR

Of all runs the one with the best accuracy on FERPlus's validation part is taken; temperatures are fitted there.
The test parts choose nothing. All figures of the card but the means over the seeds are those of the written file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fer_core
import numpy as np
import scipy
from fer_core.card import LABEL, CardFigure, CardInput
from fer_core.plugin import Card
from fer_core.runs.reading import read_result
from fer_core.statistics import bootstrap_interval, proportion_interval, reliability
from safetensors import safe_open
from safetensors.torch import save_file

PACKAGE = Path(__file__).parents[1] / "src" / "fer_models_compact"
PIXELS = "gathered from the web by the authors of FER2013; no licence to redistribute them, research use"
METRICS = ("accuracy", "mean_class_accuracy")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="root of the experiment")
    parser.add_argument("--ferplus", type=Path, required=True, help="folder of FERPlus")
    parser.add_argument("--fer2013", type=Path, required=True, help="folder of FER2013")
    parser.add_argument("--out", type=Path, default=PACKAGE, help="folder to write to")
    given = parser.parse_args()
    results = {path.parent: read_result(path.parent) for path in sorted(given.runs.glob("*/*/result.json"))}
    if not results:
        raise SystemExit(f"{given.runs} has no finished run: fer-run experiment compact --data ferplus=DIR")
    chosen = max(results, key=lambda folder: results[folder].metrics["val"].accuracy)
    fer_core.calibrate(chosen)
    weights = given.out / "compact.safetensors"
    halve(chosen / "best.safetensors", weights)
    data = {"ferplus": (given.ferplus, LABEL), "fer2013": (given.fer2013, "fer2013")}
    figures = [
        *(mean_of_seeds(results, name, *where) for name, where in data.items() if len(results) > 1),
        *(figure for name, where in data.items() for figure in measure(weights, name, *where)),
        *measure_found(weights, "ferplus", given.ferplus),
    ]
    card = describe(figures, results[chosen].protocol.seed)
    (given.out / "compact.json").write_text(card.text(), encoding="utf-8")
    print(f"{chosen}: {weights}, {weights.stat().st_size:,} bytes")
    print(card.notice)


def halve(source: Path, target: Path) -> None:
    """Write the weights in half precision, with the header that they have."""
    with safe_open(source, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        metadata = file.metadata()
    halved = {name: each.half() if each.is_floating_point() else each for name, each in tensors.items()}
    save_file(halved, target, metadata=metadata)


def mean_of_seeds(runs: Iterable[Path], dataset: str, data: Path, head: str) -> CardFigure:
    """The mean test accuracy of all runs, with Student's interval for another training."""
    found = [fer_core.evaluate(run, dataset, data=data, head=head, precision="fp32") for run in runs]
    scores = [each.metrics.accuracy for each in found]
    mean, count = float(np.mean(scores)), len(scores)
    width = scipy.stats.t.ppf(0.975, count - 1) * np.std(scores, ddof=1) / np.sqrt(count)
    return CardFigure(
        dataset=dataset,
        part="test",
        metric="accuracy",
        value=mean,
        interval=(float(max(mean - width, 0)), float(min(mean + width, 1))),
        head=head,
        note=f"mean of {count} seeds, weights in single precision",
    )


def measure(weights: Path, dataset: str, data: Path, head: str) -> list[CardFigure]:
    """Figures of a head on the test part, with intervals over faces."""
    by = ["copies"] if head == LABEL else []  # the training data are FERPlus
    found = fer_core.evaluate(weights, dataset, data=data, head=head, precision="fp32", by=by)
    labels, predicted = found.labels, found.probabilities.argmax(axis=1)

    def figure(metric: str, value: float, **more: Any) -> CardFigure:
        return CardFigure(dataset=dataset, part="test", metric=metric, value=value, head=head, **more)

    count = len(labels)
    figures = [
        figure(
            name,
            found.metrics.value(name),
            interval=bootstrap_interval(labels, predicted, name),
            count=count,
        )
        for name in METRICS
    ]
    figures += [
        figure(
            "accuracy",
            each.accuracy,
            interval=each.interval,
            count=each.count,
            note="faces without a copy in training",
        )
        for each in found.subgroups.get("copies", ())
        if each.value == "no copy"
    ]
    error = reliability(found.probabilities, labels).error
    figures.append(figure("expected_calibration_error", error, count=count, note="15 bins"))
    for number, name in enumerate(found.classes):
        right = predicted[labels == number] == number
        if len(right):
            interval = proportion_interval(int(right.sum()), len(right))
            recall = float(right.mean())
            figures.append(figure("recall", recall, of_class=name, interval=interval, count=len(right)))
    return figures


def measure_found(weights: Path, dataset: str, data: Path) -> list[CardFigure]:
    """Figures on the faces of the test part that the detector finds again in scenes."""
    found = fer_core.evaluate(
        weights, dataset, data=data, precision="fp32", through_detector="auto"
    ).through_detector
    assert found is not None
    common = {"dataset": dataset, "part": "test", "through": found.detector}
    recall = CardFigure(
        **common,
        metric="recall",
        value=found.recall,
        interval=proportion_interval(found.found, found.faces),
        count=found.faces,
        note="share of the faces that are found in scenes",
    )
    if found.metrics is None or found.given is None:
        return [recall]
    accuracy = found.metrics.accuracy
    return [
        recall,
        CardFigure(
            **common,
            metric="accuracy",
            value=accuracy,
            interval=proportion_interval(round(accuracy * found.found), found.found),
            count=found.found,
            note=f"of the faces found; {found.given.accuracy:.1%} of the dataset's own images of them",
        ),
    ]


def describe(figures: list[CardFigure], seed: int) -> Card:
    """The card."""
    accuracy = next(each.value for each in figures if each.count is not None)
    return Card(
        notice=f"faces from the web with votes of ten annotators (FERPlus), {accuracy:.1%} right on its "
        "test part; not for inferring the emotions of people at work or in schools",
        licence="Apache-2.0",
        inputs=(
            CardInput(kind="data", name="fer2013", licence=PIXELS, homepage="https://arxiv.org/abs/1307.0414"),
            CardInput(kind="data", name="ferplus", licence="MIT", homepage="https://github.com/microsoft/FERPlus"),
        ),
        protocol="official parts of FERPlus; the last epoch; seed and temperatures chosen on its validation part; "
        f"images of the test part that have copies in training were left in both; seed {seed}",
        figures=tuple(figures),
        intended_use="research and teaching on facial expressions, demonstrations, a start for fine-tuning",
        limits=(
            "an expression is not an emotion: what somebody feels cannot be read from one image of a face",
            "Regulation (EU) 2024/1689, article 5, prohibits inferring emotions at work and in schools, except "
            "for medical or safety reasons",
            "disgust, fear and contempt are rare in the training data and often missed, see recall",
            "faces were found by web searches for words of emotions: many are acted, and age, sex and origin of "
            "the people are neither known nor balanced",
            "48 grey pixels: faces in profile, small or covered ones are less reliable",
        ),
        commands=("fer-run experiment compact --data ferplus=DIR",),
    )


if __name__ == "__main__":
    main()
