"""Our trainer against a bare PyTorch loop on DAN, and against a loop like timm's `train.py` on a ResNet-18.

python benchmarks/trainer_overhead.py [--rounds 12] [--batch 8] [--threads 1] [--device cpu] [--input N]

Both of a pair hold the same network, loss, optimizer, precision and layout, and take turns step by step over the
same batch. Times are of the processor on a CPU, so that other programs on the machine do not count, and of the
clock elsewhere; the ratio and the difference are medians over the rounds. What a trainer adds to a step does not
depend on the size of the images: with a small --input and many rounds the difference shows through the noise of a
busy machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from fer_core.benchmarking.model import endless, make_loop
from fer_core.engine import Engine
from fer_core.types import Progress
from pairs import compare, hardware

if TYPE_CHECKING:
    from fer_core.training.loop import Loop
    from fer_core.types import Batch

ZERO = Progress(0, 1, 0, 1)


class Meter:
    """Running average, as such loops keep one for what they print."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, value: float, count: int) -> None:
        """Add `value`, found over `count` images."""
        self.total += value * count
        self.count += count


def bare_step(loop: Loop, batch: Batch) -> Callable[[], None]:
    """Forward, backward, update: nothing else."""
    task, optimizer, engine = loop.setup.task.train(), loop.trainer.optimizers[0], loop.setup.engine

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with engine.autocast():
            losses = task(batch, ZERO)
        engine.backward(losses["loss"])
        optimizer.step()

    return step


def timm_like_step(loop: Loop, batch: Batch) -> Callable[[], None]:
    """What a step of timm's script does besides: images to their layout, meters, a schedule by updates."""
    network, optimizer, engine = loop.setup.task.model.train(), loop.trainer.optimizers[0], loop.setup.engine
    criterion, losses, updates = torch.nn.CrossEntropyLoss(), Meter(), [0]
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1_000_000)

    def step() -> None:
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        with engine.autocast():
            loss = criterion(network(images)["logits"], batch["label"])
        optimizer.zero_grad()
        engine.backward(loss)
        optimizer.step()
        updates[0] += 1
        scheduler.step()
        losses.update(loss.item(), len(images))

    return step


def ours(loop: Loop, batch: Batch) -> Callable[[], None]:
    """A step of the trainer."""
    return lambda: loop.step(batch)


PAIRS = {"dan": ("a bare loop", bare_step), "timm": ("a loop like timm's", timm_like_step)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--input", type=int, help="Pixels of the images, in place of the recipe's.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    with TemporaryDirectory() as folder:
        for name, (what, other) in PAIRS.items():
            engine = Engine.start(options.device)
            changes = [f"data.input_size={options.input}"] if options.input else []
            mine, theirs = (make_loop(name, engine, options.batch, Path(folder), changes) for _ in range(2))
            batch = engine.place(next(endless(mine.setup.train_loader)))
            result = compare(other(theirs, batch), ours(mine, batch), engine.device, options.rounds)
            cost = statistics.median(result.ratios) - 1
            more = statistics.median(b - a for a, b in zip(result.first, result.second, strict=True))
            rows.append({"model": name, "against": what, "more_seconds": more, **result.plain()})
            print(
                f"{name}: our trainer takes {cost:+.2%} against {what}, {1000 * more:+.2f} ms a step", flush=True
            )
    if options.out is not None:
        content = {"environment": hardware(engine), "batch": options.batch, "rows": rows}
        options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
