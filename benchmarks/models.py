"""Every network: plain eager torch in the default layout against our default settings, in one run.

python benchmarks/models.py [MODEL...] [--batch 4] [--rounds 5] [--threads 1] [--device cpu] [--compile]

Plain: contiguous memory, torch's default precision (TF32 in convolutions where there is TF32, else fp32), its
default form of the optimizer, the full network. Ours: what `fer-run train` and `fer-run predict` do on this
device (channels last, precision `auto`, fused optimizer; the inference form in evaluation), and with --compile
the compiled network. Loss and optimizer are those of the default recipe, on both sides. Both take turns call by
call over the same noise; times are of the processor on a CPU, else of the clock.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from fer_core import FerError, inference_form, registry
from fer_core.benchmarking.model import count_flops, endless, make_loop
from fer_core.engine import Engine
from pairs import compare, hardware

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fer_core.training.loop import Loop
    from fer_core.types import Batch


def plain_trainer(name: str, device: str, batch: int, folder: Path, changes: Sequence[str] = ()) -> Loop:
    """A trainer with none of our settings: layout, precision and optimizer as torch has them by default."""
    engine = replace(Engine.start(device, "tf32"), channels_last=False)
    loop = make_loop(name, engine, batch, folder, changes)
    for group in loop.trainer.optimizers[0].param_groups:
        group["fused"] = None
    return loop


def optimizer_of(loop: Loop) -> str:
    """The name of the optimizer, and of the one that it wraps."""
    chosen = loop.config.optimizer
    base = chosen.options.get("base")
    return chosen.name if base is None else f"{chosen.name} over {base}"


def evaluating(network: torch.nn.Module, engine: Engine, batch: Batch) -> Callable[[], None]:
    """One pass in eval mode."""

    @torch.inference_mode()
    def call() -> None:
        with engine.autocast():
            network(batch["image"])

    return call


def row(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures of one network."""
    engine = Engine.start(options.device, compile="default" if options.compile else False)
    ours = make_loop(name, engine, options.batch, folder)
    plain = plain_trainer(name, options.device, options.batch, folder)  # the last to set torch's switches
    batch = next(endless(plain.setup.train_loader))
    before, after = plain.setup.engine.place(dict(batch)), engine.place(dict(batch))
    training = compare(lambda: plain.step(before), lambda: ours.step(after), engine.device, options.rounds)
    form = inference_form(ours.setup.task.model, name)
    engine.prepare(form)
    flops = count_flops(evaluating(plain.setup.task.model.eval(), plain.setup.engine, before))
    evaluation = compare(
        evaluating(plain.setup.task.model, plain.setup.engine, before),
        evaluating(form.eval(), engine, after),
        engine.device,
        options.rounds,
    )
    images = len(batch["label"])
    return {
        "model": name,
        "input": ours.config.data.input_size,
        "batch": images,
        "macs": flops // 2 // images,
        "loss": ours.config.loss.name,
        "optimizer": optimizer_of(ours),
        "training": training.plain(),
        "evaluation": evaluation.plain(),
    }


def line(found: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    cells = [found["model"], str(found["input"]), f"{found['macs'] / 1e9:.2f}", found["loss"], found["optimizer"]]
    for phase in ("training", "evaluation"):
        times = found[phase]
        cells += [f"{1000 * times[key] / found['batch']:.0f}" for key in ("first_seconds", "second_seconds")]
        cells.append(f"{1 / times['ratio']:.2f}")
    return f"| {' | '.join(cells)} |"


COLUMNS = ("network", "input", "GMAC", "loss", "optimizer")
COLUMNS += ("training, plain", "ours", "ratio", "evaluation, plain", "ours", "ratio")
HEADING = f"| {' | '.join(COLUMNS)} |\n|{len(COLUMNS) * '---|'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"milliseconds an image, batch {options.batch}, threads {options.threads}\n\n{HEADING}")
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        for name in options.models or registry.names("models"):
            try:
                rows.append(row(name, options, Path(folder)))
            except FerError as error:
                raise SystemExit(f"Error: {error}") from error
            print(line(rows[-1]), flush=True)
            gc.collect()
    means = {
        phase: math.exp(-sum(math.log(found[phase]["ratio"]) for found in rows) / len(rows))
        for phase in ("training", "evaluation")
    }
    print("\ngeometric mean: " + ", ".join(f"{phase} {mean:.2f}" for phase, mean in means.items()))
    if options.out is not None:
        engine = Engine.start(options.device, compile="default" if options.compile else False)
        content = {"environment": hardware(engine), "geometric_mean": means, "rows": rows}
        options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
