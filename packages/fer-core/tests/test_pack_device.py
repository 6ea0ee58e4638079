"""Pixels of a pack on a device are those of the host, whether the pack lives there or is sent in parts."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fer_core.data.packs import device as module
from fer_core.data.packs.device import SHARE, images_on
from fer_core.engine.devices import Cpu, Device
from fer_core.types import Pack


class Listed(Pack):
    """Images of given sizes, which counts how often it is asked for some."""

    def __init__(self, *shapes: tuple[int, int, int]) -> None:
        rng = np.random.default_rng(0)
        self.given = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
        self.asked = 0

    uniform = property(lambda self: len({image.shape for image in self.given}) == 1)
    sizes = property(lambda self: np.array([image.shape[:2] for image in self.given]))

    def __len__(self) -> int:
        return len(self.given)

    def images(self, rows):
        self.asked += 1
        found = [self.given[row] for row in rows]
        return np.stack(found) if self.uniform else found


class Stored(Listed):
    """One array."""

    def whole(self):
        return np.stack(self.given)


class Roomy(Device):
    """A device beside the host with room for some bytes, which counts copies."""

    torch_name = "cpu"

    def __init__(self, name: str, free: int) -> None:
        super().__init__(name)
        self.free, self.copies = free, 0

    def room(self):
        return self.free

    def place(self, tensor):
        self.copies += 1
        return tensor.clone()

    def synchronize(self):
        pass


SMALL = [(4, 6, 3)] * 7
ROWS = np.array([5, 0, 5, 6, 2])
BYTES = 7 * 4 * 6 * 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("free", [SHARE * BYTES, 0])
def test_rows_come_in_their_order_and_as_often_as_they_are_named(channels, free) -> None:
    pack = Stored(*[(4, 6, channels)] * 7)
    expected = torch.from_numpy(np.stack([pack.given[row] for row in ROWS])).permute(0, 3, 1, 2)
    for device in (Roomy("roomy", free), Cpu()):
        found = images_on(device, pack, ROWS)
        assert found.dtype == torch.uint8
        assert found.equal(expected)
        assert found.is_contiguous(memory_format=torch.channels_last)
    images_on(Roomy("roomy", free), pack, ROWS)
    assert pack.asked == (1 if free else 3)  # the host never holds a copy


@pytest.mark.parametrize("on_host", [True, False])
def test_images_of_unlike_sizes_come_one_by_one_by_one_copy(on_host) -> None:
    pack = Listed((4, 6, 3), (8, 2, 1), (5, 5, 3))
    device = Roomy("roomy", 10**9)
    found = images_on(Cpu() if on_host else device, pack, np.array([2, 1, 1]))
    assert isinstance(found, list)
    for image, row in zip(found, (2, 1, 1), strict=True):
        assert image.numpy().shape == pack.given[row].shape
        assert (image.numpy() == pack.given[row]).all()
    assert device.copies == (0 if on_host else 1)


@pytest.mark.parametrize(("chunk", "copies"), [(1, 7), (72, 7), (72 * 3, 3), (72 * 3 + 71, 3), (1 << 26, 1)])
def test_a_pack_is_copied_in_chunks_of_whole_images(monkeypatch, chunk, copies) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    pack, device = Stored(*SMALL), Roomy("roomy", SHARE * BYTES)
    found = images_on(device, pack, np.arange(7))
    assert found.equal(torch.from_numpy(pack.whole()).permute(0, 3, 1, 2))
    assert device.copies == copies + 1  # and the rows


def test_each_device_and_each_pack_has_its_own_copy() -> None:
    packs = [Stored(*SMALL), Stored(*SMALL[:3])]
    packs[1].given = [255 - image for image in packs[1].given]
    large, small = Roomy("large", SHARE * BYTES), Roomy("small", SHARE * BYTES - 1)
    rows = np.array([2, 1])
    for pack in packs * 2:
        expected = torch.from_numpy(np.stack([pack.given[row] for row in rows])).permute(0, 3, 1, 2)
        assert images_on(large, pack, rows).equal(expected)
        assert images_on(small, pack, rows).equal(expected)
    assert [pack.asked for pack in packs] == [2, 0]  # the second pack fits on both
    assert large.copies == 2 + 4


def test_a_device_that_has_no_room_is_not_asked_again_and_never_copies() -> None:
    pack, device = Stored(*SMALL), Roomy("full", 0)
    images_on(device, pack, ROWS)
    device.free = 10**9  # the answer stays: loaders that began without a copy are not changed in the middle
    images_on(device, pack, ROWS)
    assert pack.asked == 2


def test_loaders_that_begin_at_once_share_a_copy_which_goes_with_the_pack(monkeypatch) -> None:
    made = []
    copy = module._copy

    def slow(*given):
        threading.Event().wait(0.05)  # so that the others ask, too, before there is one
        made.append(copy(*given))
        return made[-1]

    monkeypatch.setattr(module, "_copy", slow)
    packs, device = [Stored(*SMALL)], Roomy("roomy", SHARE * BYTES)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: images_on(device, packs[0], ROWS), range(32)))
    assert all(each.equal(found[0]) for each in found)
    (held,) = made
    gone = weakref.ref(held)
    made.clear()
    packs.clear()
    del held, found
    gc.collect()
    assert gone() is None  # its memory is free for others
