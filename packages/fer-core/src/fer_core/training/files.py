"""Files that are given by path or address."""

from __future__ import annotations

from pathlib import Path

from fer_core.cache import cache_root
from fer_core.errors import FerError
from fer_core.plugins import load_plugins


def local_file(place: str | Path) -> Path:
    """The local path of a file that is given as a path or, as plugins know them, as a URI.

    Raises:
        FerError: No plugin knows the URI's scheme.
    """
    scheme, separator, _ = str(place).partition("://")
    if not separator:
        return Path(place).expanduser()
    cache = cache_root() / "files"
    cache.mkdir(parents=True, exist_ok=True)
    path = load_plugins().fetch(str(place), cache)
    if path is None:
        raise FerError(f"no plugin fetches {scheme}:// addresses, such as {place}: download it and give its path")
    return path
