"""Speed of the data path on one core, as ratios within one run.

Reading packed batches of 100 x 100 RGB faces in random order; evaluation transforms batched against per image.

Run: python benchmarks/data_path.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fer_core.data.packs.open import open_pack
from fer_core.data.random import SampleRandom
from fer_core.data.table import make_fingerprint
from fer_core.data.transforms import build_pipeline
from fer_core.testing import make_preprocessing
from fer_core.types import FERDataset
from numpy.typing import NDArray
from PIL import Image

FACES = 12_271
"""As many as RAF-DB trains on."""
BATCH = 256
ROUNDS = 7


class Noise(FERDataset):
    """Faces of 100 x 100 pixels of noise."""

    name = "noise"
    classes = ("a", "b")

    def __init__(self) -> None:
        ids = [f"{i:05d}" for i in range(FACES)]
        self.table = pd.DataFrame({"id": ids, "label": 0, "split": "", "source": ids})

    def read(self, row: int) -> NDArray[np.uint8]:
        """Pixels [100, 100, 3]."""
        return np.random.default_rng(row).integers(0, 256, (100, 100, 3), dtype=np.uint8)

    def fingerprint(self) -> str:
        """Of the ids."""
        return make_fingerprint(self.table["id"], self.table["label"], self.table["source"])


def best(work: Callable[[], int]) -> float:
    """Items per second of processor time, the best of some rounds: other programs disturb it least."""
    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        count = work()
        rates.append(count / (time.process_time() - began))
    return max(rates)


def main() -> None:
    torch.set_num_threads(1)
    dataset = Noise()
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        pack = open_pack(dataset, Path(cache), progress=False)
        print(f"packing {FACES} faces: {time.perf_counter() - began:.1f} s")
        order = np.random.default_rng(0).permutation(FACES)
        batches = [order[start : start + BATCH] for start in range(0, FACES, BATCH)]

        def read() -> int:
            return sum(len(pack.images(rows)) for rows in batches)

        pixels = np.asarray(pack.images(order))

        def copy() -> int:
            return sum(len(pixels[rows]) for rows in batches)

        rate, ideal = best(read), best(copy)
        print(f"packed batches: {rate:,.0f} faces/s on one core, {rate / ideal:.2f} x an array in memory")
        for size in (64, 112, 224):
            pipeline = build_pipeline(make_preprocessing(size), ["resize", "normalize"])
            faces = np.asarray(pack.images(order[:64]))
            batched = partial(run_batched, pipeline.batch, faces)
            single = partial(run_single, pipeline.image, faces)
            many, one = best(batched), best(single)
            print(
                f"evaluation, 100 -> {size}: batched {many:,.0f}, per image {one:,.0f} faces/s, {many / one:.2f} x"
            )


def run_batched(apply: Callable[..., torch.Tensor], faces: NDArray[np.uint8]) -> int:
    apply(torch.from_numpy(faces).permute(0, 3, 1, 2), SampleRandom(0, 0, range(len(faces))))
    return len(faces)


def run_single(apply: Callable[..., torch.Tensor], faces: NDArray[np.uint8]) -> int:
    torch.stack([apply(Image.fromarray(face), SampleRandom(0, 0, [i])) for i, face in enumerate(faces)])
    return len(faces)


if __name__ == "__main__":
    main()
