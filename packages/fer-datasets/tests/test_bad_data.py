"""Folders as users meet them after a broken download: one line that names what is wrong, or a count of it."""

import json
import os
import shutil
import stat
import sys
import zlib

import numpy as np
import pytest
from click.testing import CliRunner
from fer_core.cli import main
from PIL import Image


def fer_run(*arguments):
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def refused(*arguments):
    """The one line of a refusal."""
    result = fer_run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    return result.stderr.split("\n", 1)[0]


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """Class folders of three faces each, and a cache elsewhere."""
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "faces"
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("happy", "sad"):
            (root / split / name).mkdir(parents=True)
            for i in range(3):
                pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture
def rafdb(tmp_path, monkeypatch):
    """RAF-DB with two faces of each class in each split."""
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "basic"
    (root / "EmoLabel").mkdir(parents=True)
    (root / "Image/aligned").mkdir(parents=True)
    lines, rng = [], np.random.default_rng(0)
    for split, digits in (("train", 5), ("test", 4)):
        for i in range(14):
            name = f"{split}_{i + 1:0{digits}d}"
            lines.append(f"{name}.jpg {i % 7 + 1}")
            pixels = rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"Image/aligned/{name}_aligned.jpg")
    (root / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines))
    return root


def test_half_an_archive_is_counted_and_named(rafdb):
    """Labels without images and images without labels."""
    for i in range(1, 9):
        (rafdb / f"Image/aligned/test_{i:04d}_aligned.jpg").unlink()
    shutil.copy(rafdb / "Image/aligned/train_00001_aligned.jpg", rafdb / "Image/aligned/train_00099_aligned.jpg")
    result = fer_run("check", "rafdb", "--data", rafdb, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [name.split(".")[0].removesuffix("_aligned") for name in report["missing"]] == [
        f"test_{i:04d}" for i in range(1, 9)
    ]
    assert report["unreadable"] == {}
    assert report["unused"] == ["Image/aligned/train_00099_aligned.jpg"]
    assert "test_0001_aligned.jpg" in refused("pack", "rafdb", "--data", rafdb)


def test_damaged_images_are_counted_and_named(faces, tmp_path):
    (faces / "train/happy/0.png").write_bytes(b"")
    half = (faces / "train/sad/0.png").read_bytes()
    (faces / "train/sad/0.png").write_bytes(half[: len(half) // 2])
    (faces / "test/happy/1.png").write_text("no picture")
    result = fer_run("check", "folder", "--data", faces)
    assert result.exit_code == 1
    assert "3 images cannot be read" in result.stdout
    for name in ("train/happy/0.png", "train/sad/0.png", "test/happy/1.png"):
        assert str(faces / name) in result.stdout
    refused("pack", "folder", "--data", faces)
    assert list((tmp_path / "cache/packs").glob("*")) == []


def test_a_pixel_bomb_is_refused(faces):
    """A file of a few kB that claims 2.5 thousand million pixels."""
    chunks = ((b"IHDR", (50_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"), (b"IDAT", b""))
    png = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        png += len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    (faces / "train/sad/0.png").write_bytes(png)
    report = json.loads(fer_run("check", "folder", "--data", faces, "--json").stdout)
    (reason,) = report["unreadable"].values()
    assert "0.png" in reason
    assert "pixels" in reason or "decompression bomb" in reason


GARBAGE = {
    "fer2013": ("fer2013.csv", b"emotion,pixels,Usage\n"),
    "ferplus": (
        "fer2013new.csv",
        b"Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n",
    ),
    "rafdb": ("EmoLabel/list_patition_label.txt", b"train_00001.jpg 5\n"),
    "expw": ("label/label.lst", b"a.jpg 0 0 0 10 10 1 1\n"),
    "folder": ("list.csv", b"path,label\n"),
    "sfew": ("sfew_2.0_labels.csv", b"image_name,label,emotion,original_split\n"),
    "ckplus": ("ckextended.csv", b"emotion,pixels,Usage\n"),
    "affectnet": ("affectnet.csv", b"phase,img_path,label\n"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="needs files with holes")
@pytest.mark.parametrize("start", [b"", "own"])
@pytest.mark.parametrize("dataset", GARBAGE)
def test_ten_gigabytes_of_garbage_are_refused_early(tmp_path, dataset, start):
    name, header = GARBAGE[dataset]
    path = tmp_path / name
    for folder in (
        path.parent,
        tmp_path / "Image/aligned",
        tmp_path / "image/origin",
        tmp_path / "sfew2.0_images",
    ):
        folder.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header if start else b"")
        file.truncate(10 * 2**30)
    if dataset == "ferplus":
        (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n0,0,Training\n")
    options = ["-o", "data.options.csv=list.csv"] if dataset == "folder" else []
    line = refused("check", dataset, "--data", tmp_path, *options)
    assert str(path) in line
    assert "restore it" in line


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names in Unicode")
def test_names_that_are_not_utf_8(faces, tmp_path):
    folder = faces / "train/happy"
    (folder / "0.png").rename(folder / os.fsdecode(b"\xff\xe9.png"))
    (folder / "1.png").rename(folder / os.fsdecode(b"\xfe.png"))
    (folder / os.fsdecode(b"\xfe.png")).write_bytes(b"")
    result = fer_run("check", "folder", "--data", faces, "--json", "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["compared"], report["missing"], report["unused"]) == (11, [], [])
    assert r"train/happy/\udcfe.png: it is empty" in fer_run("check", "folder", "--data", faces).stdout
    (folder / os.fsdecode(b"\xfe.png")).unlink()
    first, second = (fer_run("pack", "folder", "--data", faces) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert first.stdout == second.stdout


def test_a_read_only_folder_is_packed_into_the_cache(faces, tmp_path):
    before = sorted(faces.rglob("*"))
    folders = [faces, *(path for path in before if path.is_dir())]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert fer_run("check", "folder", "--data", faces).exit_code == 0
        assert fer_run("pack", "folder", "--data", faces).exit_code == 0
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)
    assert sorted(faces.rglob("*")) == before
    assert len(list((tmp_path / "cache/packs").iterdir())) == 1


def test_changed_data_is_packed_again(faces):
    name = fer_run("pack", "folder", "--data", faces).stdout
    Image.new("RGB", (9, 9), (1, 2, 3)).save(faces / "train/sad/0.png")
    assert fer_run("pack", "folder", "--data", faces).stdout != name


def test_a_list_that_leaves_the_folder_is_refused(faces):
    for bad in ("../secret.png", "/etc/passwd", "train/../../secret.png", "C:\\secret.png"):
        (faces / "list.csv").write_text(f"path,label\n{bad},happy\n")
        line = refused("check", "folder", "--data", faces, "-o", "data.options.csv=list.csv")
        assert "leaves the dataset's folder" in line


def test_a_wrong_folder_and_another_datasets_folder_are_told(faces, rafdb, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "it is empty" in refused("check", "rafdb", "--data", tmp_path / "empty")
    assert "rafdb, which this looks like" in refused("check", "fer2013", "--data", rafdb)
