"""Faces in photographs: found by a stand-in detector, cut as the weights say, and classified."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fer_core import registry
from fer_core.cli import main
from fer_core.data.alignment import cut_face
from fer_core.faces import ARCFACE, Alignment, Detection
from fer_core.inference import Answer
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.weights.checkpoint import load_weights, save_weights
from PIL import Image

SIDE = 40
"""Of a face in these photographs, in pixels."""
POINTS = np.array(ARCFACE.poses[0]) / ARCFACE.size
"""Of a face, as shares of its side."""


class Frames:
    """Finds squares whose outline is pure red: a stand-in that knows every face."""

    def __init__(self, *, score: float = 0.9) -> None:
        self.score, self.looked_at = score, 0

    def detect(self, images):
        self.looked_at += len(images)
        return [[self._face(*corner) for corner in self._corners(image)] for image in images]

    def _corners(self, image):
        red = (image == (255, 0, 0)).all(axis=2)
        left_top = [(x, y) for y, x in np.argwhere(red) if red[y + 1, x]]
        return [(x, y) for x, y in left_top if red[y, x : x + SIDE].sum() == SIDE]

    def _face(self, x, y):
        points = POINTS * SIDE + (x, y) - 0.5
        return Detection(
            box=(float(x), float(y), float(x + SIDE), float(y + SIDE)), score=self.score, points=points
        )


def photo(*places: tuple[int, int], height: int = 300, width: int = 400) -> np.ndarray:
    """A grey photograph with faces whose left top corners are at the places."""
    image = np.full((height, width, 3), 90, np.uint8)
    for number, (x, y) in enumerate(places):
        face = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        face[[0, -1]] = face[:, [0, -1]] = (255, 0, 0)
        image[y : y + SIDE, x : x + SIDE] = face
    return image


WEIGHTS: dict[str, bytes] = {}


@pytest.fixture
def weights(tiny, quick, monkeypatch) -> Path:
    """Weights of the tiny model; `frames` is the only detector."""
    entry = Entry("frames", Frames, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries, "detectors", {"frames": [entry]})
    path = Path("weights.safetensors")
    if not WEIGHTS:
        run = fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"steps": 2}})
        WEIGHTS["tiny"] = run.checkpoint.read_bytes()
    path.write_bytes(WEIGHTS["tiny"])
    return path


def aligned(weights: Path, **alignment: object) -> Path:
    """The same weights, trained on faces that were cut like this."""
    state, header = load_weights(weights)
    preprocessing = header.preprocessing.model_copy(update={"alignment": Alignment(**alignment)})
    path = weights.with_stem("aligned")
    save_weights(path, state, header.model_copy(update={"preprocessing": preprocessing}))
    return path


def fer_run(*arguments: str | Path, given: bytes = b"") -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=given)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_faces_come_from_left_to_right_and_an_image_may_have_none(weights, lines) -> None:
    predict = fer_core.Predictor(weights, "cpu")
    lines.clear()
    two, none, crop = predict.attempt([photo((200, 20), (30, 100)), photo(), photo(height=64, width=64)])
    assert [(face.number, face.detection.box[:2]) for face in two.faces] == [(1, (30, 100)), (2, (200, 20))]
    assert none == Answer("image 1", Path("image 1"))
    assert [(face.number, face.detection) for face in crop.faces] == [(None, None)]
    assert lines == [
        "faces    found by frames in images of more than 256 pixels; --detect none takes every image as a face",
        f"faces    cut as box + 20%: {weights} does not say how its training faces were cut",
    ]
    list(predict.attempt([photo((30, 100))]))
    assert len(lines) == 2
    assert len(predict(photo((200, 20), (30, 100)), photo())) == 2


def test_a_face_is_cut_as_the_weights_say(weights) -> None:
    picture = photo((30, 100), (200, 20))
    box, points = (30, 100, 70, 140), POINTS * SIDE + (30, 100) - 0.5
    for alignment in (
        Alignment(kind="box", margin=0.5, size=48),
        Alignment(kind="points", template="arcface", size=112),
    ):
        predict = fer_core.Predictor(aligned(weights, **alignment.model_dump()), "cpu", "fp32")
        crop = cut_face(picture, alignment, box=box, points=points)
        assert predict(picture)[0].probabilities == pytest.approx(predict(crop)[0].probabilities, abs=1e-6)


def test_a_picture_gives_the_label_of_its_crop(weights) -> None:
    """Faces of the test set, put into photographs at any size, angle and place, are cut out as they were."""
    path = aligned(weights, kind="points", template="arcface", size=112)
    predict = fer_core.Predictor(path, "cpu", "fp32")
    dataset, rng = fer_core.open_dataset("bars"), np.random.default_rng(0)
    same = 0
    for row in range(40):
        crop = Image.fromarray(dataset.dataset.read(row)).resize((112, 112), Image.Resampling.BICUBIC)
        scale, angle = rng.uniform(0.9, 2.0), rng.uniform(-25, 25)
        turn = scale * np.array([[np.cos(np.deg2rad(angle)), -np.sin(np.deg2rad(angle))], [0, 0]])
        turn[1] = -turn[0, 1], turn[0, 0]
        shift = np.array([260.0, 220.0]) - turn @ [55.5, 55.5]
        inverse = np.linalg.inv(turn)
        matrix = np.column_stack((inverse, -inverse @ shift + 0.5 - inverse @ [0.5, 0.5])).ravel()
        scene = crop.transform((520, 440), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        places = np.array(ARCFACE.poses[0]) @ turn.T + shift
        face = Detection(box=(200.0, 160.0, 320.0, 280.0), score=1.0, points=places)
        predict._finder.detector = type("Known", (), {"detect": lambda self, images, face=face: [[face]]})()
        same += predict(np.asarray(scene))[0].label == predict(np.asarray(crop))[0].label
    assert same >= 38


def test_file_array_and_bytes_one_by_one_and_together_are_the_same(weights) -> None:
    predict = fer_core.Predictor(weights, "cpu", "fp32")
    photos = [photo((30, 100)), photo((40, 50), (200, 20)), photo((5, 5), height=500)]
    paths = []
    for number, each in enumerate(photos):
        paths.append(f"{number}.png")
        Image.fromarray(each).save(paths[-1])
    found = [[face.probabilities for face in predict(*forms)] for forms in (photos, paths)]
    found.append([face.probabilities for each in photos for face in predict(each)])
    found.append([face.probabilities for path in paths for face in predict(Path(path).read_bytes())])
    assert len(found[0]) == 4
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert one == pytest.approx(same, abs=1e-6)


def test_a_photograph_that_exif_turns_is_upright_before_faces_are_looked_for(weights) -> None:
    upright = photo((30, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save("turned.png", exif=exif)
    (face,) = fer_core.Predictor(weights, "cpu")("turned.png")
    assert face.detection.box == (30, 100, 70, 140)


def test_rows_say_where_faces_are_and_such_a_table_gives_boxes(weights) -> None:
    Path("photos").mkdir()
    Image.fromarray(photo((30, 100), (200, 20))).save("photos/a.png")
    Image.fromarray(photo()).save("photos/b.png")
    Path("photos/c.png").touch()
    result = fer_run("predict", "photos", "-m", weights, "--csv", "faces.csv", "--jsonl", "faces.jsonl")
    assert result.exit_code == 1
    assert result.stdout == ""
    table = rows(Path("faces.csv").read_text())
    found = [(row["source"], row["face"], row["left"], row["score"], bool(row["label"])) for row in table]
    assert found == [
        ("photos/a.png", "1", "30.00", "0.900000", True),
        ("photos/a.png", "2", "200.00", "0.900000", True),
        ("photos/b.png", "", "", "", False),
        ("photos/c.png", "", "", "", False),
    ]
    assert "cannot read photos/c.png" in table[3]["error"]
    plain = [json.loads(line) for line in Path("faces.jsonl").read_text().splitlines()]
    assert plain[0]["box"] == [30, 100, 70, 140]
    assert plain[2] == {"source": "photos/b.png", "face": None, "label": None}
    assert len(plain[1]["points"]) == 5
    again = fer_run("predict", "photos", "-m", weights, "--boxes", "faces.csv", "--csv", "-")
    assert rows(again.stdout) == table
    printed = fer_run("predict", "photos/a.png", "photos/b.png", "-m", weights).stdout.splitlines()
    assert [line.split("  ")[:2] for line in printed] == [
        ["photos/a.png", "face 1"],
        ["photos/a.png", "face 2"],
        ["photos/b.png", "no face"],
    ]


def test_several_weights_look_at_the_same_faces_once(weights) -> None:
    other = aligned(weights, kind="box", size=40)
    Image.fromarray(photo((30, 100), (200, 20))).save("a.png")
    result = fer_run("predict", "a.png", "-m", weights, "-m", other, "--csv", "-")
    found = [(row["face"], row["model"]) for row in rows(result.stdout)]
    assert found == [("1", str(weights)), ("1", str(other)), ("2", str(weights)), ("2", str(other))]


def test_drawings_keep_folders_and_never_overwrite_each_other(weights) -> None:
    Path("in/deep").mkdir(parents=True)
    for path in ("in/a.png", "in/a.bmp", "in/deep/b.png"):
        Image.fromarray(photo((150, 100))).save(path)
    assert fer_run("predict", "in", "-m", weights, "--draw", "marked").exit_code == 0
    drawn = sorted(path.relative_to("marked").as_posix() for path in Path("marked").rglob("*.jpg"))
    assert drawn == ["a-2.jpg", "a.jpg", "deep/b.jpg"]
    marked = np.asarray(Image.open("marked/a.jpg")).astype(int)
    changed = np.abs(marked - photo((150, 100))).max(axis=2) > 60
    assert changed[90:145, 145:200].any()
    assert not changed[200:].any()


def test_patterns_and_standard_input_are_sources(weights) -> None:
    Path("in/deep").mkdir(parents=True)
    for path in ("in/a.png", "in/b.txt.png", "in/deep/c.png"):
        Image.fromarray(photo((150, 100))).save(path)
    Path("in/notes.txt").touch()
    assert fer_run("predict", "in/*.png", "-m", weights).stdout.count("face 1") == 2
    assert fer_run("predict", "in/**/*", "-m", weights).stdout.count("face 1") == 3
    refused = fer_run("predict", "in/*.gif", "-m", weights)
    assert refused.exit_code == 2
    assert "in/*.gif matches no image" in refused.stderr
    Path("in/[1].png").write_bytes(Path("in/a.png").read_bytes())
    assert fer_run("predict", "in/[1].png", "-m", weights).stdout.startswith("in/[1].png  face 1")
    given = fer_run("predict", "-", "-m", weights, given=Path("in/a.png").read_bytes())
    assert given.stdout.startswith("standard input  face 1")
    nothing = fer_run("predict", "-", "-m", weights)
    assert nothing.exit_code == 1
    assert "cannot read standard input: it is empty" in nothing.stderr


def test_what_is_no_crop_is_warned_of_where_no_detector_looks(weights, monkeypatch) -> None:
    path = aligned(weights, kind="box", size=40)
    Image.fromarray(photo((30, 100))).save("a.png")
    none = fer_run("predict", "a.png", "a.png", "-m", path, "--detect", "none")
    assert none.exit_code == 0
    assert none.stderr.count("a.png has 400 x 300 pixels and is taken as one face") == 1
    assert "crop the faces, or leave out --detect none" in none.stderr
    monkeypatch.setitem(load_plugins().entries, "detectors", {})
    missing = fer_run("predict", "a.png", "-m", path)
    assert "pip install fer-faces to find its faces" in missing.stderr
    assert missing.stdout.startswith("a.png  ")
    whole = fer_run("predict", "a.png", "-m", aligned(weights, kind="none"))
    assert "taken as one face" not in whole.stderr  # such images are what it learnt


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--detect", "centreface"], "no detector 'centreface'"),
        (["--detect", "centerface"], " fer-faces"),
        (["--detect", "frames", "-o", "detector.scores=1"], "detector.scores"),
        (["-o", "detector.score=high"], "detector.score is high"),
        (["-o", "score=1"], "this command takes -o detector.KEY=VALUE only"),
        (["--detect", "none", "-o", "detector.score=0.5"], "--detect none has no options"),
        (["--boxes", "absent.csv"], "cannot read absent.csv"),
        (["--boxes", "odd.csv"], "odd.csv has no column right"),
        (["--boxes", "text.csv"], "text.csv, line 2: left, top, right, bottom are not all numbers"),
        (["--boxes", "flat.csv"], "left < right"),
        (["--boxes", "flat.csv", "--detect", "frames"], "leave out --detect"),
        (["--draw", "a.png/marked"], "cannot make the folder a.png/marked (Not a directory)"),
        (["--csv", "absent/faces.csv"], "cannot write absent/faces.csv"),
        (["--csv", "-", "--jsonl", "-"], "cannot both be standard output"),
    ],
)
def test_mistakes_are_one_line(weights, arguments, words) -> None:
    Image.fromarray(photo((30, 100))).save("a.png")
    Path("odd.csv").write_text("source,left,top\na.png,1,2\n")
    Path("text.csv").write_text("source,left,top,right,bottom\na.png,1,2,x,4\n")
    Path("flat.csv").write_text("source,left,top,right,bottom\na.png,1,2,1,4\n")
    result = fer_run("predict", "a.png", "-m", weights, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert words in line


def test_an_image_that_the_table_lacks_and_faces_without_points_are_errors_of_their_images(weights) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(photo((30, 100))).save(name)
    Path("boxes.csv").write_text("source,left,top,right,bottom\na.png,30,100,70,140\nc.png,,,,\n")
    result = fer_run("predict", "a.png", "b.png", "c.png", "-m", weights, "--boxes", "boxes.csv")
    assert result.exit_code == 1
    assert [line.split("  ")[1] for line in result.stdout.splitlines()] == ["face 1", "no face"]
    assert "b.png is not in boxes.csv" in result.stderr
    needs_points = aligned(weights, kind="points", template="arcface", size=112)
    result = fer_run("predict", "a.png", "-m", needs_points, "--boxes", "boxes.csv")
    assert result.exit_code == 1
    assert "a.png: its faces have no five points" in result.stderr


def test_a_detector_moves_to_the_device_of_the_network(weights) -> None:
    moved = []
    detector = type("Moving", (Frames,), {"to": lambda self, device: moved.append(str(device))})()
    predict = fer_core.Predictor(weights, "cpu", detect=detector)
    assert moved == ["cpu"]
    assert len(predict(photo((30, 100)))) == 1
    predict(photo(height=64, width=64))
    assert detector.looked_at == 2  # one that is named looks at every image


def test_whole_is_a_detector() -> None:
    ((face,),) = registry.factory("detectors", "whole")().detect([np.zeros((4, 6, 3), np.uint8)])
    assert (face.box, face.score, face.points) == ((0, 0, 6, 4), 1, None)


def test_odd_files_are_one_row_each_and_the_rest_is_answered(weights) -> None:
    Path("in").mkdir()
    Image.fromarray(photo((30, 100))).save("a.png")
    content = Path("a.png").read_bytes()
    Path("in/link.png").symlink_to("../a.png")
    Path("in/dangling.png").symlink_to("nowhere.png")
    os.mkfifo("in/pipe.png")
    odd = ["in/new\nline.png", "in/-m.png", "in/ü .PNG", os.fsdecode(b"in/\xff.png")]
    for name in odd:
        Path(name).write_bytes(content)
    Path("in/cut.png").write_bytes(content[:200])
    Path("in/text.jpg").write_text("hello")
    result = fer_run("predict", "in", "-m", weights, "--csv", "out.csv")
    assert result.exit_code == 1
    table = rows(Path("out.csv").read_text())
    failed = {Path(row["source"]).name for row in table if row["error"]}
    assert failed == {"dangling.png", "pipe.png", "cut.png", "text.jpg"}
    assert len(table) == 9
    assert all(row["face"] == "1" for row in table if not row["error"])
    assert "Error: 4 of 9 images could not be read" in result.stderr


def test_thousands_of_files_are_a_row_each_in_order_and_leave_no_file_open(weights) -> None:
    """More files than the process may open."""
    resource = pytest.importorskip("resource", reason="limits of a process are those of POSIX")
    Image.fromarray(photo(height=16, width=16)).save("one.png")
    for number in range(3000):
        place = Path(f"many/{number % 7}/{number:04d}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link("one.png", place)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        result = fer_run("predict", "many", "-m", weights, "--csv", "out.csv", "--jsonl", "out.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result.exit_code == 0, result.output
    sources = [row["source"] for row in rows(Path("out.csv").read_text())]
    assert sources == sorted(str(path) for path in Path("many").rglob("*.png"))
    assert len(sources) == len(Path("out.jsonl").read_text().splitlines()) == 3000
