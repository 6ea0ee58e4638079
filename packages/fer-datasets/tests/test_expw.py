import numpy as np
import pytest
from fer_core.data.splits import make_split
from fer_core.errors import FerError
from fer_core.faces import Alignment
from fer_datasets.expw import load
from fer_datasets.specs.expw import SPEC
from PIL import Image

NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
# top left right bottom: the face of the first line is 30 wide and 20 high.
LINES = (
    "angry_actor_104.jpg 0 10 40 70 30 22.9362 0",
    "angry_actor_104.jpg 1 0 0 20 20 60 6",
    "happy_baby_1.jpg 0 -5 80 130 25.4 31.5 3",
)


def build(root, lines=LINES, images="image/origin", labels="label"):
    (root / labels).mkdir(parents=True, exist_ok=True)
    (root / labels / "label.lst").write_bytes("\n".join(lines).encode())
    (root / images).mkdir(parents=True, exist_ok=True)
    for name in ("angry_actor_104.jpg", "happy_baby_1.jpg"):
        gradient = np.zeros((60, 100, 3), np.uint8)
        gradient[..., 0] = np.arange(100)  # red tells the column, green the row
        gradient[..., 1] = np.arange(60)[:, None]
        Image.fromarray(gradient).save(root / images / name, format="PNG")  # exact pixels under the usual name
    return root


def test_several_faces_of_one_picture_keep_their_labels(tmp_path):
    dataset = load(build(tmp_path))
    assert dataset.classes == NAMES
    table = dataset.table
    assert table["id"].tolist() == ["angry_actor_104.jpg#0", "angry_actor_104.jpg#1", "happy_baby_1.jpg#0"]
    assert [NAMES[label] for label in table["label"]] == ["anger", "neutral", "happiness"]
    assert table["group"].tolist() == ["angry_actor_104.jpg", "angry_actor_104.jpg", "happy_baby_1.jpg"]
    assert set(table["split"]) == {""}
    assert dataset.layout.startswith("official (3 faces in 2 photographs, crop 1")


def test_the_order_is_top_left_right_bottom_and_boxes_are_clipped(tmp_path):
    dataset = load(build(tmp_path))
    face = dataset.read(0)
    assert face.shape == (20, 30, 3)
    assert face[0, 0].tolist()[:2] == [40, 10]
    assert face[-1, -1].tolist()[:2] == [69, 29]
    clipped = dataset.read(2)  # beyond the top and the right edge, and not in whole pixels
    assert clipped.shape == (25, 20, 3)
    assert clipped[0, 0].tolist()[:2] == [80, 0]


def test_crop_enlarges_to_a_square(tmp_path):
    plain, wide = load(build(tmp_path)), load(tmp_path, crop=1.2)
    assert (plain.alignment, wide.alignment) == (None, Alignment(kind="box", margin=0.2))
    assert wide.table.loc[0, ["box_left", "box_top", "box_right", "box_bottom"]].tolist() == [37, 2, 73, 38]
    assert wide.read(0).shape == (36, 36, 3)
    assert wide.read(1).shape == (22, 22, 3)
    assert plain.fingerprint() != wide.fingerprint()
    assert plain.fingerprint() == load(tmp_path).fingerprint()
    for wrong in (0, -1, True, "big", float("nan")):
        with pytest.raises(FerError, match="crop cannot be"):
            load(tmp_path, crop=wrong)


def test_the_default_split_keeps_pictures_whole_and_is_seeded(tmp_path):
    lines = [f"p_{i // 2:04d}.jpg {i % 2} 0 0 10 10 1.0 {i // 2 % 7}" for i in range(700)]
    dataset = load(build(tmp_path, lines))
    split = make_split(dataset, SPEC.splits, "official", holdout=0.1, seed=0, select="best:val")
    assert split.protocol == "stratified-shuffle:0"
    parts = [split.train, split.val, split.test]
    assert sum(map(len, parts)) == 700
    assert [abs(len(part) / 700 - share) < 0.03 for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True)] == [
        True
    ] * 3
    groups = [set(dataset.table["group"].iloc[part]) for part in parts]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    other = make_split(dataset, SPEC.splits, "official", holdout=0.1, seed=1, select="best:val")
    assert other.digest != split.digest


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("Image/Origin", "Label"),
        ("image/origin/origin", "label/label"),
        ("origin", "."),
        ("ExpW/image/origin", "ExpW/label"),
    ],
)
def test_other_places_of_the_folders(tmp_path, images, labels):
    build(tmp_path, images=images, labels=labels)
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    assert load(tmp_path).read(0).shape == (20, 30, 3)


