"""What one-step runs of an experiment take, each after the one before it: the first pays for the imports.

The CPU time of a run is the difference between an experiment of `--runs` and one of two, divided by the runs that
it has more. Wall-clock time means something on an idle machine only.

python benchmarks/experiment_runs.py [--runs 11] [--model dan] [--threads 1]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from tempfile import TemporaryDirectory

SETTINGS = ("train.steps=1", "data.options.samples=70", "data.batch_size=4", "data.input_size=64")
FEW = 2
"""Runs of the experiment that is subtracted: as few as are forked."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--model", default="dan")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.runs <= FEW:
        parser.error(f"--runs must be more than {FEW}")
    few, _ = execute(FEW, options.model, options.threads)
    many, (first, *others) = execute(options.runs, options.model, options.threads)
    print(f"first {first:.1f} s, the others {statistics.median(others):.1f} s, at most {max(others):.1f} s")
    print(f"CPU time of one of the others {(many - few) / (options.runs - FEW):.2f} s")


def execute(runs: int, model: str, threads: int) -> tuple[float, list[float]]:
    """Seconds of CPU time of an experiment, and seconds from the end of each run to that of the next."""
    command = [sys.executable, "-m", "fer_core", "experiment", "--models", model, "--device", "cpu"]
    command += ["--datasets", "synthetic", "--seeds", f"0-{runs - 1}"]
    command += [word for setting in SETTINGS for word in ("-o", setting)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "FER_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": str(threads)}
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            ends = [time.monotonic()]
            ends += [time.monotonic() for line in process.stderr if "finished: " in line]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, [later - earlier for earlier, later in pairwise(ends)]


if __name__ == "__main__":
    main()
