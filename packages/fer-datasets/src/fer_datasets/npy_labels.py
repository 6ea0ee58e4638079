"""Labels in one small `.npy` file each, read quickly and without unpickling."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import repeat
from pathlib import Path

import numpy as np
from fer_core.plugin import FerError, show_progress
from numpy.typing import NDArray

MAGIC = b"\x93NUMPY"
MAX_BYTES = 4096
"""One value with its header takes about 130 bytes; a larger file is something else."""
_THREADS = 8
_AT_ONCE = 4096


def read_npy_labels(folder: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """One integer per file: int64 [N].

    Args:
        folder: Folder of the files.
        names: File names. Each file contains one value: text (`'3'`), an integer, or a float without fraction.

    Raises:
        FerError: A file is missing, not an `.npy` file of one number, or contains pickled objects; it is named.
    """
    labels = np.empty(len(names), dtype=np.int64)
    with (
        ThreadPoolExecutor(_THREADS) as threads,
        show_progress(f"reading {len(names)} label files", len(names)) as advance,
    ):
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            labels[start : start + len(part)] = list(threads.map(_read, repeat(folder), part, chunksize=256))
            advance(start + len(part))
    return labels


def _read(folder: Path, name: str) -> int:
    path = folder / name
    try:
        with path.open("rb", buffering=0) as file:
            content = file.read(MAX_BYTES)
    except OSError as error:
        raise FerError(f"cannot read the label {path}: {error.strerror}: restore the file") from error
    try:
        return _number(content)
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise FerError(f"{path} is not a .npy file with one whole number ({error}): restore the file") from error


def _number(content: bytes) -> int:
    if content[:6] != MAGIC or len(content) < 12:
        raise ValueError("it does not begin like one")
    wide = content[6] > 1
    begin = 12 if wide else 10
    end = begin + int.from_bytes(content[8:begin], "little")
    dtype = _dtype(content[begin:end])
    value = np.frombuffer(content, dtype, count=1, offset=end)[0]
    number = float(value.decode() if isinstance(value, bytes) else value)
    if number != int(number):
        raise ValueError(f"it holds {number}")
    return int(number)


@lru_cache(maxsize=16)
def _dtype(header: bytes) -> np.dtype[np.generic]:
    """Type of the value; cached, since most headers of a dataset are the same."""
    described = ast.literal_eval(header.decode("latin1").strip())
    dtype: np.dtype[np.generic] = np.dtype(described["descr"])
    if dtype.hasobject or dtype.kind not in "USiuf":
        raise ValueError(f"it holds values of the type {dtype}")
    if int(np.prod(described["shape"])) != 1:
        raise ValueError(f"it holds values of the shape {described['shape']}")
    return dtype
