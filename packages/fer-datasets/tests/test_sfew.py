import numpy as np
import pytest
from fer_core.data.splits import make_split
from fer_core.errors import FerError
from fer_datasets.sfew import load
from fer_datasets.specs.sfew import SPEC
from PIL import Image

NAMES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
FOLDERS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


def draw(path, size=(720, 576)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size).save(path)


def build(
    root, train="Train", val="Val", size=(720, 576), folders=FOLDERS, names="{film}_000519240_0000000{number}.png"
):
    for part, films in ((train, ("Airheads", "American_History X")), (val, ("Friends",))):
        for folder in folders:
            for film in films:
                for number in (1, 2):
                    draw(root / part / folder / names.format(film=film, number=number), size)
    return root


def counts(dataset):
    return dataset.table.groupby("split")["label"].value_counts().to_dict()


def test_official_frames(tmp_path):
    build(tmp_path)
    draw(tmp_path / "Test" / "Unknown_000000000_00000001.png")
    for junk in (
        ".DS_Store",
        "Train/.DS_Store",
        "Train/Angry/.DS_Store",
        "Train/Angry/._Airheads_000519240_00000001.png",
    ):
        (tmp_path / junk).write_bytes(b"\0")
    dataset = load(tmp_path)
    assert dataset.classes == NAMES
    assert counts(dataset) == {("Train", i): 4 for i in range(7)} | {("Val", i): 2 for i in range(7)}
    first = dataset.table.iloc[0]
    assert first["id"] == "Train/anger/Airheads_000519240_00000001"
    assert first["source"] == "Train/Angry/Airheads_000519240_00000001.png"
    assert set(dataset.table["group"]) == {"Airheads", "American_History X", "Friends"}
    assert dataset.layout.startswith("official frames (Train and Val, images of 720 x 576)")
    assert dataset.alignment.kind == "none"
    assert dataset.read(0).shape == (576, 720, 1)


def test_val_is_reported_and_a_holdout_takes_whole_films(tmp_path):
    dataset = load(build(tmp_path, size=(8, 8)))
    assert SPEC.splits == {"Train": "train", "Val": "test"}
    split = make_split(dataset, SPEC.splits, "official", holdout=0.4, seed=0, select="best:val")
    assert split.protocol == "official+holdout"
    assert set(dataset.table["split"].iloc[split.test]) == {"Val"}
    films = dataset.table["group"]
    assert len(split.val)
    assert not set(films.iloc[split.train]) & set(films.iloc[split.val])


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces"),
        ("Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces_new"),
        ("Train_Aligned_Faces", "Val_Aligned_Faces_new"),
        ("train/train_aligned_faces/train_aligned_faces", "val/val_aligned_faces_new"),
        ("SFEW_2.0/Train/Train_Aligned_Faces", "SFEW_2.0/Val/Val_Aligned_Faces_new"),
    ],
)
def test_aligned_faces(tmp_path, train, val):
    dataset = load(build(tmp_path, train, val, (143, 181)))
    assert len(dataset.table) == 42
    assert dataset.layout.startswith("aligned faces (")
    assert dataset.alignment is None
    assert "143 x 181" in dataset.layout
    assert dataset.expected_counts == {}
    assert dataset.read(41).shape == (181, 143, 1)


def test_the_new_crops_win_and_frames_stay_available(tmp_path):
    build(tmp_path, size=(720, 576))
    build(tmp_path, "Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces", (143, 181), FOLDERS[:6])
    build(tmp_path, "Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces_new", (143, 181))
    (tmp_path / "Train" / "LPQ").mkdir()
    dataset = load(tmp_path)
    assert "Val_Aligned_Faces_new" in dataset.layout
    assert len(dataset.table) == 42
    assert load(tmp_path, images="frames").layout.startswith("official frames")
    with pytest.raises(FerError, match="no images 'faces'"):
        load(tmp_path, images="faces")


