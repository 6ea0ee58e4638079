"""Time and memory of a repeated call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_core.engine import Device

WARM_UP = 2
"""Warm-up calls that are not counted: allocators, caches and algorithm choices settle in them."""
LEAST = 3
"""Minimum number of counted calls, however long they take."""


@dataclass(frozen=True)
class Timing:
    """Calls of one kind.

    Attributes:
        seconds: Median wall time of a call.
        best: Shortest wall time of a call.
        cpu_seconds: Median processor time of a call, summed over the threads of this process.
        calls: How many were counted.
        peak_bytes: Largest memory meanwhile: the device's, or on a CPU all of this process; None where the system
            does not say.
    """

    seconds: float
    best: float
    cpu_seconds: float
    calls: int
    peak_bytes: int | None


def repeat(call: Callable[[], Any], device: Device, seconds: float) -> Timing:
    """Call repeatedly for about `seconds`, synchronizing with the device each time."""
    for _ in range(WARM_UP):
        call()
    device.synchronize()
    device.reset_peak_memory()
    walls: list[float] = []
    cpus: list[float] = []
    end = time.perf_counter() + seconds
    while len(walls) < LEAST or time.perf_counter() < end:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        device.synchronize()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timing(median(walls), min(walls), median(cpus), len(walls), device.peak_memory())
