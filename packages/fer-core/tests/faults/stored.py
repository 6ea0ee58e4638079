"""Files that fer reads back, as trees of plain values; a tree is written whatever it holds."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from altered import DIGITS, Marked
from safetensors import safe_open
from safetensors.torch import save_file

SPARSE = 1 << 40


def json_text(tree: Any) -> str:
    """JSON, and so YAML; marks become their text, what has none the text of Python."""
    marks: list[str] = []

    def mark(value: Any) -> str:
        marks.append(value.text if isinstance(value, Marked) else json.dumps(str(value)))
        return f"mark-{len(marks) - 1}"

    text = json.dumps(_marked(tree), default=mark)
    for number, instead in enumerate(marks):
        text = text.replace(f'"mark-{number}"', instead)
    return text


def _marked(tree: Any) -> Any:
    """A tree without what `json` cannot write."""
    if isinstance(tree, dict):
        return {key if isinstance(key, str) else str(key): _marked(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_marked(value) for value in tree]
    return DIGITS if type(tree) is int and tree.bit_length() > 14_000 else tree


def _made(tree: Any) -> Any:
    """A tree of objects."""
    if isinstance(tree, Marked):
        return tree.make()
    if isinstance(tree, dict):
        return {key: _made(value) for key, value in tree.items()}
    return type(tree)(_made(value) for value in tree) if isinstance(tree, list | tuple) else tree


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _write_json(path: Path, tree: Any) -> None:
    path.write_text(json_text(tree), "utf-8")


def _read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _read_lines(path: Path) -> Any:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _write_lines(path: Path, tree: Any) -> None:
    path.write_text(
        "".join(json_text(row) + "\n" for row in (tree if isinstance(tree, list) else [tree])), "utf-8"
    )


def _read_table(path: Path) -> Any:
    """`columns`, the first row by column, and the other `rows`."""
    columns, first, *rows = csv.reader(io.StringIO(path.read_text("utf-8")))
    return {"columns": columns, "first": dict(zip(columns, first, strict=True)), "rows": rows}


def _write_table(path: Path, tree: Any) -> None:
    def cells(row: Any) -> list[str]:
        row = list(row.values()) if isinstance(row, dict) else row if isinstance(row, list) else [row]
        return [cell if isinstance(cell, str) else json_text(cell) for cell in row]

    whole = tree if isinstance(tree, dict) else {"rows": tree}
    rows = whole.get("rows", [])
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows(cells(whole[key]) for key in ("columns", "first") if key in whole)
    writer.writerows(cells(row) for row in (rows if isinstance(rows, list) else [rows]))
    path.write_text(text.getvalue(), "utf-8", "replace")


def _read_weights(path: Path) -> Any:
    """`header` and `tensors`."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return {"header": json.loads(file.metadata()["fer"]), "tensors": tensors}


def _write_weights(path: Path, tree: Any) -> None:
    whole = tree if isinstance(tree, dict) else {"header": tree}
    given = whole.get("tensors")
    tensors = (
        {str(k): v for k, v in given.items() if isinstance(v, torch.Tensor)} if isinstance(given, dict) else {}
    )
    # neither sparse tensors nor ones that are larger than the file exist in this format
    kept = {k: v.contiguous() for k, v in tensors.items() if not v.is_sparse and v.numel() < SPARSE}
    save_file(kept, path, {"fer": json_text(whole["header"])} if "header" in whole else {})


def _read_state(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def _write_state(path: Path, tree: Any) -> None:
    torch.save(_made(tree), path)


def _read_array(path: Path) -> Any:
    """The header of a `.npy` file, and its `values`."""
    array = np.load(path)
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": list(array.shape)}
    return {"header": header, "values": array.flatten().tolist()}


def _write_array(path: Path, tree: Any) -> None:
    whole = tree if isinstance(tree, dict) else {"header": tree}
    header = whole.get("header")
    if isinstance(header, dict) and isinstance(header.get("shape"), list):
        header = {**header, "shape": tuple(header["shape"])}
    text = repr(header).encode("utf-8", "replace")[:60_000] + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + _packed(whole.get("values")))


def _read_numbers(path: Path) -> Any:
    """Numbers of int64, without a header."""
    return np.fromfile(path, dtype=np.int64).tolist()


def _write_numbers(path: Path, tree: Any) -> None:
    path.write_bytes(_packed(tree))


def _packed(values: Any) -> bytes:
    def pack(value: Any) -> bytes:
        if type(value) in (int, bool):
            return struct.pack("<q", max(min(value, (1 << 63) - 1), -1 << 63))
        return struct.pack("<d", value) if isinstance(value, float) else json_text(value).encode()

    return b"".join(map(pack, values)) if isinstance(values, list) else pack(values)


def _read_bytes(path: Path) -> Any:
    """Only the `size` of a file, and which byte it holds."""
    return {"size": path.stat().st_size, "byte": 0}


def _write_bytes(path: Path, tree: Any) -> None:
    size = tree.get("size") if isinstance(tree, dict) else tree
    if type(size) is not int:
        path.write_bytes(json_text(tree).encode())
        return
    path.touch()
    os.truncate(path, max(0, min(size, SPARSE)))


class File(NamedTuple):
    """How a kind of file is read as a tree, and a tree written as such a file."""

    read: Callable[[Path], Any]
    write: Callable[[Path, Any], None]


JSON = File(_read_json, _write_json)
YAML = File(_read_yaml, _write_json)  # JSON is YAML
LINES = File(_read_lines, _write_lines)
TABLE = File(_read_table, _write_table)
WEIGHTS = File(_read_weights, _write_weights)
STATE = File(_read_state, _write_state)
ARRAY = File(_read_array, _write_array)
NUMBERS = File(_read_numbers, _write_numbers)
BYTES = File(_read_bytes, _write_bytes)


def _folder(**files: File) -> File:
    """A folder of files as one tree; what is not in the tree is not in the folder."""
    files = {name.replace("_", "."): file for name, file in files.items()}

    def write(folder: Path, tree: Any) -> None:
        whole = tree if isinstance(tree, dict) else dict.fromkeys(files, tree)
        for name, file in files.items():
            if name in whole:
                file.write(folder / name, whole[name])
            else:
                (folder / name).unlink(missing_ok=True)

    return File(lambda folder: {name: file.read(folder / name) for name, file in files.items()}, write)


PACK = _folder(pack_json=JSON, sizes_npy=ARRAY, offsets_npy=ARRAY, pixels_bin=BYTES)
HALF_PACK = _folder(building_json=JSON, shapes_bin=NUMBERS, pixels_bin=BYTES)

WHOLE: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "zeros": lambda path: path.write_bytes(bytes(5_000)),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x80" * 100),
    "a tebibyte": lambda path: path.touch() or os.truncate(path, SPARSE),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
}
"""What a file becomes."""


def replace(path: Path, name: str) -> None:
    """Put something else in the place of a file, or of the first file in a folder."""
    path = min(path.iterdir()) if path.is_dir() and not path.is_symlink() else path
    path.unlink()
    WHOLE[name](path)
