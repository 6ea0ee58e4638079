"""`fer-run evaluate`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_core.cli.options import (
    data_option,
    dataset_options,
    device_option,
    json_option,
    override_option,
    precision_option,
    print_json,
)
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.workflows.evaluate import Evaluation

logger = logging.getLogger(__name__)


@click.command()
@click.argument("checkpoint")
@click.argument("dataset", required=False)
@click.option("--split", default="test", show_default=True, help="train, val, test or all.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for predictions and confusion matrix; RUN/NAME for reports.",
)
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Faces at once.")
@click.option(
    "--classes",
    metavar="shared|FILE",
    help="Where classes differ: evaluate the shared ones, or map names as a YAML file says.",
)
@click.option("--restrict", is_flag=True, help="Choose only among classes that the dataset has.")
@data_option
@override_option
@device_option
@precision_option
@json_option
def evaluate(
    checkpoint: str,
    dataset: str | None,
    split: str,
    out: Path | None,
    batch_size: int,
    classes: str | None,
    restrict: bool,
    data: Path | None,
    overrides: tuple[str, ...],
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    """Evaluate CHECKPOINT on a part of DATASET, its classes matched by name.

    Without DATASET on the one that it was trained on: then folder, options and classes are those of its run, too.

    CHECKPOINT is a weight file, a run folder, FOLDER/latest (the run that began last), FOLDER/best (the run with
    the best score on its validation part) or an address.

    Options of the dataset are given as `-o data.options.KEY=VALUE`. What `--out` puts into a folder of the run
    whose weights these are is shown by `fer-run report` and `fer-run leaderboard`.
    """
    options = dataset_options(overrides)
    from fer_core.api import evaluate as run

    found = run(
        checkpoint,
        dataset,
        data=data,
        split=split,
        options=options or None,
        device=device,
        precision=precision,
        batch_size=batch_size,
        classes=classes,
        restrict=restrict,
    )
    if out is not None:
        _save(found, out, split)
    assert found.about is not None
    name = found.about.dataset.name
    if as_json:
        content = {"dataset": name, "split": split, "faces": len(found.ids), "classes": found.classes}
        content |= found.metrics.plain()
        if found.label_space is not None:
            content["label_space"] = found.label_space.plain()
        print_json(content)
        return
    _print(found, name, split)


def _save(found: Evaluation, out: Path, split: str) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerError(f"cannot make the folder {out} ({error.strerror}): choose another with --out") from error
    for path in found.save(out, split):
        logger.info(f"written  {path}")


def _print(found: Evaluation, dataset: str, split: str) -> None:
    metrics = found.metrics
    click.echo(f"{dataset} {split}, {len(found.ids):,} faces")
    for name in ("accuracy", "mean_class_accuracy", "macro_f1"):
        click.echo(f"  {name.replace('_', ' '):<20} {metrics.value(name):7.2%}")
    click.echo("  recall")
    for name, value in metrics.recall.items():
        click.echo(f"    {name:<18} {'absent' if value is None else f'{value:7.2%}'}")
