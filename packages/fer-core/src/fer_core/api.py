"""The Python interface: the same steps as the command line, one call each."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core import distributed, registry
from fer_core.components import build
from fer_core.config import resolve_config
from fer_core.config.schema import Data
from fer_core.data.open import check_dataset_options
from fer_core.data.open import open_dataset as open_data_files
from fer_core.data.torch_dataset import OpenedDataset
from fer_core.data.transforms import build_pipeline
from fer_core.data.union import find_dataset
from fer_core.diagnosis.diagnose import Diagnosis
from fer_core.errors import FerError
from fer_core.evaluation.calibrate import calibrate_run
from fer_core.evaluation.evaluate import Evaluation
from fer_core.inference import Predictor, TrainedModel, inference_form, load_trained
from fer_core.preprocessing import Preprocessing
from fer_core.refs import resolve
from fer_core.runs import folder as run_folder
from fer_core.runs.reading import read_result
from fer_core.runs.records import Result
from fer_core.runs.resolve import find_weights
from fer_core.types import TaskInfo, class_names
from fer_core.weights.backbone import load_backbones
from fer_core.workflows.check import check_components
from fer_core.workflows.diagnose import diagnose_weights
from fer_core.workflows.evaluate import evaluate_weights
from fer_core.workflows.import_weights import import_weights
from fer_core.workflows.resume import extend_run, resume_run
from fer_core.workflows.train import start_run

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fer_core.config import Resolved
    from fer_core.config.schema import TransformItem
    from fer_core.data.transforms import Pipeline
    from fer_core.losses import Loss
    from fer_core.provenance import Calibration

__all__ = [
    "Predictor",
    "Run",
    "calibrate",
    "convert_upstream",
    "create_loss",
    "create_model",
    "create_transform",
    "diagnose",
    "evaluate",
    "extend",
    "import_weights",
    "inference_form",
    "list_datasets",
    "list_models",
    "load_model",
    "open_dataset",
    "resume",
    "train",
]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and what its `result.json` says."""

    folder: Path
    result: Result

    @property
    def checkpoint(self) -> Path:
        """The weights that were chosen."""
        return self.folder / run_folder.BEST


def create_model(
    name: str,
    num_classes: int = 7,
    *,
    classes: Sequence[str] = (),
    input_size: int = 224,
    backbone_weights: str | Path | Sequence[str | Path] = (),
    **options: Any,
) -> nn.Module:
    """A model with fresh weights.

    Args:
        name: Name or alias of an installed model.
        num_classes: Size of the output where `classes` is not given.
        classes: Class names.
        input_size: Height and width of the images in pixels.
        backbone_weights: Files that parts of the model start from.
        **options: The model's own options, as in the `model` section of a configuration.

    Returns:
        A module whose `forward(images)` returns a dict with `logits` [N, C].

    Raises:
        FerError: Unknown model or option, or unusable backbone weights.
    """
    spec = registry.find("models", name)
    info = TaskInfo(tuple(classes) or class_names(num_classes), input_size=input_size)
    model: nn.Module = build("models", spec.name, options, info)
    places = [backbone_weights] if isinstance(backbone_weights, str | Path) else backbone_weights
    if places:
        load_backbones(model, spec.name, [os.fspath(place) for place in places])
    return model


def create_transform(
    items: Sequence[TransformItem] | None = None,
    *,
    input_size: int = 224,
    preprocessing: Preprocessing | None = None,
) -> Pipeline:
    """Transforms by name, as one function from images to the input of a model.

    `transform(image)` takes a PIL image, an array or a tensor, or a list of these, and gives float32 [3, H, W] or
    [N, 3, H, W]. Transforms that draw random numbers follow `torch.manual_seed`.

    Args:
        items: As in a configuration: `["resize", {"horizontal_flip": {"p": 0.5}}, "normalize"]`; by default
            `["resize", "normalize"]`.
        input_size: Height and width of the result in pixels, where `preprocessing` is not given.
        preprocessing: What the model reads, such as `load_model(...).preprocessing`; by default RGB, normalised
            with ImageNet's mean and standard deviation.

    Raises:
        FerError: Unknown transform or option, or an order that makes no sense.
    """
    contract = preprocessing or Preprocessing.from_config(Data(name="none", input_size=input_size))
    return build_pipeline(contract, items)


def list_models(pattern: str = "*") -> list[str]:
    """Sorted names of the installed models that a pattern fits, by name or alias: `list_models("*net*")`."""
    return registry.matching("models", pattern)


def list_datasets(pattern: str = "*") -> list[str]:
    """Sorted names of the installed datasets that a pattern fits, as `list_models`."""
    return registry.matching("datasets", pattern)


