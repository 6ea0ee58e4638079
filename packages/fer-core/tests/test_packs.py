"""A pack gives back exactly what the dataset reads, and is never half there."""

import errno
import os
import pickle
import shutil
import signal
import threading
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from fer_core.cache import cache_root
from fer_core.data.packs import build as pack_build
from fer_core.data.packs.open import DirectReader, MappedPack, open_pack
from fer_core.data.table import make_fingerprint
from fer_core.errors import FerError
from fer_core.types import FERDataset


class Toy(FERDataset):
    name = "toy"
    classes = ("a", "b")

    def __init__(self, shapes, fail=None):
        self.shapes, self.fail, self.reads = shapes, fail, 0
        count = len(shapes)
        ids = [f"s{i}" for i in range(count)]
        self.table = pd.DataFrame({"id": ids, "label": [i % 2 for i in range(count)], "split": "", "source": ids})

    def read(self, row):
        self.reads += 1
        if row == self.fail:
            raise FerError("the image s3 is damaged: restore it")
        key = int(self.table["id"].iloc[row][1:])
        return np.random.RandomState(key).randint(0, 256, self.shapes[key], dtype=np.uint8)

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], self.table["source"])


GREY = [(6, 5, 1)] * 9
MIXED = [(6, 5, 1), (4, 7, 3), (6, 5, 3), (1, 1, 1), (6, 5, 1)]


def assert_same(pack, dataset):
    rows = np.array([len(dataset.table) - 1, 0, 2, 0])
    images = pack.images(rows)
    assert len(pack) == len(dataset.table)
    assert len(images) == 4
    for row, image in zip(rows, images, strict=True):
        expected = dataset.read(int(row))
        assert image.dtype == np.uint8
        assert image.shape == expected.shape
        assert (image == expected).all()
    assert [tuple(size) for size in pack.sizes] == [shape[:2] for shape in dataset.shapes]


@pytest.mark.parametrize(
    ("shapes", "uniform"), [(GREY, True), (MIXED, False), ([(3, 3, 3), (3, 3, 1)] * 2, False)]
)
def test_pack_gives_back_the_pixels(tmp_path, shapes, uniform):
    dataset = Toy(shapes)
    pack = open_pack(dataset, tmp_path, progress=False)
    assert isinstance(pack, MappedPack)
    assert pack.uniform is uniform
    assert isinstance(pack.images(np.array([0])), np.ndarray) is uniform
    assert_same(pack, dataset)
    assert_same(pickle.loads(pickle.dumps(pack)), dataset)


def test_pack_is_read_once(tmp_path):
    open_pack(Toy(GREY), tmp_path, progress=False)
    second = Toy(GREY)
    open_pack(second, tmp_path, progress=False)
    assert second.reads == 0


def test_rows_in_another_order_are_another_pack(tmp_path):
    dataset, turned = Toy(MIXED), Toy(MIXED)
    turned.table = turned.table.iloc[::-1].reset_index(drop=True)
    assert turned.fingerprint() == dataset.fingerprint()
    open_pack(dataset, tmp_path, progress=False)
    image = open_pack(turned, tmp_path, progress=False).images(np.array([0]))[0]
    assert (image == dataset.read(4)).all()


@pytest.mark.parametrize("name", ["pixels.bin", "sizes.npy", "offsets.npy", "pack.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "folder", "pipe"])
def test_damaged_pack_is_built_again(tmp_path, name, damage):
    dataset = Toy(GREY)
    (path,) = [open_pack(dataset, tmp_path, progress=False).folder / name]
    content = path.read_bytes()
    path.unlink()
    if damage in ("cut", "empty"):
        path.write_bytes(content[: len(content) - 3] if damage == "cut" else b"")
    elif damage == "folder":
        path.mkdir()
    elif damage == "pipe":
        os.mkfifo(path)
    assert_same(open_pack(dataset, tmp_path, progress=False), dataset)
    assert len(list((tmp_path / "packs").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sizes.npy", np.full((9, 2), -4)),
        ("sizes.npy", np.full((9, 2), 1 << 40)),
        ("sizes.npy", np.full((9, 2), 4.0)),
        ("sizes.npy", np.full((9, 2), [2, 3])),
        ("offsets.npy", np.array([0, 1 << 62, -(1 << 62), *range(6), 270])),
        ("offsets.npy", np.array([None] * 10)),
    ],
)
def test_pack_with_an_impossible_index_is_built_again(tmp_path, name, values):
    dataset = Toy(GREY)
    np.save(open_pack(dataset, tmp_path, progress=False).folder / name, values)
    assert_same(open_pack(dataset, tmp_path, progress=False), dataset)


@pytest.mark.parametrize("shape", [(-4, 6, 1), (1 << 40, 1 << 40, 3), (4, 6, 2), (0, 0, 1)])
def test_impossible_shapes_of_a_part_of_a_pack_are_read_again(tmp_path, shape):
    dataset = Toy(GREY)
    whole = open_pack(dataset, tmp_path, progress=False).folder
    part = pack_build.unfinished(whole)
    whole.rename(part)
    (part / "shapes.bin").write_bytes(np.array([dataset.read(0).shape, shape] * 9, dtype=np.int64).tobytes())
    assert_same(open_pack(dataset, tmp_path, progress=False), dataset)


def test_unreadable_image_leaves_nothing(tmp_path):
    with pytest.raises(FerError, match="s3 is damaged"):
        open_pack(Toy(GREY, fail=3), tmp_path, progress=False)
    assert list((tmp_path / "packs").iterdir()) == []


def test_full_disk_is_explained_and_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pack_build.os, "fsync", refuse)
    with pytest.raises(FerError, match=r"disk is full.*FER_CACHE"):
        open_pack(Toy(GREY), tmp_path, progress=False)
    assert list((tmp_path / "packs").iterdir()) == []


def test_cache_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(FerError, match="FER_CACHE"):
        open_pack(Toy(GREY), tmp_path / "cache", progress=False)


def test_pack_too_large_for_the_disk_is_read_on_demand(tmp_path, monkeypatch, lines):
    usage = namedtuple("usage", "total used free")
    needed = 9 * 30
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 5 * needed - 1))
    dataset = Toy(GREY)
    pack = open_pack(dataset, tmp_path, progress=False)
    assert isinstance(pack, DirectReader)
    assert not pack.uniform
    assert_same(pack, dataset)
    (line,) = lines
    assert line.startswith("warning  toy: a pack would take")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 5 * needed))
    assert isinstance(open_pack(dataset, tmp_path, progress=False), MappedPack)


