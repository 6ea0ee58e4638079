"""`fer-run train`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import config_option, data_option, device_option, override_option
from fer_core.errors import FerError


@click.command()
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@data_option
@config_option
@override_option
@device_option
@click.option("--seed", type=int, default=None, help="Seed of the run.")
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and where each value came from.")
@click.option("--resume", "run", type=click.Path(path_type=Path), help="Go on with an interrupted run.")
def train(
    model: str | None,
    dataset: str | None,
    data: Path | None,
    configs: tuple[Path, ...],
    overrides: tuple[str, ...],
    device: str,
    seed: int | None,
    dry_run: bool,
    run: Path | None,
) -> None:
    """Train MODEL on DATASET, evaluate it and write a run folder.

    \b
    fer-run train MODEL synthetic
    fer-run train MODEL rafdb --data ~/RAF-DB/basic -o train.epochs=10
    fer-run train MODEL rafdb+ferplus --data rafdb=~/RAF-DB/basic,ferplus=~/FERPlus
    fer-run train --resume runs/MODEL-rafdb/20260901-101500-s0
    """  # noqa: D301  # click reads \b
    if run is not None:
        if model or dataset or data or configs or overrides or seed is not None or dry_run:
            raise FerError("--resume keeps the configuration of its run: give --resume RUN alone (and --device)")
        from fer_core.evaluation.run import resume_run

        resume_run(run, device, click.echo)
        return
    if not model or not dataset:
        raise FerError("train needs a model and a dataset, as in fer-run train MODEL synthetic: see fer-run list")
    _check_installed(model, dataset)
    from fer_core.api import resolve_run

    resolved = resolve_run(
        model,
        dataset,
        data=data,
        device=None if device == "auto" else device,
        seed=seed,
        config=configs,
        overrides=overrides,
    )
    if dry_run:
        from fer_core.config import describe

        click.echo(describe(resolved), nl=False)
        return
    from fer_core.evaluation.run import start_run

    start_run(resolved.config, click.echo)


def _check_installed(model: str, dataset: str) -> None:
    """Name every missing package at once, and before torch is loaded."""
    from functools import partial

    from fer_core import registry
    from fer_core.data.union import find_dataset

    problems = []
    for find, name in ((partial(registry.find, "models"), model), (find_dataset, dataset)):
        try:
            find(name)
        except FerError as error:
            problems.append(str(error))
    if problems:
        raise FerError("; ".join(problems))
