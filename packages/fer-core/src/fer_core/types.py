"""The vocabulary that core and plugins share. Importing it loads no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from fer_core.errors import FerError
from fer_core.fields import grows
from fer_core.published import Claim, ClassOrder, Weights

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from fer_core.faces import Alignment

TARGET, HEAD = "target_", "head_"
"""What the keys of extra targets begin with, in tables and batches, and those of their predictions, in outputs."""

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A value that JSON can represent."""

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""Canonical class names, in the order of AffectNet."""

Image: TypeAlias = "NDArray[np.uint8]"
"""Pixels [H, W, C] in 0..255, three channels in RGB or one in grey."""

Output: TypeAlias = "dict[str, Tensor]"
"""What a model returns.

- `logits`: float [N, C], what the model predicts with.
- `head_NAME`: float, what it predicts for the extra target NAME: logits [N, K] where that is classes or a
  distribution, [N] where it is numbers.
- Other keys are the family's own: what its loss needs.
"""

Losses: TypeAlias = "dict[str, Tensor]"
"""What a loss returns.

- `loss`: scalar, minimised.
- `logits`: float [N, C], optional: they feed the training accuracy.
- Other keys: scalars, logged as terms of the loss under their names.
"""

Batch: TypeAlias = "dict[str, Tensor]"
"""Samples for one call of a model, on the model's device.

- `image`: float32 [N, C, H, W], or [N, V, C, H, W] with V views of each face; ready for the model.
- `label`: int64 [N], indices into the classes.
- `index`: int64 [N], the samples' numbers in their part: in training 0 to `TaskInfo.samples` - 1.
- `distribution`: float32 [N, K], shares of the annotators' votes; only where the dataset has votes.
- `soft_target`: float32 [N, K], probabilities of trained models; only in a training with `data.soft_targets`.
- `target_NAME`: the extra target NAME, where the dataset has it. Classes are int64 [N], indices, -1 where the
  target is missing; numbers are float32 [N], NaN where it is missing; a distribution is float32 [N, K], shares of
  the classes, NaN where it is missing. Transforms do not change it.
"""

StateDict = dict[str, Any]
"""What `state_dict()` of torch's objects gives: tensors and plain values, nested."""

Ref = str | Callable[..., Any]
"""An object, or the import reference `"package.module:attribute"` of one, which keeps start-up light."""

ClassTable = Sequence[str] | Mapping[str, str | None]
"""Names to keep, in this order; or name -> new name, or None to leave the class out (the others stay)."""

Measured = Literal["classes", "numbers"]
"""What a metric measures."""

Role = Literal["train", "val", "test"]
"""What a part of the data is for."""
HOLDOUT = "+holdout"
"""Ending of a split protocol that takes a validation part from the training part."""

EVALUATED: tuple[Role, ...] = ("val", "test")
ROLES: tuple[Role, ...] = ("train", *EVALUATED)


def class_names(num_classes: int) -> tuple[str, ...]:
    """Names for a model made without a dataset: expressions for 7 and 8 classes, else `class_0`, `class_1`..."""
    if num_classes in (7, 8):
        return EXPRESSIONS[:num_classes]
    return tuple(f"class_{i}" for i in range(num_classes))


def bare(name: str) -> str:
    """A component's name without the `@DISTRIBUTION` that may qualify it."""
    return name.partition("@")[0]


def split_name(protocol: str) -> tuple[str, str]:
    """The name of a split protocol, and what follows: `kfold:5:0+holdout` -> `kfold`, `:5:0+holdout`."""
    name = protocol.removesuffix(HOLDOUT).partition(":")[0]
    return name, protocol[len(name) :]


@dataclass(frozen=True)
class TaskInfo:
    """What a model or a loss may know about the task it is built for.

    Attributes:
        classes: Class names; a label is an index into them.
        class_counts: Training samples per class, empty where no dataset is at hand.
        input_size: Height and width of the network's input in pixels.
        batch_size: Images of one optimizer step as configured, 0 where nothing is configured.
        targets: Name of each extra target -> its classes, none for numbers; empty where no dataset is at hand.
    """

    classes: tuple[str, ...]
    class_counts: tuple[int, ...] = ()
    input_size: int = 224
    batch_size: int = 0
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def samples(self) -> int:
        """Number of training samples, 0 where no dataset is at hand."""
        return sum(self.class_counts)


@dataclass(frozen=True)
class Progress:
    """How far training is: 0-based `epoch` of `epochs`, and 0-based optimizer `step` of `steps` in the run.

    The trainer gives whole numbers, or 0-d tensors where model and loss are compiled: torch.compile compiles anew
    for a number that changes, and not for a tensor whose value does.
    """

    epoch: int | Tensor
    epochs: int | Tensor
    step: int | Tensor
    steps: int | Tensor


