"""FERPlus: both layouts in miniature, the majority rule, and damaged files."""

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_datasets.ferplus import load
from fer_datasets.specs.ferplus import SPEC
from fer_datasets.tables import read_csv, require_columns
from fer_datasets.votes import labels_of, majority, remove_outliers
from PIL import Image

# neutral happiness surprise sadness anger disgust fear contempt unknown NF
HAPPY = (0, 9, 0, 0, 0, 0, 0, 0, 1, 0)
CONTEMPT = (0, 1, 0, 1, 1, 0, 0, 6, 1, 0)
TIE = (5, 5, 0, 0, 0, 0, 0, 0, 0, 0)
NO_FACE = (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)
FOLDERS = {"train": "FER2013Train", "valid": "FER2013Valid", "test": "FER2013Test"}


def write_folders(base, rows=None):
    """Three folders; `rows` of (name, votes) go to each, with the folder's number in front of the name."""
    rows = rows or [("00.png", HAPPY), ("01.png", TIE), ("02.png", CONTEMPT), ("03.png", NO_FACE)]
    for number, folder in enumerate(FOLDERS.values()):
        (base / folder).mkdir(parents=True)
        lines = []
        for row, (name, votes) in enumerate(rows):
            pixels = np.full((48, 48), 10 * row + number, np.uint8)
            Image.fromarray(pixels).save(base / folder / f"fer{number}{name}")
            lines.append(f'fer{number}{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}\n')
        (base / folder / "label.csv").write_text("".join(lines))


def write_csv(
    root, rows, usages=("Training", "PublicTest", "PrivateTest"), header_of_pixels="emotion,pixels,Usage"
):
    """`rows` of (name, votes) in each usage; pixels of row r are all r, its emotion in FER2013 is r % 7."""
    names = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    lines, pixels = [f"Usage,Image name,{names}"], ["emotion,pixels,Usage"]
    for usage in ("Training", "PublicTest", "PrivateTest"):
        for name, votes in rows:
            pixels.append(f"{(len(lines) - 1) % 7},{' '.join([str(len(lines) - 1)] * 2304)},{usage}")
            lines.append(f"{usage},{name},{','.join(map(str, votes))}")
    (root / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    (root / "fer2013.csv").write_text("\n".join(pixels) + "\n")


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ((6, 2, 2, 0, 0, 0, 0, 0, 0, 0), "neutral"),  # 6 of 10
        (TIE, None),  # exactly half is no majority
        ((4, 1, 1, 1, 1, 1, 1, 0, 0, 0), "neutral"),  # single votes are outliers: 4 of 4
        ((0, 4, 0, 4, 1, 1, 0, 0, 0, 0), None),  # 4 of 8
        ((0, 0, 0, 5, 2, 2, 0, 0, 1, 0), "sadness"),  # 5 of 9 that are left
        ((0, 0, 0, 0, 4, 3, 2, 0, 0, 0), None),  # a row of nine votes: 4 of 9
        ((0, 0, 0, 0, 5, 2, 2, 0, 0, 0), "anger"),  # a row of nine votes: 5 of 9
        ((2, 0, 0, 0, 0, 0, 0, 0, 8, 0), None),  # unknown wins
        ((0, 3, 0, 0, 0, 0, 0, 0, 0, 7), None),  # no face
        ((0, 4, 0, 0, 0, 0, 0, 0, 3, 3), None),  # the largest, but unknown and NF count in the sum
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None),  # nothing is left
        ((0, 0, 0, 0, 0, 0, 0, 2, 1, 1), "contempt"),
    ],
)
def test_majority_rule(votes, expected):
    votes = np.array([votes])
    label = labels_of(votes, majority(votes))[0]
    assert (SPEC.classes[label] if label >= 0 else None) == expected