def test_builders_at_once_agree(tmp_path):
    meet, found, datasets = threading.Barrier(4), [], [Toy(MIXED) for _ in range(4)]

    def build(dataset):
        meet.wait()
        found.append(open_pack(dataset, tmp_path, progress=False))

    threads = [threading.Thread(target=build, args=[dataset]) for dataset in datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert sum(dataset.reads > 0 for dataset in datasets) == 1  # the others waited
    for pack in found:
        assert_same(pack, Toy(MIXED))
    assert len(list((tmp_path / "packs").iterdir())) == 1


class Interrupted(Toy):
    """Ctrl-C when a row is read for the pack, after the estimate of its size has read all of them."""

    def read(self, row):
        if row == 6 and self.reads >= len(self.shapes):
            raise KeyboardInterrupt
        return super().read(row)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Folder of a pack of which five images are safe."""
    monkeypatch.setattr(pack_build, "PART", 1)
    monkeypatch.setattr(pack_build, "SAVED", 40)  # every second image
    with pytest.raises(KeyboardInterrupt):
        open_pack(Interrupted(MIXED * 2), tmp_path, progress=False)
    (folder,) = (tmp_path / "packs").iterdir()
    return folder


def test_an_interrupted_pack_is_continued(tmp_path, interrupted):
    assert interrupted.name.startswith(".")
    dataset = Toy(MIXED * 2)
    pack = open_pack(dataset, tmp_path, progress=False)
    assert 10 <= dataset.reads < 16  # ten of the estimate, and those that were missing
    assert_same(pack, dataset)
    assert [folder.name for folder in (tmp_path / "packs").iterdir()] == [interrupted.name[1:]]
    assert sorted(path.name for path in pack.folder.iterdir()) == [
        "offsets.npy",
        "pack.json",
        "pixels.bin",
        "sizes.npy",
    ]


@pytest.mark.parametrize("name", ["pixels.bin", "shapes.bin"])
@pytest.mark.parametrize("kept", [0, 13, None])
def test_what_an_interruption_left_half_is_read_again(tmp_path, interrupted, name, kept):
    path = interrupted / name
    content = path.read_bytes()
    path.write_bytes(content + b"trailing" if kept is None else content[:kept])
    assert_same(open_pack(Toy(MIXED * 2), tmp_path, progress=False), Toy(MIXED * 2))


def test_changed_images_are_not_continued(tmp_path, interrupted):
    changed = Toy([(2, 2, 1)] * 10)
    changed.table["source"] = "other"
    assert_same(open_pack(changed, tmp_path, progress=False), changed)


def test_a_disk_that_fills_up_leaves_no_pack(tmp_path):
    """The limit on file size stands for a full disk: the kernel refuses the same writes."""
    resource = pytest.importorskip("resource")
    dataset = Toy([(100, 100, 3)] * 8)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(FerError, match=r"disk is full.*FER_CACHE"):
            open_pack(dataset, tmp_path, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((tmp_path / "packs").iterdir()) == []
    assert_same(open_pack(dataset, tmp_path, progress=False), dataset)


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.float32), np.zeros((0, 2, 1), np.uint8)]
)
def test_reader_that_breaks_the_contract_is_named(tmp_path, monkeypatch, image):
    dataset = Toy(GREY)
    monkeypatch.setattr(dataset, "read", lambda row: image)
    with pytest.raises(FerError, match="'s0' was read as"):
        open_pack(dataset, tmp_path, progress=False)


def test_cache_root_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("FER_CACHE")
    assert cache_root().name == "fer"
