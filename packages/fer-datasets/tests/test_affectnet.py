"""AffectNet: five layouts in miniature, and the traps of each."""

import numpy as np
import pytest
from fer_core.data.splits import make_split
from fer_core.errors import FerError
from fer_datasets.affectnet import load
from fer_datasets.npy_labels import read_npy_labels
from fer_datasets.specs.affectnet import SPEC
from PIL import Image

# Number in the files -> name, as the dataset's read-me lists them.
NUMBERS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
TRAIN, VAL = (0, 1, 2, 3, 4, 5, 6, 7, 7, 10), (0, 1, 7)


def picture(path, value=0, size=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(path)


def release(root, val="val_set", doubled=False):
    for split, labels in (("train_set", TRAIN[:9]), (val, VAL)):
        part = root / split / split if doubled else root / split
        for number, label in enumerate(labels):
            picture(part / "images" / f"{number}.jpg", 10 * number)
            (part / "annotations").mkdir(exist_ok=True)
            np.save(part / "annotations" / f"{number}_exp.npy", np.array(str(label)))
            np.save(part / "annotations" / f"{number}_val.npy", np.array("-0.5"))
        (part / "images" / ".DS_Store").write_bytes(b"x")
    return root


def named(dataset, split):
    rows = dataset.table[dataset.table["split"] == split]
    return [dataset.classes[label] for label in rows["label"]]


def test_release_with_text_in_npy(tmp_path):
    dataset = load(release(tmp_path))
    assert dataset.layout == "release"
    assert dataset.classes == NUMBERS == SPEC.classes
    assert named(dataset, "train") == [NUMBERS[label] for label in TRAIN[:9]]
    assert named(dataset, "val") == ["neutral", "happiness", "contempt"]
    assert dataset.table["id"].tolist()[8:10] == ["train/8", "val/0"]
    assert dataset.table["source"].tolist()[1] == "train_set/images/1.jpg"
    assert dataset.read(1).shape == (8, 8, 3)
    assert dataset.expected_counts == SPEC.expected_counts


def test_seven_classes_leave_contempt_out(tmp_path):
    dataset = load(release(tmp_path), classes=7)
    assert dataset.classes == NUMBERS[:7]
    assert named(dataset, "train") == list(NUMBERS[:7])
    assert len(named(dataset, "val")) == 2
    assert dataset.layout == "release; 3 images of contempt left out"
    assert sum(dataset.expected_counts["train"].values()) == 283_901
    assert sum(dataset.expected_counts["val"].values()) == 3_500
    with pytest.raises(FerError, match="no 6 classes: give 8, or 7"):
        load(tmp_path, classes=6)


def test_counts_of_the_release():
    assert sum(SPEC.expected_counts["train"].values()) == 287_651
    assert sum(SPEC.expected_counts["val"].values()) == 3_999


def test_the_validation_part_is_the_test_part(tmp_path):
    dataset = load(release(tmp_path), classes=7)
    split = make_split(dataset, SPEC.splits, "official", holdout=0.1, seed=0, select="last")
    assert dataset.table["split"].iloc[split.test].tolist() == ["val", "val"]
    assert len(split.val) == 0


@pytest.mark.parametrize("outer", ["", "AffectNet"])
def test_doubled_folders_and_a_folder_above(tmp_path, outer):
    release(tmp_path / outer, doubled=True)
    dataset = load(tmp_path)
    assert dataset.table["source"].iloc[0] == "/".join(filter(None, (outer, "train_set/train_set/images/0.jpg")))
    assert dataset.read(0).shape == (8, 8, 3)


def test_labels_and_images_that_miss_each_other_are_told(tmp_path):
    release(tmp_path)
    (tmp_path / "train_set" / "images" / "2.jpg").unlink()
    (tmp_path / "train_set" / "annotations" / "3_exp.npy").unlink()
    dataset = load(tmp_path)
    assert dataset.layout == "release; 1 images without a label left out; 1 labels without an image, first 2"
    with pytest.raises(FerError, match=r"images/2\.jpg: it does not exist"):
        dataset.read(2)


def test_half_a_release(tmp_path):
    release(tmp_path)
    for path in (tmp_path / "val_set" / "annotations").iterdir():
        path.unlink()
    with pytest.raises(FerError, match=r"val_set/annotations holds no \*_exp\.npy"):
        load(tmp_path)
    (tmp_path / "val_set" / "annotations").rmdir()
    with pytest.raises(FerError, match="val_set/annotations is missing"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("value", "number"),
    [("7", 7), (" 3 ", 3), (b"4", 4), ("3.0", 3), (np.int64(5), 5), (np.float32(6), 6), (["2"], 2)],
)
def test_numbers_in_npy(tmp_path, value, number):
    np.save(tmp_path / "a.npy", np.array(value))
    assert read_npy_labels(tmp_path, ["a.npy"] * 3).tolist() == [number] * 3


@pytest.mark.parametrize(
    "value", [np.array("happy"), np.array(1.5), np.array(["1", "2"]), np.array({"a": 1}), np.array(float("inf"))]
)
def test_other_npy_files_are_refused_and_never_unpickled(tmp_path, value):
    np.save(tmp_path / "a.npy", value, allow_pickle=True)
    with pytest.raises(FerError, match=r"a\.npy is not a \.npy file with one whole number"):
        read_npy_labels(tmp_path, ["a.npy"])


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"7\n"])
def test_damaged_npy_files(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(FerError, match=r"a\.npy"):
        read_npy_labels(tmp_path, ["a.npy"])
    with pytest.raises(FerError, match=r"cannot read the label .*b\.npy"):
        read_npy_labels(tmp_path, ["b.npy"])


HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"


def full(root, header=HEADER, lists="", images="Manually_Annotated_Images"):
    for name, labels in (("training", TRAIN), ("validation", VAL)):
        lines = []
        for number, label in enumerate(labels):
            file = f"{number % 2}/{name}{number}.jpg"
            picture(root / images / file)
            lines.append(f"{file},1,2,3,4,1.0;2.0;3.0,{label},-2,-2")
        (root / lists).mkdir(exist_ok=True)
        text = (header if name == "training" else "") + "\n".join(lines) + "\n"
        (root / lists / f"{name}.csv").write_text(text, encoding="utf-8-sig")
    return root


@pytest.mark.parametrize("header", [HEADER, "", HEADER.replace(",", ", ").replace("\n", "\r\n")])
def test_full_release(tmp_path, header):
    """Labels run to 10; some copies of validation.csv (and training.csv) have no header."""
    dataset = load(full(tmp_path, header))
    assert named(dataset, "train") == [NUMBERS[label] for label in TRAIN[:9]]
    assert named(dataset, "val") == ["neutral", "happiness", "contempt"]
    assert dataset.layout == "full; 1 images without an expression (labels 8 to 10) left out"
    assert dataset.table["source"].iloc[1] == "Manually_Annotated_Images/1/training1.jpg"
    assert dataset.table["id"].iloc[1] == "train/1/training1"
    assert dataset.read(1).shape == (8, 8, 3)
    assert dataset.expected_counts["train"]["contempt"] == 3_750
    assert "contempt" not in dataset.expected_counts["val"]


def test_full_release_as_its_archives_unpack(tmp_path):
    full(tmp_path, lists="Manually_Annotated_file_lists", images="Manually_Annotated/Manually_Annotated_Images")
    dataset = load(tmp_path, classes=7)
    assert named(dataset, "train") == list(NUMBERS[:7])
    assert dataset.read(0).shape == (8, 8, 3)


@pytest.mark.parametrize("bad", ["../../x.jpg", "/etc/x.jpg", "C:\\x.jpg", "a/../../x.jpg", ""])
@pytest.mark.parametrize("layout", ["full", "lists", "affectnet.csv"])
def test_paths_that_leave_the_folder(tmp_path, bad, layout):
    if layout == "full":
        full(tmp_path)
        (tmp_path / "training.csv").write_text(f"{HEADER}0/a.jpg,1,2,3,4,5,1,0,0\n{bad},1,2,3,4,5,1,0,0\n")
    elif layout == "lists":
        lists(tmp_path)
        (tmp_path / "train_set" / "train_annotations_8class.txt").write_text(f"a.jpg 1\n{bad or chr(34) * 0} 1\n")
    else:
        (tmp_path / "affectnet.csv").write_text(f"phase,img_path,label\ntrain,a.jpg,1\ntrain,{bad},1\n")
    with pytest.raises(FerError, match=r"leaves the dataset's folder|path is empty|not of the form"):
        load(tmp_path)


def lists(root, classes=8, val="valid_set", ending="\n"):
    for split, labels in (("train_set", TRAIN[:9]), (val, VAL)):
        kept = [(number, label) for number, label in enumerate(labels) if label < classes]
        for number, _ in kept:
            picture(root / split / "images" / f"{number}.jpg")
        text = ending.join(f"{number}.jpg {label}" for number, label in kept)
        name = "train" if split == "train_set" else "valid"
        (root / split / f"{name}_annotations_{classes}class.txt").write_bytes(("\ufeff" + text).encode())
    return root


@pytest.mark.parametrize("ending", ["\n", "\r\n", "  \n\n"])
def test_lists_of_poster(tmp_path, ending):
    dataset = load(lists(tmp_path, ending=ending))
    assert named(dataset, "train") == [NUMBERS[label] for label in TRAIN[:9]]
    assert dataset.layout.startswith("lists (train_annotations_8class.txt, valid_annotations_8class.txt)")
    assert dataset.table["source"].iloc[-1] == "valid_set/images/2.jpg"
    assert dataset.read(0).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty: restore"),
        ("\n \n", "is empty: restore"),
        ("0.jpg 1\n1.jpg inf\n", "row 2: the label 'inf' is not a whole number"),
        ("0.jpg " + "9" * 400, "is not a whole number"),
    ],
)
def test_damaged_lists_are_refused(tmp_path, content, message):
    (tmp_path / "train_set").mkdir()
    (tmp_path / "train_set/train_annotations_8class.txt").write_text(content)
    with pytest.raises(FerError, match=rf"train_annotations_8class.txt.* {message}"):
        load(tmp_path)


