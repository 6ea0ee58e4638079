"""Everything that is to be known of a GPU, in one call that keeps to its time, as a JSON file and a Markdown page.

python benchmarks/gpu.py [MODEL...] [--minutes 12] [--ferplus FOLDER] [--batch 64] [--out gpu]

- What the device reaches on a matrix product and a convolution, in TF32 and in bf16.
- Every network in training and evaluation, torch's defaults beside ours (what these are: `models.py`), with peak
  memory and the share of what the device reaches; and the data path alone.
- The training step of every network as a CUDA graph (`train.graph=true`) beside the eager one.
- With --ferplus, DAN on FERPlus by our default recipe, for as many epochs as are left time for.

Each network has a process of its own, which is ended when the time is up: the page says what was left out. With
--device cpu --size 32 --batch 2 --seconds 0.01 it tries itself out.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fer_core import registry

RESERVE = 30.0
"""Seconds in which a training saves its state and its best weights are evaluated."""
CAPTURING = 60.0
"""Seconds after which a network that does not get recorded is given up."""
SHORTEST = 20.0
"""Seconds without which no network is begun: importing torch takes several."""
SIDES = {"plain": "tf32", "ours": "bf16"}
"""Whose settings, and in which precision the peak is that they are compared with."""


@dataclass
class Report:
    """What has been measured, and what has not.

    Attributes:
        end: When the time is up, as `time.monotonic` tells it.
        environment: What the figures hold for.
        peaks: Floating-point operations a second of a product and of a convolution, by precision.
        models: Of each network, its figures by side.
        captured: Images/s of each network's training step in CUDA graphs.
        training: Of DAN on FERPlus.
        left_out: One line for each part that was skipped.
    """

    end: float
    environment: dict[str, Any] = field(default_factory=dict)
    peaks: dict[str, dict[str, float]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    captured: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def measure(
        self, name: str, part: Callable[..., dict[str, Any]], *arguments: Any, limit: float = math.inf
    ) -> dict[str, Any]:
        """What `part` gives in a process of its own; nothing, and a line, where it fails or has no time."""
        if self.left < SHORTEST:
            self.left_out.append(f"{name}: no time was left")
            return {}
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(theirs, part, *arguments))
        process.start()
        theirs.close()
        found: dict[str, Any] = {}
        try:
            if ours.poll(min(self.left, limit)):
                found = ours.recv()
            else:
                self.left_out.append(f"{name}: it was ended, since the time was up")
        except EOFError:
            self.left_out.append(f"{name}: it failed, and the error is above")
        process.kill()
        process.join()
        return found


def _send(pipe: Any, part: Callable[..., dict[str, Any]], *arguments: Any) -> None:
    pipe.send(part(*arguments))
    pipe.close()


def measure_device(device: str, seconds: float) -> dict[str, Any]:
    """The device, and what it reaches in each precision."""
    from fer_core.benchmarking import measure_ceiling
    from fer_core.engine import Engine
    from pairs import hardware

    engines = {precision: Engine.start(device, precision) for precision in SIDES.values()}
    peaks = {}
    for precision in engines:
        engine = Engine.start(device, precision)  # the last one sets torch's switches
        peaks[precision] = asdict(measure_ceiling(engine, seconds))
    return {"environment": hardware(Engine.start(device)), "peaks": peaks}


def measure_network(name: str, device: str, batch: int, seconds: float, changes: Sequence[str]) -> dict[str, Any]:
    """A network with torch's defaults, and with ours."""
    from fer_core.benchmarking import make_loop, measure_loop
    from fer_core.engine import Engine
    from models import optimizer_of, plain_trainer

    found: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        plain = plain_trainer(name, device, batch, Path(folder), changes)
        found["plain"] = asdict(measure_loop(plain, batch, seconds)) | {"optimizer": optimizer_of(plain)}
        del plain
        ours = make_loop(name, Engine.start(device), batch, Path(folder), changes)
        found["ours"] = asdict(measure_loop(ours, batch, seconds)) | {"optimizer": optimizer_of(ours)}
    return found


