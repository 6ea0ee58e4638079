"""The folder of files that fer can create or download again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_root() -> Path:
    """Where packs, downloads and crash files are kept: `$FER_CACHE`, else `fer` in the platform's cache folder."""
    if os.environ.get("FER_CACHE"):
        return Path(os.environ["FER_CACHE"]).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fer"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fer"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer"