def test_a_cache_without_rows_is_refused(tmp_path):
    (tmp_path / "affectnet.csv").write_text("phase,img_path,label\n")
    with pytest.raises(FerError, match=r"affectnet.csv has a header but no rows: restore"):
        load(tmp_path)


def test_lists_of_seven_classes(tmp_path):
    lists(tmp_path, classes=7)
    with pytest.raises(FerError, match=r"contempt is absent: give -o data\.options\.classes=7"):
        load(tmp_path)
    assert named(load(tmp_path, classes=7), "train") == list(NUMBERS[:7])
    lists(tmp_path, classes=8)  # the longer list is the complete one
    assert "contempt" in named(load(tmp_path), "val")


@pytest.mark.parametrize("before", ["", "datasets/AfectNet/", "/home/dan/affectnet/", "D:\\data\\"])
def test_cache_of_dan(tmp_path, before):
    """Its paths begin with the folder of whoever wrote it, and it has an index column."""
    rows = ["phase,img_path,label"]
    for split, labels in (("train", TRAIN[:9]), ("val", VAL)):
        for number, label in enumerate(labels):
            picture(tmp_path / f"{split}_set" / "images" / f"{number}.jpg")
            rows.append(f"{split},{before}{split}_set/images/{number}.jpg,{label}")
    numbered = [f"{index - 1 if index else ''},{row}" for index, row in enumerate(rows)]
    (tmp_path / "affectnet.csv").write_text("\n".join(numbered))
    dataset = load(tmp_path)
    assert dataset.layout == "affectnet.csv"
    assert named(dataset, "train") == [NUMBERS[label] for label in TRAIN[:9]]
    assert dataset.table["source"].iloc[-1] == "val_set/images/2.jpg"
    assert dataset.table["id"].iloc[-1] == "val/2"
    assert dataset.read(0).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "names", [tuple("01234567"), ("Neutral", "happy", "sad", "surprise", "fear", "disgust", "ANGRY", "contempt")]
)
@pytest.mark.parametrize("val", ["val", "valid"])
def test_class_folders(tmp_path, names, val):
    for split in ("train", val):
        for number, name in enumerate(names):
            picture(tmp_path / split / name / f"{number}.png")
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    dataset = load(tmp_path)
    assert dataset.layout == "class folders"
    for _, row in dataset.table.iterrows():
        assert dataset.classes[row["label"]] == NUMBERS[int(row["source"][-5])]
    assert set(dataset.table["split"]) == {"train", "val"}
    assert len(load(tmp_path, classes=7).table) == 14


