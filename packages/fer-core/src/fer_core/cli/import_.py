"""`fer-run import`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("import")
@click.argument("model")
@click.argument("file")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .safetensors file to write.")
@click.option(
    "--dataset",
    metavar="NAME",
    help="What it was trained on: gives preprocessing, and the authors' class order where known.",
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
def import_(model: str, file: str, out: Path, dataset: str | None, classes: str | None, part: str) -> None:
    """Convert FILE, weights that the authors of MODEL published, into a checkpoint of ours.

    \b
    fer-run import MODEL trained.pth --dataset NAME --out trained.safetensors
    fer-run import MODEL resnet.pth --as backbone --out backbone.safetensors

    Nothing in FILE is run, whatever it holds. An existing --out is not overwritten.
    """  # noqa: D301  # click reads \b
    from fer_core.api import import_weights

    names = [] if classes is None else [name.strip() for name in classes.split(",")]
    import_weights(
        model,
        file,
        out,
        dataset=dataset,
        classes=names,
        part="backbone" if part == "backbone" else "model",
    )
