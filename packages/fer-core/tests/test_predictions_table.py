"""Tables of predictions: every number comes back, and a table of something else is one line."""

from __future__ import annotations

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.runs.predictions import label_numbers, probabilities_of, read_predictions, write_predictions

CLASSES = ("anger", "happy, or not", "neutral")
IDS = ["a", 'b "quoted"', "c,d"]
LABELS = np.array([2, 0, 1])
SCORES = np.array([[0.1, 0.2, 0.7], [1 / 3, 1 / 3, 1 / 3], [0.0, 1.0, 0.0]], dtype=np.float32)


def table(tmp_path, groups=(), scores=SCORES, ids=IDS):
    path = tmp_path / "predictions-test.csv"
    path.write_text(write_predictions(CLASSES, ids, LABELS[: len(ids)], scores[: len(ids)], groups))
    return path


def refusal(path, classes=CLASSES) -> str:
    with pytest.raises(FerError) as caught:
        read_predictions(path, classes)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert line.endswith(": evaluate the run again")
    return line.removeprefix(str(path)).removesuffix(": evaluate the run again")


def test_the_first_lines_are_those_that_the_documentation_shows(tmp_path) -> None:
    lines = table(tmp_path, groups=["x", "x", "y"]).read_text().splitlines()
    assert lines[0] == 'id,label,predicted,p_anger,"p_happy, or not",p_neutral,group'
    assert lines[1] == "a,neutral,neutral,0.100000001,0.200000003,0.699999988,x"
    assert lines[3] == '"c,d","happy, or not","happy, or not",0,1,0,y'


@pytest.mark.parametrize("groups", [(), ["x", "1", "NA"]])
def test_everything_comes_back(tmp_path, groups) -> None:
    found = read_predictions(table(tmp_path, groups), CLASSES)
    assert found["id"].tolist() == IDS
    assert label_numbers(found, CLASSES).tolist() == LABELS.tolist()
    assert found["predicted"].tolist() == ["neutral", "anger", "happy, or not"]
    assert np.array_equal(probabilities_of(found, CLASSES).astype(np.float32), SCORES)
    assert probabilities_of(found, CLASSES[::-1]).tolist() == probabilities_of(found, CLASSES)[:, ::-1].tolist()
    assert ("group" in found) == bool(groups)
    if groups:
        assert found["group"].tolist() == groups


def test_ids_that_look_like_numbers_or_nothing_stay_text(tmp_path) -> None:
    for ids in (["007", "NaN", ""], ["007", "8", "9"]):
        assert read_predictions(table(tmp_path, ids=ids), CLASSES)["id"].tolist() == ids


def test_classes_may_be_called_by_numbers_and_groups_too(tmp_path) -> None:
    path, classes = tmp_path / "predictions-test.csv", ("0", "01", "2")
    path.write_text(write_predictions(classes, IDS, LABELS, SCORES, ["1", "01", "2"]))
    found = read_predictions(path, classes)
    assert found["label"].tolist() == ["2", "0", "01"]
    assert found["predicted"].tolist() == ["2", "0", "01"]
    assert found["group"].tolist() == ["1", "01", "2"]
    assert label_numbers(found, classes).tolist() == LABELS.tolist()


def test_probabilities_are_numbers_however_they_are_written(tmp_path) -> None:
    path = table(tmp_path, scores=np.eye(3, dtype=np.float32)[LABELS])
    assert probabilities_of(read_predictions(path, CLASSES), CLASSES).dtype == np.float64


def test_lines_end_as_on_every_system(tmp_path) -> None:
    text = write_predictions(CLASSES, IDS, LABELS, SCORES, [])
    assert text.count("\n") == 4
    assert "\r" not in text


def test_sums_may_miss_one_by_rounding(tmp_path) -> None:
    near, far = SCORES.copy(), SCORES.copy()
    near[0, 2], far[0, 2] = 0.6993, 0.698
    assert len(read_predictions(table(tmp_path, scores=near), CLASSES)) == 3
    assert ", row 1: probabilities is a list of 3, expected numbers from 0 to 1 that add up to 1" in refusal(
        table(tmp_path, scores=far)
    )


@pytest.mark.parametrize(("row", "values"), [(2, [-0.1, 1.1, 0.0]), (3, [0.5, 0.6, 0.5]), (2, [-0.0005, 1, 0])])
def test_probabilities_of_a_row_that_are_not_probabilities_are_named(tmp_path, row, values) -> None:
    scores = SCORES.copy()
    scores[row - 1] = values
    assert f", row {row}: probabilities is a list of 3, expected" in refusal(table(tmp_path, scores=scores))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("id,", "name,", ': column 1 is "name", expected "id"'),
        (",p_neutral\n", "\n", ': column 6 is null, expected "p_neutral"'),
        (",p_neutral\n", ",p_neutral,extra\n", ': column 7 is "extra", expected no column'),
        (
            "a,neutral,neutral",
            "a,neutral,anger",
            ', row 1: predicted is "anger", expected the class with',
        ),
        ("a,neutral,neutral", "a,joy,neutral", ', row 1: label is "joy", expected one of the run\'s classes'),
        ("0.100000001", "much", "much"),
        ('"c,d"', "a", ' has the id "a" twice'),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, old, new, says) -> None:
    path = table(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert says in refusal(path)


def test_classes_in_another_order_are_other_columns(tmp_path) -> None:
    assert refusal(table(tmp_path), CLASSES[::-1]).startswith(': column 4 is "p_anger", expected "p_neutral"')


def test_a_table_without_rows_and_an_empty_file_are_refused(tmp_path) -> None:
    assert refusal(table(tmp_path, ids=[])) == " has no row"
    path = tmp_path / "predictions-val.csv"
    path.write_bytes(b"")
    assert ': column 1 is null, expected "id"' in refusal(path)
    path.write_bytes(b"\xff\xfe\n")
    assert " is not a table of predictions (" in refusal(path)


def test_groups_are_as_many_as_the_faces(tmp_path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_predictions(CLASSES, IDS, LABELS, SCORES, ["x"])
