"""The preview shows what a run's loaders deliver, as RGB."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from fer_core.cli.data import data
from fer_core.data.inspection.preview import first_of_each_class, make_sheet
from fer_core.data.transforms import build_pipeline
from fer_core.errors import FerError
from fer_core.testing import make_preprocessing
from fer_core.types import Pack
from PIL import Image

STATISTICS = {"mean": [0.2, 0.4, 0.6], "std": [0.3, 0.2, 0.1]}


class Squares(Pack):
    """Pictures of one colour each, 8 x 8."""

    colours = np.array([[200, 10, 90], [0, 255, 3], [30, 60, 120]], dtype=np.uint8)

    def __len__(self):
        return 3

    @property
    def sizes(self):
        return np.full((3, 2), 8)

    @property
    def uniform(self):
        return True

    def images(self, rows):
        return np.tile(self.colours[rows][:, None, None], (1, 8, 8, 1))


def sheet(training, evaluation=("resize", "normalize"), **changes):
    preprocessing = make_preprocessing(8, eval_transforms=list(evaluation), **STATISTICS, **changes)
    pipelines = {"training": build_pipeline(preprocessing, training), "evaluation": build_pipeline(preprocessing)}
    return make_sheet(Squares(), np.array([2, 0]), **pipelines, seed=0)


@pytest.mark.parametrize("mode", ["batched", "per-image"])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_colours_come_back(mode, color):
    found = sheet(["resize", "normalize"], pipeline=mode, color=color)
    assert found.names[:3] == ["original", "evaluation", "training, epoch 0"]
    assert len(found.rows) == len(found.names) == 6
    for pictures in found.rows:
        for picture, colour in zip(pictures, Squares.colours[[2, 0]], strict=True):
            assert picture.shape == (8, 8, 3)
            assert np.abs(picture * 255 - colour).max() < 0.01


def test_epochs_differ_and_views_are_named():
    found = sheet(["resize", "normalize", {"random_erasing": {"p": 1}}])
    assert all((a != b).any() for a, b in zip(found.rows[2], found.rows[3], strict=True))
    assert (found.rows[1][0] == found.rows[1][0][0, 0]).all()  # evaluation erases nothing
    crop = {"five_crop": {"resize": 10}}
    assert sheet([crop], [crop, "normalize"]).names[1::2] == [
        "evaluation\nview 1 of 5",
        "training, epoch 1\nview 2 of 5",
        "training, epoch 3\nview 4 of 5",
    ]


def test_faces_are_chosen_from_all_classes():
    labels = np.array([0] * 10 + [1] * 2 + [2] * 5)
    rows = np.arange(1, 17)
    assert first_of_each_class(labels, rows, 3).tolist() == [1, 10, 12]
    assert first_of_each_class(labels, rows, 8).tolist() == [1, 2, 3, 10, 11, 12, 13, 14]
    assert first_of_each_class(labels, rows, 99).tolist() == rows.tolist()


def test_command_draws_a_sheet(tiny, lines):
    arguments = ["preview", "bars", "--model", "tiny", "--faces", "3", "-o", "data.input_size=16"]
    done = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "3 faces drawn in preview.png" in lines[-1]
    with Image.open(tiny / "preview.png") as picture:
        assert min(picture.size) > 300
    with pytest.raises(FerError, match=r"cannot write .*x\.png") as error:
        CliRunner().invoke(data, [*arguments, "--out", str(tiny / "no" / "x.png")], catch_exceptions=False)
    assert "\n" not in str(error.value)