@grows
@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model family as data.

    Attributes:
        name: Name on the command line.
        factory: `(info: TaskInfo, **options) -> nn.Module` whose `forward(images)` returns an `Output`.
        recipes: Import references of YAML files (`"package.folder:file.yaml"`), one per dataset name, and
            `default` for every other dataset. Each is whole: none inherits from another.
        summary: One line.
        paper: Citation with its address.
        licence: Licence of the upstream code.
        upstream: Address of the authors' code.
        weights: Published weight files.
        converter: `(state: Mapping[str, Any]) -> dict[str, Tensor]`, upstream's checkpoint to our state dict.
        describe: `(state: dict[str, Tensor]) -> (classes, options)`, the number of classes and the factory's
            options that a state dict of ours was made with.
        backbone: `(state: Mapping[str, Any]) -> dict[str, Tensor]`, a backbone file to the part of our state dict
            that it fills; it recognises which of the family's backbones it was given.
        pretrained: What the paper's training starts from, in words; empty where it starts from random weights.
        inference: `(model: nn.Module) -> nn.Module`, a model that returns the same `logits` and nothing else,
            without what only training needs, made on the device of the given one, which it does not change.
        attention: `(model: nn.Module, images: Tensor) -> dict[str, Tensor]`, where the model looks: spatial maps
            [N, h, w] that it computes for itself, by name, of images [N, 3, H, W]; more is more attention.
        class_orders: In which order the authors' files have the classes; no file says so itself.
        claims: Figures that the authors have published.
        aliases: Other names that users type.
    """

    name: str
    factory: Ref
    recipes: Mapping[str, str]
    summary: str
    paper: str
    licence: str
    upstream: str
    weights: tuple[Weights, ...] = ()
    converter: Ref | None = None
    describe: Ref | None = None
    backbone: Ref | None = None
    pretrained: str = ""
    inference: Ref | None = None
    attention: Ref | None = None
    class_orders: tuple[ClassOrder, ...] = ()
    claims: tuple[Claim, ...] = ()
    aliases: tuple[str, ...] = ()

    def recipe_for(self, dataset: str) -> str:
        """Name of the recipe that trains on `dataset`: its own, or `default`."""
        return bare(dataset) if bare(dataset) in self.recipes else "default"


@grows
@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A dataset as data.

    Attributes:
        name: Name on the command line.
        factory: `(root: Path, **options) -> FERDataset`.
        classes: Class names in the dataset's own order; empty where they depend on the data.
        splits: The authors' split names and the role each plays: `{"valid": "val", ...}`.
        layouts: Name of each layout that is understood, and its folder tree as text.
        expected_counts: Per split, the number of samples of each class; empty where unknown.
        summary: One line.
        licence: Terms of use in one line.
        homepage: Where to request or download it.
        group_key: What `group` in the table means (`subject`, `film`, `image`), if known.
        alignment: How its faces are cut out of photographs, where its source says so; None: unknown.
        options: Option names of the factory with their defaults.
        needs_root: False for datasets that are made rather than read.
        aliases: Other names that users type.
    """

    name: str
    factory: Ref
    classes: tuple[str, ...]
    splits: Mapping[str, Role]
    layouts: Mapping[str, str]
    expected_counts: Mapping[str, Mapping[str, int]]
    summary: str
    licence: str
    homepage: str
    group_key: str | None = None
    alignment: Alignment | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    needs_root: bool = True
    aliases: tuple[str, ...] = ()


@grows
@dataclass(frozen=True, kw_only=True)
class ExperimentSpec:
    """An experiment as data.

    Attributes:
        name: Name on the command line.
        file: Import reference of the experiment file (`"package.folder:file.yaml"`).
        summary: One line.
        published: Import reference of the figures that its authors published, a YAML file with the keys `source`,
            `protocol` and `figures`: model -> dataset -> `accuracy`, its standard `deviation` and
            `mean_class_accuracy` in per cent. Reports show them beside runs of the experiment's shared recipe.
    """

    name: str
    file: str
    summary: str
    published: str | None = None


@grows
@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A command of `fer-run`: `ref` is imported only when the command runs, `help` is its line in `--help`."""

    name: str
    ref: str
    help: str


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """A protocol of `data.split` as data: `NAME[:ARGUMENTS][+holdout]`.

    Attributes:
        name: What the text begins with.
        divide: `(dataset: FERDataset, roles: Mapping[str, Role], seed: int, *arguments) -> (train, val, test)`,
            three integer arrays of row numbers of the table, without a row twice; `val` may be empty, and rows may
            be left out. `roles` says what each split name of the authors is for, `seed` is `data.split_seed`. It
            raises `FerError` where a dataset cannot be divided like this.
        form: The arguments, joined by colons: `K` or another capital letter is a whole number, which `divide` gets
            as an int; a word in capitals is any text; anything else stands for itself; `[...]` may be left out.
            A protocol without arguments has an empty form. Experiments take ranges for `K`, which counts from 0,
            and `*`: all numbers below the argument `N`, where there is one.
        summary: One line.
    """

    name: str
    divide: Ref
    form: str = ""
    summary: str = ""


@grows
@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric as data.

    Attributes:
        name: As configurations and results have it.
        measures: `classes`: the label, and heads for classes and distributions; `numbers`: heads for numbers.
        function: Of classes `(labels: NDArray[int64], probabilities: NDArray[float64]) -> float`, [N] and [N, K];
            of numbers `(targets: NDArray[float64], predictions: NDArray[float64]) -> float`, [N] each. N is at
            least 1: samples whose target is missing are left out before. It returns a finite number.
        higher_is_better: Whether the figure grows with quality.
        summary: One line.
    """

    name: str
    measures: Measured
    function: Ref
    higher_is_better: bool = True
    summary: str = ""


