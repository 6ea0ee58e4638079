from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.metrics import MetricsRow, save_confusion, save_curves
from PIL import Image

NAMES = [f"expression_{i}" for i in range(11)]


def confusion_of(number: int) -> list[list[int]]:
    counts = np.random.default_rng(0).integers(0, 3000, (number, number))
    counts[1] = 0  # a class that no image has
    return counts.tolist()


def row_of(epoch: float, **parts: dict[str, float]) -> MetricsRow:
    return MetricsRow(epoch=epoch, step=int(10 * epoch), lr=0.1, **parts)


def rows_of(epochs: int) -> list[MetricsRow]:
    return [
        row_of(
            epoch,
            train={"loss": 2 / epoch, "accuracy": 1 - 0.8 / epoch},
            val={
                "accuracy": 0.9 - 0.5 / epoch,
                "mean_class_accuracy": 0.8 - 0.5 / epoch,
                "cross_entropy": 1 / epoch,
            },
        )
        for epoch in range(1, epochs + 1)
    ]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert not {"Software", "Creation Time", "date"} & set(image.info)
        return np.asarray(image.convert("RGB"), dtype=np.float64)


@pytest.mark.parametrize("number", [2, 7, 11])
def test_a_confusion_matrix_is_drawn_within_its_margins(tmp_path: Path, number: int) -> None:
    save_confusion(tmp_path / "c.png", confusion_of(number), NAMES[:number], "a model on a dataset, test")
    image = pixels(tmp_path / "c.png")
    assert 300 < image.shape[0] < 2000
    assert 400 < image.shape[1] < 2000
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border == 255).all(), "something is cut off at the border"
    assert (image < 250).any(axis=2).mean() > 0.02


def test_what_is_drawn_depends_on_the_numbers(tmp_path: Path) -> None:
    save_confusion(tmp_path / "a.png", [[9, 1], [2, 8]], NAMES[:2], "same")
    save_confusion(tmp_path / "b.png", [[9, 1], [3, 7]], NAMES[:2], "same")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "rows",
    [
        rows_of(30),
        rows_of(1),
        [row_of(1, train={"loss": 1.5}), row_of(2)],
        [row_of(0.5, test={"accuracy": 0.5}), row_of(1, test={"accuracy": 0.5})],
    ],
)
def test_curves_are_drawn_from_whatever_was_measured(tmp_path: Path, rows: list[MetricsRow]) -> None:
    save_curves(tmp_path / "curves.png", rows)
    image = pixels(tmp_path / "curves.png")
    assert 400 < image.shape[0] < 1000
    assert 1000 < image.shape[1] < 2000


def test_the_best_epoch_is_that_of_the_asked_metric(tmp_path: Path) -> None:
    rows = rows_of(5)
    rows[1].val["mean_class_accuracy"] = 0.99
    for metric in ("accuracy", "mean_class_accuracy"):
        save_curves(tmp_path / f"{metric}.png", rows, metric=metric)
    fifth, second = (pixels(tmp_path / f"{metric}.png") for metric in ("accuracy", "mean_class_accuracy"))
    losses = (fifth - second).sum(axis=(0, 2))[: fifth.shape[1] // 2]  # only the mark differs in this panel
    assert losses.argmin() > losses.argmax() + 200, "the mark of epoch 5 stands right of that of epoch 2"


DRAW = """
import sys
from fer_core.metrics import MetricsRow, save_confusion, save_curves
assert not any(name.startswith("matplotlib") for name in sys.modules)
save_confusion(sys.argv[1] + "/c.png", [[9, 1], [2, 8]], ["a", "b"], "title")
save_curves(sys.argv[1] + "/k.png", [MetricsRow(epoch=n, step=n, lr=0.1, train={"loss": 1 / n}) for n in (1, 2)])
assert "matplotlib.pyplot" not in sys.modules
"""


def test_bytes_are_the_same_in_another_process_with_other_settings(tmp_path: Path) -> None:
    written = []
    for name, settings in (("one", ""), ("two", "font.size: 20\naxes.facecolor: red\nsavefig.dpi: 50\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "matplotlibrc").write_text(settings)
        environment = {**os.environ, "MATPLOTLIBRC": str(folder / "matplotlibrc")}
        subprocess.run([sys.executable, "-c", DRAW, str(folder)], check=True, env=environment)
        written.append([(folder / picture).read_bytes() for picture in ("c.png", "k.png")])
    assert written[0] == written[1]


def test_wrong_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit 3 classes"):
        save_confusion(tmp_path / "c.png", [[1, 0], [0, 1]], NAMES[:3], "title")
    with pytest.raises(FerError, match="no epoch has ended"):
        save_curves(tmp_path / "k.png", [])
