"""`fer-run calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import json_option, print_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@json_option
def calibrate(run: Path, as_json: bool) -> None:
    """Fit a temperature on the validation predictions of RUN and store it with its best weights.

    RUN is a run's folder or its best.safetensors. Which class is predicted stays; probabilities become those that
    are right as often as they say. Evaluation and prediction apply it from then on.
    """
    from fer_core.evaluation.calibrate import calibrate_run
    from fer_core.runs.folder import BEST

    found = calibrate_run(run)
    if as_json:
        print_json(found.plain())
        return
    for part, figures in found.figures.items():
        before, after = figures.expected_calibration_error
        entropy = " -> ".join(f"{value:.4f}" for value in figures.cross_entropy)
        click.echo(
            f"{part:<9}calibration error {before:.2%} -> {after:.2%}, cross-entropy {entropy}, "
            f"accuracy {figures.accuracy:.2%} as before, {figures.count:,} faces"
        )
    weights = run if run.is_file() else run / BEST
    click.echo(f"written  {weights}: temperature {found.temperature:.4f}")
