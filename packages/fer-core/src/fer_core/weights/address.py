"""Files by address, which plugins fetch."""

from __future__ import annotations

from pathlib import Path

from fer_core.cache import cache_root
from fer_core.errors import FerError
from fer_core.plugins import load_plugins

SCHEME = "://"


def is_address(place: str | Path) -> bool:
    """Whether a place is an address rather than a path."""
    return SCHEME in str(place)


def local_file(place: str | Path) -> Path:
    """The local path of a file that is given as a path or as an address.

    Raises:
        FerError: No plugin knows the scheme of the address.
    """
    if not is_address(place):
        return Path(place).expanduser()
    cache = cache_root() / "files"
    cache.mkdir(parents=True, exist_ok=True)
    path = load_plugins().fetch(str(place), cache)
    if path is None:
        scheme = str(place).partition(SCHEME)[0]
        raise FerError(f"no plugin fetches {scheme}:// addresses, such as {place}: download it and give its path")
    return path
