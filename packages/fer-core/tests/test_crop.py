"""`fer-run data crop`: faces of photographs, cut into a folder of their own."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.data.alignment import cut_face
from fer_core.faces import ARCFACE, Alignment
from fer_core.inference.find import EDGES, POINTS
from fer_core.plugins import load_plugins
from PIL import Image

FACE = np.array(ARCFACE.poses[0])
BOXES = {"joy/a.png": [(30, 10, 60, 50), (100, 20, 160, 90)], "joy/b.jpg": [], "anger/c.png": [(5, 5, 45, 45)]}
"""Image -> boxes of its faces."""


def fer_run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def points_of(box: tuple[int, int, int, int]) -> np.ndarray:
    return FACE * ((box[2] - box[0]) / ARCFACE.size) + box[:2]


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Images in folders, one of them damaged, and `boxes.csv`."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate((*BOXES, "joy/torn.png")):
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (120, 200, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    Path("photos/joy/torn.png").write_bytes(b"\x89PNG")
    with Path("boxes.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["source", *EDGES, *POINTS])
        for name, boxes in BOXES.items():
            for box in boxes or [()]:
                points = points_of(box).ravel() if box else [""] * 10
                writer.writerow([f"photos/{name}", *(box or [""] * 4), *points])
    return Path("photos")


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.png"))


def table(folder: str) -> list[dict[str, str]]:
    with Path(folder, "faces.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_largest_face_of_each_image_is_aligned_and_folders_are_kept(photos) -> None:
    result = fer_run("data", "crop", photos, "--out", "faces", "--boxes", "boxes.csv")
    assert result.exit_code == 1
    assert result.stdout == "2 faces in faces, five points to arcface, 112 x 112 pixels; 1 images without a face\n"
    assert result.stderr.splitlines()[-1] == "Error: 1 images could not be read or cut (see the lines above)"
    assert files("faces") == ["anger/c.png", "joy/a.png"]
    alignment = Alignment.read(Path("faces/alignment.json"), "")
    assert alignment == Alignment(kind="points", template="arcface", size=112)
    picture = np.asarray(Image.open(photos / "joy/a.png"))
    expected = cut_face(picture, alignment, points=points_of((100, 20, 160, 90)))
    assert np.array_equal(np.asarray(Image.open("faces/joy/a.png")), expected)
    rows = {row["source"]: row for row in table("faces")}
    assert rows["photos/joy/a.png"]["file"] == "joy/a.png"
    assert [rows["photos/joy/a.png"][edge] for edge in EDGES] == ["100.00", "20.00", "160.00", "90.00"]
    assert {rows["photos/joy/b.jpg"][name] for name in ("file", "left", "error")} == {""}
    assert "cannot read photos/joy/torn.png" in rows["photos/joy/torn.png"]["error"]


def test_every_face_can_be_cut_by_its_box(photos) -> None:
    (photos / "joy/torn.png").unlink()
    arguments = ("--out", "faces", "--boxes", "boxes.csv", "--every-face", "--margin", "0.5", "--size", "48")
    result = fer_run("data", "crop", photos, *arguments)
    assert result.exit_code == 0, result.stderr
    assert files("faces") == ["anger/c.png", "joy/a-1.png", "joy/a-2.png"]
    assert {Image.open(Path("faces", name)).size for name in files("faces")} == {(48, 48)}
    assert Alignment.read(Path("faces/alignment.json"), "") == Alignment(kind="box", margin=0.5, size=48)
    again = fer_run("data", "crop", photos, "--out", "again", "--boxes", "faces/faces.csv", *arguments[4:])
    assert again.exit_code == 0, again.stderr
    assert files("again") == files("faces")  # the table says where faces are, as another one did
    assert np.array_equal(*(np.asarray(Image.open(f"{out}/joy/a-2.png")) for out in ("faces", "again")))


def test_whole_images_are_squares_of_a_size(photos) -> None:
    (photos / "joy/torn.png").unlink()
    result = fer_run(
        "data", "crop", photos, "--out", "faces", "--detect", "whole", "--margin", "0", "--size", "64"
    )
    assert result.exit_code == 0, result.stderr
    assert len(files("faces")) == 3
    face = np.asarray(Image.open("faces/joy/b.png"))
    assert face.shape == (64, 64, 3)
    assert not face[:10].any()  # above a wide photograph


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "photos"], "photos is there already"),
        (["--template", "arcfase"], "no template 'arcfase': did you mean arcface"),
        (["--template", "arcface", "--margin", "0.2"], "give one of them"),
        (["--size", "0"], "size is 0"),
        (["--margin", "-3"], "margin is -3"),
        (["--detect", "centerface"], "fer-faces"),
        ([], "fer-faces"),
        (["--boxes", "boxes.csv", "--detect", "whole"], "leave out --detect"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(photos, monkeypatch, arguments, words) -> None:
    monkeypatch.setitem(load_plugins().entries, "detectors", {})
    result = fer_run("data", "crop", photos, "--out", "faces", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert words in line
    assert not Path("faces").exists()
