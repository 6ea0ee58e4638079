"""Files of weights, brought to this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.errors import FerError, nearest
from fer_core.plugins import load_plugins, normalize
from fer_core.weights.address import is_address, local_file
from fer_core.weights.download import fetched, needs_browser, take
from fer_core.weights.named import named_file

if TYPE_CHECKING:
    from fer_core.published import Weights

logger = logging.getLogger(__name__)


def fetch_weights(name: str, file: Path | None) -> list[Path]:
    """Download a file of weights to the cache, or find it there, and log where it is from and under which terms.

    Args:
        name: Of a file of a model's authors, `MODEL/NAME` where several models have different ones, or of weights
            that a plugin brings; or an address.
        file: The file itself, where somebody downloaded it by hand.

    Returns:
        The file; all of them where several were taken from a folder by hand.

    Raises:
        FerError: There is no such name, or the file cannot be fetched.
    """
    if is_address(name):
        return [local_file(name) if file is None else _by_hand(name, file)]
    if load_plugins().claims("weights", name):
        if file is not None:
            raise FerError(f"{name} comes with a package: leave --file out")
        return [named_file(registry.find("weights", name))]
    weights = _find(name)
    logger.info(f"weights  {weights.name}: {weights.note}")
    logger.info(f"licence  {weights.licence}")
    if file is not None:
        return [_by_hand(weights.url, file, weights.sha256)]
    if known := fetched(weights.url, weights.sha256):
        return known
    if needs_browser(weights.url):
        raise FerError(
            f"{weights.url} gives files to a browser only: download it there, then take the file with fer-run "
            f"fetch {name} --file FILE"
        )
    return [local_file(weights.url, weights.sha256)]


def _by_hand(address: str, file: Path, expected: str | None = None) -> Path:
    if not address.startswith(("http://", "https://")):  # whoever reads other addresses stores their files itself
        raise FerError(f"--file is for http(s) addresses, not {address}: leave it out, or use {file} as it is")
    return take(address, file, expected)


def _find(name: str) -> Weights:
    """A file of authors by its name, with or without its model."""
    files = _files()
    model, _, own = name.rpartition("/")
    found = {
        weights.url: f"{of}/{weights.name}"
        for (of, _), weights in files.items()
        if normalize(weights.name) == normalize(own) and normalize(model) in ("", normalize(of))
    }
    if len(found) > 1:
        raise FerError(f"several models have weights {name}: write {' or '.join(found.values())}")
    if found:
        return next(weights for weights in files.values() if weights.url in found)
    if name in registry.names("models"):
        names = [weights.name for (of, _), weights in files.items() if of == name]
        known = f"its files are {', '.join(names)}" if names else "its authors published none"
        raise FerError(f"{name} is a model: {known}")
    near = nearest(own, [weights.name for weights in files.values()])
    raise FerError(f"no model's authors published weights {name}: {near}")


def _files() -> Mapping[tuple[str, str], Weights]:
    """(model, name) -> a file of its authors."""
    specs = [registry.find("models", name) for name in registry.names("models")]
    return {(spec.name, weights.name): weights for spec in specs for weights in spec.weights}
