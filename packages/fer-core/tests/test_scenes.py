"""Scenes with faces of a dataset, what counts as found in them, and recall and accuracy behind a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fer_core
import numpy as np
import pytest
from fer_core.data.scenes import HEIGHT, LARGEST, MOST, SMALLEST, WIDTH, make_scene
from fer_core.engine import Engine
from fer_core.errors import FerError
from fer_core.evaluation.classes import match_classes
from fer_core.evaluation.evaluate import evaluate_network, measured_rows
from fer_core.evaluation.scenes import BATCH, Scenes, ThroughDetector
from fer_core.evaluation.through_detector import evaluate_through
from fer_core.faces import Alignment, Detection
from fer_core.inference.network import Network
from fer_core.metrics import Metrics
from fer_core.types import Pack

BOX = Alignment(kind="box", size=40)


class Flat(Pack):
    """Faces of one colour each, all of the same size."""

    sizes, uniform = np.zeros((0, 2), np.int64), True

    def __init__(self, count: int, height: int = 32, width: int = 32) -> None:
        self.sizes = np.array([[height, width]] * count)

    def __len__(self) -> int:
        return len(self.sizes)

    def images(self, rows):
        return np.stack([np.full((*self.sizes[row], 3), 255 - row, np.uint8) for row in rows])


class Listed:
    """A detector whose answers are given, in the order of the images."""

    def __init__(self, answers: Sequence[list[Detection]]) -> None:
        self.answers, self.asked = list(answers), []

    def detect(self, images):
        self.asked.append(len(images))
        return [self.answers.pop(0) for _ in images]


def place(scenes: Scenes, row: int) -> tuple[int, int, int, int]:
    return scenes._scene(row)[1]


def at(*box: float, score: float = 0.9) -> Detection:
    return Detection(box=tuple(map(float, box)), score=score)


def test_a_scene_depends_on_its_row_alone() -> None:
    some, others = Scenes(Flat(40), BOX), Scenes(Flat(40), Alignment(kind="box", margin=0.3))
    others._scene(7)
    for row in (0, 3, 39):
        assert np.array_equal(some._scene(row)[0], others._scene(row)[0])
    places = [place(some, row) for row in range(40)]
    assert len(set(places)) == 40
    lefts, tops, rights, _ = np.array(places).T
    sides = rights - lefts
    for values, low, high in ((lefts, 0, WIDTH), (tops, 0, HEIGHT), (sides, SMALLEST, LARGEST)):
        assert values.max() - values.min() > 0.6 * (high - low)  # faces are anywhere, of any size


@pytest.mark.parametrize(("height", "width"), [(64, 32), (20, 50), (500, 400), (1, 300)])
def test_a_face_keeps_its_shape(height, width) -> None:
    scenes = Scenes(Flat(5, height, width), BOX)
    for row in range(5):
        left, top, right, bottom = place(scenes, row)
        longer = max(right - left, bottom - top)
        assert SMALLEST <= longer <= LARGEST
        assert bottom - top == pytest.approx(max(1, longer * height / max(height, width)), abs=0.51)
        assert right - left == pytest.approx(max(1, longer * width / max(height, width)), abs=0.51)


def test_several_faces_are_side_by_side_and_whole() -> None:
    for seed in range(30):
        faces = [np.full((40, 30 + 10 * number, 1), 250 - number, np.uint8) for number in range(MOST)]
        scene, places = make_scene(np.random.default_rng(seed), faces)
        assert scene.shape == (HEIGHT, WIDTH, 3)
        for number, (left, top, right, bottom) in enumerate(places):
            assert (scene[top:bottom, left:right] == 250 - number).all()
        edges = [edge for left, _, right, _ in places for edge in (left, right)]
        assert edges == sorted(edges)
        assert 0 <= edges[0] < edges[-1] <= WIDTH
    assert make_scene(np.random.default_rng(0), [])[1] == []
    with pytest.raises(FerError, match="a scene has room for 4 faces, not for 5: make several scenes"):
        make_scene(np.random.default_rng(0), [*faces, faces[0]])


def test_around_the_face_nothing_is_as_sharp_as_its_edges() -> None:
    scene, (left, top, right, bottom) = Scenes(Flat(1), BOX)._scene(0)
    face = np.zeros((HEIGHT, WIDTH), bool)
    face[top:bottom, left:right] = True
    steps = np.abs(np.diff(scene.astype(int), axis=1)).max(axis=2)
    assert steps[~(face[:, 1:] | face[:, :-1])].max() < 12
    assert (scene[face] == 255).all()


def test_a_face_is_found_where_the_middle_of_a_box_lies_in_it() -> None:
    scenes = Scenes(Flat(1), BOX)
    left, top, right, bottom = place(scenes, 0)
    x, y = (left + right) / 2, (top + bottom) / 2
    cases = [
        (at(left, top, right, bottom), True),
        (at(x - 4, y - 4, x + 4, y + 4), True),
        (at(left - 200, top - 200, right + 200, bottom + 200), True),
        (at(left - 20, y - 9, left + 22, y + 9), True),  # one pixel within
        (at(left - 22, y - 9, left + 20, y + 9), False),
        (at(right - 20, y - 9, right + 22, y + 9), False),
        (at(x - 9, top - 22, x + 9, top + 20), False),
        (at(x - 9, bottom - 20, x + 9, bottom + 22), False),
    ]
    for face, found in cases:
        assert len(Scenes(Flat(1), BOX).look(np.array([0]), Listed([[face]]))) == found, face


def test_of_several_boxes_the_surest_that_lies_in_the_face_is_cut() -> None:
    scenes = Scenes(Flat(1), Alignment(kind="box"))
    left, top, right, bottom = place(scenes, 0)
    elsewhere = at(left - 60 if left > 60 else right + 20, top, left - 20 if left > 60 else right + 60, bottom)
    small, exact = at(left + 10, top + 10, left + 34, top + 34, score=0.8), at(left, top, right, bottom, score=0.7)
    assert scenes.look(np.array([0]), Listed([[elsewhere, small, exact]])).tolist() == [0]
    (face,) = scenes.images(np.array([0]))
    assert face.shape == (24, 24, 3)
    assert (face == 255).all()


def test_rows_are_looked_at_in_batches_and_those_that_were_found_keep_their_order() -> None:
    rows = np.random.default_rng(0).permutation(200)[: BATCH + 20]
    scenes = Scenes(Flat(200), BOX)
    detector = Listed([[at(*place(scenes, row))] if row % 3 else [] for row in rows.tolist()])
    found = scenes.look(rows, detector)
    assert detector.asked == [BATCH, 20]
    assert found.tolist() == [row for row in rows.tolist() if row % 3]
    order = found[[5, 0, 9]]
    assert [int(face[20, 20, 0]) for face in scenes.images(order)] == [255 - row for row in order.tolist()]
    assert (len(scenes), scenes.uniform, scenes.whole()) == (200, False, None)


def metrics(right: int, count: int) -> Metrics:
    confusion = ((right, count - right), (0, 0))
    return Metrics(
        accuracy=right / count,
        mean_class_accuracy=right / count,
        macro_f1=0,
        cross_entropy=1,
        recall={"joy": right / count, "fear": None},
        confusion=confusion,
        count=count,
    )


def test_faces_that_were_missed_count_as_wrong() -> None:
    through = ThroughDetector("some", 10, 4, metrics(3, 4), metrics(2, 4))
    assert (through.recall, through.accuracy) == (0.4, pytest.approx(3 / 10))
    assert through.plain() == {
        "detector": "some",
        "faces": 10,
        "found": 4,
        "recall": 0.4,
        "accuracy_of_found": 0.75,
        "accuracy_of_their_crops": 0.5,
        "accuracy": pytest.approx(0.3),
    }
    nothing = ThroughDetector("some", 10, 0, None, None)
    assert (nothing.recall, nothing.accuracy, nothing.plain()["accuracy_of_found"]) == (0, 0, None)


WEIGHTS: dict[str, bytes] = {}


@pytest.fixture
def trained(tiny, quick) -> Path:
    """Weights of the tiny model, which learnt faces that were cut by their boxes."""
    if not WEIGHTS:
        quick["data"]["alignment"] = {"kind": "box"}
        run = fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"steps": 20}})
        WEIGHTS["tiny"] = run.checkpoint.read_bytes()
    path = Path("weights.safetensors")
    path.write_bytes(WEIGHTS["tiny"])
    return path


class Bars(Pack):
    """The images of `bars`."""

    sizes, uniform = np.zeros((0, 2), np.int64), True

    def __init__(self, dataset) -> None:
        self.dataset, self.sizes = dataset, np.array([[16, 16]] * len(dataset.table))

    def __len__(self) -> int:
        return len(self.sizes)

    def images(self, rows):
        return np.stack([self.dataset.read(int(row)) for row in rows])


def through(checkpoint, rows, detector, rule=None):
    network = Network.load(checkpoint, Engine.start("cpu", "fp32"))
    dataset = fer_core.open_dataset("bars").dataset
    match = match_classes(dataset, network.classes, checkpoint, rule)
    pack, rows = Bars(dataset), measured_rows(dataset, rows, match)
    crops = evaluate_network(network, dataset, pack, rows, match, batch_size=8, workers=0)
    return evaluate_through(network, dataset, pack, rows, match, crops, detector, "listed", batch_size=8)


def test_recall_and_accuracy_are_those_of_single_faces_that_are_found_cut_and_classified(trained) -> None:
    dataset, rows = fer_core.open_dataset("bars").dataset, np.arange(5, 65)
    scenes = Scenes(Bars(dataset), Alignment(kind="box"))
    boxes = {row: at(*place(scenes, row)) for row in rows.tolist()}
    seen = [row for row in rows.tolist() if row % 4]
    found = through(trained, rows, Listed([[boxes[row]] if row in seen else [] for row in rows.tolist()]))
    assert (found.detector, found.faces, found.found, found.recall) == ("listed", 60, 45, 0.75)
    predict, right = fer_core.Predictor(trained, "cpu", "fp32", detect="none"), 0
    for row in seen:
        left, top, right_edge, bottom = map(int, boxes[row].box)
        crop = scenes._scene(row)[0][top:bottom, left:right_edge]
        right += predict(crop)[0].label == dataset.classes[dataset.table["label"].iloc[row]]
    assert 20 < right <= 45
    assert found.metrics.count == 45
    assert found.metrics.accuracy == pytest.approx(right / 45)
    assert found.accuracy == pytest.approx(right / 60)
    labels = dataset.table["label"].iloc[seen]
    crops = [predict(dataset.read(row))[0].label for row in seen]
    expected = np.mean([crop == dataset.classes[label] for crop, label in zip(crops, labels, strict=True)])
    assert found.given.accuracy == pytest.approx(expected)


def test_faces_of_classes_that_are_left_out_are_not_looked_for(trained) -> None:
    rows, rule = np.arange(30), {"neutral": None}
    detector = Listed([[]] * 20)
    found = through(trained, rows, detector, rule)
    assert sum(detector.asked) == 20  # a third of the faces is neutral
    assert (found.faces, found.found, found.metrics) == (20, 0, None)
    with pytest.raises(FerError, match="bars has no face of happiness, sadness here: use another --split"):
        through(trained, rows[rows % 3 == 2], Listed([]), rule)
