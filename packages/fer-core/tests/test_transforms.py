"""The two forms of each transform: against PIL and torchvision, and against each other."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import (
    Affine,
    HorizontalFlip,
    Normalize,
    Pipeline,
    RandomApply,
    RandomCrop,
    RandomErasing,
    Resize,
    Rotation,
    Transform,
    build_pipeline,
)
from fer_core.errors import FerError
from fer_core.testing import make_preprocessing
from PIL import Image
from torchvision.transforms import functional as reference

INFO = make_preprocessing(64)
TRAIN = [
    "resize",
    {"horizontal_flip": {"p": 0.5}},
    {
        "random_apply": {
            "p": 0.4,
            "transforms": [{"rotation": {"degrees": 20}}, {"random_crop": {"padding": 1 / 7}}],
        }
    },
    {
        "random_apply": {
            "p": 0.4,
            "transforms": [{"affine": {"degrees": 20, "translate": [0.2, 0.2], "scale": [0.8, 1]}}],
        }
    },
    "normalize",
    {"random_erasing": {"p": 0.5, "scale": [0.02, 0.25], "ratio": [0.3, 3.3]}},
]


def faces(n: int, height: int = 100, width: int = 100, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth pictures with noise, uint8 [n, H, W, C], never 0, so that black marks what a transform left empty."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (n, 8, 8, channels), dtype=np.uint8)
    fine = [
        np.stack([np.asarray(Image.fromarray(c[..., k]).resize((width, height), 3)) for k in range(channels)], -1)
        for c in coarse
    ]
    noisy = np.stack(fine).astype(np.int16) + rng.integers(-8, 9, (n, height, width, channels))
    return noisy.clip(1, 255).astype(np.uint8)


def planes(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def pil(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def both_forms(transform, pictures, seed=0):
    """Results of the batched and the per-image form as uint8 [N, C, H, W]."""
    n = len(pictures)
    batch = transform.batch(planes(pictures).clone(), SampleRandom(seed, 1, range(n)))
    single = [transform.image(pil(pictures[i]), SampleRandom(seed, 1, [i])) for i in range(n)]
    return batch, planes(np.stack([np.asarray(image).reshape(image.height, image.width, -1) for image in single]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "height", "width"), [(224, 100, 100), (64, 48, 48), (112, 224, 224), (40, 130, 71), (33, 1, 1)]
)
def test_evaluation_pipelines_agree(channels, size, height, width):
    pipeline = build_pipeline(make_preprocessing(size), ["resize", "normalize"])
    pictures = faces(4, height, width, channels)
    rng = SampleRandom(0, 0, range(4))
    batch = pipeline.batch(planes(pictures), rng)
    single = torch.stack([pipeline.image(pil(picture), rng) for picture in pictures])
    difference = (batch - single).abs() * torch.tensor(INFO.std)[:, None, None] * 255
    assert batch.shape == single.shape == (4, 3, size, size)
    assert batch.dtype == single.dtype == torch.float32
    assert batch.is_contiguous()
    assert difference.mean() < 1
    assert np.quantile(difference.numpy(), 0.999) < 2


def test_evaluation_is_what_papers_do():
    from torchvision import transforms

    info = make_preprocessing(64, mean=[0.5, 0.4, 0.3], std=[0.3, 0.2, 0.1])
    upstream = transforms.Compose(
        [transforms.Resize((64, 64)), transforms.ToTensor(), transforms.Normalize(info.mean, info.std)]
    )
    image = pil(faces(1)[0])
    ours = build_pipeline(info, ["resize", "normalize"]).image(image, SampleRandom(0, 0, [0]))
    assert torch.allclose(ours, upstream(image), atol=1e-6)


def test_bicubic_forms_agree():
    batch, single = both_forms(Resize(INFO, interpolation="bicubic"), faces(4))
    assert (batch.int() - single.int()).abs().max() <= 1


def test_list_of_sizes_equals_one_by_one():
    pipeline = build_pipeline(INFO, TRAIN)
    sizes = [(100, 100, 3), (64, 64, 3), (48, 48, 1), (1, 1, 3), (70, 31, 3)]
    pictures = [faces(1, *size, seed=i)[0] for i, size in enumerate(sizes)]
    mixed = pipeline.batch(
        [pictures[0], torch.from_numpy(pictures[1]), *pictures[2:]], SampleRandom(0, 0, range(5))
    )
    for i, picture in enumerate(pictures):
        alone = pipeline.batch(planes(picture[None]), SampleRandom(0, 0, [i]))[0]
        assert torch.allclose(mixed[i], alone, atol=1e-6)


def test_grey_equals_its_three_channels():
    pipeline = build_pipeline(INFO, TRAIN)
    grey = faces(6, 48, 48, 1)
    given = pipeline.batch(planes(grey), SampleRandom(0, 0, range(6)))
    wide = pipeline.batch(planes(grey.repeat(3, -1)), SampleRandom(0, 0, range(6)))
    assert torch.allclose(given, wide, atol=1e-6)


def test_input_is_never_changed():
    pictures = planes(faces(8, 64, 64))  # already of the size: resize has nothing to do
    before = pictures.clone()
    for transforms in (TRAIN, ["resize", {"horizontal_flip": {"p": 1}}], ["resize", "normalize"]):
        build_pipeline(INFO, transforms).batch(pictures, SampleRandom(0, 0, range(8)))
        assert torch.equal(pictures, before)


def test_result_does_not_depend_on_the_batch():
    pipeline = build_pipeline(INFO, TRAIN)
    pictures = planes(faces(24))
    together = pipeline.batch(pictures, SampleRandom(3, 2, range(24)))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    assert torch.equal(pipeline.batch(pictures[order], SampleRandom(3, 2, order)), together[order])
    assert torch.equal(pipeline.batch(pictures[5:6], SampleRandom(3, 2, [5]))[0], together[5])
    assert not torch.equal(pipeline.batch(pictures, SampleRandom(3, 3, range(24))), together)


def test_training_pipelines_give_the_same_pictures():
    pipeline = build_pipeline(INFO, TRAIN)
    pictures = faces(64)
    batch = pipeline.batch(planes(pictures), SampleRandom(0, 5, range(64)))
    single = torch.stack([pipeline.image(pil(pictures[i]), SampleRandom(0, 5, [i])) for i in range(64)])
    same = ((batch - single).abs() * torch.tensor(INFO.std)[:, None, None] * 255 < 2).float().mean((1, 2, 3))
    assert same.min() > 0.98
    assert same.mean() > 0.998


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_device_gives_the_same_pictures():
    pictures = planes(faces(32))
    for transforms in (["resize", "normalize"], TRAIN):
        pipeline = build_pipeline(INFO, transforms)
        here = pipeline.batch(pictures, SampleRandom(0, 0, range(32)))
        there = pipeline.batch(pictures.cuda(), SampleRandom(0, 0, range(32)))
        assert there.is_cuda
        near = (here - there.cpu()).abs() * torch.tensor(INFO.std)[:, None, None] * 255 < 2
        assert near.float().mean() > 0.998


@pytest.mark.parametrize(
    "transform",
    [
        HorizontalFlip(INFO),
        Rotation(INFO, degrees=30),
        Affine(INFO, degrees=20, translate=[0.2, 0.1], scale=[0.8, 1.1], shear=10),
        RandomCrop(INFO, padding=0.2),
        RandomApply(INFO, transforms=[{"rotation": {"degrees": 90}}, "horizontal_flip"], p=0.5),
    ],
    ids=lambda transform: type(transform).__name__,
)
@pytest.mark.parametrize(("height", "width"), [(60, 60), (41, 70), (1, 1)])
def test_forms_agree_on_any_shape(transform, height, width):
    pictures = faces(16, height, width)
    batch, single = both_forms(transform, pictures)
    assert batch.dtype == torch.uint8
    assert (batch == single).float().mean() > 0.995
    # and a float tensor, as after normalize, moves alike in both forms
    floats = planes(pictures).float()
    moved = transform.batch(floats.clone(), SampleRandom(0, 1, range(16)))
    assert torch.equal(moved.byte(), batch)
    assert torch.equal(transform.image(floats[1].clone(), SampleRandom(0, 1, [1])), moved[1])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80)])
def test_rotation_equals_torchvision(height, width):
    rotation = Rotation(INFO, degrees=20)
    pictures = planes(faces(8, height, width))
    ours = rotation.batch(pictures.clone(), SampleRandom(0, 0, range(8)))
    angles = SampleRandom(0, 0, range(8)).uniform(-20, 20)[:, 0].tolist()
    theirs = torch.stack([reference.rotate(image, angle) for image, angle in zip(pictures, angles, strict=True)])
    assert (ours == theirs).float().mean((1, 2, 3)).min() >= 0.99


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80)])
def test_affine_equals_torchvision(height, width):
    affine = Affine(INFO, degrees=20, translate=[0.2, 0.1], scale=[0.8, 1.2], shear=15)
    pictures = planes(faces(8, height, width))
    ours = affine.batch(pictures.clone(), SampleRandom(0, 0, range(8)))
    for i, (angle, dx, dy, scale, shear) in enumerate(SampleRandom(0, 0, range(8)).uniform(-1, 1, k=5).tolist()):
        shift = [round(dx * 0.2 * width), round(dy * 0.1 * height)]
        theirs = reference.affine(pictures[i], angle * 20, shift, 1 + 0.2 * scale, [shear * 15, 0.0])
        assert (ours[i] == theirs).float().mean() >= 0.99


def test_crop_shifts_by_every_offset():
    pictures = np.full((2000, 7, 7, 1), 255, np.uint8)
    cropped = RandomCrop(INFO, padding=1 / 7).batch(planes(pictures), SampleRandom(0, 0, range(2000)))
    kinds, counts = torch.unique(cropped.flatten(1), dim=0, return_counts=True)
    assert len(kinds) == 9
    assert counts.min() > 150
    assert sorted(int(kind.sum()) // 255 for kind in kinds) == [36] * 4 + [42] * 4 + [49]


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_probabilities(p):
    n = 4000
    ramp = np.tile(np.arange(1, 5, dtype=np.uint8)[None, None, :, None], (n, 4, 1, 1))
    flip = {"horizontal_flip": {"p": 1}}
    for transform in (
        HorizontalFlip(INFO, p=p),
        RandomApply(INFO, transforms=[flip], p=p),
        RandomErasing(INFO, p=p, scale=[0.1, 0.3]),
    ):
        images = planes(ramp).float()
        changed = (transform.batch(images.clone(), SampleRandom(1, 0, range(n))) != images).flatten(1).any(1)
        assert abs(changed.float().mean() - p) <= 5 * (p * (1 - p) / n) ** 0.5


def test_steps_that_do_not_happen_leave_later_ones_alone():
    def rest(p):
        inner = {"random_apply": {"p": p, "transforms": ["horizontal_flip", {"random_crop": {"padding": 0.1}}]}}
        erase = RandomErasing(INFO, p=1)
        rng = SampleRandom(0, 0, range(50))
        RandomApply(INFO, transforms=[inner], p=p).batch(torch.ones(50, 1, 64, 64), rng)
        return erase.rectangles(rng, (64, 64))

    assert torch.equal(rest(0.0), rest(0.5))
    assert torch.equal(rest(0.0), rest(1.0))


def test_erasing_draws_from_torchvisions_distribution():
    from torchvision.transforms import RandomErasing as Reference

    n, size, scale, ratio = 4000, (60, 40), (0.02, 0.4), (0.3, 3.3)
    ours = (
        RandomErasing(INFO, p=1, scale=scale, ratio=ratio).rectangles(SampleRandom(0, 0, range(n)), size).double()
    )
    torch.manual_seed(0)
    image = torch.zeros(1, *size)
    theirs = torch.tensor([Reference.get_params(image, scale, ratio, [0.0])[:4] for _ in range(n)]).double()
    for column in range(4):
        a, b = ours[:, column], theirs[:, column]
        assert abs(a.mean() - b.mean()) < 5 * ((a.var() + b.var()) / n) ** 0.5
        assert abs(a.std() - b.std()) < 0.08 * b.std()
    assert (ours[:, 2] < 60).all()
    assert (ours[:, 3] < 40).all()
    assert ((ours[:, :2] + ours[:, 2:]) <= torch.tensor(size)).all()


def test_erasing_writes_its_rectangle():
    erasing = RandomErasing(INFO, p=0.5)
    erased = erasing.batch(torch.ones(40, 3, 30, 50), SampleRandom(0, 0, range(40)))
    for image, (top, left, height, width) in zip(
        erased, erasing.rectangles(SampleRandom(0, 0, range(40)), (30, 50)).tolist(), strict=True
    ):
        assert (image == 0).sum() == 3 * height * width
        assert (image[:, top : top + height, left : left + width] == 0).all()


def test_erasing_leaves_a_picture_where_nothing_fits():
    assert RandomErasing(INFO, p=1).batch(torch.ones(9, 3, 1, 1), SampleRandom(0, 0, range(9))).min() == 1


class Invert(Transform):
    """A plugin's transform, which has a batched form only."""

    def batch(self, images, rng):
        assert images.dtype == torch.float32
        assert images.shape[1] == 3
        return 1 - images


