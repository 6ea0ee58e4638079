"""Devices, precision and the operations that depend on them."""

from fer_core.engine.devices import Device
from fer_core.engine.engine import Engine

__all__ = ["Device", "Engine"]