def test_outliers_are_single_votes():
    assert remove_outliers(np.array([[4, 1, 2, 1, 0, 0, 0, 0, 1, 1]])).tolist() == [[4, 0, 2, 0, 0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("given", ["parent", "data"])
def test_generated_folders(tmp_path, given):
    write_folders(tmp_path / "data")
    dataset = load(tmp_path if given == "parent" else tmp_path / "data")
    table = dataset.table
    assert table["id"].tolist() == ["fer000", "fer002", "fer100", "fer102", "fer200", "fer202"]
    assert table["split"].tolist() == ["train", "train", "valid", "valid", "test", "test"]
    assert [dataset.classes[label] for label in table["label"]] == ["happiness", "contempt"] * 3
    assert set(table["split"]) == set(SPEC.splits)
    assert table["votes_happiness"].tolist() == [9, 0] * 3
    assert table["votes_contempt"].tolist() == [0, 6] * 3
    assert (table["votes_sadness"] == 0).all()
    assert "votes_NF" not in table.columns
    image = dataset.read(3)
    assert image.shape == (48, 48, 1)
    assert image.dtype == np.uint8
    assert (image == 21).all()


def test_csv_rows_join_by_position_not_by_name(tmp_path):
    rows = [("fer0000000.png", HAPPY), ("", NO_FACE), ("fer0099999.png", CONTEMPT), ("fer0000000.png", HAPPY)]
    write_csv(tmp_path, rows)
    dataset = load(tmp_path)
    assert dataset.table["id"].tolist()[:4] == ["row-00000", "row-00002", "row-00003", "row-00004"]
    assert dataset.table["split"].tolist() == ["train"] * 3 + ["valid"] * 3 + ["test"] * 3
    assert [int(dataset.read(row)[0, 0, 0]) for row in range(4)] == [0, 2, 3, 4]


def test_fer2013_labels_are_an_extra_target_joined_by_row_and_by_name(tmp_path):
    rows = [("fer0a.png", HAPPY), ("", NO_FACE), ("fer0b.png", CONTEMPT), ("fer0a.png", HAPPY)]
    write_csv(tmp_path, rows)
    emotions = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    by_row = load(tmp_path).table["target_fer2013"]
    assert by_row.cat.categories.tolist() == emotions
    kept = (0, 2, 3, 4, 6, 7, 8, 10, 11)
    assert by_row.tolist() == [emotions[row % 7] for row in kept]

    write_folders(tmp_path, [("a.png", HAPPY), ("c.png", CONTEMPT)])
    table = load(tmp_path).table.set_index("id")
    assert table.loc["fer0a", "target_fer2013"] == emotions[11 % 7]  # the last of its rows
    assert table["target_fer2013"].isna().sum() == 5  # fer2013new.csv does not know the others
    (tmp_path / "fer2013.csv").unlink()
    assert "target_fer2013" not in load(tmp_path).table


def test_a_row_without_a_name_is_dropped_whatever_its_votes(tmp_path):
    write_csv(tmp_path, [("", HAPPY), ("fer0.png", HAPPY)])
    assert load(tmp_path).table["id"].tolist() == ["row-00001", "row-00003", "row-00005"]


def test_csv_files_of_different_length_are_refused(tmp_path):
    write_csv(tmp_path, [("fer0.png", HAPPY)])
    pixels = (tmp_path / "fer2013.csv").read_text().splitlines()
    (tmp_path / "fer2013.csv").write_text("\n".join(pixels[:-1]))
    with pytest.raises(FerError, match=r"3 rows.*2 rows.*do not belong together"):
        load(tmp_path)


def test_missing_folder_shows_the_layouts(tmp_path):
    with pytest.raises(FerError, match="does not exist") as caught:
        load(tmp_path / "absent")
    assert "FER2013Train/" in caught.value.details
    assert "fer2013new.csv" in caught.value.details
    assert SPEC.homepage in caught.value.details


def test_wrong_layout_names_what_was_found(tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(FerError, match="found: holiday"):
        load(tmp_path)
    (tmp_path / "FER2013Train").mkdir()
    with pytest.raises(FerError, match="FER2013Valid and FER2013Test missing beside FER2013Train"):
        load(tmp_path)


def test_labels_without_generated_images(tmp_path):
    write_folders(tmp_path)
    for path in (tmp_path / "FER2013Valid").glob("*.png"):
        path.unlink()
    with pytest.raises(FerError, match=r"FER2013Valid has labels but no images.*generate_training_data"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('fer9.png,"(0, 0, 48, 48)",1,2,3', "line 1: 5 cells where 12 are expected"),
        ('fer9.png,"(0, 0, 48, 48)",0,-3,0,0,0,0,0,0,0,0', "row 1: the votes for happiness '-3'"),
        ('fer9.png,"(0, 0, 48, 48)",0,many,0,0,0,0,0,0,0,0', "row 1: the votes for happiness 'many'"),
        ('../fer9.png,"(0, 0, 48, 48)",9,0,0,0,0,0,0,0,0,0', "row 1: the path '../fer9.png' leaves"),
        ('/fer9.png,"(0, 0, 48, 48)",9,0,0,0,0,0,0,0,0,0', "row 1: the path '/fer9.png' leaves"),
        ('fer9.png,"(0, 0, 48, 48)",0,0,0,0,0,0,0,0,0,10', "no image has a majority"),
    ],
)
def test_damaged_label_file(tmp_path, line, message):
    write_folders(tmp_path)
    for folder in FOLDERS.values():
        (tmp_path / folder / "label.csv").write_text(line + "\n")
    with pytest.raises(FerError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_empty_label_file(tmp_path):
    write_folders(tmp_path)
    (tmp_path / "FER2013Test" / "label.csv").write_text("")
    with pytest.raises(FerError, match=r"label\.csv is empty"):
        load(tmp_path)


def test_a_repeated_name_is_refused(tmp_path):
    write_folders(tmp_path)
    path = tmp_path / "FER2013Test" / "label.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n" + path.read_text())
    with pytest.raises(FerError, match="'fer200' is listed twice"):
        load(tmp_path)


def test_fingerprint_follows_pixels_and_labels_not_place(tmp_path):
    for name in ("a", "b", "c"):
        write_folders(tmp_path / name)
    (tmp_path / "c" / "FER2013Test" / "fer200.png").write_bytes(b"other")
    prints = [load(tmp_path / name).fingerprint() for name in ("a", "b", "c")]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 64


def test_fingerprint_names_a_missing_image(tmp_path):
    write_folders(tmp_path)
    (tmp_path / "FER2013Test" / "fer200.png").unlink()
    with pytest.raises(FerError, match=r"fer200\.png"):
        load(tmp_path).fingerprint()


def test_an_error_is_one_line_whatever_the_file_holds(tmp_path):
    """A quotation mark at the beginning makes one cell of several lines."""
    (tmp_path / "label.csv").write_text('"Usage,Image name\nTraining,fer0000000.png\n')
    with pytest.raises(FerError) as caught:
        require_columns(read_csv(tmp_path / "label.csv"), ["Usage"], tmp_path / "label.csv")
    assert "\n" not in str(caught.value)
