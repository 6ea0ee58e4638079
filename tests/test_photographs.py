"""A real photograph from file to expression: the detector of fer-faces, a network, and what both write."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.faces import Alignment
from fer_core.weights.checkpoint import load_weights, save_weights
from PIL import Image

BOX = (179, 56, 272, 180)
"""Of the face in the photograph."""
BYTES = 1_500_000_000
"""Most memory for photographs of any size."""


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """The astronaut of scikit-image: uint8 RGB [512, 512, 3]."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        pytest.skip("needs the photograph of an installed scikit-image")
    return np.array(Image.open(Path(found.origin).parent / "data" / "astronaut.png").convert("RGB"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A small network after one step, whose weights say that its faces were aligned."""
    folder = tmp_path_factory.mktemp("weights")
    run = fer_core.train(
        "timm",
        "synthetic",
        device="cpu",
        model={"backbone": "test_resnet"},
        data={"input_size": 64, "batch_size": 16, "options": {"samples": 42, "size": 64}},
        train={"steps": 1},
        run={"dir": str(folder / "run")},
    )
    state, header = load_weights(run.checkpoint)
    alignment = Alignment(kind="points", template="arcface", size=112)
    preprocessing = header.preprocessing.model_copy(update={"alignment": alignment})
    path = folder / "aligned.safetensors"
    save_weights(path, state, header.model_copy(update={"preprocessing": preprocessing}))
    return path


def test_the_face_is_found_in_every_form_of_the_photograph(photograph, weights, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph).save(tmp_path / "a.png")
    Image.fromarray(np.rot90(photograph)).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(photograph).save(tmp_path / "b.jpg", quality=95)
    predict = fer_core.Predictor(weights, "cpu", "fp32")
    faces = predict(photograph, tmp_path / "a.png", tmp_path / "turned.png", tmp_path / "b.jpg")
    assert len(faces) == 4
    assert faces[0].detection.box == pytest.approx(BOX, abs=3)
    for face in faces[1:3]:
        assert face.detection == faces[0].detection
        assert face.probabilities == pytest.approx(faces[0].probabilities, abs=1e-6)
    assert faces[3].detection.box == pytest.approx(BOX, abs=3)


def test_a_crop_gets_the_label_of_its_photograph_and_is_a_dataset(
    photograph, weights, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos/joy").mkdir(parents=True)
    Image.fromarray(photograph).save("photos/joy/a.png")
    Image.fromarray(photograph[:, ::-1]).save("photos/joy/b.png")
    Image.fromarray(photograph[250:]).save("photos/joy/no-face.png")
    result = CliRunner().invoke(main, ["data", "crop", "photos", "--out", "faces"])
    assert result.stdout.startswith("2 faces in faces"), result.output
    dataset = fer_core.open_dataset("folder", "faces").dataset
    assert dataset.alignment == Alignment(kind="points", template="arcface", size=112)
    assert dataset.table["id"].tolist() == ["joy/a.png", "joy/b.png"]
    predict = fer_core.Predictor(weights, "cpu", "fp32")
    in_photos, crops = predict("photos"), predict("faces")
    for face, crop in zip(in_photos, crops, strict=True):
        assert face.probabilities == pytest.approx(crop.probabilities, abs=1e-6)


def test_a_face_that_moves_through_a_video_is_one_track(photograph, weights, tmp_path, monkeypatch) -> None:
    pytest.importorskip("av", reason="videos need PyAV")
    from fer_core.inference.video import Video, video_writer

    monkeypatch.chdir(tmp_path)
    part, tones = photograph[30:210, 150:300], np.array([[90, 140, 180], [200, 120, 70]], np.uint8)
    ground = np.array(Image.fromarray(tones[None]).resize((480, 320), Image.Resampling.BICUBIC))
    places = [(10 + 9 * number, 20 + 3 * number) for number in range(30)]
    with video_writer(Path("clip.mp4")) as add:
        for number, (left, top) in enumerate(places):
            image = ground.copy()
            image[top : top + 180, left : left + 150] = part
            add(Image.fromarray(image), number / 10)
    files = ("--csv", "frames.csv", "--draw", "marked.mp4")
    result = CliRunner().invoke(main, ["track", "clip.mp4", "-m", str(weights), *files, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    with Path("frames.csv").open(newline="") as handle:
        table = list(csv.DictReader(handle))
    assert [row["track"] for row in table] == ["1"] * 30
    for row, (left, top) in zip(table, places, strict=True):
        expected = np.array(BOX) + np.array([left - 150, top - 30] * 2)
        assert [float(row[edge]) for edge in ("left", "top", "right", "bottom")] == pytest.approx(expected, abs=8)
    assert len(list(Video(Path("marked.mp4")).frames(None))) == 30


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_forty_photographs_of_49_million_pixels_stay_within_memory(photograph, weights, tmp_path) -> None:
    large = Image.fromarray(photograph).resize((7000, 7000))
    exif = Image.Exif()
    exif[0x0112] = 6
    large.save(tmp_path / "0.jpg")
    large.save(tmp_path / "1.jpg", exif=exif)
    large.putalpha(200)
    large.save(tmp_path / "2.png", compress_level=1)
    for number in range(3, 40):
        original = tmp_path / ("0.jpg", "1.jpg", "2.png")[number % 3]
        os.link(original, tmp_path / f"{number}{original.suffix}")
    code = (
        "import sys; from fer_core.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)"
    )  # `ru_maxrss` would begin with the peak of the process that starts this one
    command = [sys.executable, "-c", code, "predict", tmp_path, "-m", weights, "--csv", tmp_path / "out.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stderr.split()[-1]) * 1024 < BYTES
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 41
