"""CAER-S: class folders of two splits."""

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets.caers import load
from PIL import Image

FOLDERS = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


def build(root):
    for split in ("train", "test"):
        for value, name in enumerate(FOLDERS):
            folder = root / split / name
            folder.mkdir(parents=True)
            Image.fromarray(np.full((20, 30, 3), 30 * value, np.uint8)).save(folder / "0001.png")
    (root / "train" / ".DS_Store").write_bytes(b"x")
    return root


@pytest.mark.parametrize("outer", ["", "CAER-S"])
def test_layout(tmp_path, outer):
    build(tmp_path / outer)
    dataset = load(tmp_path)
    assert dataset.classes == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert dataset.table["split"].tolist() == ["train"] * 7 + ["test"] * 7
    for row in range(14):
        assert (dataset.read(row) == 30 * (row % 7)).all()
        assert dataset.table["label"].iloc[row] == row % 7
    assert dataset.table["id"].iloc[3] == "train/happiness/0001"
    assert dataset.layout == "official"
    assert dataset.alignment.kind == "none"  # whole frames


def test_doubled_split_folder(tmp_path):
    build(tmp_path / "x")
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / "x" / split).rename(tmp_path / split / split)
    assert len(load(tmp_path).table) == 14


def test_wrong_folders(tmp_path):
    with pytest.raises(FerError, match="no train and test with a folder for each class"):
        load(tmp_path)
    build(tmp_path)
    (tmp_path / "train" / "Contempt").mkdir()
    with pytest.raises(FerError, match="Contempt is not a class folder"):
        load(tmp_path)
    (tmp_path / "train" / "Contempt").rmdir()
    (tmp_path / "test").rename(tmp_path / "other")
    with pytest.raises(FerError, match="the folder test is missing"):
        load(tmp_path)
