"""The training transforms of every recipe on one core: the authors' form and the two forms of `data.pipeline`.

The authors' form is what the published scripts do: torchvision's and timm's transforms of PIL images, one by one,
with the options of the recipe. Images/s of CPU time, the best of several interleaved rounds; a face that is cut
into ten crops counts once.

Run: python benchmarks/transforms.py [WORD of a recipe's name]...
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import yaml
from fer_core.config.schema import TransformItem
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import Pipeline, build_pipeline
from fer_core.plugins import load_plugins
from fer_core.refs import read_resource
from fer_core.testing import make_preprocessing
from numpy.typing import NDArray
from PIL import Image, ImageOps
from timm.data.auto_augment import NAME_TO_OP, rand_augment_transform
from timm.data.random_erasing import RandomErasing
from torchvision import transforms as published
from torchvision.transforms import InterpolationMode

BATCH, ROUNDS = 64, 5
FACES = {"100 x 100 RGB -> 224": (100, 3, 224), "48 x 48 grey -> 64": (48, 1, 64)}
MORE: dict[str, list[TransformItem]] = {
    "evaluation": ["resize", "normalize"],
    "auto_augment": ["resize", "auto_augment", "normalize"],
    "color_jitter": [
        "resize",
        {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
        "normalize",
    ],
    "random_resized_crop": ["random_resized_crop", "normalize"],
}
Published = Callable[[Any], Any]


def _posterize(image: Image.Image, bits: int, **_: object) -> Image.Image:
    """As in older versions of Pillow, which kept zero bits, too: the scripts draw them."""
    return ImageOps.posterize(image, bits) if bits else image.point(lambda _: 0)


NAME_TO_OP.update(dict.fromkeys(("Posterize", "PosterizeIncreasing"), _posterize))


def recipes() -> Iterator[tuple[str, list[TransformItem]]]:
    """Each list of training transforms once, under the names of all recipes that have it."""
    found: dict[str, tuple[list[str], list[TransformItem]]] = {}
    entries = [entry for claims in load_plugins().entries["models"].values() for entry in claims]
    for entry in entries:
        for name, ref in entry.value.recipes.items():
            items = yaml.safe_load(read_resource(ref))["data"]["train_transforms"]
            found.setdefault(repr(items), ([], items))[0].append(f"{entry.name}/{name}")
    for names, items in found.values():
        yield ", ".join(names), items


class Noise:
    """POSTER's script adds noise to the pixels of the file with NumPy."""

    def __init__(self, variance: float) -> None:
        self.deviation = variance**0.5

    def __call__(self, image: Image.Image) -> Image.Image:
        """One image with noise."""
        noisy = np.array(image) + np.random.normal(0, self.deviation, np.shape(image))
        return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


class OneOf:
    """With probability p one of several."""

    def __init__(self, p: float, choices: Sequence[Published]) -> None:
        self.p, self.choices = p, choices

    def __call__(self, image: Image.Image) -> Any:
        """One image, or what one of them makes of it."""
        return random.choice(self.choices)(image) if random.random() < self.p else image


def _rand_augment(options: dict[str, Any], size: int) -> Published:
    words = f"rand-m{options['magnitude']}-n{options['num_ops']}-mstd{options['magnitude_std']}"
    methods = {"random": (2, 3), "bilinear": 2, "bicubic": 3}
    own = {"img_mean": tuple(options["fill"]), "interpolation": methods[options["interpolation"]]}
    own |= {"translate_const": 0.45 * size} if not options["increasing"] else {}
    return rand_augment_transform(words + ("-inc1" if options["increasing"] else ""), own)


def _erasing(options: dict[str, Any]) -> Published:
    if options.get("value") == "noise":
        return RandomErasing(options["p"], *options["scale"], options["ratio"][0], mode="pixel", device="cpu")
    return published.RandomErasing(options["p"], options["scale"], options["ratio"])