def measure_captured(name: str, device: str, batch: int, seconds: float, changes: Sequence[str]) -> dict[str, Any]:
    """A training step whose forward and backward pass are replayed as a CUDA graph."""
    from fer_core.benchmarking import make_loop
    from fer_core.benchmarking.clock import repeat
    from fer_core.benchmarking.model import endless
    from fer_core.engine import Engine

    engine = Engine.start(device)
    with TemporaryDirectory() as folder:
        loop = make_loop(name, engine, batch, Path(folder), [*changes, "train.graph=true"])
        placed = engine.place(next(endless(loop.setup.train_loader)))
        timing = repeat(lambda: loop.step(placed), engine.device, seconds)
    return {"images_per_second": batch / timing.seconds}


def train(arguments: Sequence[str], where: Sequence[str], run: Path, seconds: float) -> dict[str, Any]:
    """Train until the time is up.

    Args:
        arguments: Of `fer-run train`.
        where: `--data` and `--device`, of `fer-run evaluate`, too.
        run: Its folder.
        seconds: After which it is asked to save and end.

    Returns:
        `epochs`: rows of `metrics.jsonl`, each with `seconds` from the start; `test`: what the best weights score.
    """
    command = [sys.executable, "-m", "fer_core"]
    rows = run / "metrics.jsonl"
    epochs: list[dict[str, Any]] = []
    began = time.monotonic()
    with subprocess.Popen([*command, "train", *arguments, *where, "-o", f"run.dir={run}"]) as process:
        told = False
        while process.poll() is None:
            time.sleep(0.1)
            lines = rows.read_text().splitlines() if rows.exists() else []
            epochs += [json.loads(line) | {"seconds": time.monotonic() - began} for line in lines[len(epochs) :]]
            if not told and time.monotonic() - began > seconds:
                process.send_signal(signal.SIGTERM)
                told = True
    test: dict[str, Any] = {}
    if (run / "best.safetensors").exists():
        asked = [*command, "evaluate", str(run / "best.safetensors"), *where, "--json"]
        evaluated = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False)
        test = json.loads(evaluated.stdout) if evaluated.returncode == 0 else {}
    return {"command": ["fer-run", "train", *arguments, *where], "epochs": epochs, "test": test}


def peak(report: Report, side: str) -> float:
    """The faster of product and convolution."""
    return max(report.peaks[SIDES[side]].values())


def speed_table(report: Report, phases: dict[str, str]) -> list[str]:
    """Images/s, share of the peak and memory of both sides; `phases` says which phase of each."""
    columns = ["network", "input", "loss", "optimizer"]
    for side, precision in SIDES.items():
        columns += [f"{side}, images/s", f"of the {precision} peak", "memory, GB"]
    lines = [_cells([*columns, "ratio"]), f"|{(len(columns) + 1) * '---|'}"]
    for name, found in report.models.items():
        cells = [name, found["ours"]["input_size"], found["ours"]["loss"], found["ours"]["optimizer"]]
        rates = []
        for side, phase in phases.items():
            figures = found[side]["phases"][phase]
            memory = figures["timing"]["peak_bytes"]
            rates.append(figures["images_per_second"])
            cells += [f"{rates[-1]:,.1f}", f"{figures['flop_rate'] / peak(report, side):.0%}"]
            cells.append("" if memory is None else f"{memory / 1e9:.2f}")
        lines.append(_cells([*cells, f"{rates[1] / rates[0]:.2f}"]))
    return lines


def data_table(report: Report) -> list[str]:
    """The data path alone, and how much of a step's speed is left with it."""
    lines = [_cells(("network", "data alone, images/s", "step alone", "step with data", "of step alone"))]
    lines.append(f"|{5 * '---|'}")
    for name, found in report.models.items():
        rates = {phase: each["images_per_second"] for phase, each in found["ours"]["phases"].items()}
        data, step, both = (rates[phase] for phase in ("training data", "training step", "training with data"))
        lines.append(_cells([name, f"{data:,.1f}", f"{step:,.1f}", f"{both:,.1f}", f"{both / step:.0%}"]))
    return lines


