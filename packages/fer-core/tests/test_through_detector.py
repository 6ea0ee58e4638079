"""`evaluate --through-detector`: faces in scenes, a stand-in that finds them, and one that does not."""

from __future__ import annotations

import json

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.data.scenes import HEIGHT, LARGEST, SMALLEST, WIDTH
from fer_core.evaluation.scenes import Scenes
from fer_core.faces import Alignment, Detection
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.types import Pack


class Sharp:
    """Finds what is sharp, which in a scene is the face alone."""

    def __init__(self, *, score: float = 0.9, blind: bool = False) -> None:
        self.score, self.blind = score, blind

    def detect(self, images):
        return [[] if self.blind else [self._face(image.astype(int))] for image in images]

    def _face(self, image):
        steep = np.abs(np.diff(image, axis=1)).max(axis=2) > 12
        rows, columns = np.flatnonzero(steep.sum(1) > 8), np.flatnonzero(steep.sum(0) > 8)
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        return Detection(box=box, score=self.score)


@pytest.fixture
def run(tiny, quick, monkeypatch):
    entry = Entry("sharp", Sharp, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries, "detectors", {"sharp": [entry]})
    quick["data"]["alignment"] = {"kind": "box", "size": 16}
    quick["train"] = {"epochs": 12}
    return fer_core.train("tiny", "bars", device="cpu", **quick)


def test_faces_are_found_again_and_score_about_as_their_crops(run) -> None:
    found = fer_core.evaluate(run.folder, split="all", device="cpu", through_detector="auto")
    through = found.through_detector
    assert found.metrics.accuracy > 0.8
    assert (through.detector, through.faces, through.found, through.recall) == ("sharp", 90, 90, 1.0)
    assert through.accuracy == through.metrics.accuracy
    assert through.given == found.metrics  # all of them were found
    assert abs(through.accuracy - found.metrics.accuracy) < 0.15
    again = fer_core.evaluate(run.folder, split="all", device="cpu", through_detector="sharp")
    assert again.through_detector == through  # the same scenes


def test_a_detector_that_finds_nothing_scores_nothing(run) -> None:
    arguments = ["evaluate", str(run.folder), "--device", "cpu", "--through-detector", "sharp"]
    blind = [*arguments, "-o", "detector.blind=true"]
    lines = CliRunner().invoke(main, blind).stdout.splitlines()
    assert lines[-3:] == [
        "  through sharp, in 18 scenes with one face each",
        "    faces found          0.00%",
        "    accuracy of all      0.00%",
    ]
    content = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)["through_detector"]
    assert content["faces"] == content["found"] == 18
    assert content["accuracy"] == content["accuracy_of_found"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--through-detector", "sharpp"], "no detector 'sharpp': did you mean sharp"),
        (["--through-detector", "sharp", "-o", "detector.score=high"], "detector.score is high"),
        (["-o", "detector.score=0.5"], "add --through-detector NAME"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_predicted(run, arguments, words) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(run.folder), *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr.splitlines()[-1]


class Grey(Pack):
    """Two grey faces of unlike sizes."""

    sizes = np.array([[30, 20], [48, 48]])
    uniform = False

    def __len__(self) -> int:
        return 2

    def images(self, rows):
        return [np.full((*self.sizes[row], 1), 250, np.uint8) for row in rows]


def test_a_scene_holds_its_face_whole_whatever_its_size() -> None:
    scenes = Scenes(Grey(), Alignment(kind="box", size=20))
    for row in (0, 1):
        scene, (left, top, right, bottom) = scenes._scene(row)
        assert scene.shape == (HEIGHT, WIDTH, 3)
        assert 0 <= left < right <= WIDTH
        assert 0 <= top < bottom <= HEIGHT
        assert SMALLEST <= max(right - left, bottom - top) <= LARGEST
        assert (scene[top:bottom, left:right] == 250).all()
    known = [[Detection(box=tuple(map(float, scenes._scene(row)[1])), score=1.0)] for row in (0, 1)]
    elsewhere = [[Detection(box=(0.0, 0.0, 1.0, 1.0), score=1.0)]] * 2
    rows = np.array([0, 1])
    for answers, found in ((elsewhere, []), (known, [0, 1])):
        detector = type("Stand", (), {"detect": lambda self, images, answers=answers: answers})()
        assert scenes.look(rows, detector).tolist() == found
    (face,) = scenes.images(np.array([1]))
    assert face.shape == (20, 20, 3)
    assert (face[3:-3, 3:-3] == 250).all()  # its edges are mixed with what is around it
