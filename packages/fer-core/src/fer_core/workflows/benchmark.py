"""Measuring how fast models are evaluated and trained on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_core import registry
from fer_core.benchmarking import Bench, Ceiling, measure_ceiling, measure_model
from fer_core.benchmarking.report import (
    HEADINGS,
    IDLE,
    Hardware,
    as_json,
    describe_hardware,
    draw,
    peak_rate,
    share_of_processor,
    table_rows,
)
from fer_core.engine import Engine
from fer_core.errors import FerError
from fer_core.files import write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """Measurements of several models.

    Attributes:
        benches: One for each model that could be measured.
        ceiling: Throughput of the device on plain matrix products and convolutions.
        hardware: Where it was measured.
        left_out: Names of models that could not be measured.
    """

    benches: Sequence[Bench]
    ceiling: Ceiling
    hardware: Hardware
    left_out: Sequence[str]
    headings = HEADINGS

    @property
    def json(self) -> str:
        """All of it."""
        return as_json(self.benches, self.ceiling, self.hardware)

    def introduction(self) -> Iterator[str]:
        """Lines on the device."""
        hardware, ceiling = self.hardware, self.ceiling
        compiled = "compiled, " if hardware.compile else ""
        yield (
            f"device   {hardware.device} ({hardware.hardware}), {hardware.precision}, "
            f"{hardware.threads} threads, {compiled}batch {self.benches[0].batch}"
        )
        yield (
            f"ceiling  {ceiling.matmul / 1e9:,.0f} GFLOP/s on a matrix product, "
            f"{ceiling.convolution / 1e9:,.0f} on a convolution; peak of this run {self._peak / 1e9:,.0f}"
        )

    def rows(self) -> Iterator[list[list[str]]]:
        """Rows of the table, those of one model together."""
        for bench in self.benches:
            yield table_rows(bench, self._peak)

    def remarks(self) -> Iterator[str]:
        """Lines on the models."""
        for bench in self.benches:
            yield (
                f"{bench.model}: {bench.parameters / 1e6:.1f} M parameters, {bench.macs / 1e9:.2f} G "
                f"MACs per image at {bench.input_size} pixels; loss {bench.loss}, optimizer {bench.optimizer}"
            )

    @property
    def _peak(self) -> float:
        return peak_rate(self.benches, self.ceiling)


def measure(
    models: Sequence[str],
    device: str,
    precision: str,
    *,
    compiled: bool,
    batch: int | None,
    seconds: float,
    out: Path | None,
) -> Measured:
    """Measure models one after the other.

    Args:
        models: Their names.
        device: `auto`, or the name of a device.
        precision: `auto`, `fp32`, `tf32`, `bf16` or `fp16`.
        compiled: Compile the models.
        batch: Batch size; None for 8 on a CPU, 64 on other devices.
        seconds: Time for each measurement.
        out: Folder for `benchmark.json` and `benchmark.png`.

    Raises:
        FerError: An unknown model, or a folder that cannot be made. A model that cannot be measured is left out.
    """
    for name in models:
        registry.find("models", name)
    if out is not None:
        _make(out)
    engine = Engine.start(device, precision, compile="default" if compiled else False)
    size = batch or (8 if engine.device.on_host else 64)
    ceiling = measure_ceiling(engine, seconds)
    benches: list[Bench] = []
    left_out: list[str] = []
    for name in models:
        try:
            benches.append(measure_model(name, engine, batch=size, seconds=seconds))
        except FerError as error:
            left_out.append(name)
            logger.warning(f"{name}: {error}")
    found = Measured(benches, ceiling, describe_hardware(engine), left_out)
    if benches and engine.device.on_host and (share := share_of_processor(benches, found.hardware)) < IDLE:
        logger.warning(
            f"other programs ran (down to {share:.0%} of the CPU was left): throughput is underestimated"
        )
    if out is not None and benches:
        write_text(out / "benchmark.json", found.json + "\n")
        draw(out / "benchmark.png", benches, found.hardware)
        logger.info(f"written  {out}: benchmark.json, benchmark.png")
    return found


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerError(f"cannot make the folder {folder} ({error.strerror}): name another with --out") from error
