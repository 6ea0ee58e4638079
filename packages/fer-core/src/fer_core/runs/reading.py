"""What stands in run folders, read without a model and without torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fer_core.errors import FerError

if TYPE_CHECKING:
    import pandas as pd

CONFIG, ENVIRONMENT, METRICS, RESULT = "config.yaml", "env.json", "metrics.jsonl", "result.json"
PREDICTIONS = "predictions-"
EXPERIMENT = "experiment.json"
"""What an experiment writes into the folders of its runs; `recipe` in it names the recipe that all share."""
REPETITION = ("train.seed", "data.split", "data.split_seed", "data.root", "data.workers", "run", "callbacks")
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
        classes: Which rule brought different classes together then.
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
        env: `env.json`; empty where it is missing.
        recipe: Name of the recipe that an experiment gave to all its models; empty where each has its own.
    """

    folder: Path
    result: dict[str, Any]
    config: dict[str, Any]
    history: list[dict[str, Any]]
    env: dict[str, Any]
    recipe: str = ""

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.result["model"]["name"])

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return str(self.result["dataset"]["name"])

    @property
    def fingerprint(self) -> str:
        """Of the dataset."""
        return str(self.result["dataset"]["fingerprint"])

    @property
    def digest(self) -> str:
        """Of the split: runs with the same one have the same faces in every part."""
        return str(self.result["split"]["digest"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the model's order."""
        return tuple(self.result["classes"])

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return int(self.result["protocol"]["seed"])

    @property
    def protocol(self) -> Protocol:
        """Split, selection and recipe."""
        split, chosen = self.result["split"], self.result["protocol"]
        held = split["protocol"].endswith("+holdout")
        select = chosen["select"]
        return Protocol(
            split_family(split["protocol"]),
            float(split["holdout"]) if held else 0.0,
            select,
            "" if select == "last" else chosen["metric"],
            self.recipe,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration, flat, without what differs between repetitions: seeds, split number, places."""
        flat = flatten(self.config)
        return {key: value for key, value in flat.items() if not _is_repetition(key)}

    @property
    def variant(self) -> str:
        """Digest of `settings`: runs with the same one are repetitions of each other."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @cached_property
    def predictions(self) -> dict[str, pd.DataFrame]:
        """For each part its table: `id`, `label`, `predicted` (class names) and `p_<class>`.

        Raises:
            FerError: A table is damaged, or names other classes than the run.
        """
        found = sorted(self.folder.glob(f"{PREDICTIONS}*.csv"))
        return {path.stem.removeprefix(PREDICTIONS): read_predictions(path, self.classes) for path in found}


@dataclass(frozen=True)
class Collection:
    """What `collect` found.

    Attributes:
        runs: Finished ones.
        problems: One line for each folder that holds none that is readable.
        places: Where was searched.
    """

    runs: tuple[RunRecord, ...]
    problems: tuple[str, ...]
    places: tuple[Path, ...] = ()


def split_family(protocol: str) -> str:
    """A split protocol without the number of its repetition: `kfold:10:3:sorted` is `kfold:10:sorted`."""
    base, plus, held = protocol.partition("+")
    name, *arguments = base.split(":")
    if name == "file":
        return protocol
    if name in ("stratified-shuffle", "seed-shuffle"):
        arguments = []
    elif name == "kfold":
        arguments = arguments[:1] + arguments[2:]
    return ":".join([name, *arguments]) + plus + held


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; an empty mapping stays a value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _is_repetition(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in REPETITION)


def read_run(folder: Path) -> RunRecord:
    """Read a finished run.

    Raises:
        FerError: `folder` is none, it is not finished, or a file in it is damaged.
    """
    if not (folder / CONFIG).is_file() and not (folder / RESULT).is_file():
        raise FerError(f"{folder} is no run folder (it has no {CONFIG}): name one that fer-run train made")
    if not (folder / RESULT).is_file():
        raise FerError(f"{folder} is not finished: go on with fer-run train --resume {folder}")
    result = _read_json(folder / RESULT)
    _check_result(folder, result)
    env = _read_json(folder / ENVIRONMENT) if (folder / ENVIRONMENT).is_file() else {}
    experiment = _read_json(folder / EXPERIMENT) if (folder / EXPERIMENT).is_file() else {}
    return RunRecord(
        folder, result, _read_config(folder), _read_history(folder), env, str(experiment.get("recipe") or "")
    )


def find_runs(root: Path) -> list[RunRecord]:
    """Every finished run in `root` and below it, in the order of their paths; the others are left out.

    Raises:
        FerError: There is no such folder.
    """
    return list(collect([root]).runs)


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
            raise FerError(f"there is no folder {place}: name a run, or a folder with runs below it")
        found = sorted({path.parent for path in find_files(place, CONFIG, RESULT)})
        folders |= {folder.resolve(): folder for folder in found}
    for folder in folders.values():
        try:
            runs.append(read_run(folder))
        except FerError as error:
            problems.append(str(error))
    return Collection(tuple(runs), tuple(problems), tuple(places))


def find_files(place: Path, *names: str) -> Iterator[Path]:
    """Files of these names below a folder. Others may be at work there; what begins with a dot is half made."""
    for folder, below, files in os.walk(place):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if name in files)


def read_predictions(path: Path, classes: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table of predictions; `label` and `predicted` are class names.

    Args:
        path: The file.
        classes: What it must be about; else its columns `p_<class>` say it.

    Raises:
        FerError: The file is unreadable, a column is missing, or a class is none of `classes`.
    """
    import pandas as pd

    names = dict.fromkeys(("id", "label", "predicted", "group"), str)
    try:
        table = pd.read_csv(path, dtype=names, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise FerError(f"{path} is unreadable ({str(error).splitlines()[0]}): evaluate the run again") from error
    classes = classes or tuple(name.removeprefix("p_") for name in table.columns if name.startswith("p_"))
    wanted = ["id", "label", "predicted", *(f"p_{name}" for name in classes)]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise FerError(f"{path} lacks the column {missing[0]}: evaluate the run again")
    strange = set(table["label"]).union(table["predicted"]) - set(classes)
    if strange:
        raise FerError(f"{path} names the class {min(strange)!r}, which the run does not have: evaluate it again")
    if not len(table):
        raise FerError(f"{path} has no row: evaluate the run again")
    return table


def _check_result(folder: Path, result: Mapping[str, Any]) -> None:
    needed = {
        "model": ("name",),
        "dataset": ("name", "fingerprint"),
        "split": ("protocol", "holdout", "digest"),
        "protocol": ("select", "metric", "seed"),
        "metrics": (),
    }
    for section, keys in needed.items():
        content = result.get(section)
        missing = [key for key in keys if not isinstance(content, Mapping) or key not in content]
        if not isinstance(content, Mapping) or missing or not isinstance(result.get("classes"), list):
            what = ".".join([section, *missing[:1]])
            raise FerError(f"{folder / RESULT} lacks {what}, so it was altered or is of another fer: run it again")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FerError(f"{path} is unreadable ({error}): the run is damaged, run it again") from error
    if not isinstance(content, dict):
        raise FerError(f"{path} holds no mapping: the run is damaged, run it again")
    return content


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise FerError(f"{path} is unreadable ({reason}): the run is damaged, run it again") from error
    if not isinstance(content, dict):
        raise FerError(f"{path} holds no mapping: the run is damaged, run it again")
    return content


def _read_history(folder: Path) -> list[dict[str, Any]]:
    path = folder / METRICS
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise FerError(f"{path} is unreadable ({error}): the run is damaged, run it again") from error
