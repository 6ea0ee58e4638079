"""`fer-run experiment`."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_core.cli.options import device_option, json_option, override_option, print_json
from fer_core.errors import FerError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from fer_core.workflows.experiment import Plan, PlannedRun

logger = logging.getLogger(__name__)


@click.command()
@click.argument("file", required=False)
@click.option("--models", metavar="A,B", help="Models.")
@click.option("--datasets", metavar="X,Y", help="Datasets.")
@click.option("--seeds", metavar="0-9", help="Seeds: numbers and ranges, or per-split (the split's number).")
@click.option("--splits", metavar="SPLIT,...", help="Splits, such as official or kfold:10:* (every fold).")
@click.option(
    "--recipe", metavar="paper|shared", help="Each model's own recipe, or the file's recipe for all models."
)
@click.option("--data", metavar="X=DIR,...", help="Folders of datasets (else $FER_DATA/NAME, else ./data/NAME).")
@override_option
@click.option("--grid", "grid", multiple=True, metavar="KEY=A,B", help="Try each of these values. Repeatable.")
@click.option(
    "--root", type=click.Path(path_type=Path), metavar="DIR", help="Folder of all runs; default: runs/NAME."
)
@device_option
@click.option("--jobs", type=int, metavar="N", help="Parallel runs on this machine; GPUs are divided among them.")
@click.option("--shard", metavar="I/N", help="Only part I of N, for job arrays.")
@click.option(
    "--on",
    "executor",
    metavar="NAME",
    help="What executes the runs: local (default), ray or a plugin.",
)
@click.option("--dry-run", is_flag=True, help="Print the command of each run without starting any.")
@json_option
def experiment(
    file: str | None,
    overrides: tuple[str, ...],
    grid: tuple[str, ...],
    device: str,
    shard: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the experiment FILE, or that of the options: every model on every dataset, split and seed.

    FILE is a YAML file, or the name of an experiment that `fer-run list experiments` shows. Options replace what
    it says. Finished runs are skipped and interrupted ones resumed, so give the same command again.

    \b
    fer-run experiment --models MODEL,OTHER --datasets synthetic --seeds 0-2
    fer-run experiment fer-crossval --datasets rafdb --data rafdb=~/RAF-DB/basic --dry-run
    fer-run experiment mine.yaml --jobs 4
    """  # noqa: D301  # click reads \b
    from fer_core.workflows.experiment import carry_out, plan

    if options["data"] is not None:
        options["data"] = _folders(options["data"])
    planned = plan(file, options, overrides, grid, device=device, shard=shard, check_data=not dry_run)
    if dry_run:
        _print_plan(planned, as_json)
        return
    outcomes = carry_out(planned)
    if as_json:
        print_json([{**_identity(o.run), "status": o.status, "line": o.line} for o in outcomes])
    planned.check(outcomes)


def _folders(text: str) -> dict[str, str]:
    """`x=DIR1,y=DIR2` as a mapping."""
    folders = {}
    for part in text.split(","):
        name, equals, folder = part.partition("=")
        if not equals or not name or not folder:
            raise FerError(f"--data {text} names no dataset: write --data NAME=DIR, with commas between several")
        folders[name.strip()] = folder
    return folders


def _print_plan(planned: Plan, as_json: bool) -> None:
    rows = [(run, run.is_finished, planned.command(run)) for run in planned.runs]
    if as_json:
        print_json([{**_identity(run), "finished": done, "command": words} for run, done, words in rows])
        return
    for run, done, words in rows:
        click.echo(f"# finished: {run.folder}" if done else shlex.join(words))
    logger.info(f"{len(rows)} runs, {sum(done for _, done, _ in rows)} of them finished")


def _identity(run: PlannedRun) -> dict[str, JsonValue]:
    return {
        "folder": str(run.folder),
        "model": run.model,
        "dataset": run.dataset,
        "split": run.split.protocol,
        "seed": run.seed,
        "recipe": run.recipe,
        "grid": list(run.grid),
    }
