"""Paths in label files, images in folders, and digests."""

import os

import pytest
from fer_core.errors import FerError
from fer_datasets import files
from fer_datasets.files import hash_files, images_in, safe_relative


@pytest.mark.parametrize(
    "text", ["", " ", "/etc/passwd", "../a.png", "a/../../b.png", "C:\\a.png", "a\\..\\b.png"]
)
def test_paths_that_leave_the_folder(text):
    with pytest.raises(FerError, match="row 7"):
        safe_relative(text, "labels.csv, row 7")


def test_paths_below_the_folder():
    assert safe_relative("a/b c.png", "") == "a/b c.png"
    assert safe_relative("a\\b.png", "") == "a/b.png"
    assert safe_relative("./a..b.png", "") == "a..b.png"


def test_hidden_files_and_other_suffixes_are_no_images(tmp_path):
    for name in ("b.JPG", "a.png", ".DS_Store", "._a.png", "notes.txt", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in images_in(tmp_path)] == ["a.png", "b.JPG"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_nobody_waits_for_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert images_in(tmp_path) == [tmp_path / "a.png"]  # reading it tells, instead of one image fewer
    with pytest.raises(FerError, match=r"a\.png: it is not a regular file"):
        hash_files([tmp_path / "a.png"])


def test_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.hash_files([tmp_path / "a"]) == [expected]
