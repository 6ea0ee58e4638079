"""The runs of an experiment: planned, checked, and executed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fer_core.components import check, find_value
from fer_core.errors import FerError
from fer_core.experiments.executor import execute
from fer_core.experiments.outcome import Outcome, check_outcomes
from fer_core.experiments.plan import PlannedRun, make_plan, parse_grid, take_shard
from fer_core.experiments.schema import Experiment, check_experiment, read_experiment

__all__ = ["Outcome", "Plan", "PlannedRun", "carry_out", "plan"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """An experiment and those of its runs that are wanted here."""

    experiment: Experiment
    runs: Sequence[PlannedRun]
    device: str

    def command(self, run: PlannedRun) -> list[str]:
        """Arguments of the command that starts or resumes a run."""
        return ["fer-run", *run.command(self.device)]

    def check(self, outcomes: Sequence[Outcome]) -> None:
        """Raise FerError where a run has no result; else log that all have."""
        check_outcomes(outcomes)
        folder = self.experiment.folder
        logger.info(f"all {len(outcomes)} runs are finished; compare them with fer-run report {folder}")


def plan(
    file: str | None,
    options: Mapping[str, Any],
    overrides: Sequence[str],
    grid: Sequence[str],
    *,
    device: str,
    shard: str | None,
    check_data: bool,
) -> Plan:
    """The runs of an experiment.

    Args:
        file: A YAML file, or the name of an installed experiment.
        options: What replaces its values; None: given by the file.
        overrides: `a.b=value`.
        grid: `KEY=A,B`, all of which are tried.
        device: `auto`, or the name of a device.
        shard: `I/N`, part I of N.
        check_data: Check models, data and splits of all runs before the first one starts.

    Raises:
        FerError: A mistake in the experiment.
    """
    if device != "auto":
        find_value("devices", device)
    values, source = _values(file, options, overrides, grid), file or "the options"
    found = check_experiment(values, source)
    check("executors", found.executor.name, found.executor.options)
    runs = take_shard(make_plan(found, source), shard)
    if check_data and runs:
        from fer_core.experiments.check import check_runs

        check_runs(runs)
    return Plan(found, runs, device)


def carry_out(planned: Plan) -> list[Outcome]:
    """Execute the unfinished runs by the executor of the experiment."""
    return execute(planned.runs, planned.device, planned.experiment.executor)


def _values(
    file: str | None, options: Mapping[str, Any], overrides: Sequence[str], grid: Sequence[str]
) -> dict[str, Any]:
    """What the file says, with the options over it."""
    if file is None and not (options["models"] and options["datasets"]):
        raise FerError("experiment needs a FILE, or --models and --datasets: see fer-run experiment --help")
    values = read_experiment(file) if file is not None else {}
    given = {key: value for key, value in options.items() if value is not None}
    given["executor"] = _executor(values.get("executor"), given.get("executor"), given.pop("jobs", None))
    if "root" in given:
        given["root"] = str(given["root"])
    if "data" in given:
        given["data"] = {**(values.get("data") or {}), **given["data"]}
    if overrides:
        given["overrides"] = [*(values.get("overrides") or []), *overrides]
    if grid:
        given["grid"] = {**(values.get("grid") or {}), **parse_grid(grid)}
    return values | given


def _executor(stated: Any, name: str | None, jobs: int | None) -> dict[str, Any]:
    """The executor of the file, with `--on` and `--jobs` over it; another one has none of its options."""
    values = stated if isinstance(stated, dict) else {"name": stated or "local"}
    if name is not None and name != values.get("name"):
        values = {"name": name}
    return values if jobs is None else {**values, "jobs": jobs}
