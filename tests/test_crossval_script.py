"""`examples/fer_crossval.py` on six small datasets: interrupted, repeated, and the same files as at one go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fer_core.runs.reading import read_result
from fer_datasets.specs.ferplus import CLASSES
from PIL import Image
from torchvision.models import resnet18

SCRIPT = Path(__file__).parents[1] / "examples" / "fer_crossval.py"
DATASETS = ("rafdb", "ferplus", "fer2013", "expw", "sfew", "ckplus")
SMALL = ["--models", "dan", "--splits", "seed-shuffle:0:0", "--device", "cpu"]
for _override in ("data.input_size=32", "data.batch_size=16", "train.epochs=1", "train.steps=2"):
    SMALL += ["-o", _override]


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, path.name))
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (48, 48, 3), dtype=np.uint8)).save(path)


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_datasets(root: Path) -> None:
    """Faces of every class in the layouts of the six datasets."""
    names = [f"train_{number:05d}" for number in range(1, 71)]
    for name in names:
        draw(root / "rafdb" / "Image" / "aligned" / f"{name}_aligned.jpg")
    labels = [f"{name}.jpg {number % 7 + 1}" for number, name in enumerate(names)]
    write(root / "rafdb" / "EmoLabel" / "list_patition_label.txt", labels)
    rows, votes = ["emotion,pixels,Usage"], [f"Usage,Image name,{','.join(CLASSES)},unknown,NF"]
    for number in range(80):
        rows.append(f"{number % 7},{' '.join(str(number + place % 99) for place in range(48 * 48))},Training")
        shares = ",".join(str(10 * (place == number % 8)) for place in range(10))
        votes.append(f"Training,fer{number:07d}.png,{shares}")
    write(root / "ferplus" / "fer2013new.csv", votes)
    for name in ("ferplus", "fer2013"):
        write(root / name / "fer2013.csv", rows)
    for number in range(70):
        draw(root / "expw" / "image" / "origin" / f"face_{number}.jpg")
        film, frame = ("Airheads", "Friends")[number % 2], f"{number:09d}_{number:08d}.png"
        folder = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")[number % 7]
        draw(root / "sfew" / ("Train", "Val")[number % 2] / folder / f"{film}_{frame}")
        sequence = Path(f"S{number:03d}", "001")
        for still in range(1, 5):
            draw(root / "ckplus" / "cohn-kanade-images" / sequence / f"S{number:03d}_001_{still:08d}.png")
        emotion = f"S{number:03d}_001_00000004_emotion.txt"
        write(root / "ckplus" / "Emotion" / sequence / emotion, [f"   {number % 7 + 1:.7e}"])
    boxes = [f"face_{number}.jpg 0 0 0 48 48 60 {number % 7}" for number in range(70)]
    write(root / "expw" / "label" / "label.lst", boxes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The datasets, and the weights that one of the models starts from."""
    folder = tmp_path_factory.mktemp("crossval")
    write_datasets(folder / "data")
    torch.save({"state_dict": resnet18(weights=None).state_dict()}, folder / "resnet18_msceleb.pth")
    command = ["fetch", "dan/resnet18_msceleb", "--file", "resnet18_msceleb.pth"]
    subprocess.run([sys.executable, "-m", "fer_core", *command], cwd=folder, env=environment(folder), check=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    own = {"FER_DATA": str(folder / "data"), "FER_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, "CUDA_VISIBLE_DEVICES": "", "https_proxy": "http://127.0.0.1:9"}


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *words],
        cwd=folder,
        env=environment(folder),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_models_without_their_weights_are_named_before_anything_starts(folder) -> None:
    process = start(folder, "refused")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "no backbone weights of poster, poster_pp, ddamfn, lnsu, adadf, mfer, gsdnet: get them" in errors
    assert "take the file with fer-run fetch lnsu/start_0 --file FILE" in errors
    assert not (folder / "refused" / "runs").exists()


def test_every_model_is_planned_on_every_dataset_from_the_weights_that_are_there(folder) -> None:
    process = start(folder, "planned", "--random", "--dry-run", "--splits", "seed-shuffle:0:0,seed-shuffle:1:1")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert len(lines) == 8 * 6 * 2
    assert {"resnet18_msceleb.pth" in line for line in lines if line.startswith("fer-run train dan ")} == {True}
    assert {"backbone_weights" in line for line in lines if not line.startswith("fer-run train dan ")} == {False}


@pytest.mark.slow
def test_an_interrupted_call_is_repeated_and_gives_the_same_files(folder) -> None:
    process = start(folder, "first", "--random", *SMALL)
    while not list((folder / "first" / "runs").glob("*/*/result.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert not (folder / "first" / "publish" / "report.html").exists()
    for name, words in (("first", SMALL), ("whole", [*SMALL, "--datasets", "rafdb,ferplus"])):
        process = start(folder, name, "--random", *words)
        _, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
        assert ("is finished already" in errors) == (name == "first")

    first, whole = folder / "first" / "runs", folder / "whole" / "runs"
    runs = {path.parent.relative_to(first) for path in first.glob("*/*/result.json")}
    assert {run.parts[0] for run in runs} == {f"dan-{dataset}" for dataset in DATASETS}
    assert all(read_result(first / run).start.backbone_sha256 for run in runs)
    undisturbed = [path.parent.relative_to(whole) for path in whole.glob("*/*/result.json")]
    assert len(undisturbed) == 2
    for run in undisturbed:
        for name in ("result.json", "best.safetensors", "predictions-test.csv"):
            assert (first / run / name).read_bytes() == (whole / run / name).read_bytes()

    publish = folder / "first" / "publish"
    assert "86.7 ± 0.7" in (publish / "report.html").read_text()  # what was published of DAN on RAF-DB
    assert all(f"{dataset} (" in (publish / "leaderboard.md").read_text() for dataset in DATASETS)
    assert len(yaml.safe_load((publish / "fer-crossval.yaml").read_text())["models"]) == 8
    with tarfile.open(publish / "records.tar.gz") as archive:
        names = set(archive.getnames())
    assert {f"{run}/result.json" for run in runs} <= names
    assert not any(name.endswith((".csv", ".safetensors", ".pt")) for name in names)
