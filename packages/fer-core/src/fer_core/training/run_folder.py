"""The folder of a run: one place, made once, never overwritten."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.config import Config

CONFIG = "config.yaml"
ENVIRONMENT = "env.json"
METRICS = "metrics.jsonl"
RESULT = "result.json"
BEST = "best.safetensors"
LAST = "last.safetensors"
STATE = "last.state.pt"
LOG = "log.txt"


def check(config: Config) -> None:
    """Refuse early, before data are read, what `create` would refuse. Raises FerError."""
    target = Path(config.run.dir or config.run.root)
    if config.run.dir is not None and target.exists():
        raise _exists(target)
    standing = next(parent for parent in (target.absolute(), *target.absolute().parents) if parent.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise _unwritable(target, f"{standing} is not a writable folder")


def create(config: Config, now: datetime) -> Path:
    """Make the run's folder: `run.dir` exactly, else `ROOT/MODEL-DATASET/TIME-sSEED`.

    Raises:
        FerError: `run.dir` exists, or the folder cannot be made.
    """
    try:
        if config.run.dir is not None:
            folder = Path(config.run.dir)
            folder.mkdir(parents=True)
            return folder
        parent = Path(config.run.root) / f"{config.model.name}-{config.data.name}"
        parent.mkdir(parents=True, exist_ok=True)
        return _first_free(parent, f"{now:%Y%m%d-%H%M%S}-s{config.train.seed}")
    except FileExistsError as error:
        raise _exists(Path(error.filename)) from error
    except OSError as error:
        raise _unwritable(Path(error.filename), error.strerror or "") from error


def _exists(folder: Path) -> FerError:
    return FerError(f"the run folder {folder} exists: go on with --resume {folder}, or choose another run.dir")


def _unwritable(folder: Path, reason: str) -> FerError:
    return FerError(f"cannot make the run folder {folder} ({reason}): choose a place with -o run.root=FOLDER")


def _first_free(parent: Path, name: str) -> Path:
    """Two runs of one second get distinct folders: mkdir decides, also between processes."""
    attempt = 1
    while True:
        folder = parent / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            attempt += 1
