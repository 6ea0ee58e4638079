"""RAF-DB: the official layout in miniature and a label file of official size."""

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets.rafdb import load
from fer_datasets.specs.rafdb import SPEC
from PIL import Image

# Counted in the official label file, in the order of its labels 1 to 7.
NAMES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
OFFICIAL = {
    "train": dict(zip(NAMES, (1290, 281, 717, 4772, 1982, 705, 2524), strict=True)),
    "test": dict(zip(NAMES, (329, 74, 160, 1185, 478, 162, 680), strict=True)),
}
MINIATURE = "train_00001.jpg 5\ntrain_00002.jpg 1\ntest_0001.jpg 7"


def build(root, labels=MINIATURE, below="Image/aligned"):
    (root / "EmoLabel").mkdir(parents=True)
    (root / "EmoLabel" / "list_patition_label.txt").write_bytes(labels.encode())
    (root / below).mkdir(parents=True)
    for value, name in enumerate(("train_00001", "train_00002", "test_0001")):
        image = Image.fromarray(np.full((100, 100, 3), 40 * value, np.uint8))
        image.save(root / below / f"{name}_aligned.jpg")
    return root


def test_miniature(tmp_path):
    dataset = load(build(tmp_path))
    assert dataset.classes == NAMES
    assert dataset.table["id"].tolist() == ["train_00001", "train_00002", "test_0001"]
    assert dataset.table["split"].tolist() == ["train", "train", "test"]
    assert [dataset.classes[label] for label in dataset.table["label"]] == ["sadness", "surprise", "neutral"]
    assert dataset.table["source"].tolist()[2] == "Image/aligned/test_0001_aligned.jpg"
    image = dataset.read(2)
    assert image.shape == (100, 100, 3)
    assert (image == 80).all()


def test_full_size_label_file_is_read_without_images(tmp_path):
    lines = []
    for split, digits in (("train", 5), ("test", 4)):
        labels = [label for label, count in enumerate(OFFICIAL[split].values(), start=1) for _ in range(count)]
        np.random.default_rng(0).shuffle(labels)
        lines += [f"{split}_{number:0{digits}d}.jpg {label}" for number, label in enumerate(labels, start=1)]
    dataset = load(build(tmp_path, "\n".join(lines)))
    assert len(dataset.table) == 15_339
    assert dataset.table["split"].value_counts().to_dict() == {"train": 12_271, "test": 3_068}
    for split, expected in OFFICIAL.items():
        rows = dataset.table[dataset.table["split"] == split]
        counts = rows["label"].value_counts()
        assert {name: counts[label] for label, name in enumerate(dataset.classes)} == expected
    assert SPEC.expected_counts == OFFICIAL
    assert set(dataset.table["split"]) == {"train", "test"}


@pytest.mark.parametrize(
    "labels",
    [
        MINIATURE.replace("\n", "\r\n"),
        MINIATURE.replace("\n", "  \n") + " \n\n",
        "\ufeff" + MINIATURE,
        MINIATURE.replace(" ", "\t"),
    ],
)
def test_copies_with_other_line_ends_and_blanks(tmp_path, labels):
    table = load(build(tmp_path, labels)).table
    assert table["label"].tolist() == [4, 0, 6]
    assert table["id"].tolist()[0] == "train_00001"


def test_doubled_folder(tmp_path):
    dataset = load(build(tmp_path, below="Image/aligned/aligned"))
    assert dataset.read(0).shape == (100, 100, 3)


def test_root_above_basic(tmp_path):
    build(tmp_path / "basic")
    dataset = load(tmp_path)
    assert dataset.table["source"].tolist()[0] == "basic/Image/aligned/train_00001_aligned.jpg"
    assert dataset.read(0).shape == (100, 100, 3)
    assert dataset.fingerprint() == load(tmp_path / "basic").fingerprint()


def test_original_images(tmp_path):
    build(tmp_path)
    with pytest.raises(FerError, match="Image/original is missing"):
        load(tmp_path, images="original")
    (tmp_path / "Image" / "original").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "Image" / "original" / "test_0001.jpg")
    original = load(tmp_path, images="original")
    assert original.read(2).shape == (200, 300, 3)
    assert original.alignment.kind == "none"
    assert load(tmp_path).alignment is None  # by landmarks, to a template that is not stated
    with pytest.raises(FerError, match="no images 'alinged': did you mean aligned"):
        load(tmp_path, images="alinged")


def test_missing_folder_and_wrong_layout(tmp_path):
    with pytest.raises(FerError, match="does not exist") as caught:
        load(tmp_path / "absent")
    assert "list_patition_label.txt" in caught.value.details
    assert SPEC.homepage in str(caught.value)
    (tmp_path / "holiday" / "1").mkdir(parents=True)
    with pytest.raises(FerError, match=r"list_patition_label\.txt is missing.*found: holiday"):
        load(tmp_path)
    (tmp_path / "train" / "1").mkdir(parents=True)
    with pytest.raises(FerError, match="neither test nor valid beside it"):
        load(tmp_path)


def test_labels_without_images(tmp_path):
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "EmoLabel" / "list_patition_label.txt").write_text(MINIATURE)
    with pytest.raises(FerError, match=r"Image/aligned is missing.*found: EmoLabel"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("train_00001.jpg 0", "line 1: the label '0' is not in 1..7"),
        ("train_00001.jpg 5\ntrain_00002.jpg 8", "line 2: the label '8' is not in 1..7"),
        ("train_00001.jpg happy", "line 1: the label 'happy' is not in 1..7"),
        ("train_00001.jpg", "line 1: 'train_00001.jpg' is not of the form"),
        ("../../train_00001.jpg 5", "line 1: .* is not of the form"),
        ("/train_00001.jpg 5", "line 1: .* is not of the form"),
        ("train_00001.jpg 5\ntrain_00001.jpg 6", "'train_00001' is listed twice"),
        ("", "is empty"),
    ],
)
def test_damaged_label_file(tmp_path, labels, message):
    with pytest.raises(FerError, match=message) as caught:
        load(build(tmp_path, labels))
    assert "\n" not in str(caught.value)


def test_a_missing_image_is_named_when_read_or_hashed(tmp_path):
    dataset = load(build(tmp_path))
    (tmp_path / "Image" / "aligned" / "test_0001_aligned.jpg").unlink()
    with pytest.raises(FerError, match=r"test_0001_aligned\.jpg: it does not exist"):
        dataset.read(2)
    with pytest.raises(FerError, match=r"test_0001_aligned\.jpg"):
        dataset.fingerprint()
