"""Folders of many images, found by name whatever their case and whether an archive doubled them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from fer_core.plugin import FerError, image_names

from fer_datasets.files import safe_relative, subfolders

_UNSAFE = r"(?:^|[\\/])\.{1,2}(?:[\\/]|$)|^[\\/]|^[A-Za-z]:|[\\\0]|//|^\s*$"


def file_names(folder: Path) -> list[str]:
    """Names of the visible files in a folder, sorted, without asking the disk about each."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())


def child(folder: Path, *names: str) -> Path | None:
    """The subfolder with one of these names in any case; one doubled level (`images/images`) is passed."""
    for found in subfolders(folder):
        if found.name.lower() in names:
            inner = [deeper for deeper in subfolders(found) if deeper.name.lower() == found.name.lower()]
            return inner[0] if inner else found
    return None


def find_base(root: Path, fits: Callable[[Path], bool]) -> Path | None:
    """`root`, or the first of its subfolders, where the dataset begins; None where it does in none."""
    return next((base for base in (root, *subfolders(root)) if fits(base)), None)


def class_folders(split: Path, spellings: Mapping[str, str]) -> Iterator[tuple[str, Path, list[str]]]:
    """(class, folder, image names) for every subfolder of a split.

    Args:
        split: Folder that holds one folder a class.
        spellings: Lower-case folder name to class name.

    Raises:
        FerError: A folder is not a class, or two folders are the same class.
    """
    seen: dict[str, str] = {}
    for folder in subfolders(split):
        name = spellings.get(folder.name.strip().lower())
        if name is None:
            known = ", ".join(dict.fromkeys(spellings.values()))
            raise FerError(f"{folder} is not a class folder ({known}): move it away or correct its name")
        if name in seen:
            raise FerError(f"{split} holds {name} twice, as {seen[name]} and {folder.name}: merge the two folders")
        seen[name] = folder.name
        yield name, folder, image_names(folder)


def safe_paths(paths: pd.Series, where: str) -> pd.Series:
    """`files.safe_relative` for a whole column; only what looks unusual is examined one by one.

    Raises:
        FerError: Empty or absolute path, or one that climbs out by `..`.
    """
    unusual = paths.str.contains(_UNSAFE, regex=True)
    if not unusual.any():
        return paths
    return paths.where(
        ~unusual, [safe_relative(path, where) if odd else "" for path, odd in zip(paths, unusual, strict=True)]
    )


def stem(name: str) -> str:
    """A file name without its suffix."""
    front, dot, _ = name.rpartition(".")
    return front if dot else name


def stems(names: Sequence[str]) -> list[str]:
    """Names without their suffix."""
    return [stem(name) for name in names]
