"""Operations of the augmentation policies: against definitions, PIL and torchvision, and form against form."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import AutoAugment, ColorJitter, RandAugment
from fer_core.data.transforms.base import Shape
from fer_core.data.transforms.operations import OPERATIONS, Style
from fer_core.data.transforms.rounds import CALLS, Draw, arrange, plan_rounds
from fer_core.testing import make_preprocessing
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import transforms as reference
from torchvision.transforms import functional

INFO = make_preprocessing(64)
FILL = (124, 116, 104)
STRENGTHS = {
    "auto_contrast": [0],
    "equalize": [0],
    "invert": [0],
    "rotate": [-30, -7.3, 0, 12, 30],
    "posterize": [0, 1, 2, 4, 8],
    "solarize": [0, 77, 128, 255, 256],
    "solarize_add": [0, 33, 110],
    "color": [0, 0.1, 0.64, 1, 1.9],
    "contrast": [0, 0.1, 0.64, 1, 1.9],
    "brightness": [0, 0.1, 0.64, 1, 1.9],
    "sharpness": [0, 0.1, 0.64, 1, 1.9],
    "shear_x": [-0.3, 0, 0.15],
    "shear_y": [-0.3, 0, 0.15],
    "translate_x": [-20.5, 0, 7.25],
    "translate_y": [-20.5, 0, 7.25],
    "hue": [0, 13, 128, 250],
}


def faces(n: int, height: int = 64, width: int = 64, channels: int = 3) -> np.ndarray:
    """Smooth pictures of low contrast with noise, uint8 [n, H, W, C]."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (n, 6, 6, channels), dtype=np.uint8)
    fine = [
        np.stack([np.asarray(Image.fromarray(c[..., k]).resize((width, height), 3)) for k in range(channels)], -1)
        for c in coarse
    ]
    noisy = np.stack(fine).astype(np.int16) + rng.integers(-6, 7, (n, height, width, channels))
    return noisy.clip(0, 255).astype(np.uint8)


def planes(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def pil(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).reshape(image.height, image.width, -1).astype(int)


def check(batch: torch.Tensor, single: np.ndarray, share: float = 0.995, levels: int = 1) -> None:
    """All but a few values are equal up to one level of 255."""
    assert batch.dtype == torch.uint8
    difference = np.abs(batch.permute(1, 2, 0).numpy().astype(int) - single)
    assert (difference <= levels).mean() >= share


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (41, 60), (1, 1)])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("name", STRENGTHS)
def test_batched_operations_are_pils(name, method, height, width, channels):
    geometric = name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
    if method != "nearest" and not geometric:
        return
    operation, strengths = OPERATIONS[name], STRENGTHS[name]
    style = Style(method, FILL if channels == 3 else (90, 90, 90))
    pictures = faces(len(strengths), height, width, channels)
    draw = Draw([name] * len(strengths), torch.tensor(strengths, dtype=torch.float64), [style] * len(strengths))
    plan = plan_rounds([draw], Shape(channels, height, width, host=False))
    batch = plan.work(planes(pictures).clone(), plan.values)
    for row, strength in enumerate(strengths):
        single = array(operation.picture(pil(pictures[row]), strength, style))
        # 8-bit hues: a step of one moves a channel by up to six levels
        check(batch[row], single, 0.99 if name == "rotate" else 0.995, 6 if name == "hue" else 1)


