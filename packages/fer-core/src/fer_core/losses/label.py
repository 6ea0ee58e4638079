"""The loss of the label inside another loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core.components import build
from fer_core.errors import FerError
from fer_core.losses.base import Loss

if TYPE_CHECKING:
    from fer_core.components import Options
    from fer_core.types import TaskInfo


def build_base(owner: str, name: str, options: Options, info: TaskInfo) -> Loss:
    """The loss `name` of the label, for the loss `owner`, which gives it the output of one call.

    Raises:
        FerError: It cannot be built, or calls the model itself.
    """
    base: Loss = build("losses", name, options, info)
    if type(base).forward is not Loss.forward:
        raise FerError(
            f"loss {name} calls the model itself, so {owner} cannot take it as loss.base: choose another, such as "
            "cross_entropy"
        )
    return base
