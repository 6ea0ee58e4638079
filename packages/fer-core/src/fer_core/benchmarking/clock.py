"""Time and memory of a repeated call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

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


def repeat(call: Callable[[], Any], device: torch.device, seconds: float) -> Timing:
    """Call repeatedly for about `seconds`, synchronizing with the device each time."""
    for _ in range(WARM_UP):
        call()
    _wait(device)
    _forget_peak(device)
    walls: list[float] = []
    cpus: list[float] = []
    end = time.perf_counter() + seconds
    while len(walls) < LEAST or time.perf_counter() < end:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        _wait(device)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timing(median(walls), min(walls), median(cpus), len(walls), _peak(device))


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "cpu" and _own_status().is_file():
        # Linux: 5 sets the high-water mark back to what is in use (proc(5)).
        Path("/proc/self/clear_refs").write_text("5")


def _peak(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "cpu" and _own_status().is_file():
        lines = _own_status().read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
    return None


def _own_status() -> Path:
    return Path("/proc/self/status")
