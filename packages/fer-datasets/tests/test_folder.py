"""The folder dataset: class folders, split folders, CSV files, and the names of classes."""

import os

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.faces import Alignment
from fer_datasets.folder import load
from fer_datasets.labels import SYNONYMS, canonical
from fer_datasets.specs.folder import SPEC
from PIL import Image

KAGGLE = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def draw(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)


def named(dataset):
    """Id to class name."""
    return {
        sample: dataset.classes[label]
        for sample, label in zip(dataset.table["id"], dataset.table["label"], strict=True)
    }


def test_class_folders(tmp_path):
    for value, name in enumerate(KAGGLE):
        draw(tmp_path / name / "b.png", value)
        draw(tmp_path / name / "a.png", 100 + value)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "happy" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("x")
    dataset = load(tmp_path)
    assert dataset.classes == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert len(dataset.table) == 14
    assert named(dataset)["happy/a.png"] == "happiness"
    assert set(dataset.table["split"]) == {""}
    row = dataset.table["id"].tolist().index("sad/b.png")
    assert dataset.read(row)[0, 0].tolist() == [5, 5, 5]


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_split_folders(tmp_path, validation):
    for split in ("Train", validation, "test"):
        draw(tmp_path / split / "Happy" / "a.png")
    draw(tmp_path / "Train" / "Sad" / "a.png")
    draw(tmp_path / "test" / "sadness" / "a.png")
    dataset = load(tmp_path)
    assert dataset.classes == ("happiness", "sadness")
    roles = {
        sample: SPEC.splits[split]
        for sample, split in zip(dataset.table["id"], dataset.table["split"], strict=True)
    }
    assert roles == {
        "Train/Happy/a.png": "train",
        "Train/Sad/a.png": "train",
        f"{validation}/Happy/a.png": "val",
        "test/Happy/a.png": "test",
        "test/sadness/a.png": "test",
    }
    assert named(dataset)["test/sadness/a.png"] == "sadness"


def test_other_classes_keep_their_names(tmp_path):
    for name in ("happy", "bored"):
        draw(tmp_path / name / "a.png")
    assert load(tmp_path).classes == ("bored", "happy")


def test_numbers_are_sorted_by_value(tmp_path):
    for name in ("10", "2", "1"):
        draw(tmp_path / name / "a.png")
    assert load(tmp_path).classes == ("1", "2", "10")


def test_classes_fix_the_order(tmp_path):
    for name in ("angry", "happy"):
        draw(tmp_path / name / "a.png")
    dataset = load(tmp_path, classes=["happiness", "contempt", "anger"])
    assert dataset.classes == ("happiness", "contempt", "anger")
    assert named(dataset) == {"angry/a.png": "anger", "happy/a.png": "happiness"}
    assert dataset.table["label"].tolist() == [2, 0]
    assert load(tmp_path, classes=["happy", "angry"]).classes == ("happiness", "anger")


def test_classes_as_a_mapping_name_numbers(tmp_path):
    for name in ("1", "2", "3"):
        draw(tmp_path / "train" / name / "a.png")
    dataset = load(tmp_path, classes={3: "disgust", 1: "surprise", "2": "fear"})
    assert dataset.classes == ("disgust", "surprise", "fear")
    assert named(dataset)["train/2/a.png"] == "fear"


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["anger", "sadness"], "label 'happy' is not among the classes"),
        ({"angry": "anger"}, "label 'happy' is not among the classes"),
        (["happy", "happiness", "anger"], "names a class twice"),
        ("anger", "not a list or mapping"),
        ([], "label 'angry' is not among the classes"),
    ],
)
def test_classes_that_do_not_fit(tmp_path, classes, message):
    for name in ("angry", "happy"):
        draw(tmp_path / name / "a.png")
    with pytest.raises(FerError, match=message):
        load(tmp_path, classes=classes)


def test_every_expression_has_a_spelling():
    from fer_core.types import EXPRESSIONS

    assert set(SYNONYMS.values()) == set(EXPRESSIONS)
    assert canonical(["Angry", "SAD", "afraid"]) == ["anger", "sadness", "fear"]
    assert canonical(["angry", "bored"]) == ["angry", "bored"]


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(FerError, match="does not exist") as caught:
        load(tmp_path / "absent")
    assert "one folder a class" in caught.value.details
    with pytest.raises(FerError, match=r"no class folders with images.*it is empty"):
        load(tmp_path)
    (tmp_path / "happy").mkdir()
    with pytest.raises(FerError, match=r"no class folders with images.*found: happy"):
        load(tmp_path)


def test_a_class_without_an_image_is_named(tmp_path):
    for split, name in (("train", "happy"), ("train", "sad"), ("test", "happy"), ("test", "sad")):
        draw(tmp_path / split / name / "a.png")
    (tmp_path / "test" / "sad" / "a.png").unlink()
    assert load(tmp_path).classes == ("happiness", "sadness")  # one split has it
    (tmp_path / "train" / "sad" / "a.png").unlink()
    with pytest.raises(FerError, match=r"class sad has no image in any split: fill .*sad or remove it"):
        load(tmp_path)


def test_a_label_file_that_was_not_named_is_pointed_out(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "faces.csv").write_text("path,label\na.png,happy\n")
    with pytest.raises(FerError, match=r"named by -o data\.options\.csv=faces\.csv"):
        load(tmp_path)


