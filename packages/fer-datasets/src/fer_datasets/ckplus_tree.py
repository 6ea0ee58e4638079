"""The official tree of CK+: folders of frames, and folders of label files, many of them empty."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fer_core.plugin import FerError, image_names

from fer_datasets.files import subfolders
from fer_datasets.listing import child, file_names

IMAGE_FOLDERS = ("cohn-kanade-images", "extended-cohn-kanade-images", "extended-cohn-kanade-images-zip")
LABEL_FOLDERS = ("emotion", "emotion_labels", "emotions")
SUBJECT = re.compile(r"S\d+", re.IGNORECASE)

_FRAME = re.compile(r"(S\d+)_(\d+)_(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Sequence:
    """One sequence.

    Attributes:
        subject: Such as `S005`.
        folder: Where its frames are.
        frames: File names by frame number, ascending. Numbers may have gaps.
        label: 1..7, or None without a label file.
    """

    subject: str
    folder: Path
    frames: list[str]
    label: int | None


def subject_tree(base: Path, names: tuple[str, ...]) -> Path | None:
    """The folder below `base`, at most three levels deep, with one of `names` and the subjects' folders inside."""
    folder = child(base, *names)
    for _ in range(3):
        if folder is None or any(SUBJECT.fullmatch(inner.name) for inner in subfolders(folder)):
            return folder
        folder = child(folder, *names)
    return None


def read_sequences(images: Path, labels: Path) -> list[Sequence]:
    """Every sequence, by subject and number.

    Raises:
        FerError: A frame in the wrong folder, a damaged label file, or one without frames.
    """
    emotions = _read_labels(labels)
    sequences = []
    for subject in _subjects(images):
        for folder in subfolders(subject):
            key = (subject.name.upper(), folder.name)
            frames = _frames(folder, key)
            if frames:
                sequences.append(Sequence(key[0], folder, frames, emotions.pop(key, None)))
    if emotions:
        (subject_name, number), _ = next(iter(emotions.items()))
        raise FerError(
            f"ckplus: {len(emotions)} labelled sequences have no frames in {images}, first "
            f"{subject_name}/{number}: unpack all images"
        )
    return sequences


def frame_parts(stem: str) -> tuple[str, str, int] | None:
    """Subject, sequence and number of a frame's name; None if it does not match."""
    match = _FRAME.fullmatch(stem)
    return (match[1].upper(), match[2], int(match[3])) if match else None


def _subjects(tree: Path) -> list[Path]:
    return [folder for folder in subfolders(tree) if SUBJECT.fullmatch(folder.name)]


def _frames(folder: Path, key: tuple[str, str]) -> list[str]:
    numbered = []
    for name in image_names(folder):
        parts = frame_parts(Path(name).stem)
        if parts is None or parts[:2] != key:
            form = f"{key[0]}_{key[1]}_00000001.png"
            raise FerError(f"ckplus: {folder / name} is not named like {form}: move it away")
        numbered.append((parts[2], name))
    return [name for _, name in sorted(numbered)]


def _read_labels(tree: Path) -> dict[tuple[str, str], int]:
    labels = {}
    for subject in _subjects(tree):
        for folder in subfolders(subject):
            files = [name for name in file_names(folder) if name.lower().endswith("_emotion.txt")]
            if len(files) > 1:
                raise FerError(f"ckplus: {folder} holds {len(files)} label files: keep the right one")
            if files:
                labels[subject.name.upper(), folder.name] = _read_label(folder / files[0])
    return labels


def _read_label(path: Path) -> int:
    words = path.read_bytes().decode("utf-8-sig", "replace").split()
    try:
        number = float(words[0]) if len(words) == 1 else 0.0
    except ValueError:
        number = 0.0
    if number not in range(1, 8):
        raise FerError(f"{path}: {' '.join(words)[:40]!r} is not a number in 1..7: restore the label file")
    return int(number)
