"""RAF-DB as users have it: class folders, plain names, attributes, the compound set."""

import pytest
from fer_core.data.attributes import attributes_of
from fer_core.errors import FerError
from fer_datasets.rafdb import load, load_compound
from fer_datasets.specs import rafdb_compound
from fer_datasets.specs.rafdb import SPEC
from PIL import Image


def draw(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 100)).save(root / name)


def rows(dataset):
    table = dataset.table
    return [
        (sample, split, dataset.classes[label])
        for sample, split, label in zip(table["id"], table["split"], table["label"], strict=True)
    ]


KAGGLE = ["train/5/train_00001_aligned.jpg", "train/1/train_00002_aligned.jpg", "test/7/test_0001_aligned.jpg"]
KAGGLE_ROWS = [
    ("train_00002", "train", "surprise"),
    ("train_00001", "train", "sadness"),
    ("test_0001", "test", "neutral"),
]


@pytest.mark.parametrize("below", ["DATASET", "."])
@pytest.mark.parametrize("csv", [True, False])
def test_kaggle(tmp_path, below, csv):
    draw(tmp_path / below, KAGGLE)
    (tmp_path / below / "train" / "5" / ".DS_Store").write_bytes(b"x")
    (tmp_path / below / "train" / ".cache").mkdir()
    if csv:
        text = "image,label\r\ntrain_00001_aligned.jpg,5\r\ntrain_00002_aligned.jpg,1\r\n"
        (tmp_path / "train_labels.csv").write_bytes(("\ufeff" + text).encode())
        (tmp_path / "test_labels.csv").write_text("image,label\ntest_0001_aligned.jpg,7\n")
    dataset = load(tmp_path)
    assert rows(dataset) == KAGGLE_ROWS
    assert dataset.layout == "class folders numbered from 1" + (", labels as in the csv files" if csv else "")
    assert dataset.read(2).shape == (100, 100, 3)
    with pytest.raises(FerError, match="holds one kind of image"):
        load(tmp_path, images="original")


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        ("train_00001_aligned.jpg,4\ntrain_00002_aligned.jpg,1\n", "1 images .*train_00001_aligned"),
        ("train_00001_aligned.jpg,5\n", "1 images .*train_00002_aligned"),
        ("train_00001_aligned.jpg,5\ntrain_00002_aligned.jpg,1\ntrain_00003_aligned.jpg,1\n", "train_00003"),
        ("train_00001_aligned.jpg,8\n", "the label '8'"),
    ],
)
def test_kaggle_folders_against_their_csv(tmp_path, lines, first):
    draw(tmp_path / "DATASET", KAGGLE)
    (tmp_path / "train_labels.csv").write_text("image,label\n" + lines)
    (tmp_path / "test_labels.csv").write_text("image,label\ntest_0001_aligned.jpg,7\n")
    with pytest.raises(FerError, match=first):
        load(tmp_path)


def test_valid_beside_train_is_the_official_test_part(tmp_path):
    draw(tmp_path, ["Train/Happy/train_00001_aligned.jpg", "VALID/angry/test_0001_aligned.jpg"])
    dataset = load(tmp_path)
    assert rows(dataset) == [("train_00001", "train", "happiness"), ("test_0001", "test", "anger")]
    assert dataset.layout == "class folders, valid is the official test part"


def test_valid_taken_out_of_train(tmp_path):
    names = ["train/fear/train_00001.jpg", "val/fear/train_00002.jpg", "test/fear/test_0001.jpg"]
    draw(tmp_path, names)
    dataset = load(tmp_path)
    assert [split for _, split, _ in rows(dataset)] == ["train", "valid", "test"]
    assert SPEC.splits["valid"] == "val"
    assert set(dataset.expected_counts) == {"test"}


@pytest.mark.parametrize(
    "names",
    [
        ["train/fear/train_00001.jpg", "train/fear/test_0002.jpg", "test/fear/test_0001.jpg"],
        ["train/fear/train_00001.jpg", "test/fear/train_00002.jpg"],
        ["train/fear/train_00001.jpg", "valid/fear/train_00002.jpg"],
        ["train/fear/train_00001.jpg", "valid/fear/train_00002.jpg", "valid/fear/test_0001.jpg"],
    ],
)
def test_a_split_of_its_own_is_called_custom(tmp_path, names):
    draw(tmp_path, names)
    dataset = load(tmp_path)
    assert {split for _, split, _ in rows(dataset)} == {"custom-train", "custom-test"}
    assert "custom split" in dataset.layout
    assert dataset.expected_counts == {}


def test_names_of_their_own_leave_the_split_to_the_folders(tmp_path):
    draw(tmp_path, ["train/fear/a.jpg", "valid/fear/a.png"])
    dataset = load(tmp_path)
    assert rows(dataset) == [("train/fear/a", "train", "fear"), ("valid/fear/a", "test", "fear")]
    assert dataset.layout.endswith("valid taken for the test part")


