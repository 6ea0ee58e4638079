"""The synthetic dataset: same seed same bytes, one split a person, no expression in the background."""

import fer_core
import numpy as np
import pytest
from fer_core.data.table import check_table
from fer_core.errors import FerError
from fer_core.types import EXPRESSIONS, FERDataset
from fer_datasets.specs.synthetic import SPEC
from fer_datasets.synthetic import VERSION, create

MEANS = [[209.2, 150.7, 166.7], [149.5, 112.1, 101.0], [151.0, 120.2, 109.2], [188.0, 163.3, 137.7]]


@pytest.fixture(scope="module")
def dataset():
    return create(None, samples=700)


def test_it_keeps_the_contract_of_a_dataset(dataset):
    assert isinstance(dataset, FERDataset)
    check_table(dataset)
    assert dataset.classes == EXPRESSIONS[:7] == SPEC.classes
    assert len(dataset.table) == 700
    assert set(dataset.table["split"]) == set(SPEC.splits)
    face = dataset.read(0)
    assert face.dtype == np.uint8
    assert face.shape == (64, 64, 3)
    for key, label in zip(dataset.table["id"], dataset.table["label"], strict=True):
        assert key.endswith(dataset.classes[label])


def test_a_row_is_the_same_whenever_it_is_drawn(dataset):
    rows = [0, 9, 350, 699]
    again = create(None, samples=700)
    backwards = {row: again.read(row) for row in reversed(rows)}
    for row in rows:
        np.testing.assert_array_equal(dataset.read(row), backwards[row])
    # More samples add persons and leave those drawn before alone.
    np.testing.assert_array_equal(create(None, samples=1400).read(350), dataset.read(350))


def test_the_seed_changes_pictures_and_splits(dataset):
    other = create(None, samples=700, seed=1)
    assert not np.array_equal(other.read(0), dataset.read(0))
    assert not other.table["split"].equals(dataset.table["split"])


def test_persons_keep_to_one_split(dataset):
    assert (dataset.table.groupby("group")["split"].nunique() == 1).all()
    assert dataset.table["group"].nunique() == 100


@pytest.mark.parametrize(("samples", "classes"), [(21, 7), (24, 8), (100, 7), (701, 8)])
def test_every_split_has_every_class(samples, classes):
    table = create(None, samples=samples, classes=classes).table
    assert len(table) == samples
    assert (table.groupby("split")["label"].nunique() == classes).all()
    assert set(table["split"]) == {"train", "val", "test"}


def test_contempt_is_the_eighth_class():
    dataset = create(None, samples=24, classes=8)
    assert dataset.classes == EXPRESSIONS
    assert not np.array_equal(dataset.read(7), dataset.read(0))


@pytest.mark.parametrize("size", [32, 48, 100])
def test_sizes(size):
    assert create(None, samples=21, size=size).read(3).shape == (size, size, 3)


def test_one_picture_at_two_sizes_shows_one_scene():
    small, large = (create(None, samples=21, size=size).read(4).astype(float) for size in (64, 128))
    shrunk = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 20}, "samples is 20"),
        ({"size": 16}, "size is 16"),
        ({"size": 64.0}, "size is 64.0"),
        ({"classes": 6}, "classes is 6"),
        ({"seed": -1}, "seed is -1"),
        ({"samples": True}, "samples is True"),
    ],
)
def test_bad_options_are_named(options, said):
    with pytest.raises(FerError, match=said):
        create(None, **options)


def test_options_are_checked_against_the_signature():
    with pytest.raises(FerError, match="expected a whole number of at least 32 and of at most 512"):
        fer_core.open_dataset("synthetic", size=16)
    with pytest.raises(FerError, match="did you mean size"):
        fer_core.open_dataset("synthetic", sizes=64)


@pytest.mark.parametrize("row", [-1, 700])
def test_a_row_outside_the_table_is_an_error(dataset, row):
    with pytest.raises(FerError, match="no row"):
        dataset.read(row)


def test_the_fingerprint_follows_the_options(dataset):
    variants = [{}, {"seed": 1}, {"size": 48}, {"samples": 707}, {"classes": 8}]
    prints = {create(None, **{"samples": 700, **options}).fingerprint() for options in variants}
    assert len(prints) == len(variants)
    assert dataset.fingerprint() in prints


def test_the_drawing_changes_only_with_the_version():
    """Mean red, green and blue: when these move, `VERSION` must go up and the values here with it."""
    dataset = create(None, samples=21)
    means = [dataset.read(row).mean(axis=(0, 1)) for row in (0, 3, 12, 20)]
    assert VERSION == 3
    np.testing.assert_allclose(means, MEANS, atol=1)


@pytest.fixture(scope="module")
def faces():
    dataset = create(None, samples=1050, size=32)
    return np.stack([dataset.read(row) for row in range(1050)])


def test_a_linear_reader_finds_some_expression_in_the_face(faces):
    inner = faces[:, 8:30, 5:27].mean(axis=3)
    assert _held_out_accuracy(inner) > 0.28


def test_the_background_does_not_tell_the_expression(faces):
    axis = np.linspace(-1, 1, 32)
    ring = (axis[None, :] / 0.92) ** 2 + (axis[:, None] / 1.15) ** 2 >= 1
    # Chance is 1/7, and the standard error of 350 guesses 0.019.
    assert _held_out_accuracy(faces[:, ring]) < 0.2


def _held_out_accuracy(pixels):
    """Ridge regression onto one-hot labels, fitted on the first 100 persons, tested on the other 50."""
    x = pixels.reshape(len(pixels), -1).astype(np.float32)
    labels = np.arange(len(x)) % 7
    x = (x - x[:700].mean(axis=0)) / (x[:700].std(axis=0) + 1)
    gram = x[:700] @ x[:700].T
    target = np.eye(7, dtype=np.float32)[labels[:700]] - 1 / 7
    weights = x[:700].T @ np.linalg.solve(gram + 300 * np.eye(700, dtype=np.float32), target)
    return float((np.argmax(x[700:] @ weights, axis=1) == labels[700:]).mean())
