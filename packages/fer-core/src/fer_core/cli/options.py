"""Options that mean the same in every command that has them. The parameter's name stands in each line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from fer_core.errors import FerError, IncompleteError

DATASET_OPTION, DETECTOR_OPTION = "data.options.", "detector."

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the dataset (else $FER_DATA/NAME, else ./data/NAME); of a+b: a=DIR1,b=DIR2.",
)
"""`data: Path | None`."""

device_option = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, mps, a plugin's, or auto."
)
"""`device: str`."""

precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "tf32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Precision; auto: the fastest that the device supports natively.",
)
"""`precision: str`."""

override_option = click.option(
    "-o",
    "--override",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the configuration, such as train.epochs=5. Repeatable.",
)
"""`overrides: tuple[str, ...]`."""

config_option = click.option(
    "-c",
    "--config",
    "configs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A YAML file that overrides the recipe; later files win. Repeatable.",
)
"""`configs: tuple[Path, ...]`."""

detect_option = click.option(
    "--detect",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="What finds the faces: a detector (fer-run list detectors), or auto; predict looks then at images larger "
    "than a cropped face, and takes every image as a face with none.",
)
"""`detect: str`."""

detector_override_option = click.option(
    "-o",
    "--override",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the detector, such as detector.threshold=0.6. Repeatable.",
)
"""`overrides: tuple[str, ...]`."""

head_option = click.option(
    "--head",
    metavar="NAME",
    help="The head of the model that predicts: label, or a further one [default: that of the weights' card].",
)
"""`head: str | None`."""

boxes_option = click.option(
    "--boxes",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CSV",
    help="Take the faces from a table: source, left, top, right, bottom.",
)
"""`boxes: Path | None`."""

_RESULTS = "fer_core.results"
"""Key of click's `meta` with the standard output that JSON is printed on."""


def _reserve_output(context: click.Context, parameter: click.Parameter, given: bool) -> bool:
    """With `--json`, standard output is for JSON alone: what plugins print goes to standard error."""
    if given:
        context.meta[_RESULTS] = sys.stdout
        context.with_resource(redirect_stdout(sys.stderr))
    return given


json_option = click.option("--json", "as_json", is_flag=True, callback=_reserve_output, help="Print JSON.")
"""`as_json: bool`."""


def print_json(content: object) -> None:
    """Print strict JSON: a number that is not finite raises ValueError instead of becoming invalid JSON."""
    print_json_text(json.dumps(content, indent=2, allow_nan=False))


def print_json_text(text: str) -> None:
    """Print text that is JSON already, on the standard output that `--json` reserves."""
    click.echo(text, file=click.get_current_context().meta.get(_RESULTS))


def check_complete(left_out: Sequence[str]) -> None:
    """Raises IncompleteError where inputs were left out, each with a warning of its own."""
    if left_out:
        number = "1 input was" if len(left_out) == 1 else f"{len(left_out)} inputs were"
        raise IncompleteError(f"{number} left out (see the warnings above); everything else was done")


def dataset_options(overrides: Sequence[str]) -> dict[str, Any]:
    """As `component_options`, of a dataset."""
    return component_options(overrides, DATASET_OPTION)


def component_options(overrides: Sequence[str], section: str) -> dict[str, Any]:
    """Options of a component from `SECTION.KEY=VALUE`, for commands that read no other configuration.

    Raises:
        FerError: Another key, or a value that is not YAML.
    """
    if not overrides:
        return {}
    from fer_core.config.yaml_text import parse_yaml

    options = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        name = key.removeprefix(section)
        if not equals or name in (key, ""):
            raise FerError(f"-o {override} does not apply here: this command takes -o {section}KEY=VALUE only")
        options[name] = parse_yaml(value, f"-o {key}")
    return options