def test_root_one_level_too_high(tmp_path):
    draw(tmp_path / "DATASET" / "train" / "happy" / "a.png")
    with pytest.raises(FerError, match=r"DATASET should hold images but holds folders \(train"):
        load(tmp_path)


def test_splits_beside_other_folders(tmp_path):
    draw(tmp_path / "train" / "happy" / "a.png")
    draw(tmp_path / "happy" / "a.png")
    with pytest.raises(FerError, match="train is a split, happy is not"):
        load(tmp_path)


@pytest.mark.parametrize("root_is_csv", [False, True])
def test_csv(tmp_path, root_is_csv):
    for name in ("x/a.png", "x/b.png", "c.png"):
        draw(tmp_path / name)
    (tmp_path / "list.csv").write_text(
        "\ufefflabel, path ,split,group,attribute_age\n"
        "happy,x/a.png,train,anna,20-39\nSad,x/b.png,Valid,ben, 4-19\nhappiness,c.png,,anna,\n",
        encoding="utf-8",
    )
    dataset = load(tmp_path / "list.csv") if root_is_csv else load(tmp_path, csv="list.csv")
    assert dataset.classes == ("happiness", "sadness")
    assert named(dataset) == {"x/a.png": "happiness", "x/b.png": "sadness", "c.png": "happiness"}
    assert dataset.table["split"].tolist() == ["train", "valid", ""]
    assert dataset.table["group"].tolist() == ["anna", "ben", "anna"]
    assert dataset.table["attribute_age"].tolist() == ["20-39", "4-19", ""]
    assert dataset.read(1).shape == (8, 8, 3)


def test_csv_needs_only_path_and_label(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path,label\r\na.png,happy\r\n")
    dataset = load(tmp_path, csv="list.csv")
    assert "group" not in dataset.table.columns
    assert dataset.table["split"].tolist() == [""]
    with pytest.raises(FerError, match=r"a\.png: it does not exist"):
        dataset.read(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,emotion\na.png,happy\n", r"lacks the column label \(it has: path, emotion\)"),
        ("path,label\n", "lists no images"),
        ("", "is empty"),
        ("path,label\n../a.png,happy\n", r"row 1: the path '\.\./a\.png' leaves"),
        ("path,label\na.png,happy\n/a.png,happy\n", "row 2: the path '/a.png' leaves"),
        ("path,label\na.png,\n", "row 1: the label is empty"),
        ("path,label,split\na.png,happy,tset\n", "no split 'tset': did you mean test"),
        ("path,label\na.png,happy\na.png,sad\n", "'a.png' is listed twice"),
        ("path,label\na.png,happy,extra,more\nb.png,sad\n", "line 2: 4 cells where 2 are expected"),
    ],
)
def test_damaged_csv(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(FerError, match=message) as caught:
        load(tmp_path, csv="list.csv")
    assert "\n" not in str(caught.value)


def test_csv_that_is_absent_outside_or_binary(tmp_path):
    with pytest.raises(FerError, match=r"label file list\.csv is missing"):
        load(tmp_path, csv="list.csv")
    with pytest.raises(FerError, match="leaves the dataset's folder"):
        load(tmp_path, csv="../list.csv")
    (tmp_path / "list.csv").write_bytes(b"path,label\n\xff\xfe\x00,happy\n")
    with pytest.raises(FerError, match="cannot read the label file"):
        load(tmp_path, csv="list.csv")


def test_fingerprint_does_not_depend_on_the_place(tmp_path):
    for place in ("one", "two"):
        draw(tmp_path / place / "happy" / "a.png", 3)
        draw(tmp_path / place / "sad" / "a.png", 4)
    first, second = load(tmp_path / "one").fingerprint(), load(tmp_path / "two").fingerprint()
    assert first == second
    draw(tmp_path / "two" / "sad" / "a.png", 5)
    assert load(tmp_path / "two").fingerprint() != first


def test_how_the_faces_were_cut_is_read_beside_them(tmp_path):
    for split in ("train", "test"):
        draw(tmp_path / split / "happy" / "a.png")
    assert load(tmp_path).alignment is None
    (tmp_path / "alignment.json").write_text('{"kind": "points", "template": "arcface", "size": 112}')
    assert load(tmp_path).alignment == Alignment(kind="points", template="arcface", size=112)
    (tmp_path / "labels.csv").write_text("path,label\ntrain/happy/a.png,happy\n")
    assert load(tmp_path, csv="labels.csv").alignment == load(tmp_path / "labels.csv").alignment
    assert load(tmp_path, csv="labels.csv").alignment.template == "arcface"


WRONG = ["", "[]", '{"kind": "points"}', '{"kind": "box", "margin": 1e999}', "\xff", "{" * 9999]


@pytest.mark.parametrize("content", WRONG)
def test_a_wrong_alignment_is_one_line(tmp_path, content):
    draw(tmp_path / "happy" / "a.png")
    (tmp_path / "alignment.json").write_text(content, encoding="latin-1")
    with pytest.raises(FerError, match=r"alignment\.json: .*: correct it") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_alignment_that_is_no_file_is_one_line(tmp_path):
    draw(tmp_path / "happy" / "a.png")
    os.mkfifo(tmp_path / "alignment.json")
    with pytest.raises(FerError, match=r"alignment\.json is not a regular file"):
        load(tmp_path)
