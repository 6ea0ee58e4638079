import numpy as np
import pytest
from fer_core.data.splits import make_split
from fer_core.errors import FerError
from fer_datasets.ckplus import load
from fer_datasets.specs.ckplus import SPEC
from PIL import Image

PEAKS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
# Subject, sequence, numbers of the frames, label (None: the folder is empty, "": there is no folder).
SEQUENCES = (
    ("S005", "001", (1, 2, 3, 4), 3),
    ("S005", "002", (1, 2, 3), None),
    ("S010", "004", (2, 9, 10, 11, 100), 7),
    ("S106", "001", (1, 2, 3, 4), ""),
    ("S502", "001", (1, 2, 3, 4, 5), 2),
    ("S999", "003", (1, 2, 3, 4), 5),
)


def draw(path, size=(64, 49), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 7 if mode == "L" else (1, 2, 3)).save(path)


def build(root, images="cohn-kanade-images", labels="Emotion", sequences=SEQUENCES):
    for subject, number, frames, label in sequences:
        for frame in frames:
            mode = "RGB" if subject == "S502" else "L"
            draw(root / images / subject / number / f"{subject}_{number}_{frame:08d}.png", mode=mode)
        (root / images / subject / ".DS_Store").write_bytes(b"\0")
        (root / images / subject / number / ".DS_Store").write_bytes(b"\0")
        folder = root / labels / subject / number
        if label != "":
            folder.mkdir(parents=True)
            (folder / ".DS_Store").write_bytes(b"\0")
        if label:
            (folder / f"{subject}_{number}_{frames[-1]:08d}_emotion.txt").write_text(f"   {label:.7e}\n")
    return root


def names(dataset):
    return [dataset.classes[label] for label in dataset.table["label"]]


def test_last_three_frames_by_number(tmp_path):
    dataset = load(build(tmp_path))
    assert dataset.classes == PEAKS
    table = dataset.table
    assert table["id"].tolist()[:6] == [
        *(f"S005_001_{n:08d}" for n in (2, 3, 4)),
        *(f"S010_004_{n:08d}" for n in (10, 11, 100)),
    ]
    assert names(dataset) == ["disgust"] * 3 + ["surprise"] * 3 + ["contempt"] * 3 + ["happiness"] * 3
    assert table["group"].unique().tolist() == ["S005", "S010", "S502", "S999"]
    assert set(table["split"]) == {""}
    assert dataset.layout.startswith("official (4 labelled of 6 sequences, 4 subjects used, frames last3")
    assert dataset.read(0).shape == (49, 64, 1)
    assert dataset.read(6).shape == (49, 64, 3)


@pytest.mark.parametrize(
    ("frames", "contempt", "samples", "neutral", "classes"),
    [
        ("last", True, 4, 0, 7),
        ("last3", True, 12, 0, 7),
        ("last+neutral", True, 8, 4, 8),
        ("last3+neutral", True, 16, 4, 8),
        ("last+all-neutral", True, 10, 6, 8),
        ("last3", False, 9, 0, 6),
        ("last3+neutral", False, 12, 3, 7),
        ("last3+all-neutral", False, 14, 5, 7),
    ],
)
def test_still_sets(tmp_path, frames, contempt, samples, neutral, classes):
    dataset = load(build(tmp_path), frames=frames, contempt=contempt)
    assert len(dataset.table) == samples
    assert names(dataset).count("neutral") == neutral
    assert len(dataset.classes) == classes
    assert ("contempt" in dataset.classes) == contempt
    if neutral:
        assert dataset.classes[0] == "neutral"
        assert dataset.table["id"][names(dataset).index("neutral")] == "S005_001_00000001"


@pytest.mark.parametrize(
    ("frames", "contempt", "total"),
    [
        ("last", True, 327),
        ("last3", True, 981),
        ("last3+neutral", True, 1308),
        ("last3", False, 927),
        ("last3+neutral", False, 1236),
        ("last+all-neutral", True, 920),
    ],
)
def test_published_sizes_of_the_still_sets(tmp_path, frames, contempt, total):
    dataset = load(build(tmp_path), frames=frames, contempt=contempt)
    assert sum(dataset.expected_counts[""].values()) == total
    assert tuple(dataset.expected_counts[""]) == dataset.classes


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion_labels/Emotion"),
        ("cohn-kanade-images/cohn-kanade-images", "Emotion/Emotion"),
        ("CK+/Cohn-Kanade-Images", "CK+/emotion"),
        ("extended-cohn-kanade-images", "Emotion_labels"),
    ],
)
def test_other_names_of_the_folders(tmp_path, images, labels):
    assert len(load(build(tmp_path, images, labels)).table) == 12


