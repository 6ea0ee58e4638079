"""`fer-run calibrate`."""

from __future__ import annotations

import click

from fer_core.cli.options import json_option, print_json


@click.command()
@click.argument("run")
@json_option
def calibrate(run: str, as_json: bool) -> None:
    """Fit a temperature on the validation predictions of RUN and store it with its best weights.

    RUN is a run's folder, its best.safetensors, FOLDER/latest or FOLDER/best. Predicted
    classes stay the same; probabilities match the observed accuracy more closely. Evaluation and prediction apply
    the temperature from then on. Further heads for classes get their own.
    """
    from fer_core.api import calibrate as fit

    found = fit(run)
    if as_json:
        print_json(found.plain())
        return
    heads = {f"head {name}": each.figures for name, each in found.heads.items()}
    for title, parts in {"": found.figures, **heads}.items():
        if title:
            click.echo(title)
        for part, figures in parts.items():
            before, after = figures.expected_calibration_error
            entropy = " -> ".join(f"{value:.4f}" for value in figures.cross_entropy)
            click.echo(
                f"{part:<9}calibration error {before:.2%} -> {after:.2%}, cross-entropy {entropy}, "
                f"accuracy {figures.accuracy:.2%} as before, {figures.count:,} faces"
            )
