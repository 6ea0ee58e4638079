"""Reader of RAF-DB, basic and compound: the official layout, and copies sorted into class folders."""

from __future__ import annotations

import re
from pathlib import Path

from fer_core.plugin import Alignment, DatasetSpec, FERDataset, FerError, nearest

from fer_datasets.files import layout_error, require_folder, require_text
from fer_datasets.image_files import ImageFiles
from fer_datasets.listing import child, find_base
from fer_datasets.rafdb_attributes import read_attributes
from fer_datasets.rafdb_folders import from_class_folders
from fer_datasets.specs import rafdb, rafdb_compound
from fer_datasets.tables import make_table

LABELS = ("list_patition_label.txt", "list_partition_label.txt")
"""Name of the label file; the authors' spelling comes first."""
SUFFIXES = {"aligned": "_aligned.jpg", "original": ".jpg"}
"""Suffix after the sample's name in each folder of images."""

_NAME = re.compile(r"(train|test)_\d+\.jpg")


def load(root: Path, *, images: str = "aligned") -> FERDataset:
    """Read the basic set. Only the label file and the attributes are opened, no image.

    Args:
        root: Folder with one of the layouts of the spec.
        images: `aligned` (100 x 100 faces) or `original` (whole photographs); copies other than the official one
            have one kind only.

    Returns:
        Dataset whose faces have the attributes `gender`, `race` and `age` if `Annotation/manual` exists.

    Raises:
        FerError: Unknown layout or option, or a damaged label file.
    """
    _check(rafdb.SPEC, root, images)
    dataset = _official(rafdb.SPEC, root, "basic", images)
    if dataset is not None:
        return dataset
    copy = from_class_folders(root)
    if copy is None:
        raise _no_labels(rafdb.SPEC, root, ", and no folder train with class folders stands for it")
    if images != "aligned":
        raise FerError(f"rafdb: {root} holds one kind of image ({copy.layout}): drop the option images={images}")
    return copy


def load_compound(root: Path, *, images: str = "aligned") -> FERDataset:
    """Read the compound set; arguments and result as in `load`.

    Raises:
        FerError: Unknown layout or option, a damaged label file, or the label file of the basic set.
    """
    _check(rafdb_compound.SPEC, root, images)
    dataset = _official(rafdb_compound.SPEC, root, "compound", images)
    if dataset is None:
        raise _no_labels(rafdb_compound.SPEC, root)
    if int(dataset.table["label"].max()) < len(rafdb.CLASSES):
        raise layout_error(
            rafdb_compound.SPEC, root, "the label file knows seven classes, which are those of the basic set"
        )
    return dataset


def _check(spec: DatasetSpec, root: Path, images: str) -> None:
    if images not in SUFFIXES:
        raise FerError(f"{spec.name}: there are no images {images!r}: {nearest(images, SUFFIXES)}")
    require_folder(spec, root)


def _no_labels(spec: DatasetSpec, root: Path, more: str = "") -> FerError:
    return layout_error(spec, root, f"the label file EmoLabel/{LABELS[0]} is missing{more}")


def _official(spec: DatasetSpec, root: Path, part: str, images: str) -> ImageFiles | None:
    """The layout with a label file; None if it does not exist."""
    own = child(root, part)
    base = own if own and _label_file(own) else find_base(root, lambda folder: _label_file(folder) is not None)
    path = _label_file(base) if base else None
    if base is None or path is None:
        return None
    names, labels = _read_labels(path, len(spec.classes))
    folder, suffix, layout = _image_folder(spec, base, images, names[0])
    below = folder.relative_to(root).as_posix()
    stems = [name.removesuffix(".jpg") for name in names]
    table = make_table(
        stems,
        labels,
        [stem.partition("_")[0] for stem in stems],
        [f"{'' if below == '.' else below + '/'}{stem}{suffix}" for stem in stems],
    )
    table = table.assign(**read_attributes(base, stems))
    dataset = ImageFiles(spec.name, spec.classes, root, table, layout)
    dataset.alignment = Alignment(kind="none") if images == "original" else None
    return dataset


def _label_file(base: Path) -> Path | None:
    places = [place for place in (child(base, "emolabel"), base) if place]
    return next((place / name for place in places for name in LABELS if (place / name).is_file()), None)


def _image_folder(spec: DatasetSpec, base: Path, images: str, first: str) -> tuple[Path, str, str]:
    """Folder of the images, the suffix of the samples' names in it, and the layout as text."""
    above = child(base, "image")
    folder = child(above, images) if above else None
    if folder is not None:
        return folder, SUFFIXES[images], f"official, {images} images"
    own = child(base, "raf") or base
    if images == "aligned" and (own / first).is_file():
        return own, ".jpg", "official labels, images of another alignment under plain names"
    packed = above is not None and (above / f"{images}.zip").is_file()
    hint = f" (unpack {images}.zip)" if packed else ""
    raise layout_error(spec, base, f"the labels are there, but the folder Image/{images} is missing{hint}")


def _read_labels(path: Path, classes: int) -> tuple[list[str], list[int]]:
    names, labels = [], []
    numbers = {str(label + 1): label for label in range(classes)}
    require_text(path)
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig", "replace").splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        where = f"{path}, line {number}"
        if len(cells) != 2 or not _NAME.fullmatch(cells[0]):
            raise FerError(f"{where}: {line.strip()!r} is not of the form 'train_00001.jpg 5': restore the file")
        if cells[1] not in numbers:
            raise FerError(f"{where}: the label {cells[1]!r} is not in 1..{classes}: restore the file")
        names.append(cells[0])
        labels.append(numbers[cells[1]])
    if not names:
        raise FerError(f"{path} is empty: restore the label file")
    return names, labels
