"""A table that training could misread is refused, with the sample named."""

import numpy as np
import pandas as pd
import pytest
from fer_core.data.attributes import attributes_of
from fer_core.data.table import check_table, make_fingerprint
from fer_core.errors import FerError


class Toy:
    name = "toy"
    classes = ("a", "b", "c")

    def __init__(self, **columns):
        table = {"id": ["p", "q", "r"], "label": [0, 1, 2], "split": ["", "", ""], "source": ["1", "2", "3"]}
        self.table = pd.DataFrame({key: value for key, value in {**table, **columns}.items() if value is not None})


def test_sound_table_passes():
    check_table(Toy())
    check_table(Toy(group=["s1", "s1", "s2"]))


def test_attributes_are_read_by_name_and_empty_text_is_unknown():
    toy = Toy(attribute_hair=["red", "", "grey"], attribute_age=["4-19", "70+", "4-19"], votes_a=[1, 0, 0])
    check_table(toy)
    assert list(attributes_of(toy)) == ["age", "hair"]
    assert attributes_of(toy)["hair"] == ["red", "unknown", "grey"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"split": None}, ["lacks", "split"]),
        ({"id": ["p", "q", "p"]}, ["repeat an id", "'p'"]),
        ({"label": [0, 3, 1]}, ["out of range", "first 3", "'q'", "0..2"]),
        ({"label": [0, 1, -1]}, ["out of range", "first -1", "'r'"]),
        ({"label": [0.0, 1.0, 2.0]}, ["float64"]),
        ({"label": [0, None, 2]}, ["have no label", "'q'"]),
        ({"id": ["p", None, "r"]}, ["have no id", "row 1"]),
        ({"group": ["s", "s", None]}, ["have no group", "'r'"]),
        ({"attribute_age": ["4", None, "7"]}, ["the attribute age of 'q' is", "empty where it is unknown"]),
        ({"attribute_age": [4, 5, 7]}, ["the attribute age of 'p' is 4", "give short text"]),
        ({"attribute_age": ["4", "5", "7\n"]}, ["the attribute age of 'r' is '7\\n'", "on one line"]),
        ({"attribute_": ["4", "5", "7"]}, ["'attribute_' does not name an attribute"]),
        ({"attribute_copies": ["4", "5", "7"]}, ["does not name an attribute", "none of class, copies"]),
        ({"id": [], "label": [], "split": [], "source": []}, ["no samples"]),
    ],
)
def test_unusable_table_is_refused_in_one_line(columns, words):
    with pytest.raises(FerError) as caught:
        check_table(Toy(**columns))
    text = str(caught.value)
    assert "toy" in text
    assert "\n" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "\udce9", "a" * 201])
def test_a_class_that_cannot_stand_on_a_line_is_refused(name):
    toy = Toy()
    toy.classes = ("a", name, "c")
    with pytest.raises(FerError, match="is not a short name on one line"):
        check_table(toy)


def test_filtered_table_without_new_index_is_refused():
    dataset = Toy()
    dataset.table = dataset.table.iloc[1:]
    with pytest.raises(FerError, match="reset_index"):
        check_table(dataset)


def test_fingerprint_ignores_order_and_sees_every_change():
    base = (["p", "q"], [0, 1], ["x", "y"])
    known = make_fingerprint(*base)
    assert make_fingerprint(["q", "p"], np.array([1, 0]), ["y", "x"]) == known
    for changed in (
        (["p", "z"], [0, 1], ["x", "y"]),
        (["p", "q"], [0, 0], ["x", "y"]),
        (["p", "q"], [0, 1], ["x", "x"]),
    ):
        assert make_fingerprint(*changed) != known
    assert make_fingerprint(["p", "q"], [0, 1], ["y", "x"]) != known


def test_fingerprint_needs_one_hash_for_each_sample():
    with pytest.raises(ValueError, match="zip"):
        make_fingerprint(["p", "q"], [0, 1], ["x"])
