"""Training longer: the configuration of a run that extends another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core.config import change_config, edits
from fer_core.errors import FerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_core.config import Config
    from fer_core.runs.state import State

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
