"""Batches are the same however they are reached."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
import torch
from fer_core.data.loader import Loader
from fer_core.data.packs.device import SHARE
from fer_core.data.packs.open import DirectReader, open_pack
from fer_core.data.samplers import balanced, shuffle
from fer_core.data.table import make_fingerprint
from fer_core.data.transforms import build_pipeline
from fer_core.engine.devices import Cpu, Device
from fer_core.errors import FerError
from fer_core.inference.predict import logits_of
from fer_core.testing import make_preprocessing
from fer_core.types import FERDataset

COUNT = 33
LABELS = np.arange(COUNT) % 3
INFO = make_preprocessing(12, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
RANDOM = ["resize", {"horizontal_flip": {"p": 0.5}}, "normalize", {"random_erasing": {"p": 0.5}}]
PLAIN = ["resize", "normalize"]


class Toy(FERDataset):
    name = "toy"
    classes = ("a", "b", "c")

    def __init__(self, shapes):
        self.shapes = shapes
        ids = [f"s{i}" for i in range(COUNT)]
        self.table = pd.DataFrame({"id": ids, "label": LABELS, "split": "", "source": ids})

    def read(self, row):
        return np.random.RandomState(row).randint(0, 256, self.shapes[row % len(self.shapes)], dtype=np.uint8)

    def fingerprint(self):
        return make_fingerprint(self.table["id"], self.table["label"], [str(self.shapes)] * COUNT)


SHAPES = {"grey": [(12, 12, 1)], "colour": [(12, 12, 3)], "mixed": [(12, 12, 1), (10, 14, 3), (16, 16, 3)]}


@pytest.fixture(params=list(SHAPES))
def pack(request, tmp_path):
    return open_pack(Toy(SHAPES[request.param]), tmp_path, progress=False)


@pytest.fixture
def colour(tmp_path):
    return open_pack(Toy(SHAPES["colour"]), tmp_path, progress=False)


def load(pack, rows=None, transforms=RANDOM, sampler=shuffle, mode="batched", color="rgb", **changes):
    rows = np.arange(COUNT) if rows is None else np.asarray(rows)
    options = {"batch_size": 8, "seed": 1, "workers": 0, "device": Cpu(), **changes}
    made = None if sampler is None else sampler(LABELS[rows], 0)
    pipeline = build_pipeline(INFO.model_copy(update={"pipeline": mode, "color": color}), transforms)
    return Loader(pack, rows, LABELS, pipeline=pipeline, sampler=made, **options)


def assert_equal(first, second, tolerance=0.0):
    assert len(first) == len(second)
    for left, right in zip(first, second, strict=True):
        assert left.keys() == right.keys()
        assert torch.equal(left["index"], right["index"])
        assert torch.equal(left["label"], right["label"])
        assert (left["image"] - right["image"]).abs().max() <= tolerance


def test_batches_have_the_promised_form(pack):
    batches = list(load(pack).epoch(0))
    for batch in batches:
        assert batch["image"].shape[1:] == (3, 12, 12)
        assert batch["image"].dtype == torch.float32
        assert batch["label"].dtype == batch["index"].dtype == torch.int64
        assert batch["label"].tolist() == [LABELS[i] for i in batch["index"]]
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(COUNT))


@pytest.mark.parametrize("mode", ["batched", "per-image"])
@pytest.mark.parametrize("sampler", [shuffle, balanced])
def test_an_epoch_goes_on_in_the_middle(pack, mode, sampler):
    whole = list(load(pack, mode=mode, sampler=sampler).epoch(3))
    for start in (0, 2, 4):
        assert_equal(list(load(pack, mode=mode, sampler=sampler).epoch(3, start)), whole[start:])


def test_epoch_does_not_depend_on_what_came_before(colour):
    loader = load(colour)
    abandoned = loader.epoch(0)
    next(abandoned)
    abandoned.close()
    list(loader.epoch(1))
    assert_equal(list(loader.epoch(2)), list(load(colour).epoch(2)))


def test_both_modes_load_the_same_batches(pack):
    # Images of other sizes are interpolated by PIL on one side and by torch on the other: at most 1/255 apart.
    tolerance = 2.01 / 255 / 0.5
    assert_equal(list(load(pack, mode="per-image").epoch(1)), list(load(pack).epoch(1)), tolerance)


def test_workers_change_nothing(colour):
    single = list(load(colour, mode="per-image").epoch(2))
    loader = load(colour, mode="per-image", workers=2)
    abandoned = loader.epoch(0)
    next(abandoned)
    abandoned.close()
    state = torch.random.get_rng_state()
    assert_equal(list(loader.epoch(2)), single)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_augmentation_of_a_sample_does_not_depend_on_its_batch(colour):
    def by_row(loader):
        return {
            int(i): x for batch in loader.epoch(5) for i, x in zip(batch["index"], batch["image"], strict=True)
        }

    small, large = by_row(load(colour, batch_size=3)), by_row(load(colour, batch_size=30, sampler=None))
    assert all(torch.equal(small[row], large[row]) for row in range(COUNT))


def test_repeated_sample_is_changed_anew(colour):
    loader = load(
        colour,
        rows=[0, 1, 2],
        sampler=lambda labels, seed: type("Ten", (), {"order": lambda s, e: np.zeros(10, int)})(),
    )
    (first, second) = loader.epoch(0)
    images = torch.cat([first["image"], second["image"]])
    assert len(torch.unique(images.flatten(1), dim=0)) > 4


@pytest.mark.parametrize(
    ("rows", "batch_size", "training", "sizes"),
    [
        (33, 8, True, [8, 8, 8, 9]),
        (33, 8, False, [8, 8, 8, 8, 1]),
        (34, 8, True, [8, 8, 8, 8, 2]),
        (32, 8, True, [8, 8, 8, 8]),
        (3, 8, True, [3]),
        (1, 8, True, [1]),
        (5, 1, True, [1] * 5),
    ],
)
@pytest.mark.parametrize("mode", ["batched", "per-image"])
def test_one_remaining_image_joins_the_previous_batch_in_training(colour, rows, batch_size, training, sizes, mode):
    rows = np.arange(rows) % COUNT
    loader = load(colour, rows, PLAIN, shuffle if training else None, batch_size=batch_size, mode=mode)
    batches = list(loader.epoch(0))
    assert [len(batch["label"]) for batch in batches] == sizes
    assert len(loader) == len(sizes)
    if not training:
        assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(len(rows)))


@pytest.mark.parametrize("sampler", [shuffle, balanced])
def test_processes_share_a_training_batch_and_change_its_images_alike(colour, sampler):
    rows = range(32)
    alone = list(load(colour, rows, sampler=sampler).epoch(2))
    shares = [list(load(colour, rows, sampler=sampler, process=(rank, 2)).epoch(2)) for rank in range(2)]
    for whole, *parts in zip(alone, *shares, strict=True):
        for key in ("index", "label", "image"):
            assert torch.equal(torch.cat([part[key] for part in parts]), whole[key])


def test_processes_evaluate_every_row_once(colour):
    shares = [load(colour, sampler=None, process=(rank, 2)).epoch(0) for rank in range(2)]
    rows = torch.cat([batch["index"] for share in shares for batch in share])
    assert sorted(rows.tolist()) == list(range(COUNT))


@pytest.mark.parametrize("mode", ["batched", "per-image"])
@pytest.mark.parametrize(("rows", "sizes"), [(33, [8] * 4), (31, [8] * 3), (32, [8] * 4), (8, [8])])
def test_drop_last_leaves_out_what_does_not_fill_a_batch(colour, rows, sizes, mode):
    loader = load(colour, np.arange(rows), PLAIN, batch_size=8, mode=mode, drop_last=True)
    batches = list(loader.epoch(0))
    assert [len(batch["label"]) for batch in batches] == sizes
    assert len(loader) == len(sizes)
    assert_equal(list(loader.epoch(0, 1)), batches[1:])
    # evaluation drops nothing
    evaluation = load(colour, np.arange(rows), PLAIN, None, batch_size=8, mode=mode, drop_last=True)
    assert sum(len(batch["label"]) for batch in evaluation.epoch(0)) == rows


def test_drop_last_needs_one_full_batch(colour):
    with pytest.raises(FerError, match=r"7 training samples, fewer than data\.batch_size \(8\)") as error:
        load(colour, np.arange(7), batch_size=8, drop_last=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", ["batched", "per-image"])
def test_views_are_samples_in_training_and_stay_together_in_evaluation(pack, mode):
    views = [{"five_crop": {"resize": 16}}, {"horizontal_flip": {"p": 0.5}}, "normalize"]
    votes = np.eye(3)[LABELS]
    training = next(load(pack, transforms=views, mode=mode, votes=votes).epoch(0))
    assert training["image"].shape == (40, 3, 12, 12)
    assert training["index"].tolist() == [row for row in training["index"][::5].tolist() for _ in range(5)]
    assert training["label"].tolist() == [LABELS[row] for row in training["index"]]
    assert training["distribution"].argmax(1).tolist() == training["label"].tolist()
    evaluation = next(load(pack, transforms=views, mode=mode, sampler=None).epoch(0))
    assert evaluation["image"].shape == (8, 5, 3, 12, 12)
    assert evaluation["index"].tolist() == list(range(8))


@pytest.mark.parametrize("mode", ["batched", "per-image"])
def test_samples_are_numbered_in_the_order_of_their_rows(colour, mode):
    loader = load(colour, [30, 4, 17], PLAIN, None, mode=mode)
    (batch,) = loader.epoch(0)
    assert batch["index"].tolist() == [0, 1, 2]
    assert loader.rows.tolist() == [30, 4, 17]
    assert batch["label"].tolist() == [0, 1, 2]
    pixels = torch.from_numpy(Toy(SHAPES["colour"]).read(4)).permute(2, 0, 1) / 255
    expected = (pixels - torch.tensor(INFO.mean)[:, None, None]) / torch.tensor(INFO.std)[:, None, None]
    assert torch.allclose(batch["image"][1], expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["batched", "per-image"])
@pytest.mark.parametrize("kind", ["colour", "mixed"])
def test_bgr_swaps_channels_before_they_are_normalised(tmp_path, mode, kind):
    pack = open_pack(Toy(SHAPES[kind]), tmp_path, progress=False)
    (rgb,) = load(pack, [1, 2], PLAIN, None, mode=mode).epoch(0)
    (bgr,) = load(pack, [1, 2], PLAIN, None, mode=mode, color="bgr").epoch(0)
    mean, std = (torch.tensor(values)[:, None, None] for values in (INFO.mean, INFO.std))
    assert torch.allclose((rgb["image"] * std + mean).flip(1), bgr["image"] * std + mean, atol=1e-5)


@pytest.mark.parametrize("mode", ["batched", "per-image"])
def test_votes_become_distributions(colour, mode):
    votes = np.tile([[1.0, 3.0, 0.0]], (COUNT, 1))
    votes[7] = [0, 0, 5]
    (batch,) = load(colour, [7, 8], PLAIN, None, mode=mode, votes=votes).epoch(0)
    assert batch["distribution"].tolist() == [[0, 0, 1], [0.25, 0.75, 0]]
    assert batch["distribution"].dtype == torch.float32


def test_sample_without_votes_is_refused(colour):
    votes = np.ones((COUNT, 3))
    votes[5] = 0
    load(colour, [1, 2], votes=votes)
    with pytest.raises(FerError, match="no votes for any class, first row 5"):
        load(colour, [1, 5], votes=votes)


def test_labels_must_belong_to_the_pack(colour):
    with pytest.raises(ValueError, match="33 images, but 2 labels"):
        Loader(
            colour,
            np.arange(2),
            LABELS[:2],
            pipeline=build_pipeline(INFO, PLAIN),
            batch_size=2,
            sampler=None,
            seed=0,
            workers=0,
            device=Cpu(),
        )


@pytest.mark.parametrize(("mode", "workers"), [("batched", 0), ("per-image", 0), ("per-image", 1)])
def test_unreadable_image_reaches_the_caller(mode, workers):
    class Broken(Toy):
        def read(self, row):
            if row == 20:
                raise FerError("the image s20 is damaged")
            return super().read(row)

    loader = load(
        DirectReader(Broken(SHAPES["colour"])), transforms=PLAIN, sampler=None, mode=mode, workers=workers
    )
    seen = []
    with pytest.raises(FerError, match=r"^the image s20 is damaged$"):
        seen.extend(batch["index"].tolist() for batch in loader.epoch(0))
    assert seen == [list(range(8)), list(range(8, 16))]


def test_a_program_ends_though_it_keeps_an_unfinished_epoch(tmp_path):
    script = """
        import builtins
        from test_loader import PLAIN, SHAPES, DirectReader, Toy, load
        pack = DirectReader(Toy(SHAPES["colour"]))
        epoch = load(pack, transforms=PLAIN, sampler=None, mode="per-image", workers=2).epoch(0)
        next(epoch)
        builtins.kept = epoch
        print("the end", flush=True)
    """
    command = [sys.executable, "-c", dedent(script)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")


def test_images_need_no_gradient(colour):
    batch = next(load(colour).epoch(0))
    assert not batch["image"].requires_grad
    weight = torch.ones(1, requires_grad=True)
    (batch["image"] * weight).sum().backward()
    assert weight.grad is not None


def test_logits_of_views_are_averaged_in_parts():
    sizes = []

    class Mean(torch.nn.Module):
        def forward(self, images):
            sizes.append(len(images))
            return {"logits": images.mean((2, 3))}

    views = torch.arange(40 * 10 * 3.0).view(40, 10, 3, 1, 1)
    assert torch.allclose(logits_of(Mean(), views), views.mean((1, 3, 4)))
    assert max(sizes) == 40
    assert sum(sizes) == 400


@pytest.mark.parametrize("mode", ["batched", "per-image"])
def test_labels_are_drawn_from_votes_anew_at_every_visit(colour, mode):
    votes = np.tile([[1.0, 3.0, 0.0]], (COUNT, 1))
    votes[7] = [0, 0, 5]

    def labels(epoch, sampler=shuffle, start=0, **options):
        loader = load(colour, sampler=sampler, mode=mode, votes=votes, **options)
        batches = list(loader.epoch(epoch, start))
        return {int(i): int(y) for batch in batches for i, y in zip(batch["index"], batch["label"], strict=True)}

    epochs = [labels(epoch, draw_labels=True) for epoch in range(30)]
    drawn = [label for epoch in epochs for row, label in epoch.items() if row != 7]
    assert {epoch[7] for epoch in epochs} == {2}
    assert set(drawn) == {0, 1}
    spread = 4 * (0.75 * 0.25 / len(drawn)) ** 0.5
    assert abs(np.mean(drawn) - 0.75) < spread
    assert labels(3, draw_labels=True) == epochs[3] != epochs[4]
    assert labels(3, start=2, draw_labels=True).items() <= epochs[3].items()
    given = {row: int(label) for row, label in enumerate(LABELS)}
    assert labels(3) == given
    assert labels(3, sampler=None, draw_labels=True) == given  # evaluation is never drawn


def test_drawing_labels_leaves_the_images_alone(colour):
    votes = np.ones((COUNT, 3))
    plain, drawn = (list(load(colour, votes=votes, draw_labels=draw).epoch(1)) for draw in (False, True))
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(plain, drawn, strict=True))
    with pytest.raises(ValueError, match="without votes"):
        load(colour, draw_labels=True)


class Beside(Device):
    """An accelerator as far as the loader knows, whose memory is the host's."""

    torch_name = "cpu"


