"""How long `fer-run --help` and `fer-run list` take: the median of fresh processes.

python benchmarks/startup.py [--runs 10]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "fer-run --help": ["-m", "fer_core", "--help"],
    "fer-run list": ["-m", "fer_core", "list"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one fresh process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    print(f"{'command':<16}  {'median s':>8}  {'min s':>6}")
    for name, arguments in COMMANDS.items():
        seconds(arguments)  # the first run fills the file cache and compiles bytecode
        times = [seconds(arguments) for _ in range(runs)]
        print(f"{name:<16}  {statistics.median(times):>8.3f}  {min(times):>6.3f}")


if __name__ == "__main__":
    main()