def test_operations_do_what_their_names_say():
    """The definitions, written out on one channel of 256 values."""
    ramp = np.arange(256).reshape(16, 16)

    def run(name, strength):
        image = Image.fromarray(np.repeat(ramp[..., None], 3, -1).astype(np.uint8))
        return array(OPERATIONS[name].picture(image, strength, Style()))[..., 0]

    assert (run("invert", 0) == 255 - ramp).all()
    assert (run("posterize", 2) == ramp // 64 * 64).all()
    assert (run("posterize", 0) == 0).all()
    assert (run("solarize", 100) == np.where(ramp < 100, ramp, 255 - ramp)).all()
    assert (run("solarize", 256) == ramp).all()
    assert (run("solarize_add", 55) == np.where(ramp < 128, ramp + 55, ramp)).all()
    assert (run("brightness", 0.5) == np.floor(ramp * 0.5)).all()
    assert (run("brightness", 1.5) == np.minimum(255, np.floor(ramp * 1.5))).all()
    assert (run("contrast", 0.5) == np.floor(128 + 0.5 * (ramp - 128))).all()
    assert (run("color", 0.3) == ramp).all()
    assert (run("auto_contrast", 0) == ramp).all()
    assert (run("equalize", 0) == ramp).all()
    shifted = run("translate_x", 4)
    assert (shifted[:, :12] == ramp[:, 4:]).all()
    assert (shifted[:, 12:] == 0).all()
    assert (run("translate_y", -3)[3:] == ramp[:-3]).all()


def test_levels_mean_what_timm_and_the_papers_say():
    level, sign, size = torch.tensor([5.0, 4.999, 10.0, 0.0, 9.0]).double(), torch.ones(5).double(), (100, 200)
    fixed = {n: f(level, sign, size).tolist() for n, f in RandAugment(INFO, increasing=False).strengths.items()}
    rising = {n: f(level, -sign, size).tolist() for n, f in RandAugment(INFO).strengths.items()}
    assert list(fixed) == list(rising) == list(OPERATIONS)[:15]
    assert fixed["posterize"] == [2, 1, 4, 0, 3]
    assert rising["posterize"] == [2, 3, 0, 4, 1]
    assert fixed["solarize"] == [128, 127, 256, 0, 230]
    assert rising["solarize"] == [128, 129, 0, 256, 26]
    assert fixed["solarize_add"] == rising["solarize_add"] == [55, 54, 110, 0, 99]
    for name in ("color", "contrast", "brightness", "sharpness"):
        assert fixed[name] == pytest.approx([1.0, 0.99982, 1.9, 0.1, 1.72])
        assert rising[name] == pytest.approx([0.55, 0.55009, 0.1, 1.0, 0.19])
    assert fixed["rotate"] == pytest.approx([15, 14.997, 30, 0, 27])
    assert rising["rotate"] == pytest.approx([-15, -14.997, -30, 0, -27])
    assert fixed["shear_x"] == fixed["shear_y"] == pytest.approx([0.15, 0.14997, 0.3, 0, 0.27])
    assert fixed["translate_x"] == pytest.approx([45, 44.991, 90, 0, 81])
    assert fixed["translate_y"] == pytest.approx([22.5, 22.4955, 45, 0, 40.5])


def test_rand_augment_draws_its_distribution():
    n = 6000
    augment = RandAugment(INFO, num_ops=3, magnitude=9, magnitude_std=0.5, p=0.5, interpolation="random")
    draws = augment.draws(SampleRandom(0, 0, range(n)), (64, 64))
    assert len(draws) == 3
    names = np.array([draw.names for draw in draws])
    assert (names != "").mean() == pytest.approx(0.5, abs=0.02)
    _, counts = np.unique(names[names != ""], return_counts=True)
    assert len(counts) == 15
    assert np.abs(counts / counts.sum() - 1 / 15).max() < 0.012
    repeated = (names[0] == names[1]) & (names[0] != "")
    assert repeated.mean() == pytest.approx(0.25 / 15, abs=0.006)  # with replacement
    angles = np.concatenate([draw.strengths[names[i] == "rotate"] for i, draw in enumerate(draws)])
    assert (angles > 0).mean() == pytest.approx(0.5, abs=0.06)
    level = np.abs(angles) / 3
    assert np.mean(level) == pytest.approx(9, abs=0.1)
    assert np.std(level) == pytest.approx(0.49, abs=0.06)
    assert level.max() <= 10
    methods = [style.method for draw in draws for style in draw.styles]
    assert methods.count("bicubic") / len(methods) == pytest.approx(0.5, abs=0.02)
    assert set(methods) == {"bilinear", "bicubic"}


POLICIES = {
    "timm, as LNSU-Net": RandAugment(INFO, interpolation="bicubic"),
    "as Ada-DF": RandAugment(INFO, num_ops=3, magnitude=5, increasing=False, fill=FILL),
    "auto": AutoAugment(INFO),
    "jitter": ColorJitter(INFO, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_policies_give_the_same_pictures_in_both_forms(policy, channels):
    transform, n = POLICIES[policy], 48
    pictures = faces(n, 50, 50, channels)
    batch = transform.batch(planes(pictures).clone(), SampleRandom(0, 3, range(n)))
    pixels = planes(pictures).repeat(1, 3, 1, 1) if channels == 1 and transform.fill == FILL else planes(pictures)
    plan = transform.plan(SampleRandom(0, 3, range(n)), Shape(channels, 50, 50, host=False))
    together = plan.work(pixels.clone(), plan.values)
    changed = 0
    for row in range(n):
        image = transform.image(pil(pictures[row]), SampleRandom(0, 3, [row]))
        check(batch[row], array(image), 1, 0)
        # one operation after the other: a difference of one level may be stretched by those that follow
        check(together[row], array(image), 0.97, 14)
        changed += (array(image) != pictures[row].astype(int)).any()
    assert changed > n / 2
    # independent of the batch, and of whether pixels come as bytes or as floats
    again = transform.batch(planes(pictures)[5:7].clone(), SampleRandom(0, 3, [5, 6]))
    assert torch.equal(again, batch[5:7])
    floats = transform.batch(planes(pictures).float() / 255, SampleRandom(0, 3, range(n)))
    assert torch.equal((floats * 255).round().byte(), batch)


@pytest.mark.parametrize("pair", range(25))
def test_auto_augment_is_torchvisions(pair):
    ours = AutoAugment(INFO)
    theirs = reference.AutoAugment(reference.AutoAugmentPolicy.IMAGENET)
    levels = theirs._augmentation_space(10, (64, 64))
    for (name, p, level), (other, other_p, other_level) in zip(
        ours.pairs[pair], theirs.policies[pair], strict=True
    ):
        assert (name.replace("_", ""), p) == (
            other.lower() if other != "AutoContrast" else "autocontrast",
            other_p,
        )
        if other_level is None:
            continue
        values, signed = levels[other]
        for sign in (1, -1) if signed else (1,):
            image = pil(faces(1)[0])
            got = array(OPERATIONS[name].picture(image, _strength(ours, name, level, sign), Style()))
            expected = _apply(image, other, float(values[level]) * sign)
            assert (got == array(expected)).mean() > 0.995


def _strength(augment, name, level, sign):
    """Strength that a policy made of this one operation draws."""
    single = AutoAugment(INFO)
    single.pairs = [[(name, 1.0, level), (name, 1.0, level)]]
    values = single.draws(SampleRandom(0, 0, range(30)), (64, 64))[0].strengths.tolist()
    return max(values) if sign > 0 else min(values)


def _apply(image, name, magnitude):
    """The operations as torchvision's functional interface has them."""
    if name == "ShearX":
        angle = float(np.degrees(np.arctan(magnitude)))
        return functional.affine(image, 0.0, [0, 0], 1.0, [angle, 0.0], center=[0, 0])
    if name == "Rotate":
        return functional.rotate(image, magnitude)
    if name == "Posterize":
        return functional.posterize(image, int(magnitude))
    if name == "Solarize":
        return functional.solarize(image, magnitude)
    adjust = {"Color": "saturation", "Contrast": "contrast", "Sharpness": "sharpness"}[name]
    return getattr(functional, f"adjust_{adjust}")(image, 1 + magnitude)


def test_auto_augment_draws_pairs_signs_and_decisions():
    first, second = AutoAugment(INFO).draws(SampleRandom(0, 0, range(20000)), (64, 64))
    # of the pairs that begin with rotate: 0.2, 0.8, 0.4, 0.8 of four of 25
    assert first.names.count("rotate") / 20000 == pytest.approx((0.2 + 0.8 + 0.4 + 0.8) / 25, abs=0.01)
    assert second.names.count("auto_contrast") / 20000 == pytest.approx(2 * 0.6 / 25, abs=0.01)
    angles = first.strengths[torch.tensor([name == "rotate" for name in first.names])]
    assert (angles > 0).double().mean() == pytest.approx(0.5, abs=0.05)


def test_jitter_draws_torchvisions_factors():
    n = 5000
    draws = ColorJitter(INFO, brightness=0.3, contrast=1.5, hue=0.2).draws(SampleRandom(0, 0, range(n)), (9, 9))
    found = {name: [] for name in ("brightness", "contrast", "hue", "")}
    firsts = draws[0].names
    for draw in draws:
        for name, strength in zip(draw.names, draw.strengths.tolist(), strict=True):
            found[name].append(strength)
    assert [len(values) for values in found.values()] == [n] * 4  # each once, saturation left out
    assert firsts.count("hue") / n == pytest.approx(0.25, abs=0.03)
    bright, contrast = np.array(found["brightness"]), np.array(found["contrast"])
    assert (bright.min(), bright.max()) == pytest.approx((0.7, 1.3), abs=0.01)
    assert bright.std() == pytest.approx(0.6 / 12**0.5, abs=0.01)
    assert (contrast == 0).mean() == pytest.approx(0.5 / 3, abs=0.02)  # 1 - 1.5 is cut off at 0
    hues = (np.array(found["hue"]) + 128) % 256 - 128
    assert (hues.min(), hues.max()) == (-50, 50)
    image = pil(faces(1)[0])
    turned = array(OPERATIONS["hue"].picture(image, 30, Style()))
    assert (turned == array(functional.adjust_hue(image, 30 / 255))).all()


def test_rounds_keep_the_order_of_each_sample_and_do_all_operations():
    draws = POLICIES["as Ada-DF"].draws(SampleRandom(0, 5, range(40)), (50, 50))
    done = {row: [] for row in range(40)}
    for kind, members in arrange(draws):
        kinds = {OPERATIONS[name].kind for _, name, _, _ in members}
        assert kinds == {kind} or (kinds, kind) == ({"stretch", "table"}, "stretch")
        for row, *operation in members:
            done[row].append(tuple(operation))
    for row, found in done.items():
        steps = [(draw.names[row], float(draw.strengths[row]), draw.styles[row]) for draw in draws]
        assert found == [step for step in steps if step[0]]
    assert len(arrange(draws)) < sum(len({OPERATIONS[name].kind for name in draw.names if name}) for draw in draws)


class Calls(TorchDispatchMode):
    """How many operators are called that do work."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


DEAREST = ["rotate", "contrast", "equalize"]
"""One of each kind that RandAugment has; given tables are looked up together with those of `equalize`."""


@pytest.mark.parametrize("names", [DEAREST[:1], DEAREST[1:2], ["equalize", "invert"], ["invert"], ["hue"]])
def test_a_round_calls_the_operators_that_the_arrangement_counts_on(names):
    draw = Draw(names, torch.ones(len(names), dtype=torch.float64), [Style("bicubic", FILL)] * len(names))
    plan = plan_rounds([draw], Shape(3, 16, 16, host=False))
    images = planes(faces(len(names), 16, 16)).contiguous()
    with Calls() as calls:
        plan.work(images, plan.values)
    ((kind, _),) = arrange([draw])
    assert calls.count == CALLS[kind]


def cost(draws):
    return sum(CALLS[kind] for kind, _ in arrange(draws))


def test_the_calls_of_a_policy_are_bounded_whatever_is_drawn():
    steps, every = 5, CALLS["warp"] + CALLS["blend"] + CALLS["stretch"]
    words = list(zip(*product(["", "invert", *DEAREST], repeat=steps), strict=True))
    rows = len(words[0])
    worst = [Draw(list(names), torch.zeros(rows), [Style()] * rows) for names in words]
    assert cost(worst) <= steps * every
    augment = RandAugment(INFO, num_ops=steps, p=1)
    for epoch in range(5):
        assert cost(augment.draws(SampleRandom(0, epoch, range(300)), (50, 50))) <= cost(worst)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("policy", POLICIES)
def test_device_gives_the_same_pictures(policy):
    pictures = planes(faces(32))
    plan = POLICIES[policy].plan(SampleRandom(0, 0, range(32)), Shape(3, 64, 64, host=False))
    here = plan.work(pictures.clone(), plan.values)
    there = POLICIES[policy].batch(pictures.cuda(), SampleRandom(0, 0, range(32)))
    assert there.is_cuda
    assert ((here.int() - there.cpu().int()).abs() <= 2).float().mean() > 0.99
