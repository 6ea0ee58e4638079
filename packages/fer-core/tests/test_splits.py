"""Every protocol divides without losing or repeating a sample, and says what it did."""

import numpy as np
import pandas as pd
import pytest
from fer_core.data.splits import make_split
from fer_core.errors import FerError
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import ShuffleSplit, train_test_split

ROLES = {"training": "train", "valid": "val", "test": "test"}


class Toy:
    name = "toy"

    def __init__(self, labels, split=None, group=None):
        self.classes, self.refused = tuple(f"c{i}" for i in range(max(labels) + 1)), {}
        count = len(labels)
        self.table = pd.DataFrame(
            {
                "id": [f"s{i:04d}" for i in range(count)],
                "label": np.array(labels, dtype=np.int64),
                "split": split if split is not None else [""] * count,
                "source": [""] * count,
            }
        )
        if group is not None:
            self.table["group"] = [str(value) for value in group]


def divide(dataset, protocol, select="last", holdout=0.1, seed=0, roles=ROLES):
    return make_split(dataset, roles, protocol, holdout=holdout, seed=seed, select=select)


def assert_whole(split, rows):
    assert sorted(np.concatenate([split.train, split.val, split.test]).tolist()) == list(rows)
    for part in (split.train, split.val, split.test):
        assert (np.diff(part) > 0).all()


def official(count=60, val=False):
    names = ["training", "training", "valid" if val else "training", "test"]
    return Toy([i % 3 for i in range(count)], [names[i % 4] for i in range(count)])


def test_official_keeps_the_authors_parts():
    dataset = official(val=True)
    split = divide(dataset, "official", select="best:val")
    assert split.protocol == "official"
    for part, name in ((split.train, "training"), (split.val, "valid"), (split.test, "test")):
        assert part.tolist() == np.flatnonzero(dataset.table["split"] == name).tolist()


def test_best_val_without_val_becomes_a_holdout_and_says_so():
    asked = divide(official(), "official", select="best:val")
    assert asked.protocol == "official+holdout"
    assert len(asked.val) > 0
    assert asked == asked
    explicit = divide(official(), "official+holdout", select="last")
    assert explicit.digest == asked.digest
    assert len(divide(official(), "official", select="best:test").val) == 0


def test_holdout_leaves_the_test_part_alone_and_is_stratified():
    dataset = Toy([0] * 200 + [1] * 40 + [0] * 10 + [1] * 10, ["training"] * 240 + ["test"] * 20)
    split = divide(dataset, "official+holdout", holdout=0.25)
    assert split.test.tolist() == list(range(240, 260))
    assert np.bincount(dataset.table["label"][split.val]).tolist() == [50, 10]


def test_table_without_split_names_is_shuffled():
    split = divide(Toy([i % 2 for i in range(100)]), "official", select="best:val")
    assert split.protocol == "stratified-shuffle:0"
    assert (len(split.train), len(split.val), len(split.test)) == (60, 20, 20)


