"""Crops, views, noise and choices: against torchvision, and form against form."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import (
    CenterCrop,
    GaussianNoise,
    OneOf,
    RandomErasing,
    RandomResizedCrop,
    build_pipeline,
)
from fer_core.data.transforms.base import Shape
from fer_core.errors import FerError
from fer_core.testing import make_preprocessing
from PIL import Image
from torchvision import transforms as reference

INFO = make_preprocessing(24, mean=[0.5] * 3, std=[0.5] * 3)
POSTER = [
    {"one_of": {"p": 0.5, "transforms": [{"horizontal_flip": {"p": 1}}, {"gaussian_noise": {"variance": 30}}]}},
    {"horizontal_flip": {"p": 0.5}},
    "resize",
    "normalize",
    {"random_erasing": {"p": 0.5, "scale": [0.02, 0.1]}},
]
TEN = [
    {"ten_crop": {"resize": 32}},
    {"rand_augment": {"num_ops": 5, "magnitude": 3, "increasing": False, "fill": [124, 116, 104]}},
    {"horizontal_flip": {"p": 0.5}},
    "normalize",
    {"random_erasing": {"p": 0.5}},
]


def faces(n: int, height: int = 40, width: int = 40, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(n + height)
    coarse = rng.integers(20, 236, (n, 6, 6, channels), dtype=np.uint8)
    return np.stack(
        [
            np.stack(
                [np.asarray(Image.fromarray(c[..., k]).resize((width, height), 3)) for k in range(channels)], -1
            )
            for c in coarse
        ]
    )


def planes(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def pil(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def levels(difference: torch.Tensor) -> torch.Tensor:
    """A difference of normalised values in levels of 255."""
    return difference.abs() * 0.5 * 255


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(40, 40), (90, 35), (10, 200)])
def test_resized_crops_are_pils(method, height, width):
    crop = RandomResizedCrop(INFO, scale=[0.1, 1], interpolation=method)
    pictures = faces(12, height, width)
    batch = crop.batch(planes(pictures), SampleRandom(0, 0, range(12)))
    boxes = crop.boxes(SampleRandom(0, 0, range(12)), (height, width)).tolist()
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    for row, (top, left, high, wide) in enumerate(boxes):
        part = pil(pictures[row]).crop((left, top, left + wide, top + high)).resize((24, 24), filters[method])
        assert np.abs(np.asarray(part).astype(int) - batch[row].permute(1, 2, 0).numpy()).max() <= 2
        single = crop.image(pil(pictures[row]), SampleRandom(0, 0, [row]))
        assert (np.asarray(single) == np.asarray(part)).all()


@pytest.mark.parametrize("size", [(60, 60), (40, 100), (300, 20)])
@pytest.mark.parametrize("ratio", [(3 / 4, 4 / 3), (1, 1), (0.5, 0.6)])
def test_resized_crops_draw_torchvisions_distribution(size, ratio):
    n = 3000
    ours = RandomResizedCrop(INFO, ratio=ratio).boxes(SampleRandom(0, 0, range(n)), size).double()
    torch.manual_seed(0)
    image = torch.zeros(3, *size)
    theirs = [reference.RandomResizedCrop.get_params(image, [0.08, 1.0], list(ratio)) for _ in range(n)]
    for column, other in enumerate(torch.tensor(theirs).double().unbind(1)):
        got = ours[:, column]
        assert abs(got.mean() - other.mean()) <= 5 * ((got.var() + other.var()) / n) ** 0.5 + 1e-6
        assert abs(got.std() - other.std()) <= 0.1 * other.std() + 0.05
    assert ((ours[:, :2] + ours[:, 2:]) <= torch.tensor(size)).all()


def test_a_whole_crop_is_a_resize():
    whole = build_pipeline(
        INFO, [{"random_resized_crop": {"scale": [1, 1], "ratio": [1, 1], "interpolation": "bicubic"}}]
    )
    plain = build_pipeline(INFO, [{"resize": {"interpolation": "bicubic"}}])
    pictures = faces(4)
    rng = SampleRandom(0, 0, range(4))
    assert torch.equal(whole.batch(planes(pictures), rng), plain.batch(planes(pictures), rng))
    image = pil(pictures[0])
    assert torch.equal(whole.image(image, SampleRandom(0, 0, [0])), plain.image(image, SampleRandom(0, 0, [0])))


@pytest.mark.parametrize(("height", "width"), [(40, 40), (50, 33), (30, 47)])
@pytest.mark.parametrize("name", ["center_crop", "five_crop", "ten_crop"])
def test_crops_are_torchvisions(name, height, width):
    theirs = {"center_crop": reference.CenterCrop, "five_crop": reference.FiveCrop, "ten_crop": reference.TenCrop}
    crop = reference.Compose([reference.Resize(32), theirs[name](24)])
    pipeline = build_pipeline(INFO, [{name: {"resize": 32}}, "normalize"])
    pictures = faces(3, height, width)
    batch = pipeline.batch(planes(pictures), SampleRandom(0, 0, range(3)))
    views = {"center_crop": (), "five_crop": (5,), "ten_crop": (10,)}[name]
    assert batch.shape == (3, *views, 3, 24, 24)
    for row in range(3):
        cut = crop(pil(pictures[row]))
        cuts = cut if isinstance(cut, tuple) else (cut,)
        expected = torch.stack([(reference.functional.to_tensor(picture) - 0.5) / 0.5 for picture in cuts])
        single = pipeline.image(pil(pictures[row]), SampleRandom(0, 0, [row]))
        assert torch.allclose(single.view(expected.shape), expected, atol=1e-6)
        difference = levels(batch[row].view(expected.shape) - expected)
        assert difference.mean() < 0.1
        assert difference.max() < 2.01  # torch's own interpolation of bytes


def test_crops_after_resize_and_pictures_too_small():
    pipeline = build_pipeline(INFO, [{"resize": {"size": 30}}, "center_crop", "normalize"])
    assert pipeline.batch(planes(faces(2)), SampleRandom(0, 0, range(2))).shape == (2, 3, 24, 24)
    small = build_pipeline(INFO, [{"resize": {"size": 20}}, "ten_crop"])
    with pytest.raises(FerError, match=re.escape("20 x 20 is smaller than 24")):
        small.batch(planes(faces(2)), SampleRandom(0, 0, range(2)))


@pytest.mark.parametrize("items", [POSTER, TEN], ids=["poster", "ten"])
def test_forms_lists_and_batches_agree(items):
    pipeline, n = build_pipeline(INFO, items), 32
    pictures = faces(n)
    batch = pipeline.batch(planes(pictures), SampleRandom(0, 5, range(n)))
    single = torch.stack([pipeline.image(pil(pictures[i]), SampleRandom(0, 5, [i])) for i in range(n)])
    assert batch.shape == single.shape
    assert (levels(batch - single) < 3).float().mean() > 0.97
    listed = pipeline.batch(list(pictures), SampleRandom(0, 5, range(n)))
    assert (levels(batch - listed) < 1.01).float().mean() > 0.999
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    moved = pipeline.batch(planes(pictures)[order], SampleRandom(0, 5, order))
    assert torch.equal(moved, batch[order])


def test_pictures_of_several_sizes_and_grey_ones():
    pictures = [faces(1, 40, 40)[0], faces(1, 50, 30)[0], faces(1, 28, 70, 1)[0]]
    for items in (POSTER, TEN):
        pipeline = build_pipeline(INFO, items)
        mixed = pipeline.batch(pictures, SampleRandom(0, 2, range(3)))
        for row, picture in enumerate(pictures):
            single = pipeline.image(pil(picture), SampleRandom(0, 2, [row]))
            assert (levels(mixed[row] - single) < 3).float().mean() > 0.97


def test_an_image_and_its_mirror_image_are_two_views():
    pipeline = build_pipeline(INFO, ["resize", "mirror_views", "normalize"])
    pictures = faces(3)
    views = pipeline.batch(planes(pictures), SampleRandom(0, 0, range(3)))
    assert views.shape == (3, 2, 3, 24, 24)
    assert torch.equal(views[:, 1], views[:, 0].flip(-1))
    assert not torch.equal(views[:, 1], views[:, 0])
    single = pipeline.image(pil(pictures[1]), SampleRandom(0, 0, [1]))
    assert levels(views[1] - single).max() < 2.01


def test_each_view_has_its_own_random_numbers():
    pipeline = build_pipeline(INFO, [{"ten_crop": {"resize": 24}}, {"random_erasing": {"p": 0.5}}])
    views = pipeline.batch(torch.full((40, 1, 24, 24), 255, dtype=torch.uint8), SampleRandom(0, 0, range(40)))
    kinds = torch.unique(views.flatten(0, 1).flatten(1), dim=0)
    erased = (views.flatten(2) == 0).any(2).float()
    assert erased.mean() == pytest.approx(0.5, abs=0.1)
    assert len(kinds) == int(erased.sum()) + 1


def test_input_of_a_transform_before_resize_is_not_changed():
    pictures = planes(faces(8, 24, 24))
    before = pictures.clone()
    for items in (POSTER, [{"center_crop": {"resize": 24}}, {"horizontal_flip": {"p": 1}}]):
        build_pipeline(INFO, items).batch(pictures, SampleRandom(0, 0, range(8)))
        build_pipeline(INFO, items).batch([p.permute(1, 2, 0) for p in pictures], SampleRandom(0, 0, range(8)))
        assert torch.equal(pictures, before)


def test_noise_is_normal_clipped_and_truncated():
    noise = GaussianNoise(INFO, variance=30)
    grey = torch.full((20, 3, 50, 50), 100, dtype=torch.uint8)
    noisy = noise.batch(grey, SampleRandom(0, 0, range(20))).double()
    assert noisy.mean() == pytest.approx(99.5, abs=0.05)  # truncation takes a half on average
    assert noisy.var() == pytest.approx(30 + 1 / 12, rel=0.02)
    assert torch.corrcoef(torch.stack([noisy[:, 0].flatten(), noisy[:, 1].flatten()]))[0, 1].abs() < 0.03
    black = noise.batch(torch.zeros(4, 3, 50, 50, dtype=torch.uint8), SampleRandom(0, 0, range(4)))
    assert (black == 0).double().mean() == pytest.approx(0.572, abs=0.02)  # below 1: half of it, and a little
    single = noise.image(pil(faces(1)[0]), SampleRandom(0, 0, [3]))
    batch = noise.batch(planes(faces(1)), SampleRandom(0, 0, [3]))
    assert (planes(np.array(single)[None]) == batch).all()


def test_one_of_chooses_evenly():
    n = 4000
    stamps = [{"random_erasing": {"p": 1, "scale": [0.2, 0.2], "ratio": [1, 1]}}, {"horizontal_flip": {"p": 1}}]
    images = torch.arange(1.0, 9.0).repeat(n, 1, 8, 1)
    done = OneOf(INFO, transforms=stamps, p=0.6).batch(images.clone(), SampleRandom(0, 0, range(n)))
    erased = (done == 0).flatten(1).any(1)
    flipped = (done == images.flip(-1)).flatten(1).all(1)
    assert erased.float().mean() == pytest.approx(0.3, abs=0.04)
    assert flipped.float().mean() == pytest.approx(0.3, abs=0.04)
    assert (done == images).flatten(1).all(1).float().mean() == pytest.approx(0.4, abs=0.04)


def test_erasing_by_noise():
    plain, noise = RandomErasing(INFO, p=0.5), RandomErasing(INFO, p=0.5, value="noise")
    images = torch.full((200, 3, 30, 30), 7.0)
    zeros = plain.batch(images.clone(), SampleRandom(0, 0, range(200)))
    noisy = noise.batch(images.clone(), SampleRandom(0, 0, range(200)))
    assert torch.equal(zeros == 7, noisy == 7)  # the same rectangles
    values = noisy[noisy != 7].double()
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)
    assert torch.equal(noise.image(images[9].clone(), SampleRandom(0, 0, [9])), noisy[9])


@pytest.mark.parametrize("value", [0, "noise"])
def test_erasing_on_a_device_is_erasing_on_the_host(value):
    erasing = RandomErasing(INFO, p=0.7, value=value)
    images = torch.full((40, 3, 30, 44), 7.0)
    plan = erasing.plan(SampleRandom(0, 0, range(40)), Shape(3, 30, 44, host=False))
    here = erasing.batch(images.clone(), SampleRandom(0, 0, range(40)))
    assert torch.equal(plan.work(images.clone(), plan.values), here)
    assert not torch.equal(here, images)


def test_center_crop_form_of_tensors():
    crop = CenterCrop(INFO, resize=30)
    image = planes(faces(1, 44, 60)).float()
    rng = SampleRandom(0, 0, [0])
    assert torch.equal(crop.image(image[0], rng), crop.batch(image, rng)[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "items", [POSTER, TEN, ["random_resized_crop", "normalize"]], ids=["poster", "ten", "crop"]
)
def test_device_gives_the_same_pictures(items):
    pictures, pipeline = planes(faces(16)), build_pipeline(INFO, items)
    here = pipeline.batch(pictures, SampleRandom(0, 0, range(16)))
    there = pipeline.batch(pictures.cuda(), SampleRandom(0, 0, range(16)))
    assert there.is_cuda
    assert (levels(here - there.cpu()) < 3).float().mean() > 0.97
