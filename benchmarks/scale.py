"""A table of a million rows: processor time and memory to check, split and hash it; memory to read a large pack.

The second part reads an epoch of a pack in random order and tells how much memory the process took for itself.

Run: python benchmarks/scale.py
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

ROWS = 1_000_000
PACK = 4 * 2**30
"""Bytes of the pack; its file is one hole, which takes no space on the disk."""
SIDE = 100


class Table:
    """A dataset of a table alone."""

    name = "million"
    refused: ClassVar[dict[str, str]] = {}
    classes = tuple(f"class_{i}" for i in range(8))

    def __init__(self, rows: int) -> None:
        import numpy as np
        import pandas as pd

        rng = np.random.default_rng(0)
        ids = [f"part/{i % 1000:03d}/{i:07d}.jpg" for i in range(rows)]
        splits = np.array(["train"] * 9 + ["test"])[np.arange(rows) % 10]
        groups = [f"subject-{number:05d}" for number in rng.integers(0, 20_000, rows).tolist()]
        columns = {"id": ids, "label": rng.integers(0, 8, rows), "split": splits, "source": ids, "group": groups}
        self.table = pd.DataFrame(columns)


def peak() -> float:
    """Largest memory of this process so far, GiB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**30 if sys.platform == "darwin" else size / 2**20


def measure_table(rows: int) -> dict[str, float]:
    """Seconds of processor time of each step, and the peak of memory."""
    from fer_core.data.splits import make_split
    from fer_core.data.table import check_table, make_fingerprint

    seconds = {}

    def timed(name: str, began: float) -> None:
        seconds[name] = time.process_time() - began

    began = time.process_time()
    dataset = Table(rows)
    timed("list", began)
    began = time.process_time()
    check_table(dataset)  # type: ignore[arg-type]
    timed("check", began)
    for protocol in ("official+holdout", "kfold:10:0", "stratified-shuffle:0", "seed-shuffle:0"):
        began = time.process_time()
        make_split(dataset, {"train": "train", "test": "test"}, protocol, holdout=0.1, seed=0, select="last")  # type: ignore[arg-type]
        timed(protocol, began)
    began = time.process_time()
    make_fingerprint(dataset.table["id"], dataset.table["label"], dataset.table["source"])
    timed("fingerprint", began)
    return {**seconds, "peak GiB": peak()}


def make_sparse_pack(folder: Path, size: int) -> None:
    """A pack of faces of 100 x 100 RGB pixels, all black."""
    import numpy as np
    from fer_core.data.packs.files import VERSION

    image = SIDE * SIDE * 3
    count = size // image
    folder.mkdir()
    with (folder / "pixels.bin").open("wb") as file:
        file.truncate(count * image)
    np.save(folder / "sizes.npy", np.full((count, 2), SIDE, dtype=np.int64))
    np.save(folder / "offsets.npy", np.arange(count + 1, dtype=np.int64) * image)
    manifest = {"version": VERSION, "dataset": "sparse", "images": count, "bytes": count * image}
    (folder / "pack.json").write_text(json.dumps(manifest))


def measure_pack(folder: Path) -> dict[str, float]:
    """Growth of the process's own memory while one epoch in random order is read, without pages of the file."""
    import numpy as np
    import torch
    from fer_core.data.loader import Loader
    from fer_core.data.packs.open import MappedPack
    from fer_core.data.samplers import shuffle
    from fer_core.data.transforms import build_pipeline
    from fer_core.engine.devices import Cpu
    from fer_core.testing import make_preprocessing

    torch.set_num_threads(1)
    pack = MappedPack(folder)
    labels = np.zeros(len(pack), dtype=np.int64)
    pipeline = build_pipeline(make_preprocessing(32), [{"resize": {"size": 32}}, "normalize"])
    loader = Loader(
        pack,
        np.arange(len(pack)),
        labels,
        pipeline=pipeline,
        batch_size=256,
        sampler=shuffle(labels, 0),
        seed=0,
        workers=0,
        device=Cpu(),
    )
    sizes = []
    began = time.process_time()
    for number, _ in enumerate(loader.epoch(0)):
        if number % 20 == 0:
            sizes.append(own_memory())
    return {
        "pack GiB": len(pack) * SIDE * SIDE * 3 / 2**30,
        "faces/s": len(pack) / (time.process_time() - began),
        "after the first batch, GiB": sizes[0],
        "at most, GiB": max(sizes),
        "resident with pages of the file, GiB": peak(),
    }


def own_memory() -> float:
    """Memory that belongs to this process alone (RssAnon), GiB: pages of a mapped file can be dropped."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 2**20
    raise SystemExit("this system does not tell RssAnon")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--pack-bytes", type=int, default=PACK)
    parser.add_argument("--part", choices=["table", "pack"])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.part == "table":
        print(json.dumps(measure_table(given.rows)))
    elif given.part == "pack":
        print(json.dumps(measure_pack(given.folder)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            pack = Path(folder) / "pack"
            make_sparse_pack(pack, given.pack_bytes)
            for part in ("table", "pack"):
                command = [
                    sys.executable,
                    __file__,
                    "--part",
                    part,
                    "--rows",
                    str(given.rows),
                    "--folder",
                    str(pack),
                ]
                result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                print(f"{part}: " + ", ".join(f"{name} {value:.2f}" for name, value in result.items()))


if __name__ == "__main__":
    main()
