"""`centerface`: the authors' network, and the faces that it finds in a photograph."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import fer_faces
import numpy as np
import pytest
import torch
from fer_core.components import build
from fer_core.errors import FerError
from fer_core.testing import check_plugin
from fer_faces.centerface import CenterFace
from PIL import Image

GOLDEN = json.loads((Path(__file__).parent / "data" / "onnx.json").read_text())
EYES = np.array([[203.0, 101.0], [246.0, 103.0]])
"""The astronaut's, marked by hand."""
FACE = (150, 30, 300, 210)
"""A part of the photograph: her face and what is around it."""


def test_the_plugin_keeps_the_rules():
    (plugin,) = check_plugin("fer-faces")
    assert plugin.name == "faces"


def test_it_imports_nothing_of_the_core_but_what_plugins_may():
    found = set()
    for file in Path(fer_faces.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            found |= {node.module} if isinstance(node, ast.ImportFrom) else set()
            found |= {name.name for name in node.names} if isinstance(node, ast.Import) else set()
    assert {name for name in found if name.startswith("fer_")} <= {
        "fer_core.plugin",
        "fer_faces.network",
        "fer_faces.centerface",
    }


@pytest.fixture(scope="module")
def detector():
    return build("detectors", "centerface", {})


def shown(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def test_maps_are_those_of_the_authors_file(detector):
    y, x, c = np.mgrid[:64, :96, :3]
    image = (127 + 60 * np.sin(x / 7 + c) + 60 * np.cos(y / 5 - c)).astype(np.uint8)
    maps = detector._maps([image, image[::-1].copy()])
    row, column = GOLDEN["place"]
    for name, values in maps._asdict().items():
        assert np.allclose(values[:, :, row, column], GOLDEN[name], atol=0.01)  # weights have 16 bits
        assert np.allclose(values.mean((1, 2, 3)), GOLDEN[f"{name}_mean"], atol=0.005)


def test_the_one_face_of_a_photograph_is_found(detector, astronaut):
    ((face,),) = detector.detect([astronaut])
    assert face.score > 0.9
    assert np.abs(np.array(face.points[:2]) - EYES).max() < 4
    (left, right, nose, left_mouth, right_mouth) = np.array(face.points)
    assert left[0] < nose[0] < right[0]
    assert left_mouth[0] < right_mouth[0]
    assert left[1] < nose[1] < left_mouth[1]
    assert face.box == pytest.approx((178, 55, 271, 179), abs=5)


@pytest.mark.parametrize("size", [64, 100, 160])
def test_a_pasted_face_is_found_wherever_it_is(detector, astronaut, size):
    left, top, right, bottom = FACE
    scale = size / (bottom - top)
    small = shown(astronaut[top:bottom, left:right], round((right - left) * scale), size)
    rng = np.random.default_rng(size)
    scenes, places = [], rng.integers(0, (640 - small.shape[1], 480 - size), (5, 2))
    for x, y in places:
        tones = rng.integers(60, 200, (5, 7, 3), np.uint8)
        scene = shown(tones, 640, 480).copy()
        scene[y : y + size, x : x + small.shape[1]] = small
        scenes.append(scene)
    for (x, y), found in zip(places, detector.detect(scenes), strict=True):
        (face,) = found
        eyes = ((EYES + 0.5 - (left, top)) * scale - 0.5) + (x, y)
        distance = np.linalg.norm(eyes[1] - eyes[0])
        assert np.linalg.norm(np.array(face.points[:2]) - eyes, axis=1).max() < 0.1 * distance


def test_faces_do_not_depend_on_the_other_images(detector, astronaut):
    left, top, right, bottom = FACE
    images = [astronaut, astronaut[:400], np.zeros((3, 500, 3), np.uint8), astronaut[top:bottom, left:right]]
    together = detector.detect(images)
    assert [len(faces) for faces in together] == [1, 1, 0, 1]
    assert together == [detector.detect([image])[0] for image in images]
    assert detector.detect([]) == []


def test_a_batch_gives_the_faces_of_its_images(astronaut):
    """As on an accelerator, where images of a size are one batch."""
    detector, sizes = CenterFace(), []
    detector.network.register_forward_hook(lambda module, given, output: sizes.append(len(given[0])))
    images = [astronaut, astronaut[:, ::-1], astronaut[:300], np.roll(astronaut, 100, axis=1)]
    alone = detector.detect(images)
    detector.at_once = 3 * 480 * 480
    for one, other in zip(alone, detector.detect(images), strict=True):
        assert [face.box for face in other] == [pytest.approx(face.box, abs=0.01) for face in one]
    assert sizes == [1, 1, 1, 1, 3, 1]


def test_coordinates_are_those_of_the_image_at_any_size(detector, astronaut):
    ((face,),) = detector.detect([astronaut])
    ((large,),) = detector.detect([shown(astronaut, 2048, 2048)])
    assert np.array(large.box) / 4 == pytest.approx(np.array(face.box), abs=1)
    assert (np.array(large.points) + 0.5) / 4 - 0.5 == pytest.approx(np.array(face.points), abs=1)


def test_several_faces_come_with_the_best_first(detector, astronaut):
    blurred = shown(shown(astronaut, 30, 30), 512, 512)
    (found,) = detector.detect([np.concatenate((blurred, astronaut), axis=1)])
    assert len(found) == 2
    assert found[0].box[0] > 512 > found[1].box[2]
    assert found[0].score > found[1].score


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (31, 33), (20, 20)])
def test_an_image_without_a_face_has_none(detector, shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detector.detect([noise]) == [[]]


def test_a_larger_side_finds_smaller_faces(astronaut):
    scene = np.full((1000, 1600, 3), 128, np.uint8)
    scene[500:600, 700:800] = shown(astronaut, 100, 100)  # a face of 18 pixels
    assert CenterFace(side=320).detect([scene]) == [[]]
    assert len(CenterFace(side=1600).detect([scene])[0]) == 1


def test_it_moves_to_a_device(astronaut):
    detector = CenterFace().to(torch.device("cpu"))
    assert len(detector.detect([astronaut])[0]) == 1


def test_options_are_checked():
    for options, words in (
        ({"side": 0}, "detector.side is 0"),
        ({"threshold": 1.5}, "detector.threshold is 1.5"),
        ({"size": 3}, "size"),
    ):
        with pytest.raises(FerError, match=words):
            build("detectors", "centerface", options)
