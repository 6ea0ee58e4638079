"""How long the commands take that users wait for: the median of fresh processes.

python benchmarks/startup.py [--runs 10] [--threads 1]

`predict` finds the expression of one crop with DAN, whose weights are random; its own is what it takes beyond
`import torch`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from fer_core import create_model
from fer_core.provenance import Model
from fer_core.testing import make_preprocessing
from fer_core.weights.checkpoint import save_weights
from fer_core.weights.header import FORMAT, Header
from PIL import Image

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "fer-run --help": ["-m", "fer_core", "--help"],
    "fer-run list": ["-m", "fer_core", "list"],
    "fer-run info dan": ["-m", "fer_core", "info", "dan"],
    "import torch": ["-c", "import torch"],
    "fer-run predict": ["-m", "fer_core", "predict", "face.png", "-m", "dan.safetensors", "--device", "cpu"],
}


def prepare(folder: Path) -> None:
    """A face, and weights of DAN."""
    classes = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
    model = Model(name="dan")
    header = Header(format=FORMAT, hook_api=1, model=model, classes=classes, preprocessing=make_preprocessing(224))
    save_weights(folder / "dan.safetensors", create_model("dan", classes=classes).state_dict(), header)
    Image.new("RGB", (100, 100), (90, 90, 90)).save(folder / "face.png")


def seconds(arguments: list[str], folder: str, environment: dict[str, str]) -> float:
    """Wall time of one fresh process."""
    command = [sys.executable, *arguments]
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    print(f"{'command':<16}  {'median s':>8}  {'min s':>6}")
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        for name, arguments in COMMANDS.items():
            seconds(arguments, folder, environment)  # the first run fills the file cache and compiles bytecode
            times = [seconds(arguments, folder, environment) for _ in range(options.runs)]
            print(f"{name:<16}  {statistics.median(times):>8.3f}  {min(times):>6.3f}")


if __name__ == "__main__":
    main()
