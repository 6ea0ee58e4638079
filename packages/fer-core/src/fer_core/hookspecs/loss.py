"""The hook of losses."""
# mypy: disable-error-code="empty-body"
# A hookspec is a signature and its docstring; it has no body to check.

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_core.hookspecs import hookspec

if TYPE_CHECKING:
    from fer_core.types import Ref


@hookspec
def fer_losses() -> Mapping[str, Ref]:
    """Losses for `loss.name`.

    Returns:
        Name -> subclass of `Loss`, or its import reference.

    Factory:
        `(info: TaskInfo, **options) -> Loss`. `from_output(output, batch, progress)` returns a dict with the
        scalar `loss`; further scalars are logged as terms. A method that calls the model itself, twice for
        example, overrides `forward(model, batch, progress)` instead. What it keeps for every training sample is a
        `SampleBuffer`, which all processes share and the state of a run holds.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run, with the options
        that stand beside `loss.name`.
    """
