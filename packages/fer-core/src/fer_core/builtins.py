"""The components of the core, registered through the same hooks as any plugin."""

from __future__ import annotations

from fer_core.hookspecs import hookimpl
from fer_core.types import CommandSpec, Measured, MetricSpec, Ref, SplitSpec


@hookimpl
def fer_losses() -> dict[str, Ref]:
    """Losses."""
    names = {"cross_entropy": "CrossEntropy", "distillation": "Distillation", "multi_head": "MultiHead"}
    return {name: f"fer_core.losses:{factory}" for name, factory in names.items()}


@hookimpl
def fer_optimizers() -> dict[str, Ref]:
    """Optimizers."""
    return {name: f"fer_core.optim:{name}" for name in ("sgd", "adam", "adamw", "sam")}


@hookimpl
def fer_schedulers() -> dict[str, Ref]:
    """Learning-rate schedules."""
    return {name: f"fer_core.optim:{name}" for name in ("constant", "cosine", "step", "exponential")}


@hookimpl
def fer_samplers() -> dict[str, Ref]:
    """Orders of the training samples."""
    return {name: f"fer_core.data.samplers:{name}" for name in ("shuffle", "balanced", "balanced_down")}


@hookimpl
def fer_splits() -> list[SplitSpec]:
    """Split protocols."""
    return [
        SplitSpec(name="official", divide="fer_core.data.splits:official", summary="The authors' own parts"),
        SplitSpec(
            name="kfold",
            divide="fer_core.data.splits:kfold",
            form="N:K[:sorted]",
            summary="Fold K of N is the test part",
        ),
        SplitSpec(
            name="stratified-shuffle",
            divide="fer_core.data.splits:stratified_shuffle",
            form="K",
            summary="60 / 20 / 20, each class alike",
        ),
        SplitSpec(
            name="seed-shuffle",
            divide="fer_core.data.splits:seed_shuffle",
            form="K[:S]",
            summary="60 / 20 / 20 as StevenHSKim/FER-Models divides",
        ),
        SplitSpec(
            name="file", divide="fer_core.data.splits:from_file", form="PATH", summary="A CSV with id and role"
        ),
    ]


@hookimpl
def fer_metrics() -> list[MetricSpec]:
    """Metrics."""
    home = {"classes": "fer_core.metrics.classification", "numbers": "fer_core.metrics.numbers"}
    rows: tuple[tuple[str, Measured, bool, str], ...] = (
        ("accuracy", "classes", True, "Right predictions"),
        ("mean_class_accuracy", "classes", True, "Mean recall of the classes"),
        ("macro_f1", "classes", True, "Mean F1 of the classes"),
        ("ccc", "numbers", True, "Concordance correlation (Lin 1989)"),
        ("rmse", "numbers", False, "Root mean squared error"),
        ("mae", "numbers", False, "Mean absolute error"),
    )
    return [
        MetricSpec(name=name, measures=of, function=f"{home[of]}:{name}", higher_is_better=higher, summary=summary)
        for name, of, higher, summary in rows
    ]


@hookimpl
def fer_transforms() -> dict[str, Ref]:
    """Image transforms."""
    return {
        "resize": "fer_core.data.transforms:Resize",
        "horizontal_flip": "fer_core.data.transforms:HorizontalFlip",
        "rotation": "fer_core.data.transforms:Rotation",
        "affine": "fer_core.data.transforms:Affine",
        "random_crop": "fer_core.data.transforms:RandomCrop",
        "random_apply": "fer_core.data.transforms:RandomApply",
        "normalize": "fer_core.data.transforms:Normalize",
        "random_erasing": "fer_core.data.transforms:RandomErasing",
        "random_resized_crop": "fer_core.data.transforms:RandomResizedCrop",
        "center_crop": "fer_core.data.transforms:CenterCrop",
        "five_crop": "fer_core.data.transforms:FiveCrop",
        "ten_crop": "fer_core.data.transforms:TenCrop",
        "mirror_views": "fer_core.data.transforms:MirrorViews",
        "rand_augment": "fer_core.data.transforms:RandAugment",
        "auto_augment": "fer_core.data.transforms:AutoAugment",
        "color_jitter": "fer_core.data.transforms:ColorJitter",
        "gaussian_noise": "fer_core.data.transforms:GaussianNoise",
        "one_of": "fer_core.data.transforms:OneOf",
    }


