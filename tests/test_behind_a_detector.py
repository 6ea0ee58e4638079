"""What follows a detector, on scenes of drawn faces that are known: labels, tables, crops, scores and tracks."""

from __future__ import annotations

import csv
from pathlib import Path

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.data.scenes import make_scene
from fer_core.faces import Alignment, Detection
from fer_core.weights.checkpoint import load_weights, save_weights
from fer_datasets.drawn_scenes import DrawnScenes
from known_faces import InOrder, KnownFaces, install
from PIL import Image

ALIGNMENTS = {
    "points": Alignment(kind="points", template="arcface", size=112),
    "box": Alignment(kind="box", margin=0.2, size=72),
}
SIDE, RATE = 96, 10
"""Of a face in the clip, and frames a second."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> fer_core.Run:
    """A small network that has learnt a little about drawn faces."""
    folder = tmp_path_factory.mktemp("trained")
    return fer_core.train(
        "timm",
        "synthetic",
        device="cpu",
        model={"backbone": "test_resnet"},
        loss={"name": "cross_entropy"},
        optimizer={"lr": 0.003},
        data={"input_size": 48, "batch_size": 32, "options": {"samples": 1400, "size": 64}},
        train={"epochs": 8},
        run={"dir": str(folder / "run")},
    )


def aligned(run: fer_core.Run, alignment: Alignment) -> Path:
    """Its weights, which say that their faces were cut so."""
    state, header = load_weights(run.checkpoint)
    preprocessing = header.preprocessing.model_copy(update={"alignment": alignment})
    path = run.folder / f"{alignment.kind}.safetensors"
    save_weights(path, state, header.model_copy(update={"preprocessing": preprocessing}))
    return path


def fer_run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("kind", ALIGNMENTS)
def test_a_face_gets_the_label_on_its_scene_that_its_crop_gets(trained, monkeypatch, tmp_path, kind) -> None:
    """Files of scenes, whose faces a detector finds, against the files that `data crop` cuts."""
    monkeypatch.chdir(tmp_path)
    scenes = DrawnScenes(30, faces=4)
    table = scenes.write(Path("scenes"))
    install(monkeypatch, KnownFaces({scene.image.tobytes(): scene.faces for scene in scenes}))
    weights = aligned(trained, ALIGNMENTS[kind])
    predicted = fer_run("predict", "scenes", "-m", weights, "--detect", "known", "--csv", "found.csv")
    assert predicted.exit_code == 0, predicted.output
    found, known = rows("found.csv"), rows(table)
    assert [row["source"] for row in found] == [row["source"] for row in known]
    for row, expected in zip(found, known, strict=True):
        for column in ("left", "top", "right", "bottom", "nose_x", "right_mouth_y"):
            assert float(row[column]) == pytest.approx(float(expected[column]), abs=0.02)
    how = {"points": ("--template", "arcface", "--size", "112"), "box": ("--margin", "0.2", "--size", "72")}[kind]
    cut = fer_run("data", "crop", "scenes", "--out", "faces", "--every-face", "--detect", "known", *how)
    assert cut.exit_code == 0, cut.output
    crops = fer_core.Predictor(weights, "cpu", "fp32", detect="none")("faces")
    assert len(crops) == len(found) > 60
    same = [row["label"] == crop.label for row, crop in zip(found, crops, strict=True)]
    assert np.mean(same) >= 0.95
    assert len({row["label"] for row in found}) >= 4  # it is not one label for all
    given = fer_run("predict", "scenes", "-m", weights, "--boxes", table, "--csv", "given.csv")
    assert given.exit_code == 0, given.output
    same = [row["label"] == other["label"] for row, other in zip(rows("given.csv"), found, strict=True)]
    assert np.mean(same) >= 0.95


def test_accuracy_behind_a_detector_that_knows_is_near_that_of_the_crops(trained, monkeypatch) -> None:
    dataset = fer_core.open_dataset("synthetic", samples=1400, size=64).dataset
    faces = {}
    for row in np.flatnonzero(dataset.table["split"] == "test").tolist():
        drawn = dataset.draw(row)
        scene, ((left, top, right, bottom),) = make_scene(np.random.default_rng(row), [drawn.pixels])
        corner, scale = np.array([left, top]), np.array([right - left, bottom - top]) / 64
        box = (np.array(drawn.face.box).reshape(2, 2) * scale + corner).ravel().tolist()
        faces[scene.tobytes()] = [Detection(box=box, score=1.0)]
    install(monkeypatch, KnownFaces(faces))
    found = fer_core.evaluate(trained.folder, device="cpu", through_detector="known")
    through = found.through_detector
    assert (through.faces, through.recall) == (280, 1.0)
    assert found.metrics.accuracy > 0.4  # 1/7 is chance
    assert through.accuracy > 0.75 * found.metrics.accuracy
    blind = dict(list(faces.items())[::2])
    install(monkeypatch, KnownFaces(blind))
    half = fer_core.evaluate(trained.folder, device="cpu", through_detector="known").through_detector
    assert (half.found, half.recall) == (140, 0.5)


def test_drawn_faces_of_a_clip_keep_their_tracks_and_change_their_labels_once(
    trained, monkeypatch, tmp_path
) -> None:
    """Two persons walk past each other; one of them begins to smile in the middle."""
    pytest.importorskip("av", reason="videos need PyAV")
    from fer_core.inference.video import Video, video_writer

    monkeypatch.chdir(tmp_path)
    dataset = fer_core.open_dataset("synthetic", samples=70, size=SIDE).dataset
    frames, known = [], []
    for number in range(40):
        image, faces = np.full((240, 480, 3), 90, np.uint8), []
        for row, left, top in ((3 if number < 20 else 1, 4 * number, 10), (7, 380 - 6 * number, 130)):
            pixels, face = dataset.draw(row)
            image[top : top + SIDE, left : left + SIDE] = pixels
            moved = np.array(face.box).reshape(2, 2) + np.array([left, top])
            faces.append(Detection(box=moved.ravel().tolist(), score=1.0))
        frames.append(image)
        known.append(faces)
    with video_writer(Path("clip.mp4")) as add:
        for number, image in enumerate(frames):
            add(Image.fromarray(image), number / RATE)
    install(monkeypatch, InOrder(known))
    weights = aligned(trained, ALIGNMENTS["box"])
    files = ("--csv", "frames.csv", "--tracks", "tracks.csv", "--draw", "marked.mp4", "--smooth", "0.2")
    result = fer_run("track", "clip.mp4", "-m", weights, "--detect", "known", *files)
    assert result.exit_code == 0, result.output
    table = rows("frames.csv")
    assert len(table) == 80
    for track, top in (("1", 10), ("2", 130)):
        own = [row for row in table if row["track"] == track]
        assert len(own) == 40
        assert all(top - 5 < float(row["top"]) < top + SIDE / 2 for row in own)
    labels = [row["label"] for row in table if row["track"] == "1"]
    assert labels[19] != labels[-1]
    assert len(set(labels[:20])) == len(set(labels[25:])) == 1  # within half a second
    assert len({row["label"] for row in table if row["track"] == "2"}) == 1
    assert len(list(Video(Path("marked.mp4")).frames(None))) == 40
