"""Faces cut out of photographs, by a square around a box or by five points; weights record how, and warn."""

from __future__ import annotations

from dataclasses import replace

import fer_core
import numpy as np
import pytest
from fer_core import registry
from fer_core.data.alignment import cut_face, fit_similarity, fit_template, square_of, warp
from fer_core.errors import FerError
from fer_core.faces import ARCFACE, Alignment, Template
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.weights.checkpoint import read_header
from PIL import Image

POINTS = Alignment(kind="points", template="arcface", size=112)
BOX = Alignment(kind="box", size=40)
FACE = np.array(ARCFACE.poses[0])
ADVICE = "correct it"


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 12, 3)).repeat(20, axis=0).repeat(20, axis=1)
    return coarse.astype(np.uint8)


def test_the_template_of_face_recognition_is_registered():
    assert registry.find("templates", "ArcFace") is ARCFACE
    with pytest.raises(FerError, match="no template 'arcfase': did you mean arcface"):
        registry.find("templates", "arcfase")


def test_fit_undoes_a_known_similarity():
    turned = np.array([[0.6, -0.8], [0.8, 0.6]]) * 2.5
    matrix = fit_similarity((FACE - [7, -3]) @ np.linalg.inv(turned).T, FACE)
    assert np.allclose(matrix, np.column_stack((turned, [7, -3])))


