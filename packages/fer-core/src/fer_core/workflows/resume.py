"""Resuming a run, and extending it: from the state of a run to the end of it or of a longer one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core import distributed, registry
from fer_core.config import config_hash, load_config
from fer_core.data.prepare import prepare_data
from fer_core.engine.choose import find_device, why_missing
from fer_core.errors import FerError, within
from fer_core.plugins import load_plugins
from fer_core.provenance import Extension
from fer_core.reports.page import REPORT
from fer_core.runs import folder as run_folder
from fer_core.runs.log import RunLog
from fer_core.runs.records import Environment
from fer_core.runs.resolve import find_run
from fer_core.runs.state import ADVICE, read_state, save_state
from fer_core.runs.versions import decisive_versions
from fer_core.training.loop import Loop
from fer_core.training.setup import build_setup
from fer_core.training.trainer import build_trainer
from fer_core.weights.checkpoint import load_weights, save_weights
from fer_core.weights.origin import list_components
from fer_core.workflows.extend import check_length, lengthen
from fer_core.workflows.train import (
    begin_folder,
    introduce,
    start_engine,
    train_and_evaluate,
    write_report,
)

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.config import Config
    from fer_core.engine import Engine
    from fer_core.provenance import Component
    from fer_core.runs.state import State
    from fer_core.training.trainer import Trainer
    from fer_core.weights.header import Header

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Stored:
    """A run as its folder holds it."""

    folder: Path
    config: Config
    environment: Environment

    def read_state(self) -> State | None:
        """The last saved state, or None. Raises FerError if the configuration has changed."""
        path = self.folder / run_folder.STATE
        if not path.exists():
            if config_hash(self.config) != self.environment.config_sha256:
                raise FerError(
                    f"{self.folder / run_folder.CONFIG} was edited after the run began, and nothing was saved "
                    "before: undo the edit, or start a new run with fer-run train"
                )
            return None
        state = read_state(path)
        state.envelope.identity.check_config(self.folder / run_folder.CONFIG, self.config)
        return state


def resume_run(folder: Path, device: str) -> Path:
    """Resume a run from its last saved state, under its original configuration.

    Args:
        folder: The run's folder, or `FOLDER/latest`.
        device: `auto` is the original device.

    Raises:
        FerError: `folder` is not a run folder, its configuration was edited, or its data changed.
    """
    stored = _read(find_run(folder))
    registry.check_recorded(stored.environment.components)
    with load_plugins().as_recorded(stored.environment.components):
        engine = _engine(stored, device)
        with RunLog() as log:
            return _resume(stored, engine, log)


def _resume(stored: _Stored, engine: Engine, log: RunLog) -> Path:
    folder, config = stored.folder, stored.config
    if (folder / run_folder.RESULT).exists():
        longer = f", or train longer with fer-run train --extend {folder} --epochs {2 * config.train.epochs}"
        more = "" if config.train.steps else longer
        logger.info(f"{folder} is finished already: see {folder / run_folder.RESULT}{more}")
        if config.run.report and distributed.is_main() and not (folder / REPORT).exists():
            write_report(folder)
        return folder
    log.open(folder)
    state = stored.read_state()
    _warn_of_changes(stored, state, engine)
    with distributed.main_first():
        data = prepare_data(config)
    start = None if state is None else state.envelope.start
    setup = build_setup(config, data, engine, start, stored.environment.components)
    loop = Loop(build_trainer(setup), folder)
    if state is not None:
        loop.load_state(state)
        position = loop.position
        logger.info(f"resumed after {position.epoch} epochs and {position.batch} batches (step {position.step})")
    else:
        logger.info("nothing was saved before the run ended, so it starts from the beginning")
    train_and_evaluate(loop, engine)
    return folder


def extend_run(folder: Path, epochs: int, device: str, overrides: Sequence[str]) -> Path:
    """Train longer: a new run from the last state of another one, which stays as it is.

    Args:
        folder: Folder of the run to extend, finished or not, or `FOLDER/latest`.
        epochs: Length of the new run, counted from the first epoch.
        device: `auto` is the device of the run to extend.
        overrides: `a.b=value`, of keys that cannot change a result, such as `run.dir`.

    Returns:
        The new run's folder.

    Raises:
        FerError: `folder` is not a run folder or holds no state, the new run would not be longer, an override
            could change the result, or what `resume_run` refuses.
    """
    stored = _read(find_run(folder))
    registry.check_recorded(stored.environment.components)
    with load_plugins().as_recorded(stored.environment.components), RunLog() as log:
        return _extend(stored, epochs, device, overrides, log)


def _extend(stored: _Stored, epochs: int, device: str, overrides: Sequence[str], log: RunLog) -> Path:
    folder, before = stored.folder, stored.read_state()
    if before is None:
        raise FerError(f"{folder} has no {run_folder.STATE}, so there is nothing to extend: train it again")
    config = lengthen(stored.config, epochs, overrides)
    check_length(before, stored.config, config)
    engine = _engine(stored, device)
    with distributed.main_first():
        if distributed.is_main():
            run_folder.check(config)
        data = prepare_data(config)
    components = list_components(config, engine.device.name)
    trainer = build_trainer(build_setup(config, data, engine, before.envelope.start, components))
    before.envelope.identity.check_data(trainer.setup.identity.data)
    state = _longer_state(before, trainer, stored.config)

    best = _best_weights(folder, state)

    def add(made: Path) -> None:
        save_state(made / run_folder.STATE, state)
        if best is not None:
            save_weights(made / run_folder.BEST, *best)

    made = begin_folder(config, engine, components, add)
    log.open(made)
    logger.info(f"extends  {folder}, from epoch {state.envelope.position.epoch} to epoch {epochs}")
    _warn_of_changes(stored, before, engine)
    loop = Loop(trainer, made)
    loop.load_state(state)
    introduce(loop)
    train_and_evaluate(loop, engine)
    return made


def _longer_state(state: State, trainer: Trainer, before: Config) -> State:
    """The state that a longer run begins with.

    Position, history, weights and moments stay. The schedule, and what it sets in the optimizer, is moved to where
    the schedule of the new length stands after as many epochs or steps; a reason to stop is forgotten.

    Args:
        state: Of the run to extend.
        trainer: Of the longer run, whose optimizers and schedules are new.
        before: Configuration of the run to extend.
    """
    envelope, setup = state.envelope, trainer.setup
    position = envelope.position
    with warnings.catch_warnings():
        # torch warns of schedules that move before the optimizer has made a step.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for _ in range(position.epoch if setup.config.scheduler.per == "epoch" else position.step):
            for scheduler in trainer.schedulers:
                scheduler.step()
    extension = Extension(
        config_sha256=config_hash(before), epochs=before.train.epochs, epoch=position.epoch, step=position.step
    )
    return replace(
        state,
        envelope=envelope.model_copy(update={"stop": None, "extended": extension, "identity": setup.identity}),
        optimizers=[
            moments | {"param_groups": optimizer.state_dict()["param_groups"]}
            for moments, optimizer in zip(state.optimizers, trainer.optimizers, strict=True)
        ],
        schedulers=[scheduler.state_dict() for scheduler in trainer.schedulers],
    )


def _best_weights(folder: Path, state: State) -> tuple[dict[str, Tensor], Header] | None:
    """The best weights so far of a run to extend, without calibration; None if none were chosen."""
    if state.envelope.best is None:
        return None
    weights, header = load_weights(folder / run_folder.BEST)
    if header.selection is None or header.selection.step != state.envelope.best.step:
        raise FerError(
            f"{folder / run_folder.BEST} does not match the state in {run_folder.STATE}, since the run was killed "
            f"between the two: resume it first, with fer-run train --resume {folder}"
        )
    return weights, header.model_copy(update={"calibration": None})


def _read(folder: Path) -> _Stored:
    """Contents of a run's folder besides its state. Raises FerError if it is damaged or not a run folder."""
    path = folder / run_folder.CONFIG
    if not path.exists():
        raise FerError(
            f"{folder} is not a run folder (it has no {run_folder.CONFIG}): give the folder of a run of "
            "fer-run train"
        )
    return _Stored(folder, load_config(path), Environment.read(folder / run_folder.ENVIRONMENT, ADVICE))