def subjects_of(dataset, rows):
    return set(dataset.table["group"].iloc[rows])


def test_subject_k_goes_to_fold_k_modulo_n(tmp_path):
    ordered = ["S005", "S010", "S106", "S502", "S999"]
    everything = [(subject, f"{label:03d}", (1, 2), label) for subject in ordered[::-1] for label in range(1, 8)]
    dataset = load(build(tmp_path, sequences=everything), frames="last+neutral")
    for fold in range(2):
        split = make_split(dataset, SPEC.splits, f"kfold:2:{fold}:sorted", holdout=0.1, seed=0, select="last")
        assert subjects_of(dataset, split.test) == set(ordered[fold::2])
        assert not subjects_of(dataset, split.test) & subjects_of(dataset, split.train)


def test_default_split_keeps_subjects_whole(tmp_path):
    sequences = [(f"S{n:03d}", "001", (1, 2, 3), n % 7 + 1) for n in range(1, 36)]
    dataset = load(build(tmp_path, sequences=sequences))
    split = make_split(dataset, SPEC.splits, "official", holdout=0.1, seed=0, select="best:val")
    assert split.protocol == "stratified-shuffle:0"
    parts = [subjects_of(dataset, rows) for rows in (split.train, split.val, split.test)]
    assert sum(map(len, parts)) == 35


@pytest.mark.parametrize("text", ["0.0", "8.0000000e+00", "2.5", "happy", "", "3 4", "nan"])
def test_damaged_label_file(tmp_path, text):
    build(tmp_path)
    (tmp_path / "Emotion/S005/001/S005_001_00000004_emotion.txt").write_text(text)
    with pytest.raises(FerError, match=r"S005_001_00000004_emotion\.txt: .* is not a number in 1\.\.7"):
        load(tmp_path)


def test_damaged_tree(tmp_path):
    build(tmp_path)
    (tmp_path / "Emotion/S005/001/S005_001_00000003_emotion.txt").write_text("3.0")
    with pytest.raises(FerError, match="holds 2 label files"):
        load(tmp_path)
    (tmp_path / "Emotion/S005/001/S005_001_00000003_emotion.txt").unlink()
    stray = tmp_path / "cohn-kanade-images/S005/001/S010_004_00000011.png"
    draw(stray)
    with pytest.raises(FerError, match=r"S010_004_00000011\.png is not named like"):
        load(tmp_path)
    stray.unlink()
    (tmp_path / "Emotion/S777/001").mkdir(parents=True)
    (tmp_path / "Emotion/S777/001/S777_001_00000009_emotion.txt").write_text("3.0")
    with pytest.raises(FerError, match=r"1 labelled sequences have no frames.*S777/001"):
        load(tmp_path)


def test_too_few_frames(tmp_path):
    build(tmp_path, sequences=[("S005", "001", (4, 5, 6), 3)])
    assert len(load(tmp_path).table) == 3
    with pytest.raises(FerError, match=r"holds 3 frames, and frames=last3\+neutral needs 4"):
        load(tmp_path, frames="last3+neutral")


def test_missing_parts_and_options(tmp_path):
    with pytest.raises(FerError, match="does not exist"):
        load(tmp_path / "absent")
    with pytest.raises(FerError, match="no cohn-kanade-images"):
        load(tmp_path)
    build(tmp_path)
    with pytest.raises(FerError, match="no frames 'last2': did you mean"):
        load(tmp_path, frames="last2")
    with pytest.raises(FerError, match="contempt cannot be 'no'"):
        load(tmp_path, contempt="no")
    (tmp_path / "Emotion").rename(tmp_path / "Feelings")
    with pytest.raises(FerError, match="folder Emotion with the labels is missing"):
        load(tmp_path)


