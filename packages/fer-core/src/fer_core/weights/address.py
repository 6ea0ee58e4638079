"""Files by address, which plugins or the core fetch."""

from __future__ import annotations

from pathlib import Path

from fer_core import files
from fer_core.cache import cache_root
from fer_core.errors import FerError
from fer_core.plugins import load_plugins

SCHEME = "://"


def is_address(place: str | Path) -> bool:
    """Whether a place is an address rather than a path."""
    return SCHEME in str(place)


def local_file(place: str | Path, sha256: str | None = None) -> Path:
    """The local path of a file that is given as a path or as an address.

    Args:
        place: The path, or the address: of a scheme that a plugin knows, `http(s)://`, or `hf://` for the Hub.
        sha256: Of the file at an address, where it is known.

    Raises:
        FerError: No plugin knows the scheme of the address, or the file cannot be fetched, or has another sha256.
    """
    if not is_address(place):
        return Path(place).expanduser()
    cache, address = cache_root() / "files", str(place)
    files.make_folder(cache)
    path, scheme = load_plugins().fetch(address, cache), address.partition(SCHEME)[0]
    if path is None and scheme in ("http", "https"):
        from fer_core.weights.download import download  # http and ssl take as long as predicting some faces

        return download(address, sha256)
    if path is None and scheme == "hf":
        from fer_core.weights.hub import download_from_hub

        path = download_from_hub(address)
    if path is None:
        raise FerError(f"no plugin fetches {scheme}:// addresses, such as {place}: download it and give its path")
    if sha256 is not None and path.is_file():
        advice = f"delete it, so that {place} is downloaded again, or ask its authors"
        files.check_sha256(path, sha256, advice)
    return path
