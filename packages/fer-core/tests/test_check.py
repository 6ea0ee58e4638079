"""`fer-run data check` finds what is wrong with a copy of a dataset."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fer_core.cli.main import main
from fer_core.data.inspection.check import check_dataset
from fer_core.data.open import open_dataset
from fer_core.errors import FerError
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.types import DatasetSpec, FERDataset
from PIL import Image


class Toy(FERDataset):
    name = "toy"
    classes = ("sad", "glad")

    def __init__(self, images, labels, splits):
        self.images = images
        ids = [f"s{i}" for i in range(len(images))]
        self.table = pd.DataFrame({"id": ids, "label": labels, "split": splits, "source": ids})

    def read(self, row):
        if self.images[row] is None:
            raise FerError(f"the image s{row}.png is missing: restore it")
        return self.images[row]

    def fingerprint(self):
        return "0" * 64


def noise(seed, shape=(4, 4, 1)):
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def sound():
    return Toy([noise(i) for i in range(6)], [0, 1] * 3, ["train"] * 4 + ["test"] * 2)


def flawed():
    same = noise(1, (2, 8, 1))
    images = [
        noise(0),
        same,
        same.copy(),
        noise(3),
        noise(3),
        None,
        np.zeros((4, 4, 1), np.uint8),
        same.reshape(8, 2, 1),
    ]
    return Toy(
        images, [0, 0, 1, 1, 1, 0, 1, 0], ["train", "train", "test", "train", "train", "train", "test", "test"]
    )


COUNTS = {"train": {"sad": 2, "glad": 2}, "test": {"sad": 1, "glad": 1}}


def spec(make=sound, counts=COUNTS, **changes):
    values = {
        "name": "toy",
        "factory": lambda root, mode="majority": make(),
        "classes": Toy.classes,
        "splits": {"train": "train", "test": "test"},
        "layouts": {"plain": "DIR/\n  faces/"},
        "expected_counts": counts,
        "summary": "",
        "licence": "",
        "homepage": "https://example.org/toy",
        "options": {"mode": "majority"},
        **changes,
    }
    return DatasetSpec(**values)


def test_sound_copy_has_no_problems():
    report = check_dataset(sound(), spec())
    assert report.problems == []
    assert not report.incomplete
    assert report.counts == COUNTS


def test_every_flaw_is_found():
    report = check_dataset(flawed(), spec())
    assert report.unreadable == {"s5": "the image s5.png is missing: restore it"}
    assert report.constant == ["s6"]
    assert report.duplicates_across == [["s1", "s2"]]
    assert report.duplicates_within == [["s3", "s4"]]
    assert report.conflicts == [["s1", "s2"]]
    assert report.differences == ["train: 3 samples of sad, not 2 (+1)", "test: 2 samples of glad, not 1 (+1)"]
    assert report.incomplete
    assert len(report.problems) == 8
    content = json.loads(report.to_json())
    assert content["problems"] == report.problems
    assert content["counts"]["train"] == {"sad": 3, "glad": 2}


def test_repeated_images_alone_do_not_make_a_copy_incomplete():
    dataset = Toy([noise(0)] * 2, [0, 1], ["train", "test"])
    report = check_dataset(dataset, spec(counts={}))
    assert len(report.problems) == 3
    assert not report.incomplete


def test_absent_split_is_a_difference():
    dataset = Toy([noise(0), noise(1)], [0, 1], ["train", "train"])
    report = check_dataset(dataset, spec(counts={"test": {"sad": 1, "glad": 4}}))
    assert report.differences == ["the split test with 5 samples is absent"]


class Folder(Toy):
    """Samples that are files `train/0.png`... and `test/0.png`..."""

    def __init__(self, root, names, labels):
        super().__init__([None] * len(names), labels, [name.split("/")[0] for name in names])
        self.root = root
        self.table["source"] = names

    def read(self, row):
        path = self.root / self.table["source"][row]
        try:
            return np.array(Image.open(path))[:, :, None]
        except OSError as error:
            raise FerError(f"cannot read {path}: {error}") from error


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for i in range(4):
            Image.fromarray(noise(i if split == "train" else 9 + i)[:, :, 0]).save(tmp_path / f"{split}/{i}.png")
    return Folder(tmp_path, [f"{split}/{i}.png" for split in ("train", "test") for i in range(4)], [0, 1] * 4)


def test_missing_and_damaged_files_are_told_apart(folder):
    (folder.root / "train/1.png").unlink()
    (folder.root / "test/2.png").write_bytes(b"")
    report = check_dataset(folder, spec(counts={}))
    assert report.missing == ["s1"]
    assert list(report.unreadable) == ["s6"]
    assert report.incomplete
    assert report.problems[:2] == ["1 images are missing: s1", "1 images cannot be read: s6"]


def test_files_without_a_sample_are_found_and_compared_when_asked(folder):
    for name in ("train/extra.png", "test/copy.png"):
        (folder.root / name).write_bytes((folder.root / "train/0.png").read_bytes())
    for name in ("train/.hidden.png", "train/notes.txt"):
        (folder.root / name).write_text("")
    plain = check_dataset(folder, spec(counts={}))
    assert plain.unused == ["test/copy.png", "train/extra.png"]
    assert (plain.compared, plain.distinct, plain.copies) == (8, 8, {})
    assert not plain.incomplete
    whole = check_dataset(folder, spec(counts={}), all_files=True)
    assert (whole.compared, whole.distinct) == (10, 8)
    assert whole.duplicates_across == [["s0", "test/copy.png", "train/extra.png"]]
    assert whole.copies == {"test": {"train": 1}}
    assert whole.conflicts == []


def picture(seed):
    """A smooth picture, as photographs are."""
    small = Image.fromarray(np.random.RandomState(seed).randint(0, 256, (9, 9), dtype=np.uint8))
    return small.resize((96, 96), Image.Resampling.BICUBIC)


def test_near_copies_are_found_and_others_are_not(tmp_path):
    first = picture(0)
    first.save(tmp_path / "compressed.jpg", quality=60)
    copies = [
        first,
        Image.open(tmp_path / "compressed.jpg"),
        first.resize((60, 60), Image.Resampling.LANCZOS),
        first.point(lambda value: value * 0.9 + 10),
    ]
    flat = Image.new("L", (96, 96))
    images = [np.array(image)[:, :, None] for image in (*copies, *(picture(i) for i in range(1, 40)), flat, flat)]
    dataset = Toy(images, [0, 1] * (len(images) // 2) + [0] * (len(images) % 2), ["train"] * len(images))
    assert check_dataset(dataset, spec(counts={})).near is None
    assert check_dataset(dataset, spec(counts={}), near=True).near == [["s0", "s1", "s2", "s3"]]


def test_sheet_shows_what_is_flagged(tmp_path, monkeypatch):
    result = run(monkeypatch, tmp_path, spec(flawed), "--sheet", str(tmp_path / "sheet.png"))
    assert "7 images drawn" in result.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 500
    result = run(monkeypatch, tmp_path, spec(sound), "--sheet", str(tmp_path / "none.png"))
    assert "no sheet" in result.stderr
    assert not (tmp_path / "none.png").exists()
    result = run(monkeypatch, tmp_path, spec(flawed), "--sheet", str(tmp_path / "absent" / "sheet.png"))
    assert result.exit_code == 2
    assert "No such file or directory; create its folder first" in result.stderr


def run(monkeypatch, tmp_path, made, *arguments):
    entry = Entry("toy", made, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["datasets"], "toy", [entry])
    return CliRunner().invoke(main, ["data", "check", "toy", "--data", str(tmp_path), *arguments])


@pytest.mark.parametrize(
    ("make", "status"),
    [(sound, 0), (flawed, 1)],
)
def test_a_copy_that_differs_ends_with_1(monkeypatch, tmp_path, make, status):
    result = run(monkeypatch, tmp_path, spec(make))
    assert result.exit_code == status
    assert ("s5.png is missing" in result.stdout) == (make is flawed)
    assert "glad" in result.stdout


def test_json_is_the_whole_output(monkeypatch, tmp_path):
    result = run(monkeypatch, tmp_path, spec(flawed), "--json")
    assert json.loads(result.stdout)["unreadable"] == {"s5": "the image s5.png is missing: restore it"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "data.options.mod=x"], "data.options.mod: unknown option of toy, did you mean mode?"),
        (["-o", "train.epochs=3"], "takes -o data.options.KEY=VALUE only"),
        (["-o", "data.options.mode"], "takes -o data.options.KEY=VALUE only"),
    ],
)
def test_wrong_options_are_explained(monkeypatch, tmp_path, arguments, words):
    result = run(monkeypatch, tmp_path, spec(), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_options_reach_the_dataset(tmp_path):
    given = {}
    opened = open_dataset(
        spec(factory=lambda root, **options: given.update(options, root=root) or sound()), tmp_path, {"mode": 3}
    )
    assert given == {"mode": 3, "root": tmp_path}
    assert opened[1].name == "toy"


def test_missing_folder_shows_what_is_expected(tmp_path):
    with pytest.raises(FerError, match=r"does not exist.*https://example.org/toy.*--data") as caught:
        open_dataset(spec(), tmp_path / "absent", {})
    assert "faces/" in caught.value.details
    open_dataset(spec(needs_root=False), tmp_path / "absent", {})


def test_data_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    roots = []
    open_dataset(spec(factory=lambda root: roots.append(root) or sound()), None, {})
    assert roots == [tmp_path / "toy"]


def test_unreadable_folder_and_unusable_table_are_one_line(tmp_path):
    def refuse(root):
        raise PermissionError(13, "Permission denied", str(root))

    with pytest.raises(FerError, match=r"cannot read.*Permission denied"):
        open_dataset(spec(factory=refuse), tmp_path, {})
    with pytest.raises(FerError, match="out of range"):
        open_dataset(spec(lambda: Toy([noise(0)], [2], [""])), tmp_path, {})
