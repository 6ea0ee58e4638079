"""An experiment file: models, datasets, splits, seeds and recipes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from fer_core import registry
from fer_core.config.schema import Component, Folder, Section
from fer_core.config.yaml_text import flow, parse_yaml, read_yaml
from fer_core.errors import FerError, nearest, one_line
from fer_core.refs import read_resource
from fer_core.types import ExperimentSpec, bare

PER_SPLIT = "per-split"

_Names = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
_Recipe = Literal["paper", "shared"]


def _key(default: Any, expects: str, meaning: str, **limits: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"expects": expects}, **limits)


class When(Section):
    """An exception: a part of the configuration for some runs only; a list that is left out means all."""

    models: _Names | None = _key(None, "a list of models", "Models that it holds for.")
    datasets: _Names | None = _key(None, "a list of datasets", "Datasets that it holds for.")
    recipe: _Recipe | None = _key(None, "paper or shared", "Recipe that it holds under.")
    config: dict[str, Any] = _key(..., "a mapping", "Sections of a configuration.", min_length=1)


class Experiment(Section):
    """Runs to make: every model on every dataset, for every split, seed, recipe and value of the grid."""

    name: str = _key(
        "experiment", "a name of letters, digits, - and _", "Its name.", pattern=r"^[\w.-]+$", max_length=100
    )
    root: Folder | None = _key(None, "a folder or null", "Folder of its runs; null: `runs/NAME`.")
    models: _Names = _key(..., "a list of models", "Names of models.")
    datasets: _Names = _key(..., "a list of datasets", "Names of datasets, or of several as `a+b`.")
    data: dict[str, Folder] = _key({}, "a mapping from datasets to folders", "Folders of the datasets.")
    splits: _Names = _key(["official"], "a list of protocols", "As `data.split`; numbers may be `0-4` or `*`.")
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | Literal["per-split"] = _key(
        [0], "whole numbers such as 0-9 or [0, 3], or per-split", "Seeds; per-split: the number of the split."
    )
    recipe: Annotated[list[_Recipe], Field(min_length=1)] = _key(
        ["paper"], "paper, shared or both as a list", "Each model's own recipe, or `shared` over all of them."
    )
    shared: dict[str, Any] = _key({}, "a mapping", "Sections of a configuration that the recipe `shared` sets.")
    config: dict[str, Any] = _key({}, "a mapping", "Sections of a configuration for all runs.")
    when: list[When] = _key([], "a list of {models, datasets, recipe, config}", "Exceptions, later ones win.")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = _key(
        {}, "a mapping from KEY to a list of values", "Values to try, in all combinations."
    )
    overrides: list[str] = _key([], "a list of KEY=VALUE", "As `-o`, for all runs.")
    executor: Component = _key(
        Component(name="local"),
        "a name or a mapping with a name",
        "What executes the runs, see `fer-run list executors`, and its options.",
    )

    @field_validator("models", "datasets", "splits", "recipe", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        if isinstance(value, str) and value != PER_SPLIT:
            return [seed for part in value.split(",") for seed in number_range(part.strip())]
        return [value] if isinstance(value, int) else value

    @property
    def folder(self) -> Path:
        """Folder of all runs."""
        return Path(self.root or f"runs/{self.name}")


def number_range(text: str) -> list[int]:
    """`3` is [3] and `0-2` is [0, 1, 2]. Raises ValueError on anything else."""
    matched = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
    if not matched:
        raise ValueError(f"{one_line(text)} is neither a number nor a range such as 0-9")
    first, last = int(matched[1]), int(matched[2] or matched[1])
    if last < first or last - first > 9999:
        raise ValueError(f"{text} is not a range of ascending numbers")
    return list(range(first, last + 1))


def read_experiment(place: str) -> dict[str, Any]:
    """The mapping in an experiment file, or in the file of an installed experiment.

    Args:
        place: Path of a file, or name of an experiment.

    Raises:
        FerError: There is no such file or experiment, or it is not a YAML mapping.
    """
    path = Path(place)
    if path.is_file():
        name, values = re.sub(r"[^\w.-]", "-", path.stem), read_yaml(path, place)
    elif path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise FerError(f"{place} is not a file: correct the path, or give a name of fer-run list experiments")
    else:
        spec: ExperimentSpec = registry.find("experiments", place)
        name, values = bare(spec.name), parse_yaml(read_resource(spec.file), place)
    if not isinstance(values, dict):
        raise FerError(f"{place}: an experiment file is a mapping: write models, datasets and seeds")
    return {"name": name, **values}


def check_experiment(values: dict[str, Any], source: str) -> Experiment:
    """The typed experiment.

    Args:
        values: As read, with the options of the command line over them.
        source: What to call it in messages.

    Raises:
        FerError: One line that names the key, the value and what is expected.
    """
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        raise FerError(f"{source}: {_explain(problem['type'], problem['loc'], values)}") from None


def _explain(kind: str, place: Sequence[int | str], values: Any) -> str:
    model: type[Section] = Experiment
    path: list[str] = []
    for part in place:
        if isinstance(part, int) and path == ["when"]:
            model, path = When, [f"when[{part}]"]
            values = values[part]
            continue
        known = model.model_fields
        if kind == "extra_forbidden" and part not in known:
            return f"{'.'.join([*path, str(part)])}: unknown key, {nearest(str(part), known)}"
        if part not in known:
            break
        path.append(str(part))
        if kind == "missing" and part not in values:
            return f"{'.'.join(path)} is missing: give {_expects(model, str(part))}"
        values = values.get(part)
        if part != "when":
            break
    leaf = path[-1] if path else ""
    shown = flow(values) if values is not None else "null"
    return f"{'.'.join(path)} is {shown[:60]}: expected {_expects(model, leaf)}"


def _expects(model: type[Section], key: str) -> str:
    field = model.model_fields.get(key)
    extra = field.json_schema_extra if field else None
    return str(extra["expects"]) if isinstance(extra, dict) else "a mapping"
