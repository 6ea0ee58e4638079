"""Choosing and merging classes of one dataset, and datasets joined by the names of their classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fer_core.data.attributes import attributes_of
from fer_core.data.classes import describe_classes, select_classes
from fer_core.data.open import open_dataset
from fer_core.data.packs.open import open_pack
from fer_core.data.splits import make_split
from fer_core.data.table import check_table, make_fingerprint
from fer_core.data.union import UnionSpec, find_dataset, part_roots
from fer_core.errors import FerError
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.types import DatasetSpec, FERDataset


class Toy(FERDataset):
    """Image of row r is filled with `base + r`; labels go round."""

    def __init__(
        self, name, classes, samples, *, size=4, base=0, splits=("train", "test"), groups=False, votes=False
    ):
        self.name, self.classes, self.size, self.base = name, classes, size, base
        rows = np.arange(samples)
        ids = [f"{row:03d}" for row in rows]
        self.table = pd.DataFrame(
            {
                "id": ids,
                "label": rows % len(classes),
                "split": [splits[row * len(splits) // samples] for row in rows],
                "source": [f"{name}.bin" for _ in ids],
            }
        )
        if groups:
            self.table["group"] = [f"s{row // 4}" if row else "" for row in rows]
        if votes:
            for number, label in enumerate(classes):
                self.table[f"votes_{label}"] = 10 * (number + 1) + rows

    def read(self, row):
        return np.full((self.size, self.size, 3), self.base + row, np.uint8)

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], [self.name] * len(self.table))


def spec_of(name, dataset, roles=None, **more):
    calls = []

    def make(root: Path, *, mode: str = "x"):
        calls.append((root, mode))
        return dataset

    text = dict.fromkeys(("summary", "licence", "homepage"), "")
    roles = {"train": "train", "val": "val", "test": "test"} if roles is None else roles
    more = {"layouts": {}, "expected_counts": {}, "needs_root": False} | more
    spec = DatasetSpec(name=name, factory=make, classes=dataset.classes, splits=roles, **text, **more)
    return spec, calls


@pytest.fixture
def known(monkeypatch):
    """Function that makes datasets known by name; returns the list of (root, mode) of every opening."""

    def register(name, dataset, roles=None, **more):
        spec, calls = spec_of(name, dataset, roles, **more)
        entry = Entry(name, spec, Plugin("tests", "fer-tests", "0"))
        monkeypatch.setitem(load_plugins().entries["datasets"], name, [entry])
        return calls

    return register


FOUR = ("anger", "fear", "happiness", "neutral")


def named(dataset):
    return [dataset.classes[label] for label in dataset.table["label"]]


def test_a_list_keeps_classes_in_its_order():
    whole = Toy("toy", FOUR, 12)
    dataset = select_classes(whole, ["neutral", "anger"])
    check_table(dataset)
    assert dataset.classes == ("neutral", "anger")
    assert named(dataset) == ["anger", "neutral"] * 3
    assert dataset.table["id"].tolist() == ["000", "003", "004", "007", "008", "011"]
    assert [int(dataset.read(row)[0, 0, 0]) for row in range(6)] == [0, 3, 4, 7, 8, 11]
    assert describe_classes(dataset) == ["toy: fear (3 faces), happiness (3 faces) left out"]
    assert len(whole.table) == 12


def test_a_mapping_merges_renames_and_leaves_out():
    whole = Toy("toy", FOUR, 8, votes=True)
    dataset = select_classes(whole, {"fear": "anger", "happiness": None, "neutral": "calm"})
    assert dataset.classes == ("anger", "calm")
    assert named(dataset) == ["anger", "anger", "calm"] * 2
    assert dataset.table["votes_anger"].tolist() == [30, 32, 36, 38, 40, 44]
    assert dataset.table["votes_calm"].iloc[1] == 41
    assert [column for column in dataset.table if column.startswith("votes_")] == ["votes_anger", "votes_calm"]
    assert describe_classes(dataset) == [
        "toy: anger (2 faces), fear (2 faces) as anger; neutral (2 faces) as calm; happiness (2 faces) left out"
    ]


def test_a_table_that_changes_nothing_is_nothing():
    whole = Toy("toy", FOUR, 8)
    assert select_classes(whole, list(FOUR)) is whole
    assert select_classes(whole, {"anger": "anger"}) is whole
    assert describe_classes(whole) == []


def test_the_fingerprint_depends_on_the_table():
    whole = Toy("toy", FOUR, 8)
    tables = (["anger", "fear"], ["fear", "anger"], {"fear": "anger"}, {"fear": None})
    prints = {select_classes(whole, table).fingerprint() for table in tables}
    assert len(prints | {whole.fingerprint()}) == 5
    assert select_classes(whole, ["anger", "fear"]).fingerprint() in prints


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (["anger", "fera"], "names the class 'fera', which toy does not have: did you mean fear"),
        ({"joy": "anger"}, "names the class 'joy', which toy does not have"),
        (["anger", "fear", "anger"], r"names a class twice \(anger, fear, anger\)"),
        (["anger"], "leaves toy anger of its classes: leave at least two"),
        (dict.fromkeys(FOUR), "leaves toy none of its classes"),
        (dict.fromkeys(FOUR, "face"), "leaves toy face of its classes"),
    ],
)
def test_wrong_tables(table, message):
    with pytest.raises(FerError, match=message):
        select_classes(Toy("toy", FOUR, 8), table)


def test_all_choices_share_one_pack(tmp_path):
    whole = Toy("toy", FOUR, 8)
    for table in (["anger", "fear"], {"fear": None}):
        dataset = select_classes(whole, table)
        pack = open_pack(dataset, tmp_path, progress=False)
        rows = np.array([2, 0])
        assert len(pack) == len(pack.sizes) == len(dataset.table)
        assert pack.uniform
        assert pack.images(rows)[:, 0, 0, 0].tolist() == [int(dataset.read(row)[0, 0, 0]) for row in rows]
    assert len(list((tmp_path / "packs").iterdir())) == 1


def two(known, **more):
    a = Toy("a", FOUR, 8, base=0, size=4, **more)
    b = Toy("b", ("happiness", "contempt", "anger", "fear"), 12, base=100, size=6, groups=True)
    return a, b, known("a", a), known("b", b)


def test_shared_classes_by_name(known, tmp_path):
    two(known)
    spec, dataset = open_dataset("a+b", None, {})
    check_table(dataset)
    assert spec.name == dataset.name == "a+b"
    assert spec.classes == dataset.classes == ("anger", "fear", "happiness")
    assert len(dataset.table) == 6 + 9
    assert dataset.table["id"].tolist()[5:8] == ["a/006", "b/000", "b/002"]
    assert named(dataset)[5:9] == ["happiness", "happiness", "anger", "fear"]
    assert [int(dataset.read(row)[0, 0, 0]) for row in (5, 6, 14)] == [6, 100, 111]
    assert dataset.table["group"].tolist()[:8] == [""] * 7 + ["b/s0"]
    assert describe_classes(dataset) == ["a: neutral (2 faces) left out", "b: contempt (3 faces) left out"]
    pack = open_pack(dataset, tmp_path, progress=False)
    rows = np.array([14, 0, 6, 5])
    assert [image[0, 0, 0] for image in pack.images(rows)] == [111, 0, 100, 6]
    assert [image.shape[0] for image in pack.images(rows)] == [6, 4, 6, 4]
    assert pack.sizes[rows].tolist() == [[6, 6], [4, 4], [6, 6], [4, 4]]


def test_splits_are_united_role_by_role(known):
    two(known, splits=("train", "val", "test"))
    spec, dataset = open_dataset("a+b", None, {})
    split = make_split(dataset, spec.splits, "official", holdout=0.1, seed=0, select="best:val")
    assert split.protocol == "official"
    for role in ("train", "val", "test"):
        assert {name.rpartition("/")[2] for name in dataset.table["split"].iloc[getattr(split, role)]} == {role}
    assert dataset.shares(split.val) == {"a": 2, "b": 0}
    assert sum(len(getattr(split, role)) for role in ("train", "val", "test")) == len(dataset.table)


def test_groups_of_two_datasets_stay_apart(known):
    known("a", Toy("a", FOUR, 16, groups=True))
    known("b", Toy("b", FOUR, 16, groups=True))
    spec, dataset = open_dataset("a+b", None, {})
    assert dataset.table["group"].nunique() == 9  # four a part, and the unknown ones are empty
    split = make_split(dataset, spec.splits, "kfold:2:0", holdout=0.1, seed=0, select="last")
    groups = dataset.table["group"]
    assert not set(groups.iloc[split.train]) & set(groups.iloc[split.test]) - {""}


def test_attributes_are_unknown_where_a_part_lacks_them(known):
    a, b, _, _ = two(known)
    a.table["attribute_age"] = [f"{row}+" for row in range(8)]
    b.table["attribute_hair"] = ""
    _, dataset = open_dataset("a+b", None, {})
    assert attributes_of(dataset) == {
        "age": ["0+", "1+", "2+", "4+", "5+", "6+"] + ["unknown"] * 9,
        "hair": ["unknown"] * 15,
    }


def test_votes_only_where_all_have_them(known):
    known("a", Toy("a", FOUR, 8, votes=True))
    known("b", Toy("b", FOUR, 8, votes=True))
    known("c", Toy("c", FOUR, 8))
    assert "votes_anger" in open_dataset("a+b", None, {})[1].table
    assert open_dataset("a+b", None, {})[1].table["votes_anger"].notna().all()
    _, mixed = open_dataset("a+b+c", None, {})
    assert "votes_anger" not in mixed.table
    assert describe_classes(mixed) == ["votes of a, b are not used, since not every part of a+b+c has them"]


def test_labels_are_drawn_from_the_votes_of_all_or_of_none(known):
    a, b = Toy("a", FOUR, 8, votes=True), Toy("b", FOUR, 8, votes=True)
    known("a", a)
    known("b", b)
    a.draw_labels = True
    assert select_classes(a, ["anger", "fear"]).draw_labels
    with pytest.raises(FerError, match=r"a\+b: a draws its labels from votes, but b has one label per face"):
        open_dataset("a+b", None, {})
    b.draw_labels = True
    assert open_dataset("a+b", None, {})[1].draw_labels


def test_a_table_comes_before_the_sharing(known):
    two(known)
    _, dataset = open_dataset("a+b", None, {}, {"contempt": "anger", "neutral": "happiness"})
    assert dataset.classes == ("anger", "fear", "happiness")
    assert len(dataset.table) == 20
    _, dataset = open_dataset("a+b", None, {}, ["happiness", "fear"])
    assert dataset.classes == ("happiness", "fear")
    with pytest.raises(FerError, match=r"data\.classes names contempt, which a lacks"):
        open_dataset("a+b", None, {}, ["happiness", "contempt"])
    with pytest.raises(FerError, match=r"data\.classes names the class 'joy', which a\+b does not have"):
        open_dataset("a+b", None, {}, {"joy": "happiness"})


def test_nothing_shared(known):
    known("a", Toy("a", ("x", "y"), 4))
    known("b", Toy("b", ("u", "v"), 4))
    with pytest.raises(FerError, match=r"a\+b share no class \(a: x, y; b: u, v\): at least two"):
        open_dataset("a+b", None, {})
    _, dataset = open_dataset("a+b", None, {}, {"u": "x", "v": "y"})
    assert named(dataset) == ["x", "y"] * 4


def test_each_part_has_its_root_and_options(known, tmp_path, monkeypatch):
    _, _, calls_a, calls_b = two(known)
    open_dataset("a+b", Path("a=/x,1/y,b=/z"), {"b": {"mode": "m"}})
    assert calls_a == [(Path("/x,1/y"), "x")]
    assert calls_b == [(Path("/z"), "m")]
    monkeypatch.setenv("FER_DATA", str(tmp_path))
    open_dataset("a+b", Path("b=/z"), {})
    assert calls_a[-1] == (tmp_path / "a", "x")
    for root, message in (
        ("/x", r"gives no folder for each part of a\+b: write --data a=DIR,b=DIR"),
        ("c=/x", r"--data names c, which is not a part of a\+b"),
    ):
        with pytest.raises(FerError, match=message):
            open_dataset("a+b", Path(root), {})
    with pytest.raises(FerError, match=r"data\.options names mode, which is not a part"):
        open_dataset("a+b", None, {"mode": "m"})
    with pytest.raises(
        FerError, match=r"data\.options: unknown option|data\.options\.colour: unknown option of a"
    ):
        open_dataset("a+b", None, {"a": {"colour": 1}})


def test_names(known):
    known("toy", Toy("toy", FOUR, 8), aliases=("toy+",))
    known("a", Toy("a", FOUR, 8))
    assert find_dataset("toy+").name == "toy"
    for name in ("toy++a", "a+toy+", "a+toy", "TOY+a"):
        assert isinstance(find_dataset(name), UnionSpec)
        assert set(find_dataset(name).name.split("+")) == {"a", "toy"}
    with pytest.raises(FerError, match="names one dataset twice"):
        find_dataset("a+a")
    with pytest.raises(FerError, match="there is no dataset 'nope'"):
        find_dataset("a+nope")
    assert part_roots(find_dataset("a+toy"), Path("toy+=/x")) == {"a": None, "toy": Path("/x")}


def test_views_delegate_what_they_do_not_change(known, tmp_path):
    a, b = Toy("a", FOUR, 8), Toy("b", FOUR[:3], 6)
    a.layout, a.root, a.refused, a.draw_labels = "csv", tmp_path, {"kfold": "no groups"}, True
    chosen = select_classes(a, ["anger", "fear"])
    assert (chosen.layout, chosen.root, chosen.refused, chosen.draw_labels) == (a.layout, a.root, a.refused, True)
    assert chosen.parts == (a,)
    assert chosen.expected_counts == {}  # those of the whole dataset are not its own
    a.draw_labels = False
    known("a", a, expected_counts={"train": {"anger": 1}})
    known("b", b, expected_counts={"train": {"anger": 2}})
    union = open_dataset("a+b", None, {})[1]
    assert union.parts == (a, b)
    assert union.expected_counts == {"b/train": {"anger": 2}}
    b.expected_counts = {}
    assert open_dataset("a+b", None, {})[1].expected_counts == {}


@pytest.mark.parametrize(
    ("made", "found"), [("'rows'", "returned str"), ("Half()", "returned Half without classes and table")]
)
def test_a_factory_that_returns_no_dataset_is_told(site, made, found):
    site.install(
        "fer-odd",
        f"""
        from fer_core.plugin import FERDataset

        class Half(FERDataset):
            name = "odd"
            def read(self, row): ...
            def fingerprint(self): ...

        def make(root):
            return {made}

        @hookimpl
        def fer_datasets():
            return [DatasetSpec(name="odd", factory=make, classes=(), splits={{}}, layouts={{}},
                                expected_counts={{}}, summary="", licence="", homepage="", needs_root=False)]
        """,
    )
    with pytest.raises(FerError, match=f"the dataset odd of fer-odd {found}, expected a subclass of FERDataset"):
        open_dataset("odd", None, {})


def test_what_a_part_refuses_the_union_refuses(known):
    a, _, _, _ = two(known)
    a.refused = {"kfold": "its subjects are unknown"}
    a.layout = "csv"
    spec, dataset = open_dataset("a+b", None, {})
    assert dataset.layout == "a: csv"
    with pytest.raises(FerError, match=r"kfold on a\+b: a: its subjects are unknown"):
        make_split(dataset, spec.splits, "kfold:2:0", holdout=0.1, seed=0, select="last")


def test_a_million_rows(known):
    known("a", Toy("a", FOUR, 500_000))
    known("b", Toy("b", FOUR[::-1], 500_000))
    _, dataset = open_dataset("a+b", None, {}, {"fear": "anger"})
    assert len(dataset.table) == 1_000_000
    assert np.bincount(dataset.table["label"]).tolist() == [500_000, 250_000, 250_000]