@dataclass(frozen=True)
class ClassChanges:
    """Classes of a dataset that a table of classes changed, with their numbers of faces.

    Attributes:
        renamed: New name -> old names and their faces; several old names were merged.
        left_out: Old name -> faces.
    """

    renamed: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]


_NO_TORCH_DATASET = (
    "the dataset {name} is a table and a reader of files, not a torch dataset: give a DataLoader "
    'fer_core.open_dataset("{name}").as_torch("train", train=True), or use dataset.table and dataset.read(row)'
)


class Pack(ABC):
    """Images of a dataset by row number of its table."""

    @property
    @abstractmethod
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""

    @property
    @abstractmethod
    def uniform(self) -> bool:
        """Whether all images are known to have the same height, width and number of channels."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def images(self, rows: NDArray[np.int64]) -> Image | list[Image]:
        """Pixels of `rows`, RGB or grey: uint8 [n, H, W, C] if `uniform`, else a list of n arrays [H, W, C]."""

    def whole(self) -> Image | None:
        """All pixels, uint8 [N, H, W, C], if they lie in one array, which may be copied to a device as a whole."""
        return None


class FERDataset(ABC):
    """A table of samples and a reader of their pixels.

    A subclass sets `name`, `classes` and `table`, and defines `read` and `fingerprint`; everything else has a
    default.

    Attributes:
        name: Name on the command line.
        classes: Class names; a label is an index into them.
        table: One row per sample (index 0..n-1) with the columns `id` (str, unique), `label` (int), `split` (str,
            the authors' name, empty where there is none) and `source` (str, where the pixels come from, relative
            to the root), and optionally `group` (str: subject, film...), `votes_<class>` (annotators' votes),
            extra targets and attributes. `target_NAME` is numbers, or classes as a `pandas.Categorical`; a
            distribution has a column `target_NAME:CLASS` with shares or votes for each class; missing values are
            NaN. `attribute_NAME` (str: gender, camera...; empty where unknown) divides faces into subgroups.
        layout: Which layout was found, and what the user should know about it.
        root: The folder below which every `source` is an image file; None where samples are not files.
        expected_counts: As in `DatasetSpec`, where they depend on the layout or the options; empty where unknown.
            None: those of the spec.
        refused: Name of a split protocol, such as `kfold` -> why this copy cannot serve it, and what to do.
        alignment: How the faces of this copy are cut out of photographs. None: as the spec says.
        draw_labels: Whether a training label is drawn from `votes_<class>` anew at every visit.
        label_space: Name of a dataset -> what a table of classes changed in it.
        votes_unused: Parts of a union whose votes are ignored, since other parts have none.
    """

    name: str
    classes: tuple[str, ...]
    table: pd.DataFrame
    layout: str = ""
    root: Path | None = None
    expected_counts: Mapping[str, Mapping[str, int]] | None = None
    refused: Mapping[str, str] = MappingProxyType({})
    alignment: Alignment | None = None
    draw_labels: bool = False
    label_space: Mapping[str, ClassChanges] = MappingProxyType({})
    votes_unused: tuple[str, ...] = ()

    @abstractmethod
    def read(self, row: int) -> NDArray[np.uint8]:
        """Pixels of one row, uint8 RGB [H, W, 3] or grey [H, W, 1].

        Raises:
            FerError: The image cannot be read; the message names it.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """sha256 over the sorted (id, label, sha256 of the pixel source) of every row (`make_fingerprint`)."""

    def __len__(self) -> int:
        """Raises FerError: this is where torch's `DataLoader` begins, and samples differ in size."""
        raise FerError(_NO_TORCH_DATASET.format(name=self.name))

    def __bool__(self) -> bool:
        """True: without this, `first or second` would ask for the length."""
        return True

    def __getitem__(self, row: int) -> object:
        """Raises FerError, as `len` does; `read` gives the pixels of a row."""
        raise FerError(_NO_TORCH_DATASET.format(name=self.name))

    @property
    def parts(self) -> tuple[FERDataset, ...]:
        """The datasets whose images it shows, each with a pack of its own: itself, unless it is made of others."""
        return (self,)

    def open_pack(self, cache: Path, progress: bool) -> Pack | None:
        """A view of the packs of its parts; None where it is not made of others."""
        del cache, progress
        return None


def data_root(name: str, given: Path | None, environment: Mapping[str, str]) -> Path:
    """Folder of dataset `name`: the one given, else `$FER_DATA/NAME`, else `./data/NAME`."""
    if given is not None:
        return given
    base = environment.get("FER_DATA")
    return Path(base or "data") / name
