"""The figures of a benchmark as a table, as JSON and as bars."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fer_core.machine import Machine
from fer_core.plotting.throughput import draw_throughput

if TYPE_CHECKING:
    from fer_core.benchmarking.ceiling import Ceiling
    from fer_core.benchmarking.model import Bench, Phase
    from fer_core.engine import Engine

PANELS = {
    "evaluation": ("evaluation", "inference form", "evaluation with data", "evaluation data"),
    "training": ("training step", "training with data", "training data"),
}
IDLE = 0.9
"""Share of the time in which a CPU is expected to work for the network."""


class Hardware(Machine):
    """The conditions of the figures: also the names of the processor, the system and the version of torch."""

    hardware: str
    torch: str
    system: str


def describe_hardware(engine: Engine) -> Hardware:
    """The hardware and software that the figures of this engine are valid for."""
    return Hardware(
        **dict(engine.describe()),
        hardware=engine.device.hardware(),
        torch=str(torch.__version__),
        system=platform.platform(),
    )


def as_json(benches: Sequence[Bench], ceiling: Ceiling, hardware: Hardware) -> str:
    """Everything, as JSON."""
    content = {
        "environment": hardware.plain(),
        "ceiling": asdict(ceiling) | {"peak": peak_rate(benches, ceiling)},
        "models": [asdict(bench) for bench in benches],
    }
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False)


def peak_rate(benches: Sequence[Bench], ceiling: Ceiling) -> float:
    """The highest rate in this run, FLOP/s: of the two kernels or of a model, so no share exceeds 1."""
    rates = [phase.flop_rate or 0.0 for bench in benches for phase in bench.phases.values()]
    return max(ceiling.matmul, ceiling.convolution, *rates)


def table_rows(bench: Bench, peak: float) -> list[list[str]]:
    """One row for each phase; `peak` is that of `peak_rate`."""
    rows = []
    for names in PANELS.values():
        for name in names:
            phase = bench.phases[name]
            rows.append(
                [bench.model, name, f"{phase.images_per_second:,.1f}", *_work(phase, peak), _memory(phase)]
            )
    return rows


HEADINGS = ("model", "phase", "images/s", "GFLOP/s", "of peak", "peak MB")


def share_of_processor(benches: Sequence[Bench], hardware: Hardware) -> float:
    """Smallest share of the CPU that a phase of a network got, on a device that computes on the host."""
    phases = [phase for bench in benches for phase in bench.phases.values() if phase.flops is not None]
    least = min(phase.timing.cpu_seconds / phase.timing.seconds for phase in phases)
    return least / hardware.threads


def draw(path: Path, benches: Sequence[Bench], hardware: Hardware) -> None:
    """Draw images/s as bars, one panel for evaluation and one for training.

    Raises:
        FerError: The file cannot be written.
    """
    rates = {
        bench.model: {name: phase.images_per_second for name, phase in bench.phases.items()} for bench in benches
    }
    machine = f"{hardware.hardware}, threads {hardware.threads}, {hardware.precision}"
    title = f"Images/s, {machine}, batch {benches[0].batch}"
    draw_throughput(rates, PANELS, title).save(path)


def _work(phase: Phase, peak: float) -> tuple[str, str]:
    if phase.flop_rate is None:
        return "", ""
    return f"{phase.flop_rate / 1e9:,.1f}", f"{phase.flop_rate / peak:.0%}"


def _memory(phase: Phase) -> str:
    peak = phase.timing.peak_bytes
    return "" if peak is None else f"{peak / 1e6:,.0f}"