def test_class_folders_that_are_none_or_twice(tmp_path):
    picture(tmp_path / "train" / "0" / "a.jpg")
    picture(tmp_path / "train" / "8" / "a.jpg")
    with pytest.raises(FerError, match=r"train/8 is not a class folder \(neutral"):
        load(tmp_path)
    (tmp_path / "train" / "8").rename(tmp_path / "train" / "neutral")
    with pytest.raises(FerError, match="holds neutral twice, as 0 and neutral"):
        load(tmp_path)


@pytest.mark.parametrize("label", ["11", "-1", "x", "1.5"])
def test_labels_out_of_range(tmp_path, label):
    full(tmp_path)
    (tmp_path / "training.csv").write_text(f"{HEADER}0/a.jpg,1,2,3,4,5,{label},0,0\n")
    with pytest.raises(FerError, match=r"labels are not in 0\.\.10|is not a whole number"):
        load(tmp_path)


def test_unknown_folder(tmp_path):
    (tmp_path / "Image").mkdir()
    with pytest.raises(FerError, match=r"neither train_set.*found: Image") as caught:
        load(tmp_path)
    assert "Layout 'release'" in caught.value.details
    assert "\n" not in str(caught.value)
    (tmp_path / "train_set").mkdir()
    with pytest.raises(FerError, match="train_set hold neither annotations"):
        load(tmp_path)
    with pytest.raises(FerError, match="does not exist"):
        load(tmp_path / "absent")
