"""What a network costs: parameters and multiply-adds, counted in one way for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fer_core.components import build
from fer_core.errors import FerError
from fer_core.plugins import load_plugins
from fer_core.types import TaskInfo

if TYPE_CHECKING:
    from fer_core.runs.reading import RunRecord

MACHINE = ("platform", "device", "precision", "compile", "threads", "processes")
"""What in `env.json` a speed depends on."""


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: All of them, frozen ones too.
        macs: Multiply-adds of one face: convolutions and matrix products, as `torch.utils.flop_counter` counts
            them; None where the network could not be run to be counted.
    """

    parameters: int
    macs: int | None


def measure_cost(run: RunRecord) -> Cost | None:
    """Count the network of a run; None where its plugin is not installed or it cannot be built."""
    options = json.dumps(run.result.model.options, sort_keys=True)
    return _measure(run.model, options, run.classes, run.result.preprocessing.input_size)


def speeds(runs: Mapping[str, RunRecord]) -> dict[str, float]:
    """Throughput (images/s) of each row's run when it was evaluated, reading included, where it was recorded."""
    found = {row: run.env.evaluated_per_second for row, run in runs.items() if run.env is not None}
    return {row: speed for row, speed in found.items() if speed is not None}


def comparable(runs: Iterable[RunRecord]) -> bool:
    """Whether the speeds of runs may stand in one chart: same kind of machine, arithmetic and threads."""
    return len({tuple(getattr(run.env, key, None) for key in MACHINE) for run in runs}) == 1


@lru_cache(maxsize=256)
def _measure(name: str, options: str, classes: tuple[str, ...], size: int) -> Cost | None:
    if not load_plugins().claims("models", name):
        return None

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # Tensors without content: nothing is computed, and the largest network takes no memory.
    for device in ("meta", "cpu"):
        parameters = None
        try:
            with torch.random.fork_rng(devices=[]), torch.device(device), torch.no_grad():
                network = build("models", name, json.loads(options), TaskInfo(classes, input_size=size)).eval()
                parameters = sum(parameter.numel() for parameter in network.parameters())
                with FlopCounterMode(display=False) as counter:
                    network(torch.zeros(1, 3, size, size))
            return Cost(parameters, counter.get_total_flops() // 2)
        except FerError:
            return None
        except Exception:  # a plugin's network may refuse such tensors in any way
            continue
    return None if parameters is None else Cost(parameters, None)
