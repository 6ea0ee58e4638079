"""The typed schema of a configuration: sections, keys, defaults, ranges."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from fer_core.faces import MAX_SIDE, Alignment
from fer_core.machine import Compile

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]


def _path(text: str) -> str:
    try:
        parts = os.fsencode(text).split(b"/")
    except UnicodeEncodeError:
        parts = [b"\0"]
    if b"\0" in b"".join(parts) or max(map(len, parts)) > 255 or len(text) > 4_000:
        raise ValueError("a valid path")
    return text


Folder = Annotated[str, Field(min_length=1), AfterValidator(_path)]
"""A path."""
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
"""Height and width of an image in pixels."""
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
SplitSeed = Annotated[int, Field(ge=0, lt=1 << 32)]
Holdout = Annotated[float, Field(ge=0, lt=1)]
_Text = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=1)]


def _item(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Describe the item, instead of what pydantic expects of each member of the union."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError("a name or {name: {option: value}}") from None


TransformItem = Annotated[
    _Text | Annotated[dict[_Text, dict[str, JsonValue]], Field(min_length=1, max_length=1)], WrapValidator(_item)
]
"""A transform as it is configured: `name`, or `{name: {option: value}}`."""


def _key(default: Any, expects: str, meaning: str, **limits: Any) -> Any:
    """A key: `expects` is its type in words, for messages and documentation."""
    return Field(default, description=meaning, json_schema_extra={"expects": expects}, **limits)


class Section(BaseModel):
    """A mapping of known keys: strict types, finite numbers, nothing unknown, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Component(Section):
    """A registered component: `name`, and beside it the options of its factory.

    `optimizer: sgd` is short for `optimizer: {name: sgd}`.
    """

    model_config = ConfigDict(extra="allow")

    name: str = _key(..., "a name", "Registered name.", min_length=1)

    @property
    def options(self) -> dict[str, Any]:
        """The options, without the framework's own keys."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        full = handler.resolve_ref_schema(handler(schema))
        return {"description": full.pop("description"), "anyOf": [{"type": "string", "minLength": 1}, full]}


class Model(Component):
    """The model, what its weights start from, and the options of its factory."""

    weights: _Text | None = _key(
        None,
        "weights, or null",
        "Trained weights that the training starts from (`--from`), as `-m` of `fer-run predict` takes them; their "
        "options and preprocessing replace the recipe's.",
    )
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = _key(
        None,
        "a sha256 in hexadecimal, or null",
        "What `weights` must be, whatever its place; null: filled in when the run begins.",
    )
    freeze: list[_Text] = _key(
        [],
        "a list of patterns",
        "Parameters that keep their values, as patterns of their names (`body.*`); a BatchNorm whose parameters "
        "are frozen keeps its statistics.",
    )
    backbone_weights: _Text | Annotated[list[_Text], Field(min_length=1)] | None = _key(
        None,
        "a file or address, a list of them, or null",
        "Weights that parts of the model start from, see the model's page; null: random weights.",
    )

    @property
    def backbones(self) -> list[str]:
        """`backbone_weights` as a list."""
        given = self.backbone_weights
        return [given] if isinstance(given, str) else list(given or ())


class RateGroup(Section):
    """One entry of `optimizer.groups`."""

    match: str = Field(min_length=1)
    lr_factor: float = Field(gt=0)


class Optimizer(Component):
    """The optimizer and the options of its factory."""

    groups: list[RateGroup] = _key(
        [],
        "a list of {match: PATTERN, lr_factor: NUMBER above 0}",
        "Factors of the learning rate by patterns of the model's parameter names; the first that matches counts, "
        "1 where none does.",
    )


class Scheduler(Component):
    """The learning rate schedule and the options of its factory."""

    per: Literal["epoch", "step"] = _key(
        "epoch", "epoch or step", "What the schedule counts: it moves after every one."
    )


class CallbackItem(Section):
    """One entry of `callbacks`: in YAML `name`, or `{name: {options}}`."""

    name: str = Field(min_length=1)
    options: dict[str, Any] = {}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        options = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": {"type": "object"},
        }
        return {"description": cls.__doc__, "anyOf": [{"type": "string", "minLength": 1}, options]}


class Data(Section):
    """The dataset, and how its images reach the model."""

    name: str = _key(..., "a name", "Dataset; the command line's argument.", min_length=1)
    root: Folder | None = _key(
        None, "a folder or null", "Folder of the dataset (`--data`); null: `$FER_DATA/NAME`, else `./data/NAME`."
    )
    options: dict[str, Any] = _key({}, "a mapping", "Options of the dataset's factory, see `fer-run info NAME`.")
    classes: list[_Text] | dict[_Text, _Text | None] | None = _key(
        None,
        "a list of class names, a mapping from class names to class names or null, or null",
        "Classes to keep, in this order; or the class that each becomes, null: left out; null: all as they are.",
    )
    split: str = _key(
        "official",
        "a protocol",
        "`official`, `official+holdout`, `kfold:N:K`, `stratified-shuffle:K`, `seed-shuffle:K[:S]`, `file:PATH`.",
        min_length=1,
    )
    holdout: float = _key(
        0.1,
        "a number from 0 up to, but not including, 1",
        "Fraction of the training samples held out as val.",
        ge=0,
        lt=1,
    )
    fraction: float = _key(
        1.0,
        "a number above 0 and of at most 1",
        "Fraction of the training samples to use, the same for each class, for quick experiments.",
        gt=0,
        le=1,
    )
    split_seed: int = _key(
        0, "a whole number from 0 to 4294967295", "Seed of random splits and of `fraction`.", ge=0, lt=1 << 32
    )
    input_size: int = _key(
        224, "a whole number from 1 to 4096", "Height and width of the input in pixels.", ge=1, le=MAX_SIDE
    )
    batch_size: int = _key(
        256, "a whole number of at least 1", "Images per optimizer step, over all processes.", ge=1
    )
    eval_batch_size: _Count | None = _key(
        None, "a whole number of at least 1, or null", "Images per evaluation batch; null: `batch_size`."
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0)] = _key(
        "auto",
        "auto or a whole number of at least 0",
        "Worker processes where `pipeline` is per-image; 0: none; auto: the number of CPUs minus one.",
    )
    pipeline: Literal["batched", "per-image"] = _key(
        "batched",
        "batched or per-image",
        "Transforms on whole batches on the device, or image by image in workers.",
    )
    soft_targets: list[_Text] = _key(
        [],
        "a list of files",
        "Tables of predictions of the training images (`fer-run evaluate --split train`), whose mean the loss "
        "`distillation` learns from.",
    )
    sampler: Component = _key(
        Component(name="shuffle"),
        "a name or a mapping with a name",
        "Order of the training samples, see `fer-run list samplers`.",
    )
    drop_last: bool = _key(False, "true or false", "Drop the last batch of a training epoch if it is not full.")
    train_transforms: list[TransformItem] = _key(
        ["resize", {"horizontal_flip": {"p": 0.5}}, "normalize"],
        "a list of names or {name: {options}}",
        "Transforms of training images, in order.",
    )
    eval_transforms: list[TransformItem] = _key(
        ["resize", "normalize"],
        "a list of names or {name: {options}}",
        "Transforms of evaluated images, in order.",
    )
    mean: list[float] = _key(
        IMAGENET_MEAN,
        "a list of 3 numbers",
        "Mean of each channel, in the order of `color`.",
        min_length=3,
        max_length=3,
    )
    std: list[Annotated[float, Field(gt=0)]] = _key(
        IMAGENET_STD,
        "a list of 3 numbers above 0",
        "Standard deviation of each channel, in the order of `color`.",
        min_length=3,
        max_length=3,
    )
    color: Literal["rgb", "bgr"] = _key("rgb", "rgb or bgr", "Order of the channels that the model reads.")
    alignment: Alignment | None = _key(
        None,
        "a mapping with kind, and template, margin or size, or null",
        "How the dataset's faces were cut out of photographs, for the record; null: as the dataset says.",
    )


class Train(Section):
    """How long and how to train, and which epoch to keep."""

    trainer: Component = _key(
        Component(name="standard"), "a name or a mapping with a name", "Trainer, see `fer-run list trainers`."
    )
    epochs: int = _key(40, "a whole number of at least 1", "Passes over the training samples.", ge=1)
    steps: _Count | None = _key(
        None, "a whole number of at least 1, or null", "Total optimizer steps, instead of `epochs`."
    )
    eval_every: Literal["epoch"] | _Count = _key(
        "epoch", "epoch or a whole number of at least 1", "When to evaluate: every epoch, or every so many steps."
    )
    save_every: Literal["epoch"] | _Count = _key(
        "epoch",
        "epoch or a whole number of at least 1",
        "When to save the state: every epoch, or every so many steps.",
    )
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = _key(
        "auto",
        "auto, fp32, tf32, bf16 or fp16",
        "Floating-point precision; auto: the fastest that the device supports natively; tf32: torch's default on "
        "NVIDIA from Ampere, fp32 elsewhere.",
    )
    compile: Compile = _key(
        False,
        "false, default, reduce-overhead, max-autotune or max-autotune-no-cudagraphs",
        "Mode in which torch.compile compiles model and loss; false: not compiled.",
    )
    graph: bool = _key(
        False,
        "true or false",
        "Record forward and backward pass once and replay them, as a CUDA graph; not yet measured on a GPU.",
    )
    accumulate: int = _key(
        1,
        "a whole number of at least 1",
        "Gradient accumulation: parts in which a batch is computed, to save memory.",
        ge=1,
    )
    recompute: bool = _key(
        False,
        "true or false",
        "Activation checkpointing: compute activations again in the backward pass, to save memory; same results.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = _key(
        None, "a number above 0, or null", "Norm that gradients are clipped to; null: no clipping."
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = _key(
        None, "a number between 0 and 1, or null", "Decay of the moving average of the weights; null: no average."
    )
    select: Literal["last", "best:val", "best:test"] = _key(
        "best:val",
        "last, best:val or best:test",
        "Which weights are the result. best:test selects on the reported split: only to reproduce papers.",
    )
    metric: str = _key(
        "accuracy",
        "the name of a metric, or TARGET.METRIC",
        "What `select` compares: of the label, or of the head for an extra target; ties go to the earliest.",
        min_length=1,
    )
    seed: int = _key(
        0, "a whole number from 0 to 9223372036854775807", "Seed of all randomness (`--seed`).", ge=0, lt=1 << 63
    )
    on_nonfinite: Literal["stop", "skip"] = _key(
        "stop", "stop or skip", "On a non-finite loss, stop the run or skip the step."
    )
    sync_batch_norm: bool = _key(
        False, "true or false", "Synchronize BatchNorm statistics over all processes; GPUs only."
    )
    deterministic: Literal["auto"] | bool = _key(
        "auto", "auto, true or false", "Deterministic algorithms only; auto: the device's (CPU true, cuda false)."
    )


class Run(Section):
    """Where to run and where to write files; without effect on the result."""

    root: Folder = _key("runs", "a folder", "Folder of all runs.")
    dir: Folder | None = _key(
        None, "a folder or null", "Folder of exactly this run; null: `ROOT/MODEL-DATASET/TIME-sSEED`."
    )
    device: str = _key(
        "auto",
        "a device",
        "Device (`--device`); auto: cuda, else mps, else cpu, or a plugin's that ranks higher.",
        min_length=1,
    )
    report: bool = _key(
        True,
        "true or false",
        "Draw `report.html`, `curves.png` and `confusion-PART.png` at the end; not in runs of an experiment.",
    )


class Config(Section):
    """A complete configuration. Immutable; `model_copy` and the layers make others."""

    model: Model = _key(..., "a name or a mapping with a name", "Model; the command line's argument.")
    data: Data = _key(..., "a mapping", "The data.")
    loss: Component = _key(
        Component(name="cross_entropy"), "a name or a mapping with a name", "Loss, see `fer-run list losses`."
    )
    optimizer: Optimizer = _key(
        Optimizer(name="adam", lr=1e-4),  # type: ignore[call-arg] # options stand beside the name
        "a name or a mapping with a name",
        "Optimizer, see `fer-run list optimizers`.",
    )
    scheduler: Scheduler = _key(
        Scheduler(name="constant"),
        "a name or a mapping with a name",
        "Learning rate schedule, see `fer-run list schedulers`.",
    )
    train: Train = _key(Train(), "a mapping", "The training.")
    run: Run = _key(Run(), "a mapping", "The run's place.")
    metrics: list[str] = _key(
        [],
        "a list of names",
        "Further metrics of evaluations, see `fer-run list metrics`; the core's are always computed.",
    )
    callbacks: list[CallbackItem] = _key(
        [CallbackItem(name="progress")],
        "a list of names or {name: {options}}",
        "Callbacks of the training, in order.",
    )

    @field_validator("callbacks", mode="before")
    @classmethod
    def _from_entries(cls, value: Any) -> Any:
        return [_callback(item) for item in value] if isinstance(value, list) else value


def _callback(item: Any) -> Any:
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and len(item) == 1:
        name, options = next(iter(item.items()))
        return {"name": name, "options": options}
    return item if isinstance(item, CallbackItem) else None


def plain(value: Any) -> Any:
    """A validated value as YAML writes it: sections as mappings, options sorted by name."""
    if isinstance(value, CallbackItem):
        return {value.name: plain(value.options)} if value.options else value.name
    if isinstance(value, BaseModel):
        known = {key: plain(getattr(value, key)) for key in type(value).model_fields}
        return known | plain(value.model_extra or {})
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
