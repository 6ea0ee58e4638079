"""Hooks that bring names: models, weights, datasets, splits, metrics, transforms, faces, experiments, commands."""
# mypy: disable-error-code="empty-body"
# A hookspec is a signature and its docstring; it has no body to check.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.hookspecs import hookspec

if TYPE_CHECKING:
    from fer_core.published import WeightsSpec
    from fer_core.types import CommandSpec, DatasetSpec, ExperimentSpec, MetricSpec, ModelSpec, Ref, SplitSpec


@hookspec
def fer_models() -> Iterable[ModelSpec]:
    """Model families.

    Returns:
        One `ModelSpec` for each family.

    Factory:
        `ModelSpec.factory(info: TaskInfo, **options) -> nn.Module`; the module's `forward(images)` takes float32
        images [N, C, H, W] and returns a dict whose `logits` [N, classes] are the ones to predict with.

        `ModelSpec.converter` and `describe` let `fer-run import` read the authors' checkpoints; `backbone` lets
        `model.backbone_weights` fill a part of the model, and `pretrained` says what the paper starts from. They
        get plain mappings of tensors: the core reads the files. `class_orders` says in which order the authors'
        files have the classes, since no file does; without it an import asks for `--classes`. `inference` makes
        the form that predicts and is evaluated, on the model's device and for each evaluation of a training, and
        `attention` gives the maps that `fer-run diagnose` draws beside Grad-CAM.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each model that is built,
        with the options that stand beside `model.name` in the configuration.
    """


@hookspec
def fer_weights() -> Iterable[WeightsSpec]:
    """Weights that are ready to use: their name stands for them wherever weights are named.

    Returns:
        One `WeightsSpec` for each file of weights.

    Factory:
        None: weights are data. Their file is one that `fer-run train` or `fer-run import` wrote, in whatever
        precision; it lies in a package, at a path or at an address. Their `Card` is a JSON file in a package.

    Called:
        The hook once in a process, when plugins are loaded. The file is read when a command names the weights; the
        card then, too, and by `fer-run info`.
    """


@hookspec
def fer_datasets() -> Iterable[DatasetSpec]:
    """Datasets.

    Returns:
        One `DatasetSpec` for each dataset.

    Factory:
        `DatasetSpec.factory(root: Path, **options) -> FERDataset`, an instance of a subclass of
        `FERDataset`: a table with a row for each sample and a reader of its pixels. It raises `FerError`, with the
        expected folder tree, when `root` is not laid out as one of the spec's `layouts`.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run, with
        `data.options`.
    """


@hookspec
def fer_transforms() -> Mapping[str, Ref]:
    """Image transforms for `data.train_transforms` and `data.eval_transforms`.

    Returns:
        Name -> transform class, or its import reference.

    Factory:
        `(preprocessing: Preprocessing, **options) -> Transform`. A transform reads what it needs of the model's
        input contract, such as `preprocessing.input_size`.
        A transform has two forms that draw the same random numbers in the same order:
        `image(image, rng)` for one image and `batch(images, rng)` for float32 [N, C, H, W] on any device.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each place in a transform
        list.
    """


@hookspec
def fer_detectors() -> Mapping[str, Ref]:
    """Face detectors, which find the faces of photographs.

    Returns:
        Name -> factory, or its import reference.

    Factory:
        `(**options) -> Detector`. Its `detect(images)` takes a sequence of uint8 RGB images [H, W, 3] of any sizes
        and returns a list for each of them: one `Detection` for each face, the highest score first.
        A `Detection` has a `box` (left, top, right, bottom, in pixels), a `score` from 0 to 1, and five `points`
        (left eye, right eye, tip of the nose, left and right corner of the mouth, left as seen) or None.
        A detector that has `to(device)` is moved to the network's device.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each use: a `Predictor`, or
        `fer-run predict --detect NAME -o detector.KEY=VALUE`. `detect` with up to 64 images at a time.
    """


