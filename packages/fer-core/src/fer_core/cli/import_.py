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
def import_(model: str, file: str, out: Path, dataset: str | None, classes: str | None, part: str) -> None:
    """Convert FILE, weights published by the authors of MODEL, to a checkpoint of fer.

    \b
    fer-run import MODEL trained.pth --dataset NAME --out trained.safetensors
    fer-run import MODEL resnet.pth --as backbone --out backbone.safetensors

    No code in FILE is executed. An existing --out is not overwritten.
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
