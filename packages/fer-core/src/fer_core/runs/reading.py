"""Reading run folders without a model and without torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from fer_core.config import config_hash, load_config, settings
from fer_core.config.identity import WITHOUT_EFFECT
from fer_core.config.schema import plain
from fer_core.errors import FerError
from fer_core.metrics import MetricsRow
from fer_core.records import read_bytes
from fer_core.runs.folder import CONFIG, ENVIRONMENT, EXPERIMENT, METRICS, PREDICTIONS, RESULT
from fer_core.runs.predictions import read_predictions
from fer_core.runs.records import Environment, Membership, Result

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.config import Config
    from fer_core.types import Role

PART: Role = "test"
"""The part that reports are about."""
ADVICE = "the run is damaged, train it again"
REPETITION = (*WITHOUT_EFFECT, "train.seed", "data.split", "data.split_seed", "metrics", "callbacks")
"""Keys of a configuration in which runs of one row of a table may differ."""


@dataclass(frozen=True, order=True)
class Protocol:
    """How the data were divided and the weights chosen. Only runs that agree in it are compared.

    Attributes:
        split: As it was done, in the grammar of `data.split`, without the number of the repetition.
        holdout: Fraction of the training part that chose the epoch, 0 where none was held out.
        select: `last`, `best:val` or `best:test`.
        metric: What the epoch was chosen by; empty for `last`.
        recipe: Name of the recipe that all models of an experiment share; empty where each has its own.
        trained: What the weights were trained on, where the figures are about other data; else empty.
        classes: The rule that matched different classes in that case.
    """

    split: str
    holdout: float
    select: str
    metric: str
    recipe: str = ""
    trained: str = ""
    classes: str = ""

    def __str__(self) -> str:
        """In words, for headings."""
        held = f" of {self.holdout:.0%}" if self.holdout else ""
        chosen = (
            "last epoch" if self.select == "last" else f"epoch with the best {self.metric} on {self.select[5:]}"
        )
        recipe = f", recipe {self.recipe}" if self.recipe else ""
        trained = f"trained on {self.trained}: " if self.trained else ""
        classes = f"; {self.classes}" if self.classes else ""
        return f"{trained}{self.split}{held}, {chosen.replace('_', ' ')}{recipe}{classes}"


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes:
        folder: Where it lies.
        result: `result.json`.
        config: `config.yaml`.
        history: Lines of `metrics.jsonl`.
        env: `env.json`; None where it is missing.
        recipe: Name of the recipe that an experiment gave to all its models; empty where each has its own.
        predictions: On the test part: `id`, `label`, `predicted` (class names) and `p_<class>`; None where they
            are missing.
    """

    folder: Path
    result: Result
    config: Config
    history: tuple[MetricsRow, ...]
    env: Environment | None
    recipe: str = ""
    predictions: pd.DataFrame | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.result.model.name

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.result.dataset.name

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the dataset."""
        return self.result.dataset.fingerprint

    @property
    def digest(self) -> str:
        """Digest of the split: runs with the same one have the same faces in every part."""
        return self.result.split.digest

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the model's order."""
        return self.result.classes

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.result.protocol.seed

    @property
    def protocol(self) -> Protocol:
        """Split, selection and recipe."""
        split, chosen = self.result.split, self.result.protocol
        held = split.protocol.endswith("+holdout")
        return Protocol(
            split_family(split.protocol) + split.share,
            split.holdout if held else 0.0,
            chosen.select,
            "" if chosen.select == "last" else chosen.metric,
            self.recipe,
        )

    @property
    def settings(self) -> dict[str, JsonValue]:
        """The configuration, flat, without what differs between repetitions: seeds, split number, places.

        An extended run first followed the schedule of another length, so it repeats no run that was not extended.
        """
        before = self.result.extended
        extended = {"extended": "no" if before is None else f"after epoch {before.epoch} of {before.epochs}"}
        return settings(self.config, REPETITION) | extended

    @property
    def variant(self) -> str:
        """Digest of `settings`: runs with the same one are repetitions of each other."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Collection:
    """What `collect` found.

    Attributes:
        runs: Finished ones.
        problems: One line for each folder without a readable run.
        places: The folders that were searched.
    """

    runs: tuple[RunRecord, ...]
    problems: tuple[str, ...]
    places: tuple[Path, ...] = ()


def split_family(protocol: str) -> str:
    """A split protocol without the number of its repetition: `kfold:10:3:sorted` is `kfold:10:sorted`."""
    base, plus, held = protocol.partition("+")
    name, *arguments = base.split(":")
    if name in ("stratified-shuffle", "seed-shuffle"):
        arguments = []
    elif name == "kfold":
        arguments = arguments[:1] + arguments[2:]
    return ":".join([name, *arguments]) + plus + held


def read_run(folder: Path) -> RunRecord:
    """Read a finished run.

    Raises:
        FerError: `folder` is not a run folder, the run is not finished, or one of its files is damaged.
    """
    if not (folder / CONFIG).exists() and not (folder / RESULT).exists():
        raise FerError(
            f"{folder} is not a run folder (it has no {CONFIG}): give the folder of a run of fer-run train"
        )
    if not (folder / RESULT).exists():
        raise FerError(f"{folder} is not finished: resume it with fer-run train --resume {folder}")
    result = read_result(folder)
    config = load_config(folder / CONFIG)
    _check_agreement(folder, result, config)
    env = Environment.read(folder / ENVIRONMENT, ADVICE) if (folder / ENVIRONMENT).exists() else None
    experiment = folder / EXPERIMENT
    recipe = Membership.read(experiment, ADVICE).recipe if experiment.exists() else ""
    return RunRecord(folder, result, config, read_history(folder), env, recipe, read_part(folder, PART, result))


def read_result(folder: Path) -> Result:
    """`result.json` of a finished run. Raises FerError where it is missing or damaged."""
    return Result.read(folder / RESULT, ADVICE)


def read_history(folder: Path) -> tuple[MetricsRow, ...]:
    """`metrics.jsonl`; nothing where it is missing.

    Raises:
        FerError: It is damaged.
    """
    path = folder / METRICS
    if not path.exists():
        return ()
    rows: list[MetricsRow] = []
    for number, line in enumerate(read_bytes(path, ADVICE).splitlines(), 1):
        row = MetricsRow.parse(line, f"{path}, line {number}", ADVICE)
        if rows and row.step <= rows[-1].step:
            raise FerError(f"{path}, line {number}: step is {row.step}, expected more than before: {ADVICE}")
        rows.append(row)
    return tuple(rows)


def read_part(folder: Path, part: Role, result: Result) -> pd.DataFrame | None:
    """The predictions of a run's chosen weights on a part; None where they are missing.

    Raises:
        FerError: They are damaged, or not those of `result`.
    """
    path = folder / f"{PREDICTIONS}{part}.csv"
    if not path.exists():
        return None
    table = read_predictions(path, result.classes)
    expected = result.metrics[part].count if part in result.metrics else 0
    if len(table) != expected:
        raise FerError(f"{path} has {len(table)} rows, expected {expected}: evaluate the run again")
    return table


def _check_agreement(folder: Path, result: Result, config: Config) -> None:
    """Raise FerError where the configuration is not the one that gave the result."""
    pairs = {
        "model.name": (result.model.name, config.model.name),
        "model.options": (result.model.options, plain(config.model.options)),
        "dataset.name": (result.dataset.name, config.data.name),
        "preprocessing.input_size": (result.preprocessing.input_size, config.data.input_size),
        "protocol.seed": (result.protocol.seed, config.train.seed),
        "protocol.select": (result.protocol.select, config.train.select),
        "protocol.metric": (result.protocol.metric, config.train.metric),
    }
    for field, (one, other) in pairs.items():
        if one != other:
            raise FerError(f"{folder / RESULT}: {field} is not what {CONFIG} says: {ADVICE}")
    if config_hash(config) != result.config_sha256:
        raise FerError(
            f"{folder / CONFIG} is not the configuration that gave {RESULT} (its hash differs from "
            "config_sha256), so one of them was edited: restore it, or train the run again"
        )


def collect(places: list[Path]) -> Collection:
    """Every run in the given folders and below them, each once, in the order of their paths.

    Raises:
        FerError: A folder does not exist.
    """
    runs: list[RunRecord] = []
    problems: list[str] = []
    folders: dict[Path, Path] = {}
    for place in places:
        if not place.is_dir():
            raise FerError(f"{place} is not a folder: name a run, or a folder with runs below it")
        found = sorted({path.parent for path in find_files(place, CONFIG, RESULT)})
        folders |= {folder.resolve(): folder for folder in found}
    for folder in folders.values():
        try:
            run = read_run(folder)
        except FerError as error:
            problems.append(str(error))
            continue
        if missing := {PART, "train"} - {part for part, counts in run.result.dataset.counts.items() if counts}:
            problems.append(f"{folder} has no faces in its {min(missing)} part, so it cannot be compared")
        elif PART not in run.result.metrics:
            problems.append(f"{folder} has no figures on its {PART} part: {ADVICE}")
        else:
            runs.append(run)
    return Collection(tuple(runs), tuple(problems), tuple(places))


def find_files(place: Path, *names: str) -> Iterator[Path]:
    """Files of these names below a folder. Names with a leading dot are still being written by other processes."""
    for folder, below, files in os.walk(place):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if name in files)