@hookspec
def fer_templates() -> Mapping[str, Ref]:
    """Templates of aligned faces, which an alignment by five points names (`data.alignment`).

    Returns:
        Name -> `Template`, or its import reference.

    Factory:
        None: a template is data. It has the five points for each pose that it distinguishes, the size of the
        image that they are given for, and the source.

    Called:
        The hook once in a process, when plugins are loaded. The reference is imported when a face is aligned.
    """


@hookspec
def fer_splits() -> Iterable[SplitSpec]:
    """Protocols of `data.split`, which divide a dataset.

    Returns:
        One `SplitSpec` for each protocol.

    Factory:
        None: `SplitSpec.divide(dataset: FERDataset, roles: Mapping[str, Role], seed: int, *arguments)` returns the
        row numbers of the table that train, that choose the epoch and that are reported. `+holdout`,
        `data.fraction`, the digest of the parts and the check that every class is in the training part are the
        core's.

    Called:
        The hook once in a process, when plugins are loaded. `divide` whenever a dataset is divided: by a run, by
        the check of an experiment, and by an evaluation on the dataset that the weights were trained on. What it
        returns depends on its arguments only.
    """


@hookspec
def fer_metrics() -> Iterable[MetricSpec]:
    """Metrics of predictions, which `metrics` of a configuration names.

    Returns:
        One `MetricSpec` for each metric.

    Factory:
        None: `MetricSpec.function(labels, probabilities)` or `(targets, predictions)` returns a number. A metric
        of classes measures the label, and every head for classes or a distribution, whose label is the class with
        the largest share; a metric of numbers measures every head for numbers. The core's own metrics are always
        computed, those of plugins where a configuration names them.

    Called:
        The hook once in a process, when plugins are loaded. The function at every evaluation, for the label and
        for each head that it measures.
    """


@hookspec
def fer_experiments() -> Iterable[ExperimentSpec]:
    """Experiments for `fer-run experiment NAME`.

    Returns:
        One `ExperimentSpec` for each experiment: its name and the import reference of its file.

    Factory:
        None: an experiment is data. Its file is what `fer-run experiment FILE` reads.

    Called:
        The hook once in a process, when plugins are loaded. The file is read when the experiment is asked for.
    """


@hookspec
def fer_executors() -> Mapping[str, Ref]:
    """Executors, which carry out the runs of an experiment: `fer-run experiment --on NAME`.

    Returns:
        Name -> factory, or its import reference; `local` and `ray` are the core's own.

    Factory:
        `(**options) -> Executor`. Its `execute(runs, device)` gets the runs that have no result yet, and gives
        back each with why it failed as soon as it has ended. Plans, checks, messages and results are the core's.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each `fer-run experiment`, with
        the options that stand beside `executor.name` in the experiment's file.
    """


@hookspec
def fer_commands() -> Iterable[CommandSpec]:
    """Commands of `fer-run`.

    Returns:
        One `CommandSpec` for each command: its name, the import reference of a click command, and the line that
        `fer-run --help` shows without importing it.

    Factory:
        None: `CommandSpec.ref` names a `click.Command` (a group is one too).

    Called:
        The hook once in a process, when plugins are loaded. The reference is imported when the command runs or
        prints its own help.
    """


@hookspec(firstresult=True)
def fer_fetch(uri: str, cache: Path) -> Path | None:
    """Bring a file that a URI names to this machine.

    Args:
        uri: Address with a scheme, such as `shelf://file.safetensors`.
        cache: Folder to keep downloads in; it exists.

    Returns:
        The local path, or None when this plugin does not know the scheme. The first path wins.

    Factory:
        None: the implementation does the work itself.

    Called:
        Whenever a file of weights is given as an address. The core itself downloads `http://`, `https://` and
        `hf://` addresses that no plugin fetches. Raise `FerError` for what the user can correct.
    """
