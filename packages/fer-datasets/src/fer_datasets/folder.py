"""Reader of images sorted into class folders, or listed in a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_core.plugin import Alignment, FERDataset, FerError, nearest

from fer_datasets.files import images_in, layout_error, require_folder, safe_relative, subfolders, visible
from fer_datasets.image_files import ImageFiles
from fer_datasets.labels import canonical
from fer_datasets.specs.folder import SPEC
from fer_datasets.tables import make_table, read_csv, require_columns

ALIGNMENT = "alignment.json"
"""Name of the file that describes how the images were cropped."""


@dataclass(frozen=True)
class _Sample:
    path: str
    label: str
    split: str


def load(
    root: Path, *, csv: str | None = None, classes: Sequence[str] | Mapping[str, str] | None = None
) -> FERDataset:
    """Read a folder of images.

    Args:
        root: Folder with class folders, or with split folders that contain class folders; or a `.csv` file.
        csv: Label file relative to `root`, with the columns `path,label` and optionally `split`, `group` and
            attributes of the faces, `attribute_NAME`.
        classes: None: the names found, sorted, as canonical expressions if all of them are spellings of
            one. A list: these names in this order. A mapping from the names found (`'1'`, `'2'`...) to class
            names, in class order.

    Raises:
        FerError: Unknown layout, no images, unknown split, path that leaves the folder, class not in `classes`, or
            an `alignment.json` that does not fit.
    """
    more: dict[str, list[str]] = {}
    if root.suffix.lower() == ".csv" and root.is_file():
        if csv is not None:
            raise FerError(
                f"folder: {root} is a label file already: drop the option csv ({csv!r}), or name the folder"
            )
        root, csv = root.parent, root.name
    require_folder(SPEC, root)
    if csv is not None:
        samples, more = _from_csv(root, root / safe_relative(csv, "the option csv"))
    else:
        samples = _from_folders(root)
    names, index = number_classes([sample.label for sample in samples], classes)
    table = make_table(
        [sample.path for sample in samples],
        [index[sample.label] for sample in samples],
        [sample.split for sample in samples],
        [sample.path for sample in samples],
        more.pop("group", None),
    )
    dataset = ImageFiles(SPEC.name, names, root, table.assign(**more))
    if (root / ALIGNMENT).exists():
        advice = "correct it as docs/datasets/folder.md says, or remove it"
        dataset.alignment = Alignment.read(root / ALIGNMENT, advice)
    return dataset


def _from_folders(root: Path) -> list[_Sample]:
    folders = subfolders(root)
    splits = [folder for folder in folders if folder.name.lower() in SPEC.splits]
    others = [folder.name for folder in folders if folder not in splits]
    if splits and others:
        both = f"{splits[0].name} is a split, {others[0]} is not"
        raise layout_error(
            SPEC, root, f"split folders and others stand side by side ({both}); move the others away"
        )
    samples, classes = [], {}
    for split in splits or [root]:
        for folder in subfolders(split):
            classes[folder.name] = folder
            name = split.name.lower() if splits else ""
            images = _class_images(root, folder)
            samples += [_Sample(image.relative_to(root).as_posix(), folder.name, name) for image in images]
    if not samples:
        raise layout_error(SPEC, root, f"there are no class folders with images{_csv_hint(root)}")
    filled = {sample.label for sample in samples}
    for label, folder in classes.items():
        if label not in filled:
            where = folder.relative_to(root)
            raise FerError(f"folder: the class {label} has no image in any split: fill {where} or remove it")
    return samples


def _csv_hint(root: Path) -> str:
    lists = [path.name for path in visible(root) if path.suffix.lower() == ".csv"]
    return f" (a label file is named by -o data.options.csv={lists[0]})" if lists else ""


def _class_images(root: Path, folder: Path) -> list[Path]:
    images = images_in(folder)
    inner = subfolders(folder)
    if inner and not images:
        problem = f"{folder.relative_to(root)} should hold images but holds folders ({inner[0].name}...)"
        raise layout_error(SPEC, root, f"{problem}; perhaps the dataset starts one level deeper")
    return images


def _from_csv(root: Path, path: Path) -> tuple[list[_Sample], dict[str, list[str]]]:
    """The samples, and their groups and attributes where the file has such columns."""
    if not path.is_file():
        raise layout_error(SPEC, root, f"the label file {path.relative_to(root)} is missing")
    cells = read_csv(path)
    require_columns(cells, ("path", "label"), path)
    if not cells["path"]:
        raise FerError(f"{path} lists no images: give one row an image, path,label")
    blank = [""] * len(cells["path"])
    columns = [cells.get(name, blank) for name in ("path", "label", "split")]
    samples = []
    for row, (source, label, split) in enumerate(zip(*columns, strict=True)):
        where = f"{path}, row {row + 1}"
        split = split.strip().lower()
        if split and split not in SPEC.splits:
            raise FerError(f"{where}: there is no split {split!r}: {nearest(split, SPEC.splits)}")
        if not label.strip():
            raise FerError(f"{where}: the label is empty: fill it in or remove the row")
        samples.append(_Sample(safe_relative(source.strip(), where), label.strip(), split))
    more = [name for name in cells if name == "group" or name.startswith("attribute_")]
    return samples, {name: [cell.strip() for cell in cells[name]] for name in more}


def number_classes(
    labels: Sequence[str], classes: Sequence[str] | Mapping[str, str] | None
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Decide the classes and their order.

    Args:
        labels: Label of each sample as found.
        classes: See `load`.

    Returns:
        Class names, and the class index of each label found.

    Raises:
        FerError: A label is not covered by `classes`, or `classes` is neither list nor mapping.
    """
    found = sorted(set(labels), key=_natural)
    wanted = dict(zip(found, canonical(found), strict=True))
    if classes is None:
        names = sorted(set(wanted.values()), key=_natural)
    elif isinstance(classes, Mapping):
        given = {str(label).lower(): str(name) for label, name in classes.items()}
        wanted = {label: given.get(label.lower(), "") for label in found}
        names = list(dict.fromkeys(given.values()))
    elif isinstance(classes, Sequence) and not isinstance(classes, str):
        names = canonical([str(name) for name in classes])
    else:
        raise FerError(
            "folder: the option classes is not a list or mapping: give [anger, ...] or {'1': anger, ...}"
        )
    if len(set(names)) < len(names):
        raise FerError(f"folder: the option classes names a class twice ({', '.join(names)}): name each once")
    missing = [label for label in found if wanted[label] not in names]
    if missing:
        hint = f"add it, or map it by classes={{{missing[0]!r}: NAME, ...}} ({nearest(missing[0], names)})"
        raise FerError(f"folder: the label {missing[0]!r} is not among the classes given: {hint}")
    return tuple(names), {label: names.index(name) for label, name in wanted.items()}


def _natural(name: str) -> tuple[bool, int, str]:
    """Sort key: numbers by value (2 before 10) and before names."""
    return (False, int(name), name) if name.isdecimal() else (True, 0, name)
