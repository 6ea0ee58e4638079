"""Columns of tables as extra targets: what is present, what changes them, several tables as one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fer_core import FerError
from fer_core.data.targets import Target, digest, target_columns, targets_of, unite

NAN = float("nan")


def dataset(name: str = "ours", **columns: object) -> SimpleNamespace:
    """A dataset of as many rows as the columns have."""
    return SimpleNamespace(name=name, table=pd.DataFrame(columns))


def target(values: object) -> Target:
    return targets_of(dataset(target_x=values))["x"]


def shares(**columns: object) -> Target:
    return targets_of(dataset(**{f"target_x:{name}": values for name, values in columns.items()}))["x"]


def test_columns_are_collected_by_target_in_their_order_and_others_are_no_targets() -> None:
    columns = ["id", "target_b:z", "label", "target_a", "target_b:a", "targets", "my_target_c", 3, "target_b:a:b"]
    assert target_columns(columns) == {"b": ["target_b:z", "target_b:a", "target_b:a:b"], "a": ["target_a"]}
    table = dataset(**{"target_b:z": [1], "target_a": [2], "target_b:a:b": [3]})
    found = targets_of(table)
    assert list(found) == ["a", "b"]
    assert found["b"].classes == ("z", "a:b")
    assert targets_of(dataset(label=[0, 1])) == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, -2, 3], [1, -2, 3]),
        ([0.5, None, NAN], [0.5, NAN, NAN]),
        (pd.array([7, None, 0], dtype="UInt8"), [7, NAN, 0]),
        (pd.array([0.25, None, -1], dtype="Float32"), [0.25, NAN, -1]),
        (np.array([1, 2, 3], np.float16), [1, 2, 3]),
    ],
)
def test_columns_of_numbers_of_any_width_may_miss_values(values, expected) -> None:
    found = target(values)
    np.testing.assert_array_equal(found.values, np.array(expected, np.float32))
    assert (found.values.dtype, found.classes, found.kind) == (np.float32, (), "numbers")
    assert found.present.tolist() == [value == value for value in expected]


def test_categories_keep_their_order_and_those_without_a_sample() -> None:
    kinds = pd.Categorical(["b", None, "c", "b"], categories=["c", "unused", "b"], ordered=True)
    found = target(kinds)
    assert (found.classes, found.kind) == (("c", "unused", "b"), "classes")
    assert found.values.tolist() == found.labels.tolist() == [2, -1, 0, 2]
    assert found.present.tolist() == [True, False, True, True]
    part = found.take(np.array([3, 1, 1]))
    assert (part.classes, part.values.tolist()) == (found.classes, [2, -1, -1])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pd.Categorical([1, 2]), r"has the classes \[1, 2\]: give 2 to 1,000 different names"),
        (pd.Categorical(["a", "a"]), r"has the classes \['a'\]"),
        (pd.Categorical(["a", "b\n"]), r"has the classes \['a', 'b\\n'\]"),
        (pd.Categorical(["a", "b" * 201]), "has the classes"),
        (pd.Categorical([None, None], categories=[f"c{n}" for n in range(1001)]), "has the classes"),
        (pd.to_datetime(["2020-01-01", "2021-01-01"]), r"has the type datetime64.*: make the column numbers"),
        (["1", "2"], ".*: make the column numbers, or classes by pandas.Categorical"),
        ([0.0, -np.inf], "is infinite in row 1"),
        ([0.0, 1e300], "is infinite in row 1"),  # as float32
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_column_that_is_neither_classes_nor_numbers_says_what_to_do(values, says) -> None:
    with pytest.raises(FerError, match=f"^ours: the target x {says}"):
        target(values)


def test_votes_become_shares_and_rows_without_any_are_missing() -> None:
    found = shares(a=[3, NAN, 0, 1e-30], b=[1, NAN, 5, 3e-30], c=[0, NAN, 0, 0])
    assert found.kind == "a distribution"
    np.testing.assert_allclose(found.values, [[0.75, 0.25, 0], [NAN] * 3, [0, 1, 0], [0.25, 0.75, 0]], rtol=1e-6)
    assert found.values.dtype == np.float32
    assert found.present.tolist() == [True, False, True, True]
    assert found.labels.tolist() == [0, -1, 1, 1]
    assert found.take(np.array([2, 1])).labels.tolist() == [1, -1]
    counts = shares(a=pd.array([2, None], dtype="Int64"), b=pd.array([1, None], dtype="Float64"))
    assert counts.labels.tolist() == [0, -1]


@pytest.mark.parametrize("odd", [(1, NAN), (-1, 3), (0, 0), (np.inf, 1), (1e308, 1e308)])
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_row_that_is_no_distribution_is_named(odd) -> None:
    with pytest.raises(FerError, match="the target x is not a distribution in row 2: give shares of at least 0"):
        shares(a=[1.0, NAN, odd[0]], b=[0.0, NAN, odd[1]])


def test_the_digest_changes_with_everything_that_a_training_reads() -> None:
    def of(**columns: object) -> str | None:
        return digest(targets_of(dataset(**columns)))

    kinds = pd.Categorical.from_codes([0, 1, -1], ["a", "b"])
    first = of(target_x=kinds, target_y=[1.0, NAN, 2.0])
    assert first is not None
    assert of(id=[9, 8, 7], target_y=[1.0, NAN, 2.0], target_x=kinds) == first  # order, and what is no target
    others = [
        of(target_x=pd.Categorical.from_codes([0, 1, -1], ["a", "c"]), target_y=[1.0, NAN, 2.0]),
        of(target_x=pd.Categorical.from_codes([0, 1, 1], ["a", "b"]), target_y=[1.0, NAN, 2.0]),
        of(target_x=kinds, target_y=[1.0, NAN, 2.5]),
        of(target_x=kinds, target_z=[1.0, NAN, 2.0]),
        of(target_x=kinds),
    ]
    assert len({first, *others}) == 6
    assert of(id=[1, 2]) is None


def test_tables_are_united_by_the_names_of_targets_and_of_classes() -> None:
    one = dataset(
        "one",
        target_mood=pd.Categorical.from_codes([1, -1], ["calm", "tense"]),
        **{"target_age:young": [1, NAN], "target_age:old": [3, NAN]},
    )
    two = dataset("two", label=[0])
    three = dataset(
        "three",
        target_mood=pd.Categorical.from_codes([0, 1], ["tense", "angry"]),
        target_size=[4, 5],
        **{"target_age:old": [1, 1], "target_age:dead": [1, 0]},
    )
    table = unite([one, two, three])
    assert table.index.tolist() == [0, 1, 2, 3, 4]
    assert table["target_mood"].tolist()[::3] == ["tense", "tense"]
    assert table["target_mood"].isna().tolist() == [False, True, True, False, False]
    found = targets_of(SimpleNamespace(name="all", table=table))
    assert found["mood"].classes == ("calm", "tense", "angry")
    assert found["mood"].values.tolist() == [1, -1, -1, 1, 2]
    np.testing.assert_array_equal(found["size"].values, [NAN, NAN, NAN, 4, 5])
    assert found["age"].classes == ("young", "old", "dead")
    expected = [[0.25, 0.75, 0], [NAN] * 3, [NAN] * 3, [0, 0.5, 0.5], [0, 1, 0]]
    np.testing.assert_array_equal(found["age"].values, expected)
    assert unite([two, two]).shape == (2, 0)


def test_a_target_of_two_kinds_names_both_datasets() -> None:
    kinds = dataset("kinds", target_x=pd.Categorical(["a", "b"]))
    with pytest.raises(FerError) as error:
        unite([kinds, dataset("none", label=[1]), dataset("numbers", target_x=[1.0])])
    assert "the target x is not of one kind (classes in kinds, numbers in numbers)" in str(error.value)
