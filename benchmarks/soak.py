"""Short runs for a long time: trained, killed, resumed, evaluated, used; nothing may stay behind or grow.

python benchmarks/soak.py [--minutes 30] [--seed 0] [--out FILE]

Every round trains DAN on small drawn faces in this process, then again in a process of its own that is killed at
a random moment, resumes that run, compares it with the first round's byte for byte, evaluates it and predicts a
face.
Looked for after every round: processes that stay, temporary files, results that differ, memory of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import fer_core
import numpy as np
import torch
from fer_core.data.open import open_dataset
from PIL import Image

OPTIONS = {"samples": 140, "size": 32}
OVERRIDES = {
    "data": {"options": OPTIONS, "input_size": 32, "batch_size": 16},
    "train": {"epochs": 2, "save_every": 2},
    "callbacks": [],
}
PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")
GROWTH = 1.15
"""Memory that this process may hold at the end, with that after the third round as 1."""


def command(*arguments: str) -> subprocess.Popen[str]:
    """Start `fer-run` in a process group of its own."""
    whole = [sys.executable, "-m", "fer_core", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(whole, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload,no-any-return]


def finish(process: subprocess.Popen[str], groups: list[int]) -> None:
    """Wait for a process that must succeed."""
    text, _ = process.communicate(timeout=900)
    groups.append(process.pid)
    if process.returncode != 0:
        raise SystemExit(f"Error: {process.args} ended with {process.returncode}:\n{text}")


def flat(tree: dict[str, object], prefix: str = "") -> list[str]:
    """Overrides of a command line."""
    found: list[str] = []
    for key, value in tree.items():
        if isinstance(value, dict) and key != "options":
            found += flat(value, f"{prefix}{key}.")
        else:
            found += ["-o", f"{prefix}{key}={json.dumps(value)}"]
    return found


def interrupted(groups: list[int], draw: random.Random, seconds: float) -> None:
    """Train in another process, kill it, and go on until the run is there."""
    process = command("train", "dan", "synthetic", "--device", "cpu", *flat(OVERRIDES), "-o", "run.dir=killed")
    time.sleep(draw.uniform(0, seconds))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    groups.append(process.pid)
    if Path("killed").exists():
        finish(command("train", "--resume", "killed"), groups)
    else:
        finish(
            command("train", "dan", "synthetic", "--device", "cpu", *flat(OVERRIDES), "-o", "run.dir=killed"),
            groups,
        )


def problems(groups: list[int]) -> list[str]:
    """What should not be there after a round."""
    found = []
    for group in groups:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            continue
        found.append(f"a process of group {group} stays")
    differing = [
        name for name in PRODUCTS if Path("killed", name).read_bytes() != Path("first", name).read_bytes()
    ]
    found += [f"{name} differs after a kill" for name in differing]
    left = [*Path("killed").glob(".*"), *Path("own").glob(".*")]
    return found + [f"{path} is left" for path in left]


def memory() -> int:
    """Bytes that this process holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def one_round(number: int, draw: random.Random) -> tuple[list[str], float]:
    """Problems of a round, and how long its training took."""
    groups: list[int] = []
    name = "own" if number else "first"
    began = time.monotonic()
    fer_core.train("dan", "synthetic", device="cpu", **OVERRIDES, run={"dir": name})
    seconds = time.monotonic() - began
    interrupted(groups, draw, 2 * seconds)
    finish(command("evaluate", "killed/best.safetensors", "synthetic", "--device", "cpu"), groups)
    finish(command("predict", "face.png", "-m", "killed/best.safetensors", "--device", "cpu"), groups)
    found = problems(groups)
    for folder in ("killed", "own"):
        shutil.rmtree(folder, ignore_errors=True)
    return found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = None if options.out is None else options.out.absolute()
    torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", "1")))
    draw, held, faults = random.Random(options.seed), list[int](), list[str]()
    end = time.monotonic() + 60 * options.minutes
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["FER_CACHE"] = str(Path(folder, "cache"))
        _, faces = open_dataset("synthetic", None, OPTIONS)
        Image.fromarray(np.repeat(faces.read(0), 3 // faces.read(0).shape[2], axis=2)).save("face.png")
        while time.monotonic() < end or not held:
            found, seconds = one_round(len(held), draw)
            held.append(memory())
            faults += found
            print(
                f"round {len(held)}: {seconds:.0f} s, {held[-1] / 1e6:.0f} MB, {'; '.join(found) or 'clean'}",
                flush=True,
            )
        os.chdir("/")
    if len(held) > 6 and held[-1] > GROWTH * held[2]:
        faults.append(f"memory grew from {held[2] / 1e6:.0f} to {held[-1] / 1e6:.0f} MB")
    if out is not None:
        out.write_text(
            json.dumps({"rounds": len(held), "memory": held, "problems": faults}) + "\n", encoding="utf-8"
        )
    print(f"{len(held)} rounds, {len(faults)} problems")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
