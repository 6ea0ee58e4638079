"""Two calls that take turns, so that other load on the machine falls on both."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fer_core.benchmarking.report import describe_hardware
from fer_core.engine import Device, Engine


@dataclass(frozen=True)
class Pair:
    """Seconds of every round: of the processor on a CPU (all threads together), else of the clock."""

    first: list[float]
    second: list[float]

    @property
    def ratios(self) -> list[float]:
        """How long the second takes, with the first as 1, round by round."""
        return [b / a for a, b in zip(self.first, self.second, strict=True)]

    def plain(self) -> dict[str, float | int]:
        """Medians, and the quartiles of the ratio."""
        quartiles = statistics.quantiles(self.ratios, n=4) if len(self.ratios) > 1 else self.ratios * 3
        return {
            "rounds": len(self.first),
            "first_seconds": statistics.median(self.first),
            "second_seconds": statistics.median(self.second),
            "ratio": statistics.median(self.ratios),
            "ratio_low": quartiles[0],
            "ratio_high": quartiles[2],
        }


def compare(
    first: Callable[[], Any], second: Callable[[], Any], device: Device, rounds: int, *, warm_up: int = 1
) -> Pair:
    """Time both in turn, the order changing from round to round."""
    for _ in range(warm_up):
        first()
        second()
    found: dict[Callable[[], Any], list[float]] = {first: [], second: []}
    for number in range(rounds):
        for call in (first, second) if number % 2 == 0 else (second, first):
            found[call].append(_seconds(call, device))
    return Pair(found[first], found[second])


def hardware(engine: Engine) -> dict[str, Any]:
    """What the figures hold for, and how busy the machine was."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**describe_hardware(engine).plain(), "processors": os.cpu_count(), "load": load}


def _seconds(call: Callable[[], Any], device: Device) -> float:
    if device.on_host:
        start = time.process_time()
        call()
        return time.process_time() - start
    device.synchronize()
    start = time.perf_counter()
    call()
    device.synchronize()
    return time.perf_counter() - start
