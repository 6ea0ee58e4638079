"""Paths, label files and digests, shared by all readers; errors name the file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from fer_core.plugin import DatasetSpec, FerError, image_names, open_file

from fer_datasets.markers import recognise

MAX_TEXT = 2 * 10**9
"""Bytes; the largest known label files have 0.1 GB."""
MAX_LINE = 65_536
"""Bytes per line; a row of FER2013 has at most 9,300."""


def visible(folder: Path) -> list[Path]:
    """Entries of a folder, sorted by name, without hidden ones such as `.DS_Store`."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: p.name)


def subfolders(folder: Path) -> list[Path]:
    """Visible folders inside a folder, sorted by name."""
    return [p for p in visible(folder) if p.is_dir()]


def images_in(folder: Path) -> list[Path]:
    """Images directly inside a folder, sorted by name (see `image_names`)."""
    return [folder / name for name in image_names(folder)]


def safe_relative(text: str, where: str) -> str:
    """Check a path that a label file gives: it must stay below the dataset's root.

    Args:
        text: Path as written in the file.
        where: File and line, for the message.

    Returns:
        The path with forward slashes.

    Raises:
        FerError: The path is empty, absolute, or leaves the root through `..`.
    """
    path = PurePosixPath(text.replace("\\", "/"))
    if not text.strip() or "\0" in text:
        raise FerError(f"{where}: the path is empty or has a zero byte: give a file below the dataset's folder")
    if path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts:
        raise FerError(f"{where}: the path {text!r} leaves the dataset's folder: give it relative to that folder")
    return str(path)


def require_text(path: Path) -> None:
    """Reject files that cannot be label files, before reading them.

    Raises:
        FerError: The file is too large, or does not begin with lines of text.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(MAX_LINE)
    except OSError as error:
        raise FerError(f"cannot read the label file {path}: {error}: restore it") from error
    if size > MAX_TEXT:
        what = f"has {size / 1e9:.1f} GB, more than any label file"
    elif b"\0" in start:
        what = "holds zero bytes, which text in UTF-8 does not"
    elif len(start) == MAX_LINE and not any(sign in start for sign in b"\n\r"):
        what = f"has no end of line in its first {MAX_LINE} bytes"
    else:
        return
    raise FerError(f"cannot read the label file {path}: it {what}: it is damaged or another file, restore it")


def layout_error(spec: DatasetSpec, root: Path, problem: str) -> FerError:
    """An error about the folder of a dataset, with the expected layout and the way to get the data.

    Args:
        spec: The dataset.
        root: The given folder.
        problem: What is missing or wrong.
    """
    other = recognise(root)
    hint = f", or take the dataset {other}, which this looks like" if other not in (None, spec.name) else ""
    message = (
        f"{spec.name}: {problem}, in {root} ({_found(root)}): give the dataset's folder with --data DIR{hint}"
    )
    return FerError(message, details=_help(spec))


def require_folder(spec: DatasetSpec, root: Path) -> None:
    """Raise a `FerError` that says how to get the data, unless `root` is a folder."""
    if root.is_dir():
        return
    what = "is a file, not a folder" if root.exists() else "does not exist"
    hint = f"get the data from {spec.homepage} and give its folder with --data DIR"
    raise FerError(f"{spec.name}: the folder {root} {what}: {hint}", details=_help(spec))


def _help(spec: DatasetSpec) -> str:
    trees = [f"Layout '{name}':\n{tree.rstrip()}" for name, tree in spec.layouts.items()]
    return "\n\n".join([*trees, f"Where to get it: {spec.homepage}\nTerms: {spec.licence}"])


def _found(root: Path) -> str:
    names = [p.name for p in visible(root)]
    if not names:
        return "it is empty"
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"found: {', '.join(names[:6])}{more}"


def hash_files(paths: Iterable[Path]) -> list[str]:
    """sha256 (hexadecimal) of the bytes of each file.

    Raises:
        FerError: A file is missing, not a regular file or not permitted.
    """
    hashes = []
    for path in paths:
        try:
            with open_file(path) as file:
                hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise FerError(f"cannot read {path}: {error.strerror}: restore it from a copy") from error
    return hashes