def _engine(stored: _Stored, device: str) -> Engine:
    """`device`, or the run's own, in whose place no other one is taken."""
    environment, path = stored.environment, stored.folder / run_folder.ENVIRONMENT
    if device != "auto":
        return start_engine(stored.config, device, environment.precision)
    if reason := _why_missing(environment.device, environment.components):
        raise FerError(
            f"{path}: the run was trained on device {environment.device}, which cannot be used here ({reason}): "
            "correct that, or choose another with --device, on which results will not be bit-identical"
        )
    with within(str(path)):
        return start_engine(stored.config, environment.device, environment.precision)


def _why_missing(device: str, components: Sequence[Component]) -> str | None:
    """Why a device, or the plugin that brings it, is not there; None where both are."""
    try:
        registry.recorded("devices", device.partition(":")[0], components)
        return why_missing(find_device(device))
    except FerError as error:
        return str(error)


def _warn_of_changes(stored: _Stored, state: State | None, engine: Engine) -> None:
    """Log what differs from the run so far, so that bit-identical results are not to be expected."""
    before, now = stored.environment, engine.describe()
    keys = ("device", "precision", "compile", "threads", "processes")
    changed = [(key, getattr(before, key), getattr(now, key)) for key in keys]
    if state is not None:
        versions = decisive_versions(list_components(stored.config, engine.device.name))
        changed += state.envelope.identity.changed_versions(versions)
    for name, was, is_now in changed:
        if was != is_now:
            logger.warning(f"{name} was {was}, is {is_now}: results will not be bit-identical")
