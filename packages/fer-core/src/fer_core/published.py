"""What is published about models: files, class orders and figures of their authors, and ready weights."""

from __future__ import annotations

from dataclasses import dataclass

from fer_core.fields import grows


@grows
@dataclass(frozen=True, kw_only=True)
class Weights:
    """A weight file of a model's authors, which `fer-run fetch` brings: what it is, and what its licence allows.

    Attributes:
        name: As `fer-run fetch` takes it.
        url: Where it is; that of a page where only a browser gets it.
        sha256: Of the file; None: that of a user's first download counts.
        licence: Of the file, not of the code.
        note: What it was trained on, and what it is for.
    """

    name: str
    url: str
    sha256: str | None = None
    licence: str = "unknown"
    note: str = ""


@grows
@dataclass(frozen=True, kw_only=True)
class Claim:
    """A published figure, shown beside what runs give.

    Attributes:
        dataset: Registered name of the dataset.
        metric: `accuracy`, `mean_class_accuracy` or `macro_f1`.
        value: In per cent, as it was printed.
        source: Who says so, and where.
        protocol: How the data were divided and the epoch chosen.
        deviation: Standard deviation over repetitions in points, where one was printed.
        classes: For which number of classes, where the dataset has several.
    """

    dataset: str
    metric: str
    value: float
    source: str
    protocol: str
    deviation: float | None = None
    classes: int | None = None


@grows
@dataclass(frozen=True, kw_only=True)
class ClassOrder:
    """The order in which the files of a model's authors have the classes of a dataset.

    Attributes:
        dataset: Registered name of the dataset.
        classes: Class names by index of the logits; where files differ in their number, each has an entry.
        source: Where the order is stated.
    """

    dataset: str
    classes: tuple[str, ...]
    source: str


@grows
@dataclass(frozen=True, kw_only=True)
class WeightsSpec:
    """Weights that are ready to use, as data: a file that a training or an import wrote, and its card.

    Attributes:
        name: What stands for the file wherever weights are named.
        model: Registered name of the model.
        file: Where the file is: an import reference in a package (`"package.folder:file.safetensors"`), an
            absolute path or an address.
        card: Import reference of its `Card`, a JSON file (`"package.folder:card.json"`).
        summary: One line.
        sha256: Of the file, as 64 hexadecimal digits; a file at an address needs it.
        aliases: Other names that users type.
    """

    name: str
    model: str
    file: str
    card: str
    summary: str
    sha256: str | None = None
    aliases: tuple[str, ...] = ()
