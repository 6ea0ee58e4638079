"""The Python interface: what `fer-run` does, and its building blocks, one call each.

Signatures and documentation; the implementation is in `fer_core.workflows`, which is imported on use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fer_core import registry
from fer_core.config.schema import Seed, Side, TransformItem
from fer_core.options import checked
from fer_core.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fer_core.data.torch_dataset import OpenedDataset
    from fer_core.data.transforms import Pipeline
    from fer_core.diagnosis.diagnose import Diagnosis
    from fer_core.evaluation.evaluate import Evaluation
    from fer_core.inference import Predictor, TrainedModel
    from fer_core.losses import Loss
    from fer_core.provenance import Calibration
    from fer_core.runs.run import Run

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


_CLASSES = {
    "OpenedDataset": "fer_core.data.torch_dataset",
    "Predictor": "fer_core.inference",
    "Run": "fer_core.runs.run",
    "TorchDataset": "fer_core.data.torch_dataset",
    "TrainedModel": "fer_core.inference",
}
"""What the functions return, for documentation and annotations."""


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(import_module(_CLASSES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@checked
def create_model(
    name: str,
    num_classes: int = 7,
    *,
    classes: Sequence[str] = (),
    input_size: Side = 224,
    backbone_weights: str | Path | Sequence[str | Path] = (),
    targets: Mapping[str, Sequence[str]] | None = None,
    **options: Any,
) -> nn.Module:
    """Create a model with initial weights.

    Args:
        name: Name or alias of an installed model.
        num_classes: Size of the output where `classes` is not given.
        classes: Class names.
        input_size: Height and width of the images in pixels.
        backbone_weights: Files that parts of the model start from.
        targets: Name of each extra target, for models with several heads -> its classes, none for numbers.
        **options: The model's own options, as in the `model` section of a configuration.

    Returns:
        A module whose `forward(images)` returns a dict with `logits` [N, C].

    Raises:
        FerError: Unknown model or option, or unusable backbone weights.
    """
    from fer_core.workflows.pieces import make_model, numbered

    names = tuple(classes) or numbered(num_classes)
    return make_model(name, names, input_size, backbone_weights, options, targets)


@checked
def create_transform(
    items: Sequence[TransformItem] | None = None,
    *,
    input_size: Side = 224,
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
        FerError: Unknown transform or option, or an invalid order.
    """
    from fer_core.workflows.pieces import make_transform

    return make_transform(items, input_size, preprocessing)


@checked
def list_models(pattern: str = "*") -> list[str]:
    """Sorted names of the installed models that match a pattern, by name or alias: `list_models("*net*")`."""
    return registry.matching("models", pattern)


@checked
def list_datasets(pattern: str = "*") -> list[str]:
    """Sorted names of the installed datasets that match a pattern, as `list_models`."""
    return registry.matching("datasets", pattern)


@checked
def open_dataset(name: str, root: str | Path | None = None, **options: Any) -> OpenedDataset:
    """Open a dataset: its table, its pixels, and with `.as_torch(split)` its parts for a `DataLoader`.

    Args:
        name: Name of a dataset, or of several as `a+b`.
        root: Its folder; else `$FER_DATA/NAME`, else `./data/NAME`. Of several, `a=DIR1,b=DIR2`.
        **options: The dataset's own options, as in `data.options` of a configuration.

    Raises:
        FerError: Unknown dataset or option, no folder, or data that the dataset cannot read.
    """
    from fer_core.workflows.pieces import opened_dataset

    return opened_dataset(name, root, options)


@checked
def load_model(weights: str | Path, *, device: str = "auto", head: str | None = None) -> TrainedModel:
    """A trained model as a module in eval mode, for a loop of your own.

    `model(images)` takes float32 [N, 3, H, W] as `model.transform(...)` makes them, and returns logits float32
    [N, C], calibrated where the weights are; class i is `model.classes[i]`. `model.network` is the model of the
    family, with its further outputs; `model.preprocessing` is what `open_dataset(...).as_torch` takes.

    Args:
        weights: A `.safetensors` file, a run folder, `FOLDER/latest`, `FOLDER/best`, an address or a name.
        device: `auto`, or the name of a device.
        head: `label` or a further head for classes; None: the one that the weights' card names, else `label`.

    Raises:
        FerError: The file is unusable, or its model is not installed.
    """
    from fer_core.inference import load_trained

    return load_trained(weights, device, head)