def authors(item: TransformItem, size: int) -> list[Published]:
    """One entry of a recipe as the published scripts write it."""
    name, options = (item, {}) if isinstance(item, str) else next(iter(item.items()))
    mode = InterpolationMode(options.get("interpolation", "bilinear")) if name in ("resize",) else None
    match name:
        case "resize":
            return [published.Resize((size, size), mode)]
        case "horizontal_flip":
            return [published.RandomHorizontalFlip(options["p"])]
        case "rotation":
            return [published.RandomRotation(options["degrees"])]
        case "affine":
            return [published.RandomAffine(options["degrees"], options["translate"], options["scale"])]
        case "random_crop":
            return [published.RandomCrop(size, padding=round(options["padding"] * size))]
        case "random_resized_crop":
            return [published.RandomResizedCrop(size)]
        case "color_jitter":
            return [published.ColorJitter(**options)]
        case "auto_augment":
            return [published.AutoAugment()]
        case "gaussian_noise":
            return [Noise(options["variance"])]
        case "rand_augment":
            return [_rand_augment(options, size)]
        case "normalize":
            return [published.ToTensor(), published.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
        case "random_erasing":
            return [_erasing(options)]
        case "random_apply":
            return [
                published.RandomApply(
                    [step for part in options["transforms"] for step in authors(part, size)], options["p"]
                )
            ]
        case "one_of":
            return [OneOf(options["p"], [authors(part, size)[0] for part in options["transforms"]])]
    raise SystemExit(f"{name}: the published form is not known here, add it to authors()")


def published_form(items: Sequence[TransformItem], size: int) -> Published:
    """The whole list: crops are made first, and what follows is done with each of them."""
    first, *rest = items
    if isinstance(first, str) or "ten_crop" not in first:
        return published.Compose([step for item in items for step in authors(item, size)])
    crops = published.Compose([published.Resize(round(256 / 224 * size)), published.TenCrop(size)])
    each = published.Compose([step for item in rest for step in authors(item, size)])
    return lambda image: torch.stack([each(crop) for crop in crops(image)])


def rates(works: Sequence[Callable[[], object]]) -> list[float]:
    """Images per second of processor time of each, best of the rounds: other programs disturb it least."""
    seconds: list[list[float]] = [[] for _ in works]
    for each in range(ROUNDS + 1):
        for taken, work in zip(seconds, works, strict=True):
            start = time.process_time()
            work()
            if each:
                taken.append(time.process_time() - start)
    return [BATCH / min(taken) for taken in seconds]


def batched(pipeline: Pipeline, pixels: NDArray[np.uint8]) -> torch.Tensor:
    return pipeline.batch(torch.from_numpy(pixels).permute(0, 3, 1, 2), SampleRandom(0, 0, range(BATCH)))


def per_image(pipeline: Pipeline, pixels: NDArray[np.uint8]) -> torch.Tensor:
    streams = (SampleRandom(0, 0, [row]) for row in range(BATCH))
    return torch.stack([pipeline.image(picture(face), rng) for face, rng in zip(pixels, streams, strict=True)])


def as_published(transform: Published, pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.stack([transform(picture(face)) for face in pixels])


def picture(face: NDArray[np.uint8]) -> Image.Image:
    """A face as the scripts' datasets return it: always RGB."""
    return Image.fromarray(np.repeat(face, 3, -1) if face.shape[-1] == 1 else face)


def smooth(side: int, channels: int) -> NDArray[np.uint8]:
    """Faces' pixels are smooth; noise would slow tables and histograms down."""
    coarse = np.random.default_rng(0).integers(0, 256, (BATCH, 8, 8, channels), dtype=np.uint8)
    planes = torch.from_numpy(coarse).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only recipes whose name contains one of these")
    words = parser.parse_args().words
    torch.set_num_threads(1)
    lists = [*recipes(), *MORE.items()]
    for face_name, (side, channels, size) in FACES.items():
        print(
            f"\n| {face_name} | authors' form | per image | batched | batched / authors' |\n|---|---|---|---|---|"
        )
        ratios = []
        for name, items in lists:
            if words and not any(word in name for word in words):
                continue
            pipeline = build_pipeline(make_preprocessing(size), adapted(items, size))
            pixels = smooth(side, channels)
            works = [
                partial(as_published, published_form(items, size), pixels),
                partial(per_image, pipeline, pixels),
                partial(batched, pipeline, pixels),
            ]
            theirs, one, many = rates(works)
            ratios += [many / theirs] if name not in MORE else []
            print(f"| {name} | {theirs:.0f} | {one:.0f} | {many:.0f} | {many / theirs:.2f} |", flush=True)
        if ratios:
            mean, least = statistics.geometric_mean(ratios), min(ratios)
            print(f"\nRecipes, batched against the authors' form: geometric mean {mean:.2f}, least {least:.2f}")


def adapted(items: Sequence[TransformItem], size: int) -> list[TransformItem]:
    """Crops in the size of this measurement."""
    crops = {"ten_crop": {"resize": round(256 / 224 * size), "size": size}}
    return [crops if not isinstance(item, str) and "ten_crop" in item else item for item in items]


if __name__ == "__main__":
    main()
