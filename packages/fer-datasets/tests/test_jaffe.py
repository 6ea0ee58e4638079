"""JAFFE: names that say subject and expression."""

import numpy as np
import pytest
from fer_core.data.splits import make_split
from fer_core.errors import FerError
from fer_datasets.jaffe import load
from fer_datasets.specs.jaffe import SPEC
from PIL import Image

CODES = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}


def build(folder, suffix=".tiff", subjects=("KA", "KL", "KM")):
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for subject in subjects:
        for code in CODES:
            number += 1
            image = Image.fromarray(np.full((256, 256), number, np.uint8))
            image.save(folder / f"{subject}.{code}1.{number}{suffix}")
    return folder


def test_names(tmp_path):
    dataset = load(build(tmp_path))
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "README").write_text("x")
    table = dataset.table
    for row in range(len(table)):
        subject, code, _ = table["id"].iloc[row].split(".")
        assert dataset.classes[table["label"].iloc[row]] == CODES[code[:2]]
        assert table["group"].iloc[row] == subject
    assert dataset.read(4).shape == (256, 256, 1)
    assert (dataset.read(4) == 5).all()
    assert dataset.layout == "official; 3 subjects, no official splits"
    assert len(load(tmp_path).table) == 21


@pytest.mark.parametrize("suffix", [".TIFF", ".tif", ".png"])
@pytest.mark.parametrize("inside", ["jaffe", "jaffedbase/jaffe", "KA"])
def test_copies(tmp_path, suffix, inside):
    build(tmp_path / inside, suffix)
    dataset = load(tmp_path)
    assert dataset.layout.startswith("official names, in folders")
    assert dataset.table["source"].iloc[0].startswith(inside)
    assert dataset.table["group"].nunique() == 3


def test_one_subject_is_left_out_a_fold(tmp_path):
    dataset = load(build(tmp_path))
    for fold, subject in enumerate(("KA", "KL", "KM")):
        split = make_split(dataset, SPEC.splits, f"kfold:3:{fold}:sorted", holdout=0.1, seed=0, select="last")
        assert set(dataset.table["group"].iloc[split.test]) == {subject}
        assert subject not in set(dataset.table["group"].iloc[split.train])


def test_counts():
    assert sum(SPEC.expected_counts[""].values()) == 213


def test_wrong_names(tmp_path):
    with pytest.raises(FerError, match=r"no images with names such as KA\.AN1\.39\.tiff"):
        load(tmp_path)
    build(tmp_path)
    Image.new("L", (8, 8)).save(tmp_path / "KA.XX1.99.tiff")
    with pytest.raises(FerError, match=r"KA\.XX1\.99\.tiff is not named as"):
        load(tmp_path)
    (tmp_path / "KA.XX1.99.tiff").unlink()
    build(tmp_path / "again")
    with pytest.raises(FerError, match=r"'KA\.AN1\.1' is listed twice"):
        load(tmp_path)
