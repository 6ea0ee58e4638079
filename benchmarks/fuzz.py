"""Coverage-guided fuzzing of what reads foreign bytes: headers of weight files, configurations, label files.

pip install atheris; python benchmarks/fuzz.py header|yaml|votes|rafdb|npy [-runs=10000 ...]

Every input must be read, or refused by a `FerError` of one line. Anything else, and what takes 5 s or 2 GiB (torch
and pandas included), is a crash: libFuzzer, whose options may follow, writes the input into a file of this folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["fer_core", "fer_datasets", "yaml"], enable_loader_override=False):
    from fer_core import FerError
    from fer_core.config import load_config
    from fer_core.weights.checkpoint import read_header
    from fer_datasets import ferplus, rafdb
    from fer_datasets.npy_labels import read_npy_labels

HEADER = json.dumps({"__metadata__": {"fer": json.dumps({"format": 1, "classes": ["a"], "input_size": 16})}})
SEEDS = {
    "header": HEADER.encode(),
    "yaml": b"model: {name: dan}\noptimizer: {name: adam, lr: 1e-4}\ntrain: {epochs: 3}\ncallbacks: [progress]\n",
    "votes": b"Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    b"Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0\n",
    "rafdb": b"train_00001.jpg 5\ntest_0001.jpg 1\n",
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (), }".ljust(127)
    + b"\n\3"
    + bytes(7),
}
PLACES = {
    "header": "w.safetensors",
    "yaml": "config.yaml",
    "votes": "fer2013new.csv",
    "rafdb": "EmoLabel/list_patition_label.txt",
    "npy": "label.npy",
}
READERS: dict[str, Callable[[Path, Path], object]] = {
    "header": lambda folder, file: read_header(file),
    "yaml": lambda folder, file: load_config(file),
    "votes": lambda folder, file: ferplus.load(folder),
    "rafdb": lambda folder, file: rafdb.load(folder),
    "npy": lambda folder, file: read_npy_labels(folder, [file.name]),
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in READERS:
        raise SystemExit(f"name what to fuzz: {', '.join(READERS)}")
    name = sys.argv.pop(1)
    folder, corpus = Path(mkdtemp()), Path(mkdtemp())
    file = folder / PLACES[name]
    file.parent.mkdir(exist_ok=True)
    (corpus / "seed").write_bytes(SEEDS[name])

    def read(content: bytes) -> None:
        prefix = len(content).to_bytes(8, "little") if name == "header" else b""  # else the format ends it there
        file.write_bytes(prefix + content)
        try:
            READERS[name](folder, file)
        except FerError as error:
            if "\n" in str(error):
                raise RuntimeError(f"more than one line: {error!r}") from error

    limits = ["-timeout=5", "-rss_limit_mb=2048", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