@given(
    counts=st.lists(st.integers(5, 40), min_size=2, max_size=5),
    protocol=st.sampled_from(
        [
            "official",
            "official+holdout",
            "kfold:5:0",
            "kfold:3:2",
            "kfold:4:1+holdout",
            "stratified-shuffle:3",
            "seed-shuffle:4",
        ]
    ),
    select=st.sampled_from(["last", "best:val"]),
    seed=st.integers(0, 2**31),
    grouped=st.booleans(),
    named=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_or_repeated(counts, protocol, select, seed, grouped, named):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    split_names = [["training", "training", "test"][i % 3] for i in range(len(labels))] if named else None
    groups = [i // 2 for i in range(len(labels))] if grouped else None
    dataset = Toy(labels, split_names, groups)
    split = divide(dataset, protocol, select=select, seed=seed)
    assert_whole(split, range(len(labels)))
    assert len(split.test)
    if select == "best:val":
        assert len(split.val)
    again = divide(dataset, split.protocol, select=select, seed=seed)
    assert (again.protocol, again.digest) == (split.protocol, split.digest)
    if grouped and not protocol.startswith("seed-shuffle"):
        member = np.array(groups)
        if not protocol.startswith("official") or not named:
            assert not set(member[split.test]) & set(member[np.concatenate([split.train, split.val])])
        assert not set(member[split.train]) & set(member[split.val])


def test_folds_cover_everything_once():
    dataset = Toy([i % 3 for i in range(70)], group=[i // 5 for i in range(70)])
    folds = [divide(dataset, f"kfold:7:{k}").test for k in range(7)]
    assert sorted(np.concatenate(folds).tolist()) == list(range(70))


def test_grouped_holdout_is_near_its_fraction_and_balanced():
    rng = np.random.RandomState(0)
    labels = rng.choice(3, size=2000, p=[0.7, 0.2, 0.1])
    groups = rng.randint(300, size=2000)
    dataset = Toy(labels.tolist(), ["training"] * 1900 + ["test"] * 100, groups)
    split = divide(dataset, "official+holdout", holdout=0.2)
    share = np.bincount(labels[split.val]) / np.bincount(labels[:1900])
    assert np.abs(share - 0.2).max() < 0.03
    assert not set(groups[split.train]) & set(groups[split.val])


def test_unknown_group_is_a_group_of_its_own():
    dataset = Toy([i % 2 for i in range(40)], group=[""] * 40)
    assert len(divide(dataset, "stratified-shuffle:0").test) == 8


@pytest.mark.parametrize("repetition", [0, 3, 9])
def test_seed_shuffle_is_what_scikit_learn_gives(repetition):
    count = 211
    dataset = Toy([i % 3 for i in range(count)], ["training"] * count, group=[0] * count)
    split = divide(dataset, f"seed-shuffle:{repetition}", seed=5)
    x, y = np.arange(count), np.array(dataset.table["label"])
    outer = list(ShuffleSplit(n_splits=10, test_size=0.2, random_state=42).split(x, y))
    rest, test = outer[repetition]
    train, val = train_test_split(x[rest], test_size=0.25, random_state=repetition + 1)
    assert split.test.tolist() == sorted(test.tolist())
    assert split.val.tolist() == sorted(val.tolist())
    assert split.train.tolist() == sorted(train.tolist())


@pytest.mark.parametrize("repetition", [0, 9])
def test_the_inner_seed_of_seed_shuffle_may_be_given(repetition):
    dataset = Toy([0, 1, 2, 1] * 11)
    split = divide(dataset, f"seed-shuffle:{repetition}:{repetition}")
    rest, test = list(ShuffleSplit(n_splits=10, test_size=0.2, random_state=42).split(np.arange(44)))[repetition]
    train, val = train_test_split(rest, test_size=0.25, random_state=repetition)
    for part, expected in (("train", train), ("val", val), ("test", test)):
        assert getattr(split, part).tolist() == sorted(expected)
    assert split.digest != divide(dataset, f"seed-shuffle:{repetition}").digest


def test_repetitions_and_seeds_differ():
    dataset = Toy([i % 2 for i in range(100)])
    digests = {divide(dataset, f"stratified-shuffle:{k}", seed=s).digest for k in range(3) for s in range(3)}
    assert len(digests) == 9


def test_digest_follows_ids_not_row_order():
    dataset = official()
    turned = official()
    turned.table = turned.table.iloc[::-1].reset_index(drop=True)
    assert divide(dataset, "official").digest == divide(turned, "official").digest
    turned.table.loc[0, "id"] = "other"
    assert divide(dataset, "official").digest != divide(turned, "official").digest


def test_file(tmp_path):
    dataset = Toy([i % 2 for i in range(10)], ["training"] * 10)
    roles = ["train"] * 4 + ["val"] * 2 + ["test"] * 2 + ["unused"] * 2
    lines = [f"s{i:04d},{role}" for i, role in enumerate(roles)][::-1]
    path = tmp_path / "my.csv"
    path.write_text("\n".join(["id,role", *lines]))
    split = divide(dataset, f"file:{path}", select="best:val")
    assert split.protocol == "file:my.csv"
    assert (split.train.tolist(), split.val.tolist(), split.test.tolist()) == ([0, 1, 2, 3], [4, 5], [6, 7])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["id,role", "s0000,train", "nobody,test"], "not in toy.*'nobody'"),
        (["id,role", "s0000,train", "s0001,test"], "does not list 8 samples.*'s0002'"),
        (["id,role", "s0000,train", "s0000,test"], "'s0000' is listed twice"),
        (["id,role", "s0000,learn"], "role 'learn'"),
        (["name,part", "s0000,train"], "needs id and role"),
        (["id,role", *(f"s{i:04d},train" for i in range(10))], "no sample the role test"),
        ([], "cannot read"),
    ],
)
def test_file_mistakes_are_named(tmp_path, lines, words):
    path = tmp_path / "my.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(FerError, match=words):
        divide(Toy([i % 2 for i in range(10)]), f"file:{path}")


@pytest.mark.parametrize(
    ("dataset", "protocol", "words"),
    [
        (official(), "leave-one-out", "there is no split 'leave-one-out'"),
        (official(), "kfold:10", r"the split kfold:10 is not valid: write kfold:N:K\[:sorted\]"),
        (official(), "official:1", "the split official:1 is not valid: write official"),
        (official(), "file:", "write file:PATH"),
        (official(), "kfold:5:5", "K one of 0..N-1"),
        (official(), "kfold:1:0", "N is at least 2"),
        (official(val=True), "official+holdout", "has a validation part already"),
        (Toy([0, 1] * 5, ["training"] * 10), "official", r"no test split.*training \(train, 10 samples\)"),
        (Toy([0, 1] * 5, ["test"] * 10), "official", "no training split"),
        (Toy([0, 1] * 5, ["training", "other"] * 5), "official", "'other', which has no role"),
        (Toy([0] * 9 + [1]), "stratified-shuffle:0", "1 samples of class 'c1' are too few"),
        (Toy([0, 1] * 5, group=["a"] * 10), "stratified-shuffle:0", "one group"),
        (Toy([0, 1] * 5, group=["a", "b"] * 5), "kfold:3:0", "only 2 groups"),
        (Toy([0, 2] * 5, ["training"] * 8 + ["test"] * 2), "official", "no training sample of c1"),
        (Toy([0, 1, 0]), "seed-shuffle:0", "too few"),
    ],
)
def test_impossible_protocols_are_explained(dataset, protocol, words):
    with pytest.raises(FerError, match=words) as caught:
        divide(dataset, protocol)
    assert "\n" not in str(caught.value)


def test_holdout_must_be_a_fraction():
    with pytest.raises(FerError, match=r"data\.holdout"):
        divide(official(), "official+holdout", holdout=1.5)


def test_sorted_folds_deal_out_groups_by_name():
    names = ["S10", "S9", "S505", "S11", "S100"]  # by number: S9 S10 S11 S100 S505
    dataset = Toy([i % 2 for i in range(20)], group=[names[i % 5] for i in range(20)])
    tested = [set(dataset.table["group"][divide(dataset, f"kfold:2:{k}:sorted", seed=k).test]) for k in range(2)]
    assert tested == [{"S9", "S11", "S505"}, {"S10", "S100"}]
    assert divide(dataset, "kfold:2:1:sorted").protocol == "kfold:2:1:sorted"
    chosen = divide(dataset, "kfold:2:1:sorted", select="best:val")
    assert chosen.protocol == "kfold:2:1:sorted+holdout"
    assert set(dataset.table["group"][chosen.test]) == tested[1]
    with pytest.raises(FerError, match="groups are unknown"):
        divide(Toy([0, 1] * 5), "kfold:2:0:sorted")
    for wrong in ("stratified-shuffle:0:sorted", "kfold:2:sorted"):
        with pytest.raises(FerError, match="is not valid: write"):
            divide(dataset, wrong)


def test_a_dataset_refuses_a_protocol():
    dataset = Toy([0, 1] * 20)
    dataset.refused = {"kfold": "subjects are unknown; use stratified-shuffle:0"}
    with pytest.raises(FerError, match="kfold on toy: subjects are unknown; use"):
        divide(dataset, "kfold:5:0+holdout")
    assert len(divide(dataset, "stratified-shuffle:0").test) == 8
