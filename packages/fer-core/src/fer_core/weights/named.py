"""Weights by name, which plugins bring."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.errors import FerError, within
from fer_core.files import check_sha256
from fer_core.refs import split_reference
from fer_core.weights.address import is_address, local_file

if TYPE_CHECKING:
    from fer_core.published import WeightsSpec


def named_file(spec: WeightsSpec) -> Path:
    """The local file of weights that a plugin declares.

    Raises:
        FerError: It is not there, or not the file that was declared.
    """
    what = f"the weights {spec.name}"
    if is_address(spec.file):
        if spec.sha256 is None:
            raise FerError(f"{what} are at {spec.file}, but no sha256 is declared: ask the authors of the plugin")
        path, advice = local_file(spec.file, spec.sha256), f"delete it, so that {spec.file} is downloaded again"
    else:
        path, advice = _installed(spec.file, what), "reinstall the package that brings it"
    if not path.is_file():
        raise FerError(f"{what}: there is no file {path}: {advice}")
    if spec.sha256 is not None and not is_address(spec.file):  # else it was checked when it came
        with within(what):
            check_sha256(path, spec.sha256, advice)
    return path


def _installed(file: str, what: str) -> Path:
    """A path, or the file that a reference names in a package."""
    path = Path(file).expanduser()
    if path.is_absolute():
        return path
    try:
        package, name = split_reference(file)
        return Path(str(resources.files(package).joinpath(name)))
    except ImportError as error:
        raise FerError(
            f"{what}: no file is found by {file} ({error}): it has to be package.folder:file.safetensors, an "
            "absolute path or an address"
        ) from error