def open_dataset(name: str, root: str | Path | None = None, **options: Any) -> OpenedDataset:
    """Open a dataset: its table, its pixels, and with `.as_torch(split)` its parts for a `DataLoader`.

    Args:
        name: Name of a dataset, or of several as `a+b`.
        root: Its folder; else `$FER_DATA/NAME`, else `./data/NAME`. Of several, `a=DIR1,b=DIR2`.
        **options: The dataset's own options, as in `data.options` of a configuration.

    Raises:
        FerError: Unknown dataset or option, no folder, or data that the dataset cannot read.
    """
    return OpenedDataset(*open_data_files(name, None if root is None else Path(root), options))


def load_model(weights: str | Path, *, device: str = "auto") -> TrainedModel:
    """A trained model as a module in eval mode, for a loop of your own.

    `model(images)` takes float32 [N, 3, H, W] as `model.transform(...)` makes them, and returns logits float32
    [N, C], calibrated where the weights are; class i is `model.classes[i]`. `model.network` is the model of the
    family, with its further outputs; `model.preprocessing` is what `open_dataset(...).as_torch` takes.

    Args:
        weights: A `.safetensors` file, a run folder, `FOLDER/latest`, `FOLDER/best` or an address.
        device: `auto`, or the name of a device.

    Raises:
        FerError: The file is unusable, or its model is not installed.
    """
    return load_trained(weights, device)


def create_loss(
    name: str, *, classes: Sequence[str], class_counts: Sequence[int] = (), input_size: int = 224, **options: Any
) -> Loss:
    """A loss by name, for a training loop of your own.

    `loss.from_output(model(images), {"label": labels}, progress)["loss"]` is the scalar to minimise. A method that
    calls the model itself says so; it is called as `loss(model, {"image": images, "label": labels}, progress)`.
    `progress` is a `fer_core.Progress`; with 0-d tensors in it a compiled loss is compiled once for all epochs.

    Args:
        name: Registered name.
        classes: Class names; labels are indices into them.
        class_counts: Training samples of each class, for losses that weigh classes.
        input_size: Height and width of the images in pixels.
        **options: The loss's own options, as in the `loss` section of a configuration.

    Raises:
        FerError: Unknown loss or option.
    """
    info = TaskInfo(tuple(classes), tuple(class_counts), input_size)
    loss: Loss = build("losses", name, options, info)
    return loss