@pytest.mark.parametrize(("largest", "first"), [(3, "surprise"), (1, "neutral")])
def test_numbers_from_0_are_told_apart_by_the_largest_class(tmp_path, largest, first):
    names = [f"{split}/{number}/{split}_{number}.jpg" for split in ("train", "test") for number in range(7)]
    draw(tmp_path, [*names, f"train/{largest}/train_77.jpg"])
    dataset = load(tmp_path)
    assert rows(dataset)[0] == ("train_0", "train", first)
    assert f"numbered from 0 ({first}" in dataset.layout
    names = {sample: label for sample, _, label in rows(dataset)}
    assert names["train_77"] == "happiness"


def test_numbers_from_0_without_a_sign_are_refused(tmp_path):
    draw(tmp_path, ["train/0/a.jpg", "train/2/b.jpg", "train/2/c.jpg", "test/0/d.jpg"])
    with pytest.raises(FerError, match=r"unclear.*dataset folder"):
        load(tmp_path)


def test_a_folder_that_is_no_class_is_refused(tmp_path):
    draw(tmp_path, ["train/happy/a.jpg", "train/bored/a.jpg", "test/happy/a.jpg"])
    with pytest.raises(FerError, match="bored is not a class folder"):
        load(tmp_path)


@pytest.mark.parametrize("labels", ["EmoLabel/list_patition_label.txt", "list_patition_label.txt"])
def test_plain_names_of_another_alignment(tmp_path, labels):
    draw(tmp_path, ["RAF/train_00001.jpg", "RAF/test_0001.jpg"])
    (tmp_path / labels).parent.mkdir(exist_ok=True)
    (tmp_path / labels).write_text("train_00001.jpg 5\ntest_0001.jpg 7")
    dataset = load(tmp_path)
    assert dataset.table["source"].tolist() == ["RAF/train_00001.jpg", "RAF/test_0001.jpg"]
    assert rows(dataset) == [("train_00001", "train", "sadness"), ("test_0001", "test", "neutral")]
    assert "another alignment" in dataset.layout


def official(root, labels="train_00001.jpg 5\ntest_0001.jpg 7", folders=("EmoLabel", "Image/aligned")):
    (root / folders[0]).mkdir(parents=True)
    (root / folders[0] / "list_patition_label.txt").write_text(labels)
    draw(root / folders[1], [f"{line.split('.')[0]}_aligned.jpg" for line in labels.split("\n")])


def test_folders_in_another_case_and_packed_images(tmp_path):
    official(tmp_path / "a", folders=("emolabel", "image/Aligned/aligned"))
    dataset = load(tmp_path / "a")
    assert dataset.read(1).shape == (100, 100, 3)
    assert dataset.layout == "official, aligned images"
    official(tmp_path / "b", folders=("EmoLabel", "Image"))
    (tmp_path / "b" / "Image" / "aligned.zip").write_bytes(b"x")
    with pytest.raises(FerError, match=r"Image/aligned is missing \(unpack aligned\.zip\)"):
        load(tmp_path / "b")


LANDMARKS = "30.5\t44.25\n" * 5


def test_attributes(tmp_path):
    official(tmp_path)
    assert not [column for column in load(tmp_path).table if "attribute" in column]
    folder = tmp_path / "Annotation" / "manual"
    folder.mkdir(parents=True)
    (folder / "train_00001_manu_attri.txt").write_bytes((LANDMARKS + "1\n2\n4").replace("\n", "\r\n").encode())
    assert attributes_of(load(tmp_path)) == {
        "age": ["70+", "unknown"],
        "gender": ["female", "unknown"],
        "race": ["Asian", "unknown"],
    }


@pytest.mark.parametrize("tail", ["1\n2", "1\n2\n5", "1\n-1\n0", "1\nx\n0", "1\n2\n3\n4"])
def test_damaged_attributes(tmp_path, tail):
    official(tmp_path)
    folder = tmp_path / "Annotation" / "manual"
    folder.mkdir(parents=True)
    (folder / "test_0001_manu_attri.txt").write_text(LANDMARKS + tail)
    with pytest.raises(FerError, match=r"test_0001_manu_attri\.txt is not five landmarks"):
        load(tmp_path)


def test_compound_beside_basic(tmp_path):
    official(tmp_path / "basic")
    official(tmp_path / "compound", "train_0001.jpg 1\ntest_0001.jpg 11")
    assert [label for _, _, label in rows(load(tmp_path))] == ["sadness", "neutral"]
    compound = load_compound(tmp_path)
    assert rows(compound) == [
        ("train_0001", "train", "happily_surprised"),
        ("test_0001", "test", "disgustedly_surprised"),
    ]
    assert compound.name == "rafdb_compound"
    assert len(rafdb_compound.CLASSES) == 11
    with pytest.raises(FerError, match="those of the basic set"):
        load_compound(tmp_path / "basic")
    with pytest.raises(FerError, match=r"the label '11' is not in 1\.\.7"):
        load(tmp_path / "compound")