def ck48(root):
    for folder, subject, number, last in (
        ("anger", "S010", "004", 19),
        ("contempt", "S502", "001", 15),
        ("happy", "S011", "006", 13),
        ("surprise", "S010", "002", 14),
    ):
        for frame in range(last - 2, last + 1):
            draw(root / folder / f"{subject}_{number}_{frame:08d}.png", (48, 48))
    return root


@pytest.mark.parametrize("below", ["", "CK+48", "ck/CK+48"])
def test_ck48(tmp_path, below):
    ck48(tmp_path / below)
    (tmp_path / below / "anger" / ".DS_Store").write_bytes(b"\0")
    dataset = load(tmp_path)
    assert dataset.classes == PEAKS
    assert len(dataset.table) == 12
    assert dataset.layout.startswith("CK+48 (4 sequences, 3 subjects, frames last3")
    assert sorted(set(dataset.table["group"])) == ["S010", "S011", "S502"]
    last = load(tmp_path, frames="last", contempt=False)
    assert last.table["id"].tolist() == ["S010_002_00000014", "S010_004_00000019", "S011_006_00000013"]
    assert names(last) == ["surprise", "anger", "happiness"]
    with pytest.raises(FerError, match=r"CK\+48 does not hold frames=last3\+neutral"):
        load(tmp_path, frames="last3+neutral")
    draw(tmp_path / below / "fear" / "S010_004_00000019.png", (48, 48))
    with pytest.raises(FerError, match="is labelled anger and fear"):
        load(tmp_path)


def kfold(dataset):
    return make_split(dataset, SPEC.splits, "kfold:2:0", holdout=0.1, seed=0, select="last")


def test_ckextended_is_numbered_as_fer2013(tmp_path):
    rows = [(0, "Training"), (7, "Training"), (6, "PublicTest"), (3, "PrivateTest"), (6, "Training")]
    pixels = " ".join(["9"] * 2304)
    lines = ["emotion,pixels,Usage", *(f"{emotion},{pixels},{usage}" for emotion, usage in rows)]
    (tmp_path / "ckextended.csv").write_text("\n".join(lines))
    dataset = load(tmp_path)
    assert names(dataset) == ["anger", "contempt", "neutral", "happiness", "neutral"]
    assert dataset.classes == ("neutral", *PEAKS)
    assert dataset.table["split"].tolist() == [usage for _, usage in rows]
    assert dataset.read(2).shape == (48, 48, 1)
    assert "subjects unknown; Usage is a random division" in dataset.layout
    assert "group" not in dataset.table
    with pytest.raises(FerError, match="kfold on ckplus: the subjects are unknown"):
        kfold(dataset)
    peaks = load(tmp_path, frames="last", contempt=False)
    assert names(peaks) == ["anger", "happiness"]
    assert peaks.table["id"].tolist() == ["row-00000", "row-00003"]
    with pytest.raises(FerError, match="does not hold frames=last3"):
        load(tmp_path, frames="last3")
    (tmp_path / "ckextended.csv").write_text("\n".join([*lines, f"8,{pixels},Training"]))
    with pytest.raises(FerError, match=r"row 6: the emotion '8' is not a whole number in 0\.\.7"):
        load(tmp_path)
    (tmp_path / "ckextended.csv").write_text("\n".join([*lines, f"1,{pixels},Test"]))
    with pytest.raises(FerError, match="row 6: there is no Usage 'Test'"):
        load(tmp_path)


def test_copy_with_a_label_file(tmp_path):
    rows = ["image_000000.png,0,anger", "image_000001.png,1,contempt", "image_000002.png,4,happy"]
    (tmp_path / "ckplus_labels.csv").write_text("\n".join(["image_name,label,emotion", *rows]))
    with pytest.raises(FerError, match="folder ckplus_images is missing"):
        load(tmp_path)
    for number in range(3):
        draw(tmp_path / "ckplus_images" / f"image_{number:06d}.png", (48, 48))
    dataset = load(tmp_path)
    assert names(dataset) == ["anger", "contempt", "happiness"]
    assert "subjects unknown" in dataset.layout
    assert np.array_equal(dataset.read(1), np.full((48, 48, 1), 7))
    assert names(load(tmp_path, contempt=False)) == ["anger", "happiness"]
    with pytest.raises(FerError, match=r"subjects are unknown in ckplus_labels\.csv"):
        kfold(dataset)