def test_fit_is_the_least_of_all_squares():
    """Umeyama's estimate by singular values, written out (eq. 40 to 42)."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = FACE * rng.uniform(0.5, 3) + rng.normal(0, 8, (5, 2))
        mean, aim = points.mean(0), FACE.mean(0)
        u, d, v = np.linalg.svd((FACE - aim).T @ (points - mean) / 5)
        sign = np.diag([1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
        scale = np.trace(np.diag(d) @ sign) / (points - mean).var(0).sum()
        linear = scale * u @ sign @ v
        expected = np.column_stack((linear, aim - linear @ mean))
        assert np.allclose(fit_similarity(points, FACE), expected, atol=1e-9)


def test_a_mirrored_face_is_not_mirrored_back():
    matrix = fit_similarity(FACE * [-1, 1], FACE)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_of_several_poses_the_nearest_is_taken():
    poses = tuple(
        tuple(map(tuple, FACE + shift)) for shift in ([[0, 0]] * 5, np.eye(5, 2) * 9, np.eye(5, 2)[::-1] * 9)
    )
    template = Template(poses=poses, size=112, source="the test")
    for number, pose in enumerate(poses):
        fit = fit_template(np.array(pose) * 3 + 20, template, 112)
        assert (fit.pose, fit.residual) == (number, pytest.approx(0, abs=1e-9))
        assert np.allclose(fit.matrix, [[1 / 3, 0, -20 / 3], [0, 1 / 3, -20 / 3]])


def test_a_template_grows_with_the_size():
    small, large = (fit_template(FACE * 2.5 + [3, 4], ARCFACE, size) for size in (112, 224))
    assert np.allclose(large.matrix, 2 * small.matrix)
    other = POINTS.model_copy(update={"size": 64})
    assert cut_face(np.zeros((9, 9, 1), np.uint8), other, points=FACE).shape == (64, 64, 1)


def test_points_are_cut_to_whole_pixels_where_the_authors_do():
    template = Template(poses=ARCFACE.poses, size=112, source="the test", whole_pixels=True)
    assert np.array_equal(
        fit_template(FACE, template, 112).matrix, fit_template(np.trunc(FACE), ARCFACE, 112).matrix
    )


def test_aligned_points_lie_on_the_template():
    image = np.zeros((300, 300, 1), np.uint8)
    points = (FACE * 2 + 10).round().astype(int)
    for x, y in points:
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    face = cut_face(image, POINTS, points=points)
    for x, y in FACE.round().astype(int):
        assert face[y, x, 0] > 200
    assert face.mean() < 10


def test_shift_by_whole_pixels_copies_them(picture):
    face = warp(picture, np.array([[1.0, 0, -30], [0, 1, -20]]), 112)
    assert np.array_equal(face, picture[20:132, 30:142])


def test_between_pixels_their_values_are_mixed_and_outside_is_black():
    image = np.full((2, 2, 1), 100, np.uint8)
    image[:, 1] = 200
    face = warp(image, np.array([[1.0, 0, 0.5], [0, 1, 0]]), 8)  # half a pixel to the right
    assert face[0, :4, 0].tolist() == [50, 150, 100, 0]
    assert not face[2:].any()


def test_far_outside_is_black_on_every_side(picture):
    for shift in ([1e6, 0], [-1e6, 0], [0, 1e6], [0, -1e6]):
        assert not warp(picture, np.column_stack((np.eye(2), shift)), 30).any()


def test_a_square_stands_around_the_centre_of_the_box_and_grows_by_the_margin():
    assert square_of([10, 20, 50, 40], 0) == (10, 10, 40)
    assert square_of([10, 20, 50, 40], 0.5) == (0, 0, 60)
    assert square_of([10, 20, 50, 40], -0.5) == (20, 20, 20)


def test_a_square_is_copied_or_resized(picture):
    assert np.array_equal(cut_face(picture, BOX, box=[30, 20, 70, 60]), picture[20:60, 30:70])
    own = Alignment(kind="box", margin=0.5)
    assert np.array_equal(cut_face(picture, own, box=[40, 30, 80, 50]), picture[10:70, 30:90])
    place = (30.5, 20.25, 130.5, 120.25)
    found = cut_face(picture, BOX, box=place)
    expected = Image.fromarray(picture).resize((40, 40), Image.Resampling.BILINEAR, box=place)
    assert np.array_equal(found, np.asarray(expected))
    grey = cut_face(picture[..., :1], BOX, box=place)
    assert np.array_equal(grey[..., 0], found[..., 0])


def test_a_square_that_leaves_the_photograph_is_black_there(picture):
    height = len(picture)
    found = cut_face(picture, Alignment(kind="box"), box=[-10, height - 20, 30, height + 20])
    assert not found[:, :10].any()
    assert not found[20:].any()
    assert np.array_equal(found[:20, 10:], picture[-20:, :30])
    for far in ([-500, 0, -400, 100], [0, 900, 100, 1000], [900, 900, 950, 950]):
        assert not cut_face(picture, BOX, box=far).any()


def test_none_cuts_nothing(picture):
    assert cut_face(picture, Alignment(kind="none"), box=[0, 0, 5, 5]) is picture


def test_what_makes_no_sense_is_one_line(picture):
    cases = (
        (picture[..., 0], POINTS, {"points": FACE}, "pass uint8"),
        (picture / 255, POINTS, {"points": FACE}, "pass uint8"),
        (picture[:0], POINTS, {"points": FACE}, "pass uint8"),
        (picture, POINTS, {"points": FACE[:4]}, "left eye"),
        (picture, POINTS, {"box": [0, 0, 5, 5]}, "left eye"),
        (picture, POINTS, {"points": np.full((5, 2), np.nan)}, "left eye"),
        (picture, POINTS, {"points": np.full((5, 2), 30.4)}, "the five points coincide"),
        (picture, BOX, {"points": FACE}, "the box of the face is None"),
        (picture, BOX, {"box": [0, 0, 5]}, "left, top, right and bottom"),
        (picture, BOX, {"box": [0, 9, 5, 9]}, "left, top, right and bottom"),
        (picture, BOX, {"box": [0, 0, np.inf, 9]}, "left, top, right and bottom"),
        (picture, BOX, {"box": [0, 0, 1e9, 9]}, "shrink the photograph"),
        (picture, POINTS.model_copy(update={"template": "mine"}), {"points": FACE}, "no template 'mine'"),
    )
    for image, alignment, given, words in cases:
        with pytest.raises(FerError, match=words) as caught:
            cut_face(image, alignment, **given)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"kind": "points", "template": "arcface"}', "expected a template and a size, since kind is points"),
        ('{"kind": "points", "size": 112}', "expected a template and a size, since kind is points"),
        ('{"kind": "box", "template": "arcface"}', "expected no template, since kind is not points"),
        ('{"kind": "none", "size": 5}', "expected no size, since kind is 'none'"),
        ('{"kind": "none", "margin": 0.3}', "expected no margin, since kind is not box"),
        ('{"kind": "box", "margin": NaN}', "not valid JSON"),
        ('{"kind": "box", "margin": -1}', "margin is -1"),
        ('{"kind": "box", "size": 100000}', "size is 100000"),
        ('{"kind": "circle"}', "kind is \"circle\", expected 'none', 'box' or 'points'"),
        ('{"margin": 0.3}', "kind is missing"),
        ("[]", "the top level is a list of 0, expected a mapping"),
    ],
)
def test_a_record_that_does_not_fit_is_one_line(content, words):
    with pytest.raises(FerError) as caught:
        Alignment.parse(content, "alignment.json", ADVICE)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_configured_template_must_be_known(tiny):
    given = {"kind": "points", "template": "arcfase", "size": 112}
    with pytest.raises(FerError, match="no template 'arcfase': did you mean arcface"):
        fer_core.train("tiny", "bars", data={"alignment": given})


def test_equal_cuts_of_other_sizes_are_alike():
    assert POINTS.cuts_like(POINTS.model_copy(update={"size": 224}))
    assert not POINTS.cuts_like(BOX)
    assert not BOX.cuts_like(Alignment(kind="box", size=40, margin=0.3))
    assert str(BOX.model_copy(update={"margin": 0.3})) == "box + 30%, 40 x 40 pixels"


@pytest.fixture
def bars(tiny, monkeypatch):
    """`bars(name, alignment)`: drawn faces under a name, whose spec says how they are cut."""

    def make(name, alignment):
        spec = registry.find("datasets", "bars")
        factory = type("Named", (spec.factory,), {"name": name})
        spec = replace(spec, name=name, factory=factory, alignment=alignment)
        entry = Entry(name, spec, Plugin("tests", "fer-tests", "0"))
        monkeypatch.setitem(load_plugins().entries["datasets"], name, [entry])

    return make


def train(dataset, quick, folder, **data):
    quick = {**quick, "data": {**quick["data"], **data}, "train": {"epochs": 1}, "run": {"dir": folder}}
    run = fer_core.train("tiny", dataset, device="cpu", **quick)
    found = run.result.preprocessing
    assert read_header(run.checkpoint).preprocessing == found
    return run.checkpoint, found.alignment


def warnings(lines):
    """The warnings among the lines so far, which are forgotten."""
    found = [line for line in lines if line.startswith("warning  ")]
    lines.clear()
    return found


def test_weights_record_the_datasets_alignment_and_the_configurations_before_it(bars, quick, lines):
    assert train("bars", quick, "unknown")[1] is None
    bars("cut", POINTS)
    assert train("cut", quick, "spec")[1] == POINTS
    assert train("cut", quick, "classes", classes=["sadness", "neutral"])[1] == POINTS
    given = {"kind": "box", "margin": 0.25, "size": 40}
    checkpoint, found = train("cut", quick, "config", alignment=given)
    assert found == BOX.model_copy(update={"margin": 0.25})
    lines.clear()
    fer_core.evaluate(checkpoint, "cut", device="cpu")
    assert lines == []  # these are the faces of the training


def test_parts_of_a_union_that_are_cut_differently_are_told(bars, quick, lines):
    bars("a", POINTS)
    bars("b", BOX)
    bars("c", POINTS)
    assert train("a+b", quick, "differ")[1] is None
    (line,) = warnings(lines)
    assert "(a: five points to arcface, 112 x 112 pixels, b: box + 0%, 40 x 40 pixels)" in line
    assert train("a+c", quick, "same")[1] == POINTS
    assert warnings(lines) == []
    assert train("a+bars", quick, "unknown")[1] is None
    assert len(warnings(lines)) == 1
    assert train("a+b", quick, "given", alignment={"kind": "none"})[1] == Alignment(kind="none")
    assert warnings(lines) == []


def test_faces_that_are_cut_otherwise_than_in_training_are_warned_of(bars, quick, lines):
    bars("a", POINTS)
    checkpoint, _ = train("a", quick, "a")

    def told(dataset, **options):
        lines.clear()
        fer_core.evaluate(checkpoint, dataset, options=options, device="cpu")
        return lines.copy()

    bars("b", POINTS.model_copy(update={"size": 224}))
    assert told("b", samples=80) == told("bars", samples=80) == []
    bars("b", BOX)
    (line,) = told("b", samples=80)
    assert line.startswith("warning  the network was trained on faces cut by")
    assert "five points to arcface" in line
    assert "box + 0%" in line


@pytest.mark.parametrize(
    "value", ["box", {"kind": "box", "template": "arcface"}, {"kind": "points"}, {"kind": "none", "scale": 1}]
)
def test_a_configured_alignment_that_does_not_fit_is_one_line(tiny, value):
    with pytest.raises(FerError, match=r"data\.alignment is .*: expected a mapping with kind") as caught:
        fer_core.train("tiny", "bars", data={"alignment": value})
    assert "\n" not in str(caught.value)
