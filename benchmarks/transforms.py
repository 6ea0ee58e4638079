"""Images per second of the two forms of a transform list, on one thread; of ten views, faces per second.

Run: python benchmarks/transforms.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import Pipeline, build_pipeline
from fer_core.data.transforms.compose import Item
from fer_core.testing import make_preprocessing
from numpy.typing import NDArray
from PIL import Image

BATCH = 64
TURN_AND_CROP = [{"rotation": {"degrees": 20}}, {"random_crop": {"padding": 1 / 7}}]
LISTS: dict[str, list[Item]] = {
    "evaluation": ["resize", "normalize"],
    "training (DAN, RAF-DB)": [
        "resize",
        {"horizontal_flip": {"p": 0.5}},
        {"random_apply": {"p": 0.2, "transforms": TURN_AND_CROP}},
        "normalize",
        {"random_erasing": {"p": 0.5, "scale": [0.02, 0.25], "ratio": [0.3, 3.3]}},
    ],
    "training (Ada-DF)": [
        "resize",
        {"rand_augment": {"num_ops": 3, "magnitude": 5, "increasing": False, "fill": [124, 116, 104]}},
        {"horizontal_flip": {"p": 0.5}},
        "normalize",
        {"random_erasing": {"p": 0.5, "scale": [0.02, 0.25], "ratio": [0.3, 3.3]}},
    ],
    "training (LNSU-Net)": [
        {"random_resized_crop": {"scale": [1, 1], "ratio": [1, 1], "interpolation": "bicubic"}},
        {"horizontal_flip": {"p": 0.5}},
        {"rand_augment": {"interpolation": "bicubic"}},
        "normalize",
        {"random_erasing": {"p": 0.25, "value": "noise"}},
    ],
    "training (POSTER)": [
        {
            "one_of": {
                "p": 0.5,
                "transforms": [{"horizontal_flip": {"p": 1}}, {"gaussian_noise": {"variance": 30}}],
            }
        },
        {"horizontal_flip": {"p": 0.5}},
        "resize",
        "normalize",
        {"random_erasing": {"p": 0.5, "scale": [0.02, 0.1]}},
    ],
    "auto_augment": ["resize", "auto_augment", "normalize"],
    "color_jitter": [
        "resize",
        {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
        "normalize",
    ],
    "random_resized_crop": ["random_resized_crop", "normalize"],
    "ten_crop": [{"resize": {"size": 256}}, "ten_crop", "normalize"],
}
FACES = {"100 x 100 RGB -> 224": (100, 3, 224), "48 x 48 grey -> 64": (48, 1, 64)}


def rate(work: Callable[[], object]) -> float:
    """Images per second of processor time, the best of five: other programs disturb it least."""
    seconds = []
    work()
    for _ in range(5):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return BATCH / min(seconds)


def batched(pipeline: Pipeline, pixels: NDArray[np.uint8]) -> torch.Tensor:
    return pipeline.batch(torch.from_numpy(pixels).permute(0, 3, 1, 2), SampleRandom(0, 0, range(BATCH)))


def per_image(pipeline: Pipeline, pixels: NDArray[np.uint8]) -> torch.Tensor:
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    pictures = [pipeline.image(Image.fromarray(squeezed[i]), SampleRandom(0, 0, [i])) for i in range(BATCH)]
    return torch.stack(pictures)


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'list':24} {'faces':22} {'per image':>10} {'batched':>10} {'ratio':>6}   (images/s, batch {BATCH})")
    for list_name, items in LISTS.items():
        for face_name, (side, channels, size) in FACES.items():
            pipeline = build_pipeline(make_preprocessing(size), items)
            pixels = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, channels), dtype=np.uint8)
            one, many = rate(partial(per_image, pipeline, pixels)), rate(partial(batched, pipeline, pixels))
            print(f"{list_name:24} {face_name:22} {one:10.0f} {many:10.0f} {many / one:6.1f}")


if __name__ == "__main__":
    main()
