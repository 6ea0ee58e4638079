"""`fer-run train`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import config_option, data_option, device_option, override_option
from fer_core.config.yaml_text import flow
from fer_core.errors import FerError


@click.command()
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@data_option
@config_option
@override_option
@device_option
@click.option(
    "--from",
    "weights",
    metavar="WEIGHTS",
    help="Trained weights to start from: a weight file, run folder, FOLDER/latest, FOLDER/best, address or name.",
)
@click.option("--seed", type=int, default=None, help="Seed of the run.")
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and where each value came from.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Resume an interrupted run: its folder, or FOLDER/latest.",
)
@click.option(
    "--extend",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Train longer: a new run from the last state of RUN (or FOLDER/latest), with --epochs.",
)
@click.option("--epochs", type=int, metavar="N", help="Length of the training: short for -o train.epochs=N.")
@click.option("--batch-size", type=int, metavar="N", help="Batch size: short for -o data.batch_size=N.")
@click.option("--lr", type=float, metavar="X", help="Learning rate: short for -o optimizer.lr=X.")
def train(
    model: str | None,
    dataset: str | None,
    data: Path | None,
    configs: tuple[Path, ...],
    overrides: tuple[str, ...],
    device: str,
    weights: str | None,
    seed: int | None,
    dry_run: bool,
    resume: Path | None,
    extend: Path | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
) -> None:
    """Train MODEL on DATASET, evaluate it and write a run folder.

    \b
    fer-run train MODEL synthetic
    fer-run train MODEL rafdb --data ~/RAF-DB/basic --epochs 10 --batch-size 64 --lr 1e-4
    fer-run train MODEL rafdb -o data.fraction=0.1 -o loss=focal
    fer-run train MODEL folder --data faces --from runs/MODEL-ferplus/latest
    fer-run train MODEL rafdb+ferplus --data rafdb=~/RAF-DB/basic,ferplus=~/FERPlus
    fer-run train --resume runs/MODEL-rafdb/20260901-101500-s0
    fer-run train --extend runs/MODEL-rafdb/20260901-101500-s0 --epochs 60
    """  # noqa: D301  # click reads \b
    shorts = {"train.epochs": epochs, "data.batch_size": batch_size, "optimizer.lr": lr}
    changes = [*overrides, *(f"{key}={value}" for key, value in shorts.items() if value is not None)]
    others = model or dataset or configs or weights or seed is not None or dry_run
    if resume is not None:
        if others or data or changes or extend is not None:
            raise FerError("--resume keeps the configuration of its run: give --resume RUN alone (and --device)")
        from fer_core.workflows.resume import resume_run

        resume_run(resume, device)
        return
    if extend is not None:
        if others or epochs is None or batch_size is not None or lr is not None:
            raise FerError("--extend changes the length of its run only: give --extend RUN --epochs N")
        from fer_core.workflows.resume import extend_run

        moved = [] if data is None else [f"data.root={flow(str(data))}"]
        extend_run(extend, epochs, device, [*moved, *overrides])
        return
    if not model or not dataset:
        raise FerError("train needs a model and a dataset, as in fer-run train MODEL synthetic: see fer-run list")
    from fer_core.workflows.configure import describe, resolve_run

    resolved = resolve_run(
        model,
        dataset,
        data=data,
        device=None if device == "auto" else device,
        weights=weights,
        seed=seed,
        config=configs,
        overrides=changes,
    )
    if dry_run:
        click.echo(describe(resolved), nl=False)
        return
    from fer_core.workflows.train import start_run

    start_run(resolved.config)
