"""Copies of RAF-DB sorted into `{train,valid,test}/<class>/`, the class by its name or its number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fer_core.plugin import EXPRESSIONS, FerError

from fer_datasets.class_folders import FoundImages, class_names, list_images, spellings_of, split_folders
from fer_datasets.files import layout_error
from fer_datasets.image_files import ImageFiles
from fer_datasets.listing import find_base
from fer_datasets.specs.rafdb import CLASSES, CUSTOM, SPEC
from fer_datasets.tables import integers, make_table, read_csv, require_columns

_OFFICIAL = re.compile(r"(train|test)_\d+(?:_aligned)?")


def from_class_folders(root: Path) -> ImageFiles | None:
    """Read a copy; None without a folder `train` that contains folders.

    Raises:
        FerError: Folders that are not classes, ambiguous numbers, or a label list that contradicts the folders.
    """
    base = find_base(root, lambda folder: "train" in split_folders(folder))
    if base is None:
        return None
    splits = split_folders(base)
    if len(splits) == 1:
        raise layout_error(SPEC, base, "the folder train is there, but neither test nor valid beside it")
    found, numbering = _list(root, base, splits)
    if not found.paths:
        return None
    stems = [path.rpartition("/")[2].rpartition(".")[0] for path in found.paths]
    labels = [CLASSES.index(label) for label in found.labels]
    checked = _compare(base, found, labels)
    parts, remark = _parts(stems, found.splits)
    official = all(_OFFICIAL.fullmatch(stem) for stem in stems)
    ids = [stem.removesuffix("_aligned") for stem in stems] if official else _paths_as_ids(found)
    layout = f"class folders{numbering}{', labels as in the csv files' if checked else ''}{remark}"
    dataset = ImageFiles(SPEC.name, CLASSES, root, make_table(ids, labels, parts, found.paths), layout)
    if set(parts) != {"train", "test"}:
        dataset.expected_counts = {"test": SPEC.expected_counts["test"]} if "test" in parts else {}
    return dataset


def _list(root: Path, base: Path, splits: Mapping[str, Path]) -> tuple[FoundImages, str]:
    """The images with their class names, and the numbering of the folders."""
    names = class_names(splits)
    if not all(name.isdecimal() for name in names):
        return list_images(root, splits, spellings_of(CLASSES)), ""
    if "0" not in names:
        spellings = {str(number): name for number, name in enumerate(CLASSES, start=1)}
        return list_images(root, splits, spellings), " numbered from 1"
    found = list_images(root, splits, {str(number): str(number) for number in range(len(CLASSES))})
    counts = Counter(label for label, split in zip(found.labels, found.splits, strict=True) if split == "train")
    # Some copies use the label file's numbering, others AffectNet's; happiness is by far the largest class.
    largest = int(max(counts, key=counts.__getitem__, default="0"))
    orders = {CLASSES.index("happiness"): CLASSES, EXPRESSIONS.index("happiness"): EXPRESSIONS[: len(CLASSES)]}
    if largest not in orders:
        raise FerError(
            f"rafdb: the class folders in {base} count from 0, and what the numbers mean is unclear (happiness "
            f"should be the largest): open it as dataset folder with data.options.classes={{'0': NAME, ...}}"
        )
    order = orders[largest]
    named = FoundImages(found.paths, found.splits, [order[int(label)] for label in found.labels])
    return named, f" numbered from 0 ({', '.join(order)})"


def _parts(stems: list[str], splits: list[str]) -> tuple[list[str], str]:
    """Split of each image, by the official split in its name if all names have one, otherwise by its folder."""
    prefixes = [stem.partition("_")[0] if _OFFICIAL.fullmatch(stem) else "" for stem in stems]
    within = {role: {p for p, s in zip(prefixes, splits, strict=True) if s == role} for role in set(splits)}
    two = "test" not in within
    if all(prefixes):
        valid = within.get("val", set())
        if within["train"] == {"train"} and within.get("test", {"test"}) == {"test"} and len(valid) <= 1:
            names = {"train": "train", "test": "test", "val": "valid" if valid == {"train"} else "test"}
            if not two or valid == {"test"}:
                return [names[split] for split in splits], ", valid is the official test part" * two
        custom = {**CUSTOM, "val": CUSTOM["test"]} if two else CUSTOM
        return [custom[split] for split in splits], ", a custom split: not the official one"
    names = {"train": "train", "test": "test", "val": "test" if two else "valid"}
    return [names[split] for split in splits], ", valid taken for the test part" * two


def _compare(base: Path, found: FoundImages, labels: list[int]) -> bool:
    """Compare the folders with `train_labels.csv` and `test_labels.csv`; returns whether these exist.

    Raises:
        FerError: They list other images, or another class for an image.
    """
    listed: dict[str, int] = {}
    sorted_in = {f"{split}/{path.rpartition('/')[2]}": label for path, split, label in _rows(found, labels)}
    for split in ("train", "test"):
        places = (base / f"{split}_labels.csv", base.parent / f"{split}_labels.csv")
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            return False
        cells = read_csv(path)
        require_columns(cells, ("image", "label"), path)
        numbers = integers(cells["label"], 1, len(CLASSES), "the label", path)
        listed |= {f"{split}/{n.strip()}": int(v) - 1 for n, v in zip(cells["image"], numbers, strict=True)}
    expected = {name: label for name, label in sorted_in.items() if not name.startswith("val/")}
    if listed == expected:
        return True
    wrong = sorted(name for name in {*listed, *expected} if listed.get(name) != expected.get(name))
    raise FerError(
        f"rafdb: {len(wrong)} images in {base} are not as train_labels.csv and test_labels.csv list them, first "
        f"{wrong[0]}: restore the copy, or move the csv files away to trust the folders"
    )


def _rows(found: FoundImages, labels: list[int]) -> zip[tuple[str, str, int]]:
    return zip(found.paths, found.splits, labels, strict=True)


def _paths_as_ids(found: FoundImages) -> list[str]:
    return [path.rpartition(".")[0] for path in found.paths]
