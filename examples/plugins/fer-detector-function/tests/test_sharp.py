import csv
import json
import subprocess
import sys

import fer_core
import numpy as np
import pytest
from fer_core.testing import check_plugin
from PIL import Image

PLACE = (200, 120)
"""Left and top edge of the shape in the scene."""


def fer_run(folder, *arguments):
    command = [sys.executable, "-m", "fer_core", *map(str, arguments), "--device", "cpu"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained network, a scene with a shape, and one without."""
    folder = tmp_path_factory.mktemp("work")
    options = ("train.epochs=5", "run.dir=run", "data.alignment={kind: box}")
    fer_run(folder, "train", "tinynet", "shapes", *(part for option in options for part in ("-o", option)))
    scene = np.full((300, 400, 3), 90, np.uint8)
    (folder / "scenes").mkdir()
    Image.fromarray(scene).save(folder / "scenes" / "empty.png")
    shape = fer_core.open_dataset("shapes").dataset.read(3)
    scene[PLACE[1] : PLACE[1] + 32, PLACE[0] : PLACE[0] + 32] = shape
    Image.fromarray(scene).save(folder / "scenes" / "scene.png")
    return folder


def test_the_plugin_is_sound():
    check_plugin("fer-detector-function")


def test_predict_finds_the_shape(folder):
    fer_run(folder, "predict", "scenes", "-m", "run", "--detect", "sharp", "--csv", "found.csv")
    with (folder / "found.csv").open() as handle:
        empty, found = csv.DictReader(handle)
    assert empty["left"] == empty["label"] == ""
    assert (float(found["left"]), float(found["top"])) == pytest.approx(PLACE, abs=9)
    options = ("--detect", "sharp", "-o", "detector.least=0.95")
    assert fer_run(folder, "predict", "scenes/scene.png", "-m", "run", *options).endswith("no face\n")


def test_data_crop_cuts_it_out(folder):
    fer_run(
        folder, "data", "crop", "scenes", "--out", "faces", "--detect", "sharp", "--margin", "0.1", "--size", "40"
    )
    assert [path.name for path in (folder / "faces").rglob("*.png")] == ["scene.png"]
    assert Image.open(folder / "faces" / "scene.png").size == (40, 40)


def test_evaluate_finds_most_shapes_in_scenes(folder):
    found = json.loads(fer_run(folder, "evaluate", "run", "--through-detector", "sharp", "--json"))
    assert found["through_detector"]["recall"] > 0.9
    assert found["through_detector"]["accuracy"] > 0.4  # 1/4 is chance
