"""FERPlus: the rules from votes to targets, the two label files, copies without votes."""

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets.ferplus import load
from fer_datasets.specs.ferplus import SPEC
from fer_datasets.votes import RULES
from PIL import Image

# neutral happiness surprise sadness anger disgust fear contempt unknown NF
HAPPY = (0, 9, 0, 0, 0, 0, 0, 0, 1, 0)
CONTEMPT = (0, 1, 0, 1, 1, 0, 0, 6, 1, 0)
NO_FACE = (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)
FOLDERS = {"train": "FER2013Train", "valid": "FER2013Valid", "test": "FER2013Test"}
HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"


def write_folders(base, rows):
    """Images `fer<folder><row>.png` of the value 10 * row + folder, with these votes in each of the folders."""
    for number, folder in enumerate(FOLDERS.values()):
        lines = []
        for row, votes in enumerate(rows):
            draw(base / folder / f"fer{number}{row}.png", 10 * row + number)
            lines.append(f'fer{number}{row}.png,"(0, 0, 48, 48)",{",".join(map(str, votes))}\n')
        (base / folder / "label.csv").write_text("".join(lines))


def draw(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((48, 48), value, np.uint8)).save(path)


# Worked examples: votes -> weights of the target; an empty target leaves the image out.
COLLECTED = [
    ((5, 3, 2, 0, 0, 0, 0, 0, 0, 0), {"neutral": 5, "happiness": 3}),  # 8 of 10 are three quarters
    ((4, 3, 2, 0, 0, 0, 0, 0, 1, 0), {"neutral": 4, "happiness": 3}),  # the single vote is gone: 7 of 9
    ((4, 2, 2, 2, 0, 0, 0, 0, 0, 0), {}),  # after the first three equal columns: four are too many
    ((4, 4, 2, 0, 0, 0, 0, 0, 0, 0), {"neutral": 4, "happiness": 4}),
    ((4, 2, 2, 0, 0, 0, 0, 0, 2, 0), {"neutral": 4, "happiness": 2, "surprise": 2}),  # the tie with unknown goes
    ((3, 0, 0, 0, 0, 0, 0, 0, 0, 7), {}),
    ((5, 0, 0, 0, 0, 0, 0, 0, 5, 0), {}),  # unknown goes, and half of the votes are not enough
    ((6, 0, 0, 0, 0, 0, 0, 0, 4, 0), {"neutral": 6}),
    ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), {}),
]
SEVERAL = [
    ((5, 3, 2, 0, 0, 0, 0, 0, 0, 0), {"neutral": 1, "happiness": 1}),
    ((4, 2, 2, 0, 0, 0, 0, 0, 2, 0), {}),  # only 4 of 10 are left
    ((6, 0, 0, 0, 0, 0, 0, 0, 4, 0), {"neutral": 1}),
    ((3, 0, 0, 0, 0, 0, 0, 0, 7, 0), {}),
]
ARGMAX = [
    ((3, 3, 0, 0, 1, 1, 1, 1, 0, 0), {"neutral": 3}),  # the first of equal ones
    ((3, 0, 0, 0, 0, 0, 0, 0, 7, 0), {}),
    ((5, 0, 0, 0, 0, 0, 0, 0, 5, 0), {"neutral": 5}),
    ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), {"neutral": 1}),  # single votes stay
]
EMOTIONS = [((3, 0, 0, 0, 0, 0, 0, 0, 7, 0), {"neutral": 3}), (NO_FACE, {}), (CONTEMPT, {"contempt": 6})]


@pytest.mark.parametrize(
    ("mode", "votes", "expected"),
    [
        *(("cross_entropy", *case) for case in COLLECTED),
        *(("probability", *case) for case in COLLECTED[:2]),
        *(("multi_target", *case) for case in SEVERAL),
        *(("argmax", *case) for case in ARGMAX),
        *(("argmax_emotions", *case) for case in EMOTIONS),
    ],
)
def test_rules(mode, votes, expected):
    weights = RULES[mode](np.array([NO_FACE, votes]))
    assert not weights[0].any()
    assert {name: int(weight) for name, weight in zip(SPEC.classes, weights[1], strict=True) if weight} == expected


MIXED = (6, 3, 0, 0, 0, 0, 0, 0, 0, 1)  # a majority
SPREAD = (4, 4, 0, 0, 2, 0, 0, 0, 0, 0)  # none


@pytest.mark.parametrize(
    ("mode", "target", "sizes"),
    [
        ("majority", {"neutral": 6}, [1, 1, 1]),
        ("cross_entropy", {"neutral": 6, "happiness": 3}, [2, 1, 1]),
        ("probability", {"neutral": 6, "happiness": 3}, [2, 1, 1]),
        ("multi_target", {"neutral": 1, "happiness": 1}, [2, 1, 1]),
        ("argmax", {"neutral": 6}, [2, 1, 1]),
        ("argmax_emotions", {"neutral": 6}, [2, 1, 1]),
    ],
)
def test_modes_change_the_training_part_only(tmp_path, mode, target, sizes):
    write_folders(tmp_path, [MIXED, SPREAD])
    dataset = load(tmp_path, mode=mode)
    table = dataset.table
    assert [int((table["split"] == split).sum()) for split in FOLDERS] == sizes
    columns = [f"votes_{name}" for name in SPEC.classes]
    first, evaluated = table.iloc[0], table[table["split"] == "test"].iloc[0]
    assert {name: first[f"votes_{name}"] for name in SPEC.classes if first[f"votes_{name}"]} == target
    assert {name for name in SPEC.classes if evaluated[f"votes_{name}"]} == {"neutral"}
    assert (table["label"] == table[columns].to_numpy().argmax(axis=1)).all()
    assert dataset.draw_labels == (mode == "probability")
    assert mode in dataset.layout
    assert dataset.expected_counts["test"] == SPEC.expected_counts["test"]


