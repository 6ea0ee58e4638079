"""Training and evaluation steps of two checkouts of fer, which take turns so that other load falls on both.

python benchmarks/checkouts.py BEFORE AFTER [--models dan,adadf] [--rounds 20] [--batch 16] [--input N]

BEFORE and AFTER are folders with a checkout and its `.venv`. A process in each holds the same trainer; a round is
one step in each of them, the order changing from round to round. Times are of the processor, with one thread; the
ratio is the median over the rounds, with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

WORKER = """
import sys, tempfile, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from fer_core.benchmarking.model import endless, make_loop
from fer_core.engine import Engine
model, batch, changes = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
engine = Engine.start("cpu", "fp32")
loop = make_loop(model, engine, batch, Path(tempfile.mkdtemp()), changes)
data = engine.place(next(endless(loop.setup.train_loader)))
for line in sys.stdin:
    start = time.process_time()
    if line.strip() == "train":
        loop.step(data)
    else:
        with torch.inference_mode():
            loop.setup.task.model.eval()(data["image"])
    print(time.process_time() - start, flush=True)
"""


class Checkout:
    """A trainer in the process of a checkout."""

    def __init__(self, folder: Path, model: str, batch: int, changes: list[str]) -> None:
        command = [str(folder.absolute() / ".venv/bin/python"), "-c", WORKER, model, str(batch), *changes]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
        )

    def seconds(self, what: str) -> float:
        """Processor time of one step, `train` or `evaluate`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--models", default="dan,adadf,timm")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--input", type=int, default=112)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for model in options.models.split(","):
        changes = [f"data.input_size={options.input}"]
        pair = [Checkout(folder, model, options.batch, changes) for folder in (options.before, options.after)]
        for what in ("train", "evaluate"):
            for checkout in (*pair, *pair):
                checkout.seconds(what)
            found: list[list[float]] = [[], []]
            for number in range(options.rounds):
                for side in (0, 1) if number % 2 == 0 else (1, 0):
                    found[side].append(pair[side].seconds(what))
            ratios = [after / before for before, after in zip(*found, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            rows.append(
                {
                    "model": model,
                    "step": what,
                    "before_seconds": statistics.median(found[0]),
                    "after_seconds": statistics.median(found[1]),
                    "ratio": middle,
                    "ratio_low": low,
                    "ratio_high": high,
                    "rounds": options.rounds,
                }
            )
            print(
                f"{model:<10} {what:<9} after / before {middle:.3f} (quartiles {low:.3f} to {high:.3f})",
                flush=True,
            )
        for checkout in pair:
            assert checkout.process.stdin is not None
            checkout.process.stdin.close()
            checkout.process.wait()
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