@checked
def create_loss(
    name: str,
    *,
    classes: Sequence[str],
    class_counts: Sequence[int] = (),
    input_size: Side = 224,
    targets: Mapping[str, Sequence[str]] | None = None,
    **options: Any,
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
        targets: Name of each extra target, for losses with a term for it -> its classes, none for numbers.
        **options: The loss's own options, as in the `loss` section of a configuration.

    Raises:
        FerError: Unknown loss or option.
    """
    from fer_core.workflows.pieces import make_loss

    return make_loss(name, classes, class_counts, input_size, options, targets)


@checked
def convert_upstream(name: str, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Translate a state dict of the model's authors; load the result with `strict=True`.

    The order of the classes stays the file's own.

    Raises:
        FerError: Unknown model, no converter, or missing or unexpected keys (named).
    """
    from fer_core.workflows.pieces import converted

    return converted(name, state)


@checked
def train(
    model: str,
    dataset: str,
    /,
    *,
    data: str | Path | Mapping[str, Any] | None = None,
    device: str | None = None,
    weights: str | Path | None = None,
    seed: Seed | None = None,
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
        weights: Trained weights to start from, as `load_model` takes them; heads for other classes begin anew.
        seed: Seed of the run.
        config: YAML files, later ones win.
        **overrides: Other sections of the configuration: `train={"epochs": 3}`.

    Raises:
        FerError: Anything that the user can correct.
    """
    from fer_core.runs.run import finished_run
    from fer_core.workflows.configure import resolve_run
    from fer_core.workflows.train import start_run

    folder, section = (None, data) if isinstance(data, Mapping) else (data, {})
    sections = {"data": section, **overrides}
    resolved = resolve_run(
        model, dataset, data=folder, device=device, weights=weights, seed=seed, config=config, arguments=sections
    )
    return finished_run(start_run(resolved.config))


@checked
def resume(folder: str | Path, *, device: str = "auto") -> Run:
    """Resume an interrupted run; the result is byte for byte that of an uninterrupted run.

    Args:
        folder: The run's folder, or `FOLDER/latest`.
        device: `auto` for the device that it began on, or the name of another one.

    Raises:
        FerError: `folder` is not a run folder, its configuration was edited, or its data changed.
    """
    from fer_core.runs.run import finished_run
    from fer_core.workflows.resume import resume_run

    return finished_run(resume_run(Path(folder), device))


@checked
def extend(
    folder: str | Path,
    *,
    epochs: int,
    run: Mapping[str, str | Path] | None = None,
    device: str = "auto",
) -> Run:
    """Train longer, as `fer-run train --extend` does: a new run from the last state of another one.

    The schedule is that of the new length. The run that is extended, finished or not, stays as it is; what the new
    run came from is in its `result.extended`.

    Args:
        folder: Folder of the run to extend, or `FOLDER/latest`.
        epochs: Length of the new run, counted from the first epoch.
        run: Where the new run goes, as for `train`: `{"dir": ...}` or `{"root": ...}`; by default below the same
            root.
        device: `auto` for the device of the run to extend, or the name of another one.

    Raises:
        FerError: `folder` is not a run folder or holds no state, its length is in steps, the new run would not be
            longer, or what `resume` refuses.
    """
    from fer_core.config.yaml_text import flow
    from fer_core.runs.run import finished_run
    from fer_core.workflows.resume import extend_run

    overrides = [f"run.{key}={flow(str(value))}" for key, value in (run or {}).items()]
    return finished_run(extend_run(Path(folder), epochs, device, overrides))


@checked
def evaluate(
    checkpoint: str | Path,
    dataset: str | None = None,
    *,
    data: str | Path | None = None,
    split: str = "test",
    head: str | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 128,
    classes: str | Path | Mapping[str, str | None] | None = None,
    restrict: bool = False,
    by: Sequence[str] = (),
    through_detector: str | None = None,
    detector_options: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Evaluate a checkpoint on one part of a dataset, classes matched by name.

    On the dataset it was trained on, the part is that of the training's own split, and folder, options and
    classes default to those of its run; on other datasets, the part is the official one.

    Args:
        checkpoint: Weights, as `load_model` takes them.
        dataset: Name of a dataset, or of several as `a+b`; None for the one it was trained on.
        data: The dataset's folder; of several, `a=DIR1,b=DIR2`.
        split: `train`, `val`, `test`, or `all`.
        head: As of `load_model`; its classes take the place of the label's.
        options: Options of the dataset.
        device: `auto`, or the name of a device.
        precision: `auto` (what the device computes natively), `fp32`, `tf32`, `bf16` or `fp16`.
        batch_size: Batch size.
        classes: What to do where dataset and checkpoint have different classes: `shared` evaluates the faces of
            those that both have; a mapping, or a YAML file with one, renames, merges or leaves out (null) first.
        restrict: Restrict predictions to classes that the dataset has.
        by: Attributes of the faces, such as `gender`, to give figures by (`Evaluation.subgroups`). `copies` is
            whether another face in the training data has the same pixels.
        through_detector: A detector, or `auto`: put the faces into scenes, too, and let it find them again.
        detector_options: Of it.

    Raises:
        FerError: Unusable checkpoint, other classes and no rule for them, an empty part, an unknown attribute.
    """
    from fer_core.workflows.evaluate import evaluate_weights

    return evaluate_weights(
        checkpoint,
        dataset,
        data,
        split,
        options,
        head=head,
        device=device,
        precision=precision,
        batch_size=batch_size,
        classes=classes,
        restrict=restrict,
        by=by,
        through_detector=through_detector,
        detector_options=detector_options,
    )


@checked
def calibrate(run: str | Path) -> Calibration:
    """Fit a temperature on the validation predictions of a run and store it with its weights.

    As `fer-run calibrate` does. Predicted classes stay the same; `evaluate` and `Predictor` apply the temperature
    from then on. `calibration.json` and `reliability-PART.png` in the run's folder say what changed.

    Args:
        run: A finished run: its folder, the `best.safetensors` in it, `FOLDER/latest` or `FOLDER/best`.

    Returns:
        The `temperature`, and for every part in `figures` the calibration error and cross-entropy before and
        after it; in `heads` the same of further heads.

    Raises:
        FerError: No finished run, no validation part, weights chosen on test, or no temperature fits.
    """
    from fer_core.evaluation.calibrate import calibrate_run
    from fer_core.runs.resolve import find_weights

    return calibrate_run(find_weights(run))


@checked
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
    """Analyse the errors of a network, and write the results to a folder that `fer-run report` shows.

    Args:
        place: Weights, as `load_model` takes them; or a folder with several runs: then their stored predictions on
            the test parts are pooled, and no network runs.
        dataset: Name of a dataset; None for the one that was trained on.
        data: The dataset's folder.
        split: `train`, `val`, `test` (where None) or `all`; not for several runs.
        options: Options of the dataset.
        only: Some of `mistakes`, `label_issues`, `slices`, and, where `place` is one network, `robustness`,
            `attention`, `embedding`.
        out: The folder; else `diagnosis-DATASET-SPLIT` beside the file, or here for an address or a name.
        device: `auto`, or the name of a device.

    Raises:
        FerError: Nothing to diagnose, an unknown or impossible part, or what `evaluate` rejects.
    """
    from fer_core.workflows.diagnose import diagnose_weights

    return diagnose_weights(place, dataset, data, split, options, only=only, out=out, device=device)


@checked
def import_weights(
    model: str,
    file: str | Path,
    out: str | Path,
    /,
    *,
    dataset: str | None = None,
    classes: Sequence[str] = (),
    part: Literal["model", "backbone"] = "model",
    **overrides: Any,
) -> Path:
    """Convert a checkpoint from elsewhere and write it with everything that prediction needs.

    Args:
        model: Name of an installed model.
        file: Path or URI of the file; no code in it is executed.
        out: The `.safetensors` file to write; it must not exist.
        dataset: The training dataset: gives the recipe's preprocessing, and the classes in the authors'
            order, where that is known (`ModelSpec.class_orders`).
        classes: Class names in the file's order, in place of the authors'.
        part: `model`, or `backbone` for a file to start training from (`model.backbone_weights`).
        **overrides: What the file does not say: options of the model and preprocessing, as sections of a
            configuration, such as `model={"backbone": "resnet34"}` and `data={"input_size": 112}`.

    Returns:
        `out`.

    Raises:
        FerError: The file is unreadable or another model's, the order of its classes is unknown, they are not as
            many as the file's, or `out` exists.
    """
    from fer_core.workflows.import_weights import import_file

    return import_file(model, file, out, dataset, classes, part, arguments=overrides)


@checked
def inference_form(model: nn.Module, name: str) -> nn.Module:
    """The fastest form of `model` that its family has: a model in eval mode that returns the same `logits`.

    Families that have a form of their own (`ModelSpec.inference`) fold batch normalisations and parallel
    convolutions and leave out branches; its logits agree within 1e-4 of the largest in float32. Others are
    returned as they are, in eval mode.

    Args:
        model: A model of the family `name`; it is not changed, other than to eval mode where it has no such form.
        name: Registered name of the family.

    Raises:
        FerError: Unknown model.
    """
    from fer_core.inference.fuse import fuse

    return fuse(model, name)
