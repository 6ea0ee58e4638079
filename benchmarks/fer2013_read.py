"""First read of a `fer2013.csv`: the dataset opened and every image parsed, against `pandas.read_csv` alone.

Pandas leaves the pixels as text. Times are of the processor, since reading 300 MB for the first time waits for the
disk on both sides; the target is 1.5 times pandas.

Run: python benchmarks/fer2013_read.py [FOLDER with fer2013.csv]; without one a file of the same size is written.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.data.packs.open import open_pack
from fer_datasets.fer2013 import load

TARGET = 1.5
REPEATS = 3
PARTS = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}


def write(folder: Path) -> Path:
    """A file of official size, with noise for faces."""
    rng = np.random.default_rng(0)
    words = np.array([str(value) for value in range(256)])
    with (folder / "fer2013.csv").open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for usage, count in PARTS.items():
            for row in range(count):
                face = np.clip(rng.normal(129, 65, 2304), 0, 255).astype(int)
                file.write(f"{row % 7},{' '.join(words[face])},{usage}\n")
    return folder


def seconds(work: Callable[[], object]) -> float:
    """The shortest of a few processor times."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def read(folder: Path) -> None:
    dataset = load(folder)
    for row in range(len(dataset.table)):
        dataset.read(row)


def pack(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as cache:
        open_pack(load(folder), Path(cache), progress=False)


def main(folder: Path) -> None:
    pandas = seconds(lambda: pd.read_csv(folder / "fer2013.csv"))
    print(f"pandas.read_csv, pixels as text  {pandas:6.2f} s")
    for name, work in (
        ("opened", lambda: load(folder)),
        ("opened, with fingerprint", lambda: load(folder).fingerprint()),
        ("opened, every image parsed", lambda: read(folder)),
        ("opened, with a pack written", lambda: pack(folder)),
    ):
        spent = seconds(work)
        verdict = f" (target {TARGET})" if "parsed" in name else ""
        print(f"{name:<31}  {spent:6.2f} s  {spent / pandas:5.2f} x pandas{verdict}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(write(Path(made)))