def test_the_votes_of_the_other_file_join_the_images_by_name(tmp_path):
    write_folders(tmp_path / "data", [HAPPY, HAPPY])
    rows = ["Training,fer00.png", "Training,fer01.png", "Training,", "Training,fer00.png"]
    rows += ["PublicTest,fer10.png", "PrivateTest,fer20.png"]
    votes = [HAPPY, HAPPY, NO_FACE, CONTEMPT, HAPPY, CONTEMPT]
    lines = [f"{row},{','.join(map(str, count))}\n" for row, count in zip(rows, votes, strict=True)]
    (tmp_path / "fer2013new.csv").write_text(HEADER + "".join(lines))
    assert load(tmp_path).layout.startswith("generated images, votes of label.csv")
    dataset = load(tmp_path, labels="fer2013new.csv")
    assert dataset.table["id"].tolist() == ["fer01", "fer00", "fer10", "fer20"]  # the later row of a name counts
    names = [dataset.classes[label] for label in dataset.table["label"]]
    assert names == ["happiness", "contempt", "happiness", "contempt"]
    assert int(dataset.read(1)[0, 0, 0]) == 0
    assert dataset.layout.startswith("generated images, votes of fer2013new.csv")
    assert dataset.expected_counts == {}


def test_a_label_file_that_is_asked_for_must_be_there(tmp_path):
    write_folders(tmp_path / "folders", [HAPPY])
    with pytest.raises(FerError, match=r"fer2013new\.csv, which is requested, is missing"):
        load(tmp_path / "folders", labels="fer2013new.csv")
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "fer2013new.csv").write_text(HEADER)
    with pytest.raises(FerError, match=r"label\.csv is requested"):
        load(tmp_path / "csv", labels="label.csv")
    with pytest.raises(FerError, match=r"no label file 'lable\.csv': did you mean label\.csv"):
        load(tmp_path / "csv", labels="lable.csv")
    with pytest.raises(FerError, match="no mode 'majorty': did you mean majority"):
        load(tmp_path / "csv", mode="majorty")


@pytest.mark.parametrize("valid", ["valid", "val", None])
def test_class_folders(tmp_path, valid):
    for split in ["train", "Test", *([valid] if valid else [])]:
        for name in ("Happy", "contempt"):
            draw(tmp_path / split / name / "x.png")
    dataset = load(tmp_path)
    assert dataset.table["split"].tolist() == ["train"] * 2 + ["valid"] * (2 if valid else 0) + ["test"] * 2
    assert [dataset.classes[label] for label in dataset.table["label"][:2]] == ["happiness", "contempt"]
    assert dataset.layout == "class folders by an unstated rule"
    assert dataset.expected_counts == {}
    with pytest.raises(FerError, match="mode=probability needs the votes"):
        load(tmp_path, mode="probability")


def test_numbered_class_folders_are_ambiguous(tmp_path):
    for number in range(8):
        draw(tmp_path / "train" / str(number) / "x.png")
    with pytest.raises(FerError, match=r"numbered \(0, 1, .*, 7\).*dataset folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "first"),
    [(range(8), "neutral"), (range(1, 9), "neutral"), ([0, 3], "neutral"), ([8, 2], "contempt")],
)
def test_modified_label_file(tmp_path, labels, first):
    lines = [f"fer{number}.png,{label}\n" for number, label in enumerate(labels)]
    (tmp_path / "FERPlus_Label_modified.csv").write_text("Image name,label\n" + "".join(lines))
    for number in range(len(labels)):
        draw(tmp_path / "FERPlus_Image" / f"fer{number}.png")
    dataset = load(tmp_path)
    assert dataset.classes[dataset.table["label"][0]] == first
    assert set(dataset.table["split"]) == {""}
    assert dataset.table["id"][0] == "fer0"
    assert dataset.read(0).shape == (48, 48, 1)
    assert "no split" in dataset.layout


@pytest.mark.parametrize("labels", [[1, 7], [0, 8]])
def test_modified_label_file_with_an_unclear_base(tmp_path, labels):
    (tmp_path / "FERPlus_Label_modified.csv").write_text("Image name,label\na.png,{}\nb.png,{}\n".format(*labels))
    (tmp_path / "FERPlus_Image").mkdir()
    with pytest.raises(FerError, match="may count from 0 or from 1"):
        load(tmp_path)


def test_copies_are_left_out_when_asked(tmp_path):
    write_folders(tmp_path, [HAPPY, HAPPY])
    (tmp_path / "FER2013Train" / "fer00.png").write_bytes((tmp_path / "FER2013Test" / "fer20.png").read_bytes())
    assert len(load(tmp_path).table) == 6
    dataset = load(tmp_path, dedup=True)
    assert dataset.table["id"].tolist() == ["fer01", "fer10", "fer11", "fer20", "fer21"]
    assert dataset.layout.endswith("left out: 1 copies")
    with pytest.raises(FerError, match="every image is constant"):
        load(tmp_path, drop_constant=True)
