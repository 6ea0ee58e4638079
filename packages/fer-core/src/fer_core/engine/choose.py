"""Which device a process computes on: by its name, and by what is there."""

from __future__ import annotations

import logging

from fer_core import distributed, registry
from fer_core.boundary import describe
from fer_core.components import find_value
from fer_core.engine.devices import Device
from fer_core.errors import FerError
from fer_core.plugins import load_plugins

logger = logging.getLogger(__name__)


def find_device(name: str) -> Device:
    """The device called `name`, present or not; the index of a name such as `cuda:1` does not count.

    Raises:
        FerError: The name is unknown, its plugin is broken, or it does not name a device.
    """
    name = name.partition(":")[0]
    kind, found = find_value("devices", name), registry.entry("devices", name)
    if not (isinstance(kind, type) and issubclass(kind, Device) and hasattr(kind, "torch_name")):
        raise FerError(
            f"{registry.maker('devices', name)} is {kind!r}, but expected is a subclass of "
            "fer_core.plugin.Device that has a torch_name: correct its plugin"
        )
    return kind(load_plugins().canonical("devices", found.qualified))


def why_missing(device: Device) -> str | None:
    """Why a device cannot be used here; None when it can."""
    try:
        return device.missing()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a broken driver or plugin
        return describe(error)


def choose_device(name: str) -> Device:
    """The device that this process computes on, made torch's current one.

    Args:
        name: `auto`, or the name of a device, with an index as in `cuda:1`.

    Raises:
        FerError: It does not exist or is not available; nothing is chosen in its place.
    """
    if name == "auto":
        return _own(first_available())
    kind, _, index = name.partition(":")
    device = find_device(kind)
    reason = why_missing(device)
    if reason is not None:
        raise FerError(f"device {name} is not available: {reason}; use --device auto or --device cpu")
    if not index:
        return _own(device)
    if distributed.launched() > 1:
        raise FerError(f"device {name} is one device, but torchrun started several processes: use --device {kind}")
    if not index.isdecimal() or int(index) >= device.count():
        last = device.count() - 1
        raise FerError(f"device {name} does not exist: {kind} has indices 0 to {last}; correct --device")
    return _selected(device, int(index))


def first_available() -> Device:
    """The available device with the highest priority; the CPU always is."""
    found = []
    for name in registry.names("devices"):
        try:
            found.append(find_device(name))
        except FerError as error:
            logger.warning(f"--device auto leaves a device out: {error}")
    ranked = sorted(
        (device for device in found if device.priority is not None), key=lambda device: -(device.priority or 0)
    )
    return next(device for device in ranked if why_missing(device) is None)


def _own(device: Device) -> Device:
    """The device of this process: with several processes on a machine, one accelerator each."""
    if device.on_host or distributed.launched() == 1:
        return device
    count = device.count()
    if distributed.local_rank() >= count:
        raise FerError(
            f"torchrun started more processes than this machine has devices of {device.name} ({count}): use "
            f"--nproc-per-node {count}"
        )
    return _selected(device, distributed.local_rank())


def _selected(device: Device, index: int) -> Device:
    chosen = type(device)(device.name, index)
    chosen.select()
    return chosen