def convert_upstream(name: str, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Translate a state dict of the model's authors; load the result with `strict=True`.

    The order of the classes stays the file's own.

    Raises:
        FerError: Unknown model, no converter, or keys that are missing or surplus (named).
    """
    spec = registry.find("models", name)
    if spec.converter is None:
        raise FerError(f"{spec.name} has no converter, since its plugin gives none: train it instead")
    converted: dict[str, Tensor] = resolve(spec.converter)(state)
    return converted


def resolve_run(
    model: str,
    dataset: str,
    *,
    data: str | Path | None = None,
    device: str | None = None,
    seed: int | None = None,
    config: Sequence[str | Path] = (),
    overrides: Sequence[str] = (),
) -> Resolved:
    """The configuration of a run and the layer that each value came from.

    Raises:
        FerError: Any mistake in it, an unknown component or option included.
    """
    flags = {"data.root": None if data is None else str(data), "train.seed": seed, "run.device": device}
    resolved = resolve_config(
        registry.find("models", model),
        find_dataset(dataset),
        files=[Path(file) for file in config],
        overrides=overrides,
        flags=flags,
    )
    check_components(resolved.config, resolved.origin)
    check_dataset_options(resolved.config.data.name, resolved.config.data.options, resolved.origin)
    return resolved


def train(
    model: str,
    dataset: str,
    /,
    *,
    data: str | Path | Mapping[str, Any] | None = None,
    device: str | None = None,
    seed: int | None = None,
    config: Sequence[str | Path] = (),
    **overrides: Any,
) -> Run:
    """Train and evaluate, as `fer-run train` does.

    Args:
        model: Name of a model.
        dataset: Name of a dataset.
        data: The dataset's folder; else `$FER_DATA/NAME`, else `./data/NAME`. Or a mapping, the section `data`
            of the configuration: `{"root": "...", "batch_size": 64}`.
        device: The name of a device; None for the configuration's.
        seed: Seed of the run.
        config: YAML files, later ones win.
        **overrides: Other sections of the configuration: `train={"epochs": 3}`.

    Raises:
        FerError: Anything that the user can correct.
    """
    folder, section = (None, data) if isinstance(data, Mapping) else (data, {})
    flat = [f"{key}={json.dumps(value)}" for key, value in _flatten({"data": section, **overrides})]
    resolved = resolve_run(model, dataset, data=folder, device=device, seed=seed, config=config, overrides=flat)
    return _finished(start_run(resolved.config))


def resume(folder: str | Path, *, device: str = "auto") -> Run:
    """Resume an interrupted run, to the same bytes as if it had not been interrupted.

    Args:
        folder: The run's folder, or `FOLDER/latest`.
        device: `auto` for the device that it began on, or the name of another one.

    Raises:
        FerError: `folder` is not a run folder, its configuration was edited, or its data changed.
    """
    return _finished(resume_run(Path(folder), device))


def extend(
    folder: str | Path,
    *,
    epochs: int,
    place: Mapping[str, str | Path] | None = None,
    device: str = "auto",
) -> Run:
    """Train longer, as `fer-run train --extend` does: a new run from the last state of another one.

    The schedule is that of the new length. The run that is extended, finished or not, stays as it is; what the new
    run came from is in its `result.extended`.

    Args:
        folder: Folder of the run to extend, or `FOLDER/latest`.
        epochs: Length of the new run, counted from the first epoch.
        place: Where the new run goes, `{"dir": ...}` or `{"root": ...}`; by default below the same root.
        device: `auto` for the device of the run to extend, or the name of another one.

    Raises:
        FerError: `folder` is not a run folder or holds no state, its length is in steps, the new run would not be
            longer, or what `resume` refuses.
    """
    overrides = [f"run.{key}={json.dumps(os.fspath(value))}" for key, value in (place or {}).items()]
    return _finished(extend_run(Path(folder), epochs, device, overrides))


def evaluate(
    checkpoint: str | Path,
    dataset: str | None = None,
    *,
    data: str | Path | None = None,
    split: str = "test",
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 128,
    classes: str | Path | Mapping[str, str | None] | None = None,
    restrict: bool = False,
) -> Evaluation:
    """Evaluate a checkpoint on one part of a dataset, classes matched by name.

    On the dataset it was trained on, the part is that of the training's own split, and folder, options and
    classes are those of its run where they are not given; elsewhere the part is the official one.

    Args:
        checkpoint: A `.safetensors` file, a run folder, `FOLDER/latest`, `FOLDER/best` or an address.
        dataset: Name of a dataset, or of several as `a+b`; None for the one it was trained on.
        data: The dataset's folder; of several, `a=DIR1,b=DIR2`.
        split: `train`, `val`, `test`, or `all`.
        options: Options of the dataset.
        device: `auto`, or the name of a device.
        precision: `auto` (what the device computes natively), `fp32`, `bf16` or `fp16`.
        batch_size: Faces at once.
        classes: What to do where dataset and checkpoint have different classes: `shared` evaluates the faces of
            those that both have; a mapping, or a YAML file with one, renames, merges or leaves out (null) first.
        restrict: Choose only among classes that the dataset has.

    Raises:
        FerError: Unusable checkpoint, other classes and no rule for them, an empty part.
    """
    return evaluate_weights(
        checkpoint,
        dataset,
        None if data is None else Path(data),
        split,
        options,
        device=device,
        precision=precision,
        batch_size=batch_size,
        classes=classes,
        restrict=restrict,
    )


def calibrate(run: str | Path) -> Calibration:
    """Fit a temperature on the validation predictions of a run and store it with its weights.

    As `fer-run calibrate` does. Which class is predicted stays; `evaluate` and `Predictor` apply the temperature
    from then on. `calibration.json` and `reliability-PART.png` in the run's folder say what changed.

    Args:
        run: The folder of a finished run (`train(...).folder`), the `best.safetensors` in it, `FOLDER/latest` or
            `FOLDER/best`.

    Returns:
        The `temperature`, and for every part in `figures` the calibration error and cross-entropy before and
        after it.

    Raises:
        FerError: No finished run, no validation part, weights chosen on test, or nothing that fits.
    """
    return calibrate_run(find_weights(run))


def diagnose(
    place: str | Path,
    dataset: str | None = None,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    out: str | Path | None = None,
    device: str = "auto",
) -> Diagnosis:
    """Look into what a network does wrong, and write it into a folder that `fer-run report` shows.

    Args:
        place: A `.safetensors` file, a run folder, `FOLDER/latest`, `FOLDER/best` or an address; or a folder with
            several runs: then their stored predictions on the test parts are put together, and no network runs.
        dataset: Name of a dataset; None for the one that was trained on.
        data: The dataset's folder.
        split: `train`, `val`, `test` (where None) or `all`; not for several runs.
        options: Options of the dataset.
        only: Some of `mistakes`, `suspects`, `slices`, and, where `place` is one network, `robustness`,
            `attention`, `embedding`.
        out: The folder; else `diagnosis-DATASET-SPLIT` beside the checkpoint.
        device: `auto`, or the name of a device.

    Raises:
        FerError: Nothing there to diagnose, an unknown or impossible part, or what `evaluate` refuses.
    """
    return diagnose_weights(
        place,
        dataset,
        None if data is None else Path(data),
        split,
        options,
        only=only,
        out=None if out is None else Path(out),
        device=device,
    )


def _finished(folder: Path) -> Run:
    gc.collect()  # parts of a run refer to each other, and its weights would stay until the next full collection
    result = None
    if distributed.is_main():  # the others would look for it before it is written
        result = read_result(folder)
    return Run(folder, distributed.share(result))


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            leaves += _flatten(value, f"{name}.")
        else:
            leaves.append((name, os.fspath(value) if isinstance(value, Path) else value))
    return leaves
