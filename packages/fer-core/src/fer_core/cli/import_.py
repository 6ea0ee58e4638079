"""`fer-run import`."""

from __future__ import annotations

from pathlib import Path

import click

from fer_core.cli.options import override_option


@click.command("import")
@click.argument("model")
@click.argument("file")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .safetensors file to write.")
@click.option(
    "--dataset",
    metavar="NAME",
    help="Dataset it was trained on: gives preprocessing, and the authors' class order if known.",
)
@click.option("--classes", metavar="A,B,...", help="Class names in the file's order, instead of the authors'.")
@click.option(
    "--as",
    "part",
    type=click.Choice(["model", "backbone"]),
    default="model",
    show_default=True,
    help="A whole model, or a backbone to train from.",
)
@override_option
def import_(
    model: str,
    file: str,
    out: Path,
    dataset: str | None,
    classes: str | None,
    part: str,
    overrides: tuple[str, ...],
) -> None:
    """Convert FILE, weights of MODEL from elsewhere, to a checkpoint of fer.

    \b
    fer-run import MODEL trained.pth --dataset NAME --out trained.safetensors
    fer-run import MODEL resnet.pth --as backbone --out backbone.safetensors
    fer-run import MODEL best.pth --classes a,b,c -o model.backbone=resnet34 --out trained.safetensors

    No code in FILE is executed. An existing --out is not overwritten.
    """  # noqa: D301  # click reads \b
    from fer_core.workflows.import_weights import import_file

    names = [] if classes is None else [name.strip() for name in classes.split(",")]
    import_file(model, file, out, dataset, names, "backbone" if part == "backbone" else "model", overrides)