def test_blanks_line_ends_and_mark(tmp_path):
    build(tmp_path, ["\ufeff" + LINES[0] + "  \r", "", "two words.jpg  0\t0 0 20 20 1 5\r"])
    table = load(tmp_path).table
    assert table["id"].tolist() == ["angry_actor_104.jpg#0", "two words.jpg#0"]
    assert table["label"].tolist() == [0, 5]


def test_aligned_pictures_show_one_face_each(tmp_path):
    build(tmp_path, [*LINES, "gone.jpg 0 0 0 10 10 1 2"], images="aligned_image")
    dataset = load(tmp_path)
    assert dataset.table["id"].tolist() == ["happy_baby_1.jpg#0"]
    assert dataset.layout.startswith("aligned (1 faces")
    assert "1 faces without an image left out; 2 faces that share an image left out" in dataset.layout
    assert dataset.read(0).shape == (60, 100, 3)
    assert dataset.expected_counts == {}
    kept = load(tmp_path, shared="keep")
    assert len(kept.table) == 3
    assert "2 faces that share an image kept" in kept.layout
    with pytest.raises(FerError, match=r"crop 1\.3 needs whole photographs"):
        load(tmp_path, crop=1.3)
    with pytest.raises(FerError, match="shared cannot be 'leave'"):
        load(tmp_path, shared="leave")


def test_whole_pictures_win_where_both_are_there(tmp_path):
    build(tmp_path, images="aligned_image")
    build(tmp_path)
    assert load(tmp_path).layout.startswith("official")
    assert load(tmp_path, images="aligned").layout.startswith("aligned")
    with pytest.raises(FerError, match="no images 'alined': did you mean aligned"):
        load(tmp_path, images="alined")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg 0 0 0 10 10 1 7", r"line 1 \(a.jpg, face 0\): the label is not in 0\.\.6"),
        ("a.jpg 0 0 0 10 10 1 1.5", "the label is not in"),
        ("a.jpg 0 0 0 10 10 1 happy", "a cell is not a number"),
        ("a.jpg 0 0 nan 10 10 1 1", "a cell is not a number"),
        ("a.jpg 0 0 0 1e300 10 1 1", "or is too large for an image"),
        ("a.jpg 0 0 20 10 10 1 1", "the box has no area"),
        ("a.jpg 0 0 0 10 1 1", "is not of the form"),
        ("../a.jpg 0 0 0 10 10 1 1", "leaves the dataset's folder"),
        ("/a.jpg 0 0 0 10 10 1 1", "leaves the dataset's folder"),
        ("", "is empty"),
        (f"{LINES[0]}\n{LINES[0]}", "'angry_actor_104.jpg#0' is listed twice"),
    ],
)
def test_damaged_label_file(tmp_path, line, message):
    with pytest.raises(FerError, match=message) as caught:
        load(build(tmp_path, [line]))
    assert "\n" not in str(caught.value)


def test_a_box_outside_its_picture_is_named_when_read(tmp_path):
    dataset = load(build(tmp_path, ["happy_baby_1.jpg 0 0 200 220 20 1 3"]))
    with pytest.raises(FerError, match=r"happy_baby_1.jpg#0 .*outside its image of 100 x 60"):
        dataset.read(0)


def test_missing_parts(tmp_path):
    with pytest.raises(FerError, match="does not exist"):
        load(tmp_path / "absent")
    with pytest.raises(FerError, match=r"label/label.lst is missing"):
        load(tmp_path)
    build(tmp_path)
    with pytest.raises(FerError, match="the folder aligned_image is missing"):
        load(tmp_path, images="aligned")
    for path in (tmp_path / "image" / "origin").iterdir():
        path.unlink()
    (tmp_path / "image" / "origin").rmdir()
    with pytest.raises(FerError, match="the folder image/origin or aligned_image is missing"):
        load(tmp_path)
    (tmp_path / "image" / "origin.7z.001").write_bytes(b"7z")
    with pytest.raises(FerError, match=r"still packed \(origin.7z.001"):
        load(tmp_path)


def test_published_counts():
    assert sum(SPEC.expected_counts[""].values()) == 91_793
    assert tuple(SPEC.expected_counts[""]) == NAMES
