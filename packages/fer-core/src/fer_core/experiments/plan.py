"""From an experiment to its runs: the configuration, the folder and the command of each."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core import registry
from fer_core.checks import check_components
from fer_core.config import config_hash
from fer_core.config.yaml_text import flow, parse_yaml
from fer_core.data.open import check_dataset_options
from fer_core.data.union import UnionSpec, find_dataset
from fer_core.errors import FerError
from fer_core.experiments.schema import PER_SPLIT, Experiment
from fer_core.experiments.splits import SplitChoice, expand_split
from fer_core.plugins import load_plugins
from fer_core.runs import folder as run_folder
from fer_core.runs.fine_tuning import resolve_training
from fer_core.types import ModelSpec

if TYPE_CHECKING:
    from fer_core.config import Config
    from fer_core.types import DatasetSpec

DECIDED = {"data.split": "splits", "data.root": "data", "train.seed": "seeds", "model.name": "models"}
"""Keys of a configuration that an experiment decides elsewhere, and where."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of an experiment.

    Attributes:
        experiment: Name of the experiment.
        model: Name of the model.
        dataset: Name of the dataset.
        split: The split.
        seed: Seed of the training.
        recipe: `paper` or `shared`.
        grid: Values of the grid, as `KEY=VALUE`.
        config: The resolved configuration.
        folder: Where its files go.
        arguments: Of `fer-run` for making it, without the device.
    """

    experiment: str
    model: str
    dataset: str
    split: SplitChoice
    seed: int
    recipe: str
    grid: tuple[str, ...]
    config: Config
    folder: Path
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder, seen from the experiment's."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def is_finished(self) -> bool:
        """Whether it has a result."""
        return (self.folder / run_folder.RESULT).is_file()

    @property
    def is_begun(self) -> bool:
        """Whether it can be resumed."""
        return all((self.folder / name).is_file() for name in (run_folder.CONFIG, run_folder.ENVIRONMENT))

    def command(self, device: str) -> list[str]:
        """Arguments of `fer-run` that begin it, or resume it.

        Args:
            device: As `--device`.
        """
        chosen = [] if device == "auto" else ["--device", device]
        if self.is_begun:
            return ["train", "--resume", str(self.folder), *chosen]
        return [*self.arguments, *chosen]


def make_plan(experiment: Experiment, source: str) -> list[PlannedRun]:
    """All runs, those of one split together, so that early results cover all models.

    Args:
        experiment: What to plan.
        source: What to call it in messages.

    Raises:
        FerError: Unknown names (those of models and datasets in one line), a wrong configuration, an option that a
            component does not take, or two runs of one name.
    """
    try:
        return _plan(experiment)
    except FerError as error:
        raise FerError(f"{source}: {error}") from None


def _plan(experiment: Experiment) -> list[PlannedRun]:
    models, datasets = _find_all(experiment)
    _check_settings(experiment)
    roots = _roots(experiment, datasets)
    splits = [choice for text in experiment.splits for choice in expand_split(text)]
    runs = []
    for split in splits:
        for seed in _seeds(experiment, split):
            for dataset, model, recipe, grid in itertools.product(
                datasets, models, experiment.recipe, _grid(experiment)
            ):
                overrides = [*_layers(experiment, model, dataset, recipe), *experiment.overrides, *grid]
                root = roots[dataset.name] or None
                runs.append(_make_run(experiment, model, dataset, split, seed, recipe, grid, overrides, root))
    _check_names(runs)
    _check_components(runs)
    return runs


def take_shard(runs: Sequence[PlannedRun], shard: str | None) -> list[PlannedRun]:
    """Part i of n (`i/n`, from 1). The parts are drawn, so that none gets all of the slowest model.

    Raises:
        FerError: Not of that form.
    """
    if shard is None:
        return list(runs)
    first, slash, second = shard.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise FerError(f"--shard {shard} is not a valid part: write i/n with i from 1 to n, such as 1/4")
    drawn = sorted(runs, key=lambda run: hashlib.sha256(run.name.encode()).hexdigest())
    mine = {run.folder for run in drawn[int(first) - 1 :: int(second)]}
    return [run for run in runs if run.folder in mine]


def _make_run(
    experiment: Experiment,
    model: ModelSpec,
    dataset: DatasetSpec,
    split: SplitChoice,
    seed: int,
    recipe: str,
    grid: tuple[str, ...],
    overrides: Sequence[str],
    root: str | None,
) -> PlannedRun:
    given = [*overrides, f"data.split={flow(split.protocol)}"]
    flags = {"data.root": root, "train.seed": seed}
    try:
        config = resolve_training(model, dataset, overrides=given, flags=flags).config
    except FerError as error:
        raise FerError(f"{model.name} on {dataset.name}: {error}") from None
    folder = experiment.folder / f"{model.name}-{dataset.name}"
    folder /= f"{split.slug}-s{seed}-{config_hash(config)[:8]}"
    arguments = ["train", model.name, dataset.name, *(["--data", root] if root else []), "--seed", str(seed)]
    for override in (*given, f"run.dir={flow(str(folder))}", "run.report=false"):
        arguments += ["-o", override]
    return PlannedRun(
        experiment.name,
        model.name,
        dataset.name,
        split,
        seed,
        recipe,
        grid,
        config,
        folder,
        tuple(arguments),
    )


def _find_all(experiment: Experiment) -> tuple[list[ModelSpec], list[DatasetSpec]]:
    models: list[ModelSpec] = []
    datasets: list[DatasetSpec] = []
    problems: list[str] = []
    for name in experiment.models:
        try:
            models.append(registry.find("models", name))
        except FerError as error:
            problems.append(str(error))
    for name in experiment.datasets:
        try:
            datasets.append(find_dataset(name))
        except FerError as error:
            problems.append(str(error))
    if problems:
        raise FerError("; ".join(problems))
    return models, datasets


def _check_settings(experiment: Experiment) -> None:
    """Names in exceptions must be known, even if this call leaves them out."""
    for index, when in enumerate(experiment.when):
        try:
            for name in when.models or ():
                registry.find("models", name)
            for name in when.datasets or ():
                find_dataset(name)
        except FerError as error:
            raise FerError(f"when[{index}]: {error}") from None
    for where, values in (
        ("shared", experiment.shared),
        ("config", experiment.config),
        *((f"when[{index}].config", when.config) for index, when in enumerate(experiment.when)),
    ):
        for key in _dotted(values):
            _refuse_decided(key, where)
    for key in experiment.grid:
        _refuse_decided(key, "grid")
    for override in experiment.overrides:
        key = override.partition("=")[0].strip()
        _refuse_decided(key, "-o")
        if key in experiment.grid:
            raise FerError(f"{key} is in the grid and in -o as well: keep one")
    if "shared" in experiment.recipe and not experiment.shared:
        raise FerError(
            "recipe is shared, but there is no recipe for all: add the section shared, or use recipe: paper"
        )


def _refuse_decided(key: str, where: str) -> None:
    if key in DECIDED or key.startswith("run.") or key == "data.name":
        instead = f"use {DECIDED[key]}" if key in DECIDED else "the experiment decides it, see root and --device"
        raise FerError(f"{key} cannot be set in {where}: {instead}")


def _layers(experiment: Experiment, model: ModelSpec, dataset: DatasetSpec, recipe: str) -> Iterator[str]:
    """Every layer over the model's recipe, as overrides `SECTION={...}`."""
    layers = [experiment.shared] if recipe == "shared" else []
    layers.append(experiment.config)
    for when in experiment.when:
        fits = _named(when.models, model) and _named(when.datasets, dataset) and when.recipe in (None, recipe)
        if fits:
            layers.append(when.config)
    for layer in layers:
        for section, value in layer.items():
            yield f"{section}={flow(value)}"