def test_float_transforms_get_floats_in_any_place():
    resize, normalize = Resize(INFO), Normalize(INFO)
    picture = faces(1, channels=1)
    for steps in ([resize, Invert(), HorizontalFlip(INFO, p=1), normalize], [resize, Invert()]):
        pipeline = Pipeline(INFO, steps)
        batch = pipeline.batch(planes(picture), SampleRandom(0, 0, [0]))
        single = pipeline.image(pil(picture[0]), SampleRandom(0, 0, [0]))
        assert torch.allclose(batch[0], single, atol=0.02)
    assert 0 <= single.min() <= single.max() <= 1


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["resize", "normalise"], "normalize"),
        (["resize", {"horizontal_flip": {"prob": 0.5}}], "prob: unknown option of horizontal_flip, known: p"),
        (["resize", {"rotation": {"degree": 20}}], "degrees"),
        (["resize", {"normalize": {"mean": 0}}], "normalize.mean: unknown option of normalize, it has no options"),
        (["resize", "rotation"], "rotation.degrees: missing, rotation needs it: write rotation: {degrees: ...}"),
        (["resize", {"horizontal_flip": None}], "not understood"),
        (["resize", {"rotation": 20}], "not understood"),
        (["resize", {"rotation": {"degrees": 20}, "normalize": {}}], "not understood"),
        ([{"resize": {"size": 0}}], "size is 0"),
        ([{"resize": {"interpolation": "biliner"}}], "bilinear"),
        (["resize", {"horizontal_flip": {"p": 1.5}}], "from 0 to 1"),
        (["resize", {"horizontal_flip": {"p": "often"}}], "p is often, which horizontal_flip does not accept"),
        (["resize", {"affine": {"degrees": 5, "translate": 0.2}}], "expected a list of numbers or null"),
        (["resize", {"affine": {"degrees": 5, "scale": [1.0, 0.8]}}], "swap"),
        (["resize", {"random_erasing": {"scale": [0.1]}}], "smallest and the largest"),
        (["resize", {"random_apply": {"transforms": []}}], "one transform or more"),
        (["resize", {"random_apply": {"transforms": ["normalize"]}}], "move it out"),
        (["resize", {"one_of": {"transforms": ["ten_crop"]}}], "move it out"),
        (["resize", {"one_of": {"transforms": []}}], "one transform or more"),
        (["resize", "normalize", "rand_augment"], "put it before normalize"),
        (
            ["resize", "normalize", {"random_apply": {"transforms": [{"gaussian_noise": {"variance": 1}}]}}],
            "before",
        ),
        (["normalize", "resize"], "put it before normalize"),
        (["resize", "five_crop", "ten_crop"], "views of views"),
        (["ten_crop", "normalize"], "begin with resize"),
        ([{"center_crop": {"resize": 60}}], "do not fit"),
        ([{"center_crop": {"resize": 60.5}}], "resize is 60.5, which center_crop does not"),
        (["resize", {"rand_augment": {"num_ops": 0}}], "num_ops is 0"),
        (["resize", {"rand_augment": {"magnitude": 11}}], "from 0 to 10"),
        (["resize", {"rand_augment": {"fill": [0, 0]}}], "three whole numbers"),
        (["resize", {"rand_augment": {"interpolation": "bicubik"}}], "bicubic"),
        (["resize", {"rand_augment": {"increasing": 1}}], "true or false"),
        (["resize", {"auto_augment": {"policy": "imagnet"}}], "imagenet"),
        (["resize", {"random_erasing": {"value": "nois"}}], "0 or noise"),
        ([{"random_resized_crop": {"interpolation": "nearest"}}], "unknown interpolation"),
        (["resize", {"random_apply": {"transforms": ["flip_horizontal"]}}], "flip_horizontal"),
        (["normalize"], "begin with resize"),
        ([], "begin with resize"),
        ("resize", "give a list"),
        (["resize", 3], "not understood"),
    ],
)
def test_errors_are_one_line_that_helps(items, words):
    with pytest.raises(FerError, match=re.escape(words)) as error:
        build_pipeline(INFO, items)
    assert "\n" not in str(error.value)


