"""`fer-run diagnose`."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from fer_core.cli.options import (
    check_complete,
    data_option,
    dataset_options,
    device_option,
    json_option,
    override_option,
    print_json,
)

logger = logging.getLogger(__name__)


@click.command()
@click.argument("place", metavar="CHECKPOINT|FOLDER")
@click.argument("dataset", required=False)
@click.option("--split", help="train, val, test or all.  [default: test]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write; default: diagnosis-DATASET-SPLIT beside the checkpoint, or here.",
)
@click.option(
    "--only",
    metavar="PART,...",
    help="Any of mistakes, label_issues, slices, robustness, attention, embedding; default: all.",
)
@data_option
@override_option
@device_option
@json_option
def diagnose(
    place: str,
    dataset: str | None,
    split: str | None,
    out: Path | None,
    only: str | None,
    data: Path | None,
    overrides: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Analyse the errors of a network on DATASET.

    Without DATASET, the training dataset is used, with the folder, options and classes of the run.

    Mistakes, label issues, accuracy in slices and on corrupted faces (robustness), Grad-CAM and attention
    maps, an embedding of the faces. The last three run the network; robustness and embedding take at most 2,000
    faces.

    With a folder of several runs, such as an experiment's, the predictions on their test parts are pooled. The
    folds of kfold cover every face, so label issues are found in the whole dataset. `fer-run report` shows all
    parts.

    \b
    fer-run diagnose runs/latest
    fer-run diagnose runs/latest rafdb --only robustness,attention
    fer-run diagnose runs/my-kfold rafdb --only label_issues
    """  # noqa: D301  # click reads \b
    options = dataset_options(overrides)
    from fer_core.api import diagnose as run

    found = run(
        place,
        dataset,
        data=data,
        split=split,
        options=options or None,
        only=[] if only is None else [name.strip() for name in only.split(",")],
        out=out,
        device=device,
    )
    if as_json:
        print_json(found.record.plain())
    logger.info(f"written     {found.folder}; fer-run report {found.folder.parent} shows it")
    check_complete(found.left_out)
