"""FER2013: both files of the challenge in miniature, and damaged ones."""

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets.fer2013 import load
from fer_datasets.specs.fer2013 import SPEC
from PIL import Image

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
    assert str(dataset.alignment) == "box + 5%"
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
    (tmp_path / "test.csv").write_text("pixels\n")
    with pytest.raises(FerError, match=r"neither fer2013\.csv.*found: test\.csv"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emotion,pixels\n0,1 2 3\n", r"lacks the column Usage \(it has: emotion, pixels\)"),
        ("", "lacks the column"),
        ("emotion,pixels,Usage\n", "no rows"),
        ("emotion,pixels,Usage\n7,1 2,Training\n", "row 1: the emotion '7' is not a whole number in 0..6"),
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


FOLDERS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def draw(root, names):
    """A grey picture of one value for each path; the values count from 0."""
    for value, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((48, 48), value, np.uint8)).save(root / name)


@pytest.mark.parametrize("below", ["", "images/", "FER2013/"])
def test_class_folders_with_official_names(tmp_path, below):
    names = ["train/angry/Training_77.png", "train/Happy/Training_5.png"]
    names += ["test/sad/PublicTest_9.png", "test/neutral/PrivateTest_1.png"]
    draw(tmp_path, [below + name for name in names])
    (tmp_path / below / "train" / "angry" / ".DS_Store").write_bytes(b"x")
    (tmp_path / below / "train" / "angry" / "._Training_77.png").write_bytes(b"x")
    dataset = load(tmp_path)
    rows = zip(dataset.table["id"], dataset.table["split"], dataset.table["label"], strict=True)
    assert [(name, split, dataset.classes[label]) for name, split, label in rows] == [
        ("Training_5", "Training", "happiness"),
        ("Training_77", "Training", "anger"),
        ("PrivateTest_1", "PrivateTest", "neutral"),
        ("PublicTest_9", "PublicTest", "sadness"),
    ]
    assert dataset.read(1).tolist() == np.zeros((48, 48, 1)).tolist()
    assert dataset.layout == "class folders, split by the names of the files"
    assert dataset.expected_counts is None


def test_a_split_of_its_own_is_called_custom(tmp_path):
    draw(tmp_path, ["images/train/angry/0.jpg", "images/train/fear/5.jpg", "images/validation/angry/0.jpg"])
    dataset = load(tmp_path)
    assert dataset.table["split"].tolist() == ["custom-train", "custom-train", "custom-test"]
    assert dataset.table["id"].tolist() == ["train/0", "train/5", "val/0"]
    assert SPEC.splits["custom-test"] == "test"
    assert "custom split" in dataset.layout
    draw(tmp_path, ["images/test/fear/9.jpg"])
    assert load(tmp_path).table["split"].tolist()[2:] == ["custom-val", "custom-test"]


def test_unknown_class_folder_and_missing_parts(tmp_path):
    draw(tmp_path, ["train/angry/Training_1.png"])
    with pytest.raises(FerError, match="neither test nor validation beside it"):
        load(tmp_path)
    draw(tmp_path, ["test/bored/PublicTest_1.png"])
    with pytest.raises(FerError, match="bored is not a class folder"):
        load(tmp_path)


def write_without_usage(path, labels):
    path.write_text("emotion,pixels\n" + "".join(f"{label},0\n" for label in labels))


def test_rows_without_usage_are_split_by_order_where_the_counts_agree(tmp_path):
    labels = [
        label
        for split in ("Training", "PublicTest", "PrivateTest")
        for label, name in enumerate(SPEC.classes)
        for _ in range(SPEC.expected_counts[split][name])
    ]
    write_without_usage(tmp_path / "fer2013_modified.csv", labels)
    dataset = load(tmp_path)
    assert dataset.table["split"].value_counts().to_dict() == {
        "Training": 28_709,
        "PublicTest": 3_589,
        "PrivateTest": 3_589,
    }
    assert dataset.table["split"].tolist()[28_708:28_710] == ["Training", "PublicTest"]
    assert "order of its rows" in dataset.layout
    write_without_usage(tmp_path / "fer2013_modified.csv", labels[::-1])
    shuffled = load(tmp_path)
    assert set(shuffled.table["split"]) == {""}
    assert "no split" in shuffled.layout
    (tmp_path / "fer2013_modified.csv").rename(tmp_path / "train.csv")
    write_without_usage(tmp_path / "train.csv", labels[:28_709])
    assert set(load(tmp_path).table["split"]) == {"Training"}


def test_copies_and_constant_images_stay_unless_asked(tmp_path):
    cells = ["1 " * 2304, "0 " * 2303 + "9", "0 " * 2303 + "9", "0 " * 2303 + "8", "0 " * 2303 + "8"]
    usages = ["Training", "Training", "PrivateTest", "Training", "Training"]
    lines = [f"0,{cell},{usage}\n" for cell, usage in zip(cells, usages, strict=True)]
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "".join(lines))
    assert len(load(tmp_path).table) == 5
    assert SPEC.options == {"dedup": False, "drop_constant": False}
    whole = load(tmp_path, dedup=True)
    assert whole.table["id"].tolist() == ["row-00000", "row-00002", "row-00003"]  # the copy in the test part stays
    assert whole.layout == "fer2013.csv; left out: 2 copies"
    assert [int(whole.read(row)[-1, -1, 0]) for row in range(3)] == [1, 9, 8]
    both = load(tmp_path, dedup=True, drop_constant=True)
    assert both.table["id"].tolist() == ["row-00002", "row-00003"]
    assert both.layout.endswith("left out: 1 constant images and 2 copies")
    assert both.expected_counts == {}
    assert len({load(tmp_path).fingerprint(), whole.fingerprint(), both.fingerprint()}) == 3


def test_reading_does_not_depend_on_the_order_or_on_neighbours(tmp_path):
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (21, 2304))
    faces[3, :] = 7
    cells = [" ".join(map(str, face)) for face in faces]
    cells[5] = cells[5].replace(" ", "\t")  # what int() reads, the quick way leaves to the slow one
    cells[6] = "  " + cells[6].replace(" ", "  ")
    cells[7] = " ".join(f"{value:03d}" for value in faces[7])
    cells[9] = cells[9] + " 4"
    cells[10] = " ".join(["1000", *map(str, faces[10][1:])])
    lines = "".join(f'0,"{cell}",Training\r\n' for cell in cells)
    (tmp_path / "fer2013.csv").write_bytes(("emotion,pixels,Usage\r\n" + lines).encode())
    dataset = load(tmp_path)
    for row in [20, 0, 3, 2, 8, 1, 7, 6, 5, 4, 16, 17, 11, *range(12, 21)]:
        assert np.array_equal(dataset.read(row).ravel(), faces[row]), row
    for row in (9, 10):
        with pytest.raises(FerError, match=f"row {row + 1}: the pixels"):
            dataset.read(row)