def test_crops_of_ones_own_in_other_spellings(tmp_path):
    spelled = ("anger", "disgusted", "afraid", "happiness", "neutral", "sadness", "surprised")
    dataset = load(
        build(tmp_path, "train", "val", (224, 224), spelled, "{film}_000519240_0000000{number}_face0.jpg")
    )
    assert dataset.layout.startswith("class folders (train and val, images of 224 x 224)")
    assert set(dataset.table["group"]) == {"Airheads", "American_History X", "Friends"}
    assert dataset.expected_counts == {}


def test_unknown_films_refuse_folds(tmp_path):
    dataset = load(build(tmp_path, size=(8, 8), names="{film}-{number}.png"))
    assert "group" not in dataset.table
    assert "films unknown" in dataset.layout
    with pytest.raises(FerError, match="kfold on sfew: the films are unknown"):
        make_split(dataset, SPEC.splits, "kfold:2:0", holdout=0.1, seed=0, select="last")


def csv(root, text, images=3):
    (root / "sfew_2.0_labels.csv").write_bytes(text.encode())
    for number in range(images):
        draw(root / "sfew2.0_images" / f"image_{number:06d}.png", (9, 9))
    return root


ROWS = (
    "image_000000.png,0,Angry,Train_Aligned_Faces\nimage_000001.png,3,Happy,Train\n"
    "image_000002.png,0,Angry,Val_new\n"
)
HEADER = "image_name,label,emotion,original_split\n"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_copy_with_a_label_file(tmp_path, mark):
    dataset = load(csv(tmp_path, mark + (HEADER + ROWS).replace("\n", "\r\n")))
    assert [NAMES[label] for label in dataset.table["label"]] == ["anger", "happiness", "anger"]
    assert dataset.table["split"].tolist() == ["Train", "Train", "Val"]
    assert dataset.read(1).shape == (9, 9, 1)
    assert "films unknown" in dataset.layout
    with pytest.raises(FerError, match="lost the names of its frames"):
        make_split(dataset, SPEC.splits, "kfold:2:0", holdout=0.1, seed=0, select="last")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "lists no images"),
        (HEADER + "a.png,0,Bored,Train\n", "row 1: the emotion 'Bored' is not one of"),
        (HEADER + "a.png,0,Contempt,Train\n", "row 1: the emotion 'Contempt' is not one of"),
        (
            HEADER + "a.png,0,Sad,Train\nb.png,0,Happy,Train\n",
            "row 2: the label 0 stands for sadness and happiness",
        ),
        (HEADER + "a.png,0,Sad,Test\n", "original_split 'Test' begins with neither"),
        (HEADER + "../a.png,0,Sad,Train\n", "leaves the dataset's folder"),
        ("image_name,label,original_split\na.png,0,Train\n", "lacks the column emotion"),
    ],
)
def test_damaged_label_file(tmp_path, text, message):
    with pytest.raises(FerError, match=message):
        load(csv(tmp_path, text))


def test_wrong_folders(tmp_path):
    with pytest.raises(FerError, match="does not exist"):
        load(tmp_path / "absent")
    with pytest.raises(FerError, match="neither Train and Val"):
        load(tmp_path)
    build(tmp_path, size=(8, 8))
    (tmp_path / "Train" / "Bored").mkdir()
    with pytest.raises(FerError, match="Bored is not a class folder"):
        load(tmp_path)
    (tmp_path / "Train" / "Bored").rename(tmp_path / "Train" / "Happiness")
    with pytest.raises(FerError, match="holds happiness twice"):
        load(tmp_path)


def test_one_part_alone(tmp_path):
    for folder in FOLDERS:
        draw(tmp_path / "Train" / folder / "Airheads_000519240_00000001.png", (8, 8))
    with pytest.raises(FerError, match="Val: nothing"):
        load(tmp_path)
    build(tmp_path, "Other", "Val/Val_Aligned_Faces_new", (8, 8))
    with pytest.raises(FerError, match="Train: frames; Val: aligned"):
        load(tmp_path)


def test_published_counts():
    totals = {split: sum(per_class.values()) for split, per_class in SPEC.expected_counts.items()}
    assert totals == {"Train": 958, "Val": 436}
    assert np.array_equal(list(SPEC.expected_counts["Val"]), NAMES)
