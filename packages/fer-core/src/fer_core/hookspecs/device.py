"""The hook of devices."""
# mypy: disable-error-code="empty-body"
# A hookspec is a signature and its docstring; it has no body to check.

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_core.hookspecs import hookspec

if TYPE_CHECKING:
    from fer_core.types import Ref


@hookspec
def fer_devices() -> Mapping[str, Ref]:
    """Devices for `--device`; `cpu`, `cuda` and `mps` are the core's own.

    Returns:
        Name -> factory, or its import reference.

    Factory:
        `() -> fer_core.engine.devices.Device`: whether it is present, its torch device, the precisions it computes
        natively and its distributed backend.

    Called:
        The hook once in a process, when plugins are loaded. The factory once for each run on that device, and
        by `fer-run doctor`.

    Example:
        ```python
        @hookimpl
        def fer_devices():
            return {"xpu": "my_plugin.devices:xpu"}
        ```
    """