def _named(names: Sequence[str] | None, spec: ModelSpec | DatasetSpec) -> bool:
    kind = "models" if isinstance(spec, ModelSpec) else "datasets"
    return names is None or any(load_plugins().means(kind, name, spec) for name in names)


def _grid(experiment: Experiment) -> list[tuple[str, ...]]:
    keys = list(experiment.grid)
    chosen = (zip(keys, values, strict=True) for values in itertools.product(*experiment.grid.values()))
    return [tuple(f"{key}={flow(value)}" for key, value in pairs) for pairs in chosen]


def _seeds(experiment: Experiment, split: SplitChoice) -> list[int]:
    if isinstance(experiment.seeds, list):
        return experiment.seeds
    if split.number is None:
        raise FerError(
            f"seeds is {PER_SPLIT}, but the split {split.protocol} has no number: give seeds, or a numbered split"
        )
    return [split.number]


def _roots(experiment: Experiment, datasets: Sequence[DatasetSpec]) -> dict[str, str]:
    """Folder of each dataset as `--data` takes it, empty where none is given."""
    given = {find_dataset(name).name: folder for name, folder in experiment.data.items()}
    known = {}
    for dataset in datasets:
        if isinstance(dataset, UnionSpec):
            known[dataset.name] = ",".join(f"{p.name}={given[p.name]}" for p in dataset.parts if p.name in given)
        else:
            known[dataset.name] = given.get(dataset.name, "")
    return known


def _check_names(runs: Sequence[PlannedRun]) -> None:
    seen: dict[Path, PlannedRun] = {}
    for run in runs:
        if run.folder in seen:
            raise FerError(
                f"two runs have the name {run.name}, because nothing differs between them: "
                "name each model, dataset, split, seed and grid value once"
            )
        seen[run.folder] = run


def _check_components(runs: Sequence[PlannedRun]) -> None:
    """Check those configurations that differ in more than the split, the seed and the place."""
    checked = set()
    for run in runs:
        key = repr(run.config.model_dump(exclude={"run": True, "train": {"seed": True}, "data": {"split": True}}))
        if key in checked:
            continue
        try:
            check_components(run.config)
            check_dataset_options(run.config.data.name, run.config.data.options)
        except FerError as error:
            raise FerError(f"{run.name} cannot be executed: {error}") from None
        checked.add(key)


def _dotted(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield above + str(key)
        if isinstance(value, dict):
            yield from _dotted(value, f"{above}{key}.")


def parse_grid(items: Sequence[str]) -> dict[str, list[Any]]:
    """`KEY=a,b` of the command line as a grid; a value that holds a comma is given as `KEY=[[1, 2], [3, 4]]`.

    Raises:
        FerError: Not of that form.
    """
    grid: dict[str, list[Any]] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key or not text:
            raise FerError(f"--grid {item} has no values: write KEY=a,b, for example optimizer.lr=1e-3,1e-4")
        listed = text if text.startswith("[") else f"[{text}]"
        value = parse_yaml(listed, f"--grid {key}")
        if not isinstance(value, list):
            raise FerError(f"--grid {key} is {text}: write the values with commas between them")
        grid[key] = value
    return grid