@hookimpl
def fer_callbacks() -> dict[str, Ref]:
    """Callbacks."""
    return {
        "progress": "fer_core.training.callbacks:ProgressBar",
        "early_stopping": "fer_core.training.callbacks:EarlyStopping",
        "csv_log": "fer_core.training.callbacks:CSVLog",
        "tensorboard": "fer_core.training.tensorboard:TensorBoard",
    }


@hookimpl
def fer_devices() -> dict[str, Ref]:
    """Devices."""
    home = "fer_core.engine.devices"
    return {"cpu": f"{home}:Cpu", "cuda": f"{home}:Cuda", "mps": f"{home}:Mps"}


@hookimpl
def fer_trainers() -> dict[str, Ref]:
    """Trainers."""
    home = "fer_core.training"
    return {"standard": f"{home}.trainer:Trainer", "mix": f"{home}.mixing:Mixing"}


@hookimpl
def fer_templates() -> dict[str, Ref]:
    """Templates of aligned faces."""
    return {"arcface": "fer_core.faces:ARCFACE"}


@hookimpl
def fer_detectors() -> dict[str, Ref]:
    """Detectors of faces."""
    return {"whole": "fer_core.faces:Whole"}


@hookimpl
def fer_executors() -> dict[str, Ref]:
    """What executes the runs of an experiment."""
    return {"local": "fer_core.experiments.execute:Local", "ray": "fer_core.experiments.on_ray:OnRay"}


@hookimpl
def fer_commands() -> list[CommandSpec]:
    """Commands, in the order of `fer-run --help`."""
    return [
        CommandSpec(name="train", ref="fer_core.cli.train:train", help="Train a model on a dataset"),
        CommandSpec(
            name="experiment",
            ref="fer_core.cli.experiment:experiment",
            help="Train models on datasets over splits and seeds",
        ),
        CommandSpec(
            name="evaluate", ref="fer_core.cli.evaluate:evaluate", help="Evaluate a checkpoint on a dataset"
        ),
        CommandSpec(
            name="calibrate",
            ref="fer_core.cli.calibrate:calibrate",
            help="Calibrate the probabilities of a run",
        ),
        CommandSpec(
            name="diagnose",
            ref="fer_core.cli.diagnose:diagnose",
            help="Analyse errors, attention, robustness and label issues",
        ),
        CommandSpec(
            name="report", ref="fer_core.cli.report:report", help="Show and compare runs in one HTML file"
        ),
        CommandSpec(
            name="leaderboard",
            ref="fer_core.cli.leaderboard:leaderboard",
            help="Tabulate every run below a folder, for papers and web pages",
        ),
        CommandSpec(
            name="predict",
            ref="fer_core.cli.predict:predict",
            help="Predict the expressions of the faces in images",
        ),
        CommandSpec(
            name="track", ref="fer_core.cli.track:track", help="Follow the faces of a video and their expressions"
        ),
        CommandSpec(
            name="import", ref="fer_core.cli.import_:import_", help="Convert weights of a model's authors"
        ),
        CommandSpec(name="fetch", ref="fer_core.cli.fetch:fetch", help="Download weights, or take them by hand"),
        CommandSpec(name="list", ref="fer_core.cli.list_:list_", help="List what is installed"),
        CommandSpec(name="info", ref="fer_core.cli.info:info", help="Describe a model, a dataset or a component"),
        CommandSpec(
            name="data",
            ref="fer_core.cli.data:data",
            help="Check or preview a dataset, or cut one out of photographs",
        ),
        CommandSpec(
            name="benchmark",
            ref="fer_core.cli.benchmark:benchmark",
            help="Measure evaluation and training speed of models",
        ),
        CommandSpec(
            name="doctor", ref="fer_core.cli.doctor:doctor", help="Check the installation and its plugins"
        ),
    ]
