"""`fer-run evaluate`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_core.cli.options import (
    DETECTOR_OPTION,
    component_options,
    data_option,
    dataset_options,
    device_option,
    head_option,
    json_option,
    override_option,
    precision_option,
    print_json,
)
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.workflows.evaluate import Evaluation, ThroughDetector

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
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True, help="Batch size.")
@click.option(
    "--classes",
    metavar="shared|FILE",
    help="If classes differ: evaluate the shared ones, or map names by a YAML file.",
)
@click.option("--restrict", is_flag=True, help="Restrict predictions to classes that the dataset has.")
@click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help="Give figures by this attribute of the faces, too, or by copies: whether they have one in the training "
    "data. Repeatable.",
)
@click.option(
    "--through-detector",
    metavar="NAME",
    help="Put the faces into scenes, too, find them with this detector (or auto), and report recall and accuracy.",
)
@head_option
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
    by: tuple[str, ...],
    through_detector: str | None,
    head: str | None,
    data: Path | None,
    overrides: tuple[str, ...],
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    """Evaluate CHECKPOINT on a part of DATASET, its classes matched by name.

    Without DATASET, the training dataset is used, with the folder, options and classes of the run.

    CHECKPOINT is a weight file, a run folder, FOLDER/latest (the run that began last), FOLDER/best (the run with
    the best score on its validation part), an address or a name of fer-run list weights.

    Options of the dataset are given as `-o data.options.KEY=VALUE`, of a detector as `-o detector.KEY=VALUE`.
    `fer-run report` and `fer-run leaderboard` show what `--out` writes below the folder of the run.
    """
    of_detector = [text for text in overrides if text.startswith(DETECTOR_OPTION)]
    if of_detector and through_detector is None:
        raise FerError(f"-o {of_detector[0]} is for a detector: add --through-detector NAME")
    options = dataset_options([text for text in overrides if text not in of_detector])
    from fer_core.api import evaluate as run

    found = run(
        checkpoint,
        dataset,
        data=data,
        split=split,
        head=head,
        options=options or None,
        device=device,
        precision=precision,
        batch_size=batch_size,
        classes=classes,
        restrict=restrict,
        by=by,
        through_detector=through_detector,
        detector_options=component_options(of_detector, DETECTOR_OPTION),
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
        if by:
            content["subgroups"] = {
                name: [each.plain() for each in values] for name, values in found.subgroups.items()
            }
        if found.through_detector is not None:
            content["through_detector"] = found.through_detector.plain()
        print_json(content)
        return
    head_named = f", head {found.about.weights.head}" if head else ""
    click.echo(f"{name} {split}, {len(found.ids):,} faces{head_named}")
    _print(found)


def _save(found: Evaluation, out: Path, split: str) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerError(f"cannot make the folder {out} ({error.strerror}): choose another with --out") from error
    for path in found.save(out, split):
        logger.info(f"written  {path}")


def _print(found: Evaluation) -> None:
    metrics = found.metrics
    for name in ("accuracy", "mean_class_accuracy", "macro_f1"):
        click.echo(f"  {name.replace('_', ' '):<20} {metrics.value(name):7.2%}")
    for name, figure in metrics.others.items():
        click.echo(f"  {name:<20} {figure:7.4f}")
    for target, head in metrics.heads.items():
        click.echo(f"  head {target}, {head.count:,} faces have the target")
        for name, figure in head.figures.items():
            click.echo(f"    {name:<18} {figure:7.4f}")
    click.echo("  recall")
    for name, value in metrics.recall.items():
        click.echo(f"    {name:<18} {'absent' if value is None else f'{value:7.2%}'}")
    _print_subgroups(found)
    if found.through_detector is not None:
        _print_through(found.through_detector)


def _print_subgroups(found: Evaluation) -> None:
    head = f"{'accuracy':>8}  {'95 % interval':<18} {'mean class accuracy':>19} {'faces':>7}"
    for name, values in found.subgroups.items():
        width = max(18, *(len(each.value) for each in values))
        click.echo(f"  {f'by {name}':<{width + 2}} {head}")
        for each in values:
            interval = " to ".join(f"{end:.2%}" for end in each.interval)
            figures = f"{each.accuracy:8.2%}  {interval:<18} {each.mean_class_accuracy:19.2%} {each.count:7,}"
            click.echo(f"    {each.value:<{width}} {figures}")


def _print_through(through: ThroughDetector) -> None:
    click.echo(f"  through {through.detector}, in {through.faces:,} scenes with one face each")
    click.echo(f"    {'faces found':<18} {through.recall:7.2%}")
    if through.metrics is not None and through.given is not None:
        click.echo(f"    {'accuracy of these':<18} {through.metrics.accuracy:7.2%}")
        click.echo(f"    {'of their crops':<18} {through.given.accuracy:7.2%}")
    click.echo(f"    {'accuracy of all':<18} {through.accuracy:7.2%}")
