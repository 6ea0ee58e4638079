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
        Name -> device, or its import reference.

    Factory:
        None: the value is a `Device`, which says how torch calls the device, why it cannot
        be used here, and what it computes natively.

    Called:
        The hook once in a process, when plugins are loaded. The reference is imported when a run asks for that
        device or for `auto`, and by `fer-run doctor`.

    Example:
        ```python
        @hookimpl
        def fer_devices():
            return {"xpu": "my_plugin.devices:xpu"}
        ```
    """