def page(report: Report) -> str:
    """The figures as Markdown."""
    lines = ["# Speed on a GPU", ""]
    lines += [f"- {key}: {value}" for key, value in report.environment.items()]
    for precision, rates in report.peaks.items():
        reached = ", ".join(f"{rate / 1e12:.3g} TFLOP/s on a {kind}" for kind, rate in rates.items())
        lines.append(f"- {precision}: {reached}")
    if report.models:
        lines += ["", "## Training", "", *speed_table(report, dict.fromkeys(SIDES, "training step"))]
        evaluation = {"plain": "evaluation", "ours": "inference form"}
        lines += ["", "## Evaluation", "", *speed_table(report, evaluation)]
        lines += ["", "## Data path", "", *data_table(report)]
    if report.captured:
        lines += ["", "## Captured", "", _cells(("network", "step, images/s", "as a CUDA graph", "ratio"))]
        lines.append(f"|{4 * '---|'}")
        for name, rate in report.captured.items():
            eager = report.models[name]["ours"]["phases"]["training step"]["images_per_second"]
            lines.append(_cells([name, f"{eager:,.1f}", f"{rate:,.1f}", f"{rate / eager:.2f}"]))
    if report.training:
        lines += ["", "## DAN on FERPlus", "", f"`{' '.join(report.training['command'])}`", ""]
        lines += [_cells(("epoch", "seconds from the start", "validation accuracy")), f"|{3 * '---|'}"]
        for row in report.training["epochs"]:
            accuracy = row["val"].get("accuracy")
            shown = "" if accuracy is None else f"{accuracy:.2%}"
            lines.append(_cells([f"{row['epoch']:g}", f"{row['seconds']:.1f}", shown]))
        if "accuracy" in report.training["test"]:
            lines += ["", f"The best of these epochs on the test part: {report.training['test']['accuracy']:.2%}."]
    lines += ["", "## Left out", "", *(f"- {line}" for line in report.left_out or ["nothing"])]
    return "\n".join(lines) + "\n"


def _cells(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="Networks; all that are installed where none is named.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5, help="For each phase of a network.")
    parser.add_argument("--size", type=int, help="Input size of all networks in place of their own.")
    parser.add_argument("--ferplus", type=Path, help="Folder of FERPlus.")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="Name of the files, without their ending.")
    options = parser.parse_args(arguments)
    report = Report(time.monotonic() + 60 * options.minutes)

    def write() -> None:
        content = {key: value for key, value in asdict(report).items() if key != "end"}
        options.out.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(page(report), encoding="utf-8")

    device = report.measure("the device", measure_device, options.device, options.seconds)
    if device:
        report.environment, report.peaks = device["environment"], device["peaks"]
    changes = [] if options.size is None else [f"data.input_size={options.size}"]
    for name in (options.models or registry.names("models")) if device else ():
        print(f"{name}: {report.left:.0f} s left", flush=True)
        found = report.measure(
            name, measure_network, name, options.device, options.batch, options.seconds, changes
        )
        if found:
            report.models[name] = found
        write()
    for name in report.models if options.device != "cpu" else ():
        given = (name, options.device, options.batch, options.seconds, changes)
        if found := report.measure(f"{name}, captured", measure_captured, *given, limit=CAPTURING):
            report.captured[name] = found["images_per_second"]
    if options.device == "cpu":
        report.left_out.append("captured steps: CUDA graphs need a GPU")
    if options.ferplus is None:
        report.left_out.append("DAN on FERPlus: no --ferplus FOLDER was given")
    elif report.left < SHORTEST + RESERVE:
        report.left_out.append("DAN on FERPlus: no time was left")
    else:
        with TemporaryDirectory() as folder:
            where = ["--data", str(options.ferplus), "--device", options.device]
            report.training = train(["dan", "ferplus"], where, Path(folder) / "run", report.left - RESERVE)
    write()
    print(f"written  {options.out.with_suffix('.json')}, {options.out.with_suffix('.md')}")


if __name__ == "__main__":
    main()
