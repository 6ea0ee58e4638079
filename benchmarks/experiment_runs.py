"""How long one-step runs of an experiment take, each after the one before it: the first pays for the imports.

python benchmarks/experiment_runs.py [--runs 11] [--model dan] [--threads 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from tempfile import TemporaryDirectory

SETTINGS = ("train.steps=1", "data.options.samples=70", "data.batch_size=4", "data.input_size=64")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--model", default="dan")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    command = [sys.executable, "-m", "fer_core", "experiment", "--models", options.model, "--device", "cpu"]
    command += ["--datasets", "synthetic", "--seeds", f"0-{options.runs - 1}"]
    command += [word for setting in SETTINGS for word in ("-o", setting)]
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "FER_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": str(options.threads)}
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            ends = [time.monotonic()]
            ends += [time.monotonic() for line in process.stderr if "finished: " in line]
    first, *others = (after - before for before, after in pairwise(ends))
    print(f"first {first:.1f} s, the others {statistics.median(others):.1f} s, at most {max(others):.1f} s")


if __name__ == "__main__":
    main()
