"""The plugin: one device."""

from fer_core.plugin import hookimpl


@hookimpl
def fer_devices() -> dict[str, str]:
    """`--device alias`."""
    return {"alias": "fer_device_alias.device:Alias"}
