"""FER2013: both files of the challenge in miniature, and damaged ones."""

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets.fer2013 import load
from fer_datasets.specs.fer2013 import SPEC

ROWS = [(0, "Training"), (3, "Training"), (6, "PublicTest"), (5, "PrivateTest")]
CELLS = {"emotion": lambda row: str(ROWS[row][0]), "Usage": lambda row: ROWS[row][1]}


def pixels(row):
    """A ramp that is another one in each row."""
    return (np.arange(2304) + 7 * row) % 256


def write(path, header="emotion,pixels,Usage", end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = {**CELLS, "pixels": lambda row: " ".join(map(str, pixels(row)))}
    names = [name.strip().strip('"') for name in header.split(",")]
    lines = [header] + [",".join(cells[name](row) for name in names) for row in range(len(ROWS))]
    path.write_bytes(end.join([*lines, ""]).encode())


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("fer2013.csv", "emotion,pixels,Usage"),
        ("fer2013/fer2013.csv", "emotion,pixels,Usage"),
        ("icml_face_data.csv", "emotion, Usage, pixels"),
        ("fer2013.csv", '"emotion","pixels","Usage"'),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_layouts(tmp_path, name, header, end):
    write(tmp_path / name, header, end)
    dataset = load(tmp_path)
    assert dataset.classes == ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    assert dataset.table["id"].tolist() == ["row-00000", "row-00001", "row-00002", "row-00003"]
    assert [dataset.classes[label] for label in dataset.table["label"]] == [
        "anger",
        "happiness",
        "neutral",
        "surprise",
    ]
    assert [SPEC.splits[split] for split in dataset.table["split"]] == ["train", "train", "val", "test"]
    for row in (3, 0, 2):
        image = dataset.read(row)
        assert image.dtype == np.uint8
        assert np.array_equal(image, pixels(row).reshape(48, 48, 1))


def test_fingerprint_is_the_same_for_both_files(tmp_path):
    write(tmp_path / "a" / "fer2013.csv")
    write(tmp_path / "b" / "icml_face_data.csv", "emotion, Usage, pixels", "\r\n")
    write(tmp_path / "c" / "fer2013.csv")
    text = (tmp_path / "c" / "fer2013.csv").read_text()
    (tmp_path / "c" / "fer2013.csv").write_text(text.replace(" 200 ", " 201 ", 1))
    first, second, changed = (load(tmp_path / name).fingerprint() for name in "abc")
    assert first == second != changed


def test_expected_counts_are_the_published_totals():
    totals = {split: sum(counts.values()) for split, counts in SPEC.expected_counts.items()}
    assert totals == {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
    classes = {name: sum(counts[name] for counts in SPEC.expected_counts.values()) for name in SPEC.classes}
    assert list(classes.values()) == [4953, 547, 5121, 8989, 6077, 4002, 6198]


def test_missing_folder_and_wrong_layout(tmp_path):
    with pytest.raises(FerError, match="does not exist") as caught:
        load(tmp_path / "absent")
    assert "icml_face_data.csv" in caught.value.details
    (tmp_path / "train.csv").write_text("emotion,pixels\n")
    with pytest.raises(FerError, match=r"neither fer2013\.csv.*found: train\.csv"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emotion,pixels\n0,1 2 3\n", r"lacks the column Usage \(it has: emotion, pixels\)"),
        ("", "lacks the column"),
        ("emotion,pixels,Usage\n", "no rows"),
        ("emotion,pixels,Usage\n7,1 2,Training\n", "row 1: the emotion '7' is no whole number in 0..6"),
        ("emotion,pixels,Usage\n0,1 2,Training\n,1 2,Training\n", "row 2: the emotion ''"),
        ("emotion,pixels,Usage\n0,1 2,Trainig\n", "row 1: there is no Usage 'Trainig': did you mean Training"),
        ("emotion,pixels,Usage\n0,1 2,Training\n0,1 2", "row 2: 2 cells where the header has 3"),
    ],
)
def test_damaged_file(tmp_path, text, message):
    (tmp_path / "fer2013.csv").write_text(text)
    with pytest.raises(FerError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cell", ["1 2 3", "", " ".join(["256"] * 2304), " ".join(["x"] * 2304), "-1 " * 2304])
def test_damaged_pixels(tmp_path, cell):
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n0,{cell},Training\n")
    dataset = load(tmp_path)
    with pytest.raises(FerError, match=r"fer2013\.csv, row 1: the pixels are not 2304 numbers"):
        dataset.read(0)
