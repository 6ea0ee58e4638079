"""What the moving average of the weights (`train.ema`) adds to a step: both take turns in one process.

python benchmarks/ema.py [MODEL...] [--rounds 20] [--batch 8] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from fer_core.benchmarking.model import endless, make_loop
from fer_core.engine import Engine
from fer_core.training.ema import EMA
from pairs import compare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["ddamfn_pp", "dan", "poster_pp"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = Engine.start("cpu")
    with TemporaryDirectory() as folder:
        for name in options.models:
            loop = make_loop(name, engine, options.batch, Path(folder))
            batch = engine.place(next(endless(loop.setup.train_loader)))
            model = loop.trainer.product_model()
            average = EMA(model)
            found = compare(
                partial(loop.step, batch), partial(average.update, model, 0.999), engine.device, options.rounds
            )
            step, update = (1000 * statistics.median(times) for times in (found.first, found.second))
            print(f"{name}: step {step:.1f} ms, average {update:.2f} ms, {update / step:.2%}", flush=True)


if __name__ == "__main__":
    main()
