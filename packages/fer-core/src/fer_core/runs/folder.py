"""The folder of a run: created once, never overwritten."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core import distributed
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
NONFINITE = "nonfinite.json"
"""The step whose loss ended a training, since it was not finite."""
SAVED = (STATE, BEST, LAST, METRICS, NONFINITE)
"""Files for which the folder of a failed training is kept."""
EXPERIMENT = "experiment.json"
"""Which experiment the run belongs to."""
CALIBRATION = "calibration.json"
PREDICTIONS = "predictions-"
"""Prefix of the names of the tables of predictions; `PART.csv` follows."""
HEADS = "heads-"
"""Prefix of the names of the tables of what heads for extra targets predict; `PART.csv` follows."""
SAMPLES = "samples.csv"
"""What the method has learned of each training sample."""
EVALUATION = "evaluation-"
"""Prefix of the names of the records of evaluations on other data; `PART.json` follows."""


def check(config: Config) -> None:
    """Reject early, before data are read, what `create` would reject. Raises FerError."""
    target = Path(config.run.dir or config.run.root)
    if config.run.dir is not None and target.exists():
        raise _exists(target)
    standing = next(parent for parent in (target.absolute(), *target.absolute().parents) if parent.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise _unwritable(target, f"{standing} is not a writable folder")


def create(config: Config, now: datetime, fill: Callable[[Path], None]) -> Path:
    """Make the run's folder: `run.dir` exactly, else `ROOT/MODEL-DATASET/TIME-sSEED`.

    It appears with all that `fill` puts into it, so that a run killed at any moment can be resumed or restarted.

    Raises:
        FerError: `run.dir` exists, or the folder cannot be made.
    """
    own = None if config.run.dir is None else Path(config.run.dir)
    parent = Path(config.run.root) / f"{config.model.name}-{config.data.name}" if own is None else own.parent
    try:
        made = _temporary(parent)
    except OSError as error:
        raise _unwritable(Path(error.filename), error.strerror or "") from error
    try:
        made.chmod(0o777 & ~_umask())
        fill(made)
        if own is None:
            return _first_free(made, parent, f"{now:%Y%m%d-%H%M%S}-s{config.train.seed}")
        if not _moved(made, own):
            raise _exists(own)
        return own
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def removed_unless_saved(folder: Path, config: Config) -> Iterator[None]:
    """Within, a FerError removes the folder of a new run, unless training has saved something useful in it."""
    try:
        yield
    except FerError:
        if distributed.is_main() and not any((folder / name).exists() for name in SAVED):
            shutil.rmtree(folder, ignore_errors=True)
            if config.run.dir is None:
                with suppress(OSError):  # they are not empty
                    folder.parent.rmdir()
                    folder.parent.parent.rmdir()
        raise


def _temporary(parent: Path) -> Path:
    """A new folder in `parent`, which is made where it is missing; another run may remove it when it is empty."""
    for _ in range(3):
        parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return Path(tempfile.mkdtemp(prefix=".run-", dir=parent))
    return Path(tempfile.mkdtemp(prefix=".run-", dir=parent))


def _exists(folder: Path) -> FerError:
    return FerError(f"the run folder {folder} exists: resume it with --resume {folder}, or choose another run.dir")


def _unwritable(folder: Path, reason: str) -> FerError:
    return FerError(f"cannot make the run folder {folder} ({reason}): choose a place with -o run.root=FOLDER")


def _first_free(made: Path, parent: Path, name: str) -> Path:
    """Two runs of one second get distinct folders: renaming decides, also between processes."""
    attempt = 1
    while True:
        folder = parent / (name if attempt == 1 else f"{name}-{attempt}")
        if _moved(made, folder):
            return folder
        attempt += 1


def _moved(made: Path, folder: Path) -> bool:
    """Rename `made`, unless `folder` holds something: then renaming is refused, at the same instant."""
    try:
        made.rename(folder)
    except OSError:
        if folder.exists():
            return False
        raise
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