@pytest.mark.parametrize("start", [0, 1, 2])
@pytest.mark.parametrize("views", [[], [{"five_crop": {"resize": 12, "size": 9}}]])
def test_batches_that_an_accelerator_transforms_at_once_are_the_same_ones(pack, start, views):
    transforms = [*(views or ["resize"]), "rand_augment", "normalize"]
    assert load(pack, transforms=transforms, device=Beside()).together == 2
    alone = list(load(pack, transforms=transforms).epoch(1, start))
    together = list(load(pack, transforms=transforms, device=Beside()).epoch(1, start))
    assert_equal(alone, together)


class Roomy(Device):
    """A device beside the host whose memory has room for some bytes."""

    torch_name = "cpu"

    def __init__(self, free):
        super().__init__(f"roomy{free}")
        self.free, self.waits = free, 0

    def room(self):
        return self.free

    def synchronize(self):
        self.waits += 1


@pytest.mark.parametrize(("share", "held"), [(1.0, True), (0.99, False)])
def test_a_pack_lives_on_a_device_that_has_room_for_it(colour, monkeypatch, share, held):
    monkeypatch.setattr("fer_core.data.packs.device.CHUNK", 5_000)
    here = list(load(colour).epoch(0))
    device = Roomy(int(SHARE * colour.whole().nbytes * share))
    loaders = [load(colour, device=device) for _ in range(2)]
    for made in (list(each.epoch(0)) for each in loaders):
        for batch, expected in zip(made, here, strict=True):
            assert all(batch[name].equal(value) for name, value in expected.items())
    assert device.waits == held  # both loaders share the copy
    if held:
        monkeypatch.setattr(type(colour), "images", None)  # no longer asked for
        assert len(list(loaders[0].epoch(1))) == len(here)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [4, 8, 11, 16, 33, 40])
@pytest.mark.parametrize("sampler", [None, shuffle])
def test_a_loader_knows_which_batches_have_as_many_images_as_most(colour, sampler, batch_size, drop_last):
    if drop_last and batch_size > COUNT:
        batch_size = COUNT
    loader = load(colour, sampler=sampler, batch_size=batch_size, drop_last=drop_last)
    sizes = [len(batch["label"]) for batch in loader.epoch(0)]
    assert [loader.whole(number) for number in range(len(loader))] == [size == sizes[0] for size in sizes]