class Shaded(Transform):
    """Of a plugin: draws when it works."""

    raw = True

    def batch(self, images, rng):
        images[rng.uniform()[:, 0] < 0.5] = 0
        return images


@pytest.mark.parametrize("place", ["beside", "inside", "nowhere"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_a_pipeline_draws_is_placed_together_up_to_a_transform_that_draws_late(place, channels):
    """The result is that of its transforms one after another, and does not depend on how values are placed."""
    shaded, resize, normalize = Shaded(), Resize(INFO), Normalize(INFO)
    turn, mirror, erase = Rotation(INFO, degrees=30), HorizontalFlip(INFO), RandomErasing(INFO)
    held = RandomApply(INFO, transforms=["horizontal_flip"], p=0.5)
    held.transforms = [turn, shaded, mirror] if place == "inside" else [turn, mirror]
    transforms = [resize, held, *([shaded] if place == "beside" else []), mirror, normalize, erase]
    batch, rng = planes(faces(12, channels=channels)), SampleRandom(0, 0, range(12))
    placed = []

    def keep(values):
        placed.append(len(values))
        return values

    found = Pipeline(INFO, transforms).batch(batch, SampleRandom(0, 0, range(12)), keep)
    for transform in transforms:
        batch = transform.batch(
            batch.contiguous() if transform is not erase else batch.expand(-1, 3, -1, -1).clone(), rng
        )
    assert torch.equal(found, batch)
    assert placed == [{"beside": 3, "inside": 6, "nowhere": 7}[place]]
