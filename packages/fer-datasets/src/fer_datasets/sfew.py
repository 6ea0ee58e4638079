"""Reader of SFEW 2.0: film frames, aligned faces, custom crops, or a copy with a label file.

The labels of the test split were never published. By convention Val is reported, so its role is test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fer_core.plugin import Alignment, FERDataset, FerError, image_names, image_size, nearest

from fer_datasets.files import layout_error, require_folder, subfolders
from fer_datasets.image_files import ImageFiles
from fer_datasets.labels import SYNONYMS
from fer_datasets.listing import child, find_base, stems
from fer_datasets.named_csv import read_named_csv
from fer_datasets.specs.sfew import CLASSES, SPEC
from fer_datasets.tables import make_table

SPELLINGS = {spelling: name for spelling, name in SYNONYMS.items() if name in CLASSES}
IMAGES = ("aligned", "frames")
CSV = "sfew_2.0_labels.csv"
CSV_IMAGES = "sfew2.0_images"
ALIGNED_SIZE = (143, 181)
"""Width and height of the organisers' crops."""

_FRAME = re.compile(r"(.+)_\d+_\d+")
"""Film, time and frame; a suffix added by a cropping tool is allowed."""
_BESIDE = re.compile(r"aligned_faces|lpq|phog", re.IGNORECASE)
"""The organisers' crops and features, next to the class folders."""


def load(root: Path, *, images: str | None = None) -> FERDataset:
    """Read SFEW 2.0. Only the header of the first image is read, to distinguish frames from crops.

    Args:
        root: Folder with `Train` and `Val`, or with the label file of a copy, or its parent.
        images: `aligned`: the organisers' crops below `*_Aligned_Faces*`. `frames`: the class folders directly
            below `Train` and `Val`. None: the crops if present.

    Raises:
        FerError: Unknown layout or option, a folder that is not a class, or a damaged label file.
    """
    if images is not None and images not in IMAGES:
        raise FerError(f"sfew: there are no images {images!r}: {nearest(images, IMAGES)}")
    require_folder(SPEC, root)
    base = find_base(root, lambda folder: (folder / CSV).is_file())
    if base is not None:
        if images is not None:
            raise FerError(f"sfew: images {images!r} is for the folders Train and Val: leave it out with {CSV}")
        return _from_csv(root, base)
    base = find_base(root, lambda folder: any(_parts(folder, split) for split in SPEC.splits))
    if base is None:
        raise layout_error(SPEC, root, f"neither Train and Val with a folder for each class nor {CSV} is there")
    parts = {split: _parts(base, split) for split in SPEC.splits}
    return _from_folders(root, base, parts, images)


def _parts(base: Path, split: str) -> dict[str, Path]:
    """The class folders of a split: `aligned`, `frames` or both."""
    folder = child(base, split.lower())
    found: dict[str, Path] = {}
    # The archives unpack into their own folder, which may also be next to the split.
    for place in (base,) if folder is None else (folder, base):
        for suffix in ("_aligned_faces_new", "_aligned_faces"):
            inner = child(place, split.lower() + suffix)
            if inner is not None and _has_classes(inner):
                found.setdefault("aligned", inner)
    if folder is not None and _has_classes(folder):
        found["frames"] = folder
    return found


def _has_classes(folder: Path) -> bool:
    return any(inner.name.strip().lower() in SPELLINGS for inner in subfolders(folder))


def _from_folders(
    root: Path, base: Path, parts: Mapping[str, Mapping[str, Path]], images: str | None
) -> FERDataset:
    kinds = [kind for kind in IMAGES if all(kind in found for found in parts.values())]
    kind = images or next(iter(kinds), None)
    if kind is None or kind not in kinds:
        have = "; ".join(f"{split}: {' and '.join(found) or 'nothing'}" for split, found in parts.items())
        raise layout_error(
            SPEC, base, f"Train and Val do not both hold {kind or 'the same kind of images'} ({have})"
        )
    ids: list[str] = []
    labels: list[int] = []
    splits: list[str] = []
    sources: list[str] = []
    films: list[str] = []
    for split in SPEC.splits:
        folder = parts[split][kind]
        for name, place in _class_folders(folder):
            files = image_names(place)
            below = place.relative_to(root).as_posix()
            names = stems(files)
            matches = [_FRAME.match(stem) for stem in names]
            ids += [f"{split}/{name}/{stem}" for stem in names]
            sources += [f"{below}/{file}" for file in files]
            films += [match[1] if match else "" for match in matches]
            labels += [CLASSES.index(name)] * len(files)
            splits += [split] * len(files)
    if set(splits) != set(SPEC.splits):
        raise layout_error(SPEC, base, "the class folders of Train and Val hold no images")
    known = any(films)
    table = make_table(ids, labels, splits, sources, films if known else None)
    size = image_size(root / sources[0])
    whole = size[0] > 2 * ALIGNED_SIZE[0]  # custom crops replace the frames
    what = "aligned faces" if kind == "aligned" else "official frames" if whole else "class folders"
    places = " and ".join(parts[split][kind].relative_to(base).as_posix() for split in SPEC.splits)
    layout = f"{what} ({places}, images of {size[0]} x {size[1]}{'' if known else ', films unknown'})"
    dataset = ImageFiles(SPEC.name, CLASSES, root, table, layout)
    if what == "official frames":
        dataset.alignment = Alignment(kind="none")
    else:
        dataset.expected_counts = {}  # every detector misses other faces
    if not known:
        dataset.refused = _refused("no image is named FILM_TIME_FRAME")
    return dataset


def _class_folders(split: Path) -> Iterator[tuple[str, Path]]:
    seen: dict[str, str] = {}
    for folder in subfolders(split):
        name = SPELLINGS.get(folder.name.strip().lower())
        if name is None and _BESIDE.search(folder.name):
            continue
        if name is None:
            known = ", ".join(CLASSES)
            raise FerError(f"sfew: {folder} is not a class folder ({known}): move it away or correct its name")
        if name in seen:
            raise FerError(
                f"sfew: {split} holds {name} twice ({seen[name]}, {folder.name}): merge the two folders"
            )
        seen[name] = folder.name
        yield name, folder


def _from_csv(root: Path, base: Path) -> FERDataset:
    path = base / CSV
    folder = child(base, CSV_IMAGES)
    if folder is None:
        raise layout_error(SPEC, base, f"{CSV} is there, but the folder {CSV_IMAGES} is missing")
    names, labels, cells = read_named_csv(path, CLASSES, ("original_split",))
    splits = [
        next((s for s in SPEC.splits if text.lower().startswith(s.lower())), "")
        for text in cells["original_split"]
    ]
    if "" in splits:
        row = splits.index("")
        what = f"{path}, row {row + 1}: original_split {cells['original_split'][row]!r}"
        raise FerError(f"{what} begins with neither Train nor Val: correct the row")
    table = make_table(
        stems(names), labels, splits, [f"{folder.relative_to(root).as_posix()}/{name}" for name in names]
    )
    there = len(image_names(folder))
    layout = f"csv ({len(names):,} rows of {there:,} images, chosen by others; films unknown)"
    dataset = ImageFiles(SPEC.name, CLASSES, root, table, layout)
    dataset.expected_counts = {}
    dataset.refused = _refused("this copy has lost the names of its frames")
    return dataset


def _refused(why: str) -> dict[str, str]:
    what = f"the films are unknown ({why}), so faces of one scene would stand on both sides"
    return {"kfold": f"{what}; use official, or the organisers' files"}
