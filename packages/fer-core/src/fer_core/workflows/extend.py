"""Training longer: the configuration and the first state of a run that extends another one."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from fer_core.config import change_config, config_hash, edits
from fer_core.errors import FerError
from fer_core.provenance import Extension

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_core.config import Config
    from fer_core.runs.state import State
    from fer_core.training.setup import Setup

LENGTH = "train.epochs"


def lengthen(config: Config, epochs: int, overrides: Sequence[str]) -> Config:
    """The configuration of the longer run; its folder is a new one below the same root.

    Args:
        config: Of the run to extend.
        epochs: Length of the longer run, counted from the first epoch.
        overrides: `a.b=value`, of keys that cannot change a result.

    Raises:
        FerError: The run's length is not in epochs, or an override could change the result.
    """
    if config.train.steps is not None:
        raise FerError(
            f"the run's length is train.steps={config.train.steps}, and only a run whose length is in epochs can "
            "be extended: train it again with more steps"
        )
    longer = change_config(config, ["run.dir=null", *overrides])
    if changed := edits(config, longer):
        raise FerError(
            f"--extend changes nothing but the length, and another value is given for {changed[0]}: leave it out, "
            "or start a new run"
        )
    return change_config(longer, [f"{LENGTH}={epochs}"])


def check_length(state: State, config: Config, longer: Config) -> None:
    """Raise FerError where a run would not become longer."""
    done, planned, wanted = state.envelope.position.epoch, config.train.epochs, longer.train.epochs
    if wanted <= max(done, planned):
        raise FerError(f"--epochs is {wanted}, but {planned} epochs are planned and {done} done: give more")


def extend_state(state: State, setup: Setup, before: Config) -> State:
    """The state that a longer run begins with.

    Position, history, weights and moments stay. The schedule, and what it sets in the optimizer, is moved to where
    the schedule of the new length stands after as many epochs or steps; a reason to stop is forgotten.

    Args:
        state: Of the run to extend.
        setup: Of the longer run, whose optimizer and schedule are new.
        before: Configuration of the run to extend.
    """
    envelope, config = state.envelope, setup.config
    position = envelope.position
    with warnings.catch_warnings():
        # torch warns of schedules that move before the optimizer has made a step.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for _ in range(position.epoch if config.scheduler.per == "epoch" else position.step):
            setup.scheduler.step()
    extension = Extension(
        config_sha256=config_hash(before), epochs=before.train.epochs, epoch=position.epoch, step=position.step
    )
    return replace(
        state,
        envelope=envelope.model_copy(update={"stop": None, "extended": extension, "identity": setup.identity}),
        optimizer=state.optimizer | {"param_groups": setup.optimizer.state_dict()["param_groups"]},
        scheduler=setup.scheduler.state_dict(),
    )
