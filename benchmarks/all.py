"""All speed measurements, one after another, into one Markdown file with the hardware.

python benchmarks/all.py [--device cpu] [--threads 1] [--quick] [--out bench.md]

`make bench` runs it. On a GPU: `python benchmarks/all.py --device cuda --out bench-gpu.md`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from fer_core import registry
from fer_core.engine import Engine
from pairs import hardware

HERE = Path(__file__).parent


def plan(options: argparse.Namespace) -> dict[str, list[str]]:
    """Title and command of every part."""
    where = ["--device", options.device, "--threads", str(options.threads)]
    on_cpu = options.device == "cpu"
    batch = "4" if on_cpu else "64"
    rounds = "3" if options.quick else "9"
    overhead = [str(HERE / "trainer_overhead.py"), *where, "--batch", batch, "--rounds", "12"]
    models = [str(HERE / "models.py"), *where, "--batch", batch, "--rounds", rounds]
    names = ["dan"] if options.quick else list(registry.names("models"))
    bench = ["-m", "fer_core", "benchmark", *names, "--device", options.device, "--batch", batch]
    parts = {
        "The trainer against bare loops": overhead,
        "Every network, plain against our settings": models,
        "Every phase, and its share of what the device reaches": bench,
        "Start-up": [str(HERE / "startup.py"), "--runs", "5"],
    }
    if not on_cpu:
        parts["Every network, plain against our settings compiled"] = [*models, "--compile"]
        parts["Every phase, compiled"] = [*bench, "--compile"]
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="Fewer rounds, and one network for the phases.")
    parser.add_argument("--out", type=Path, default=Path("bench.md"))
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "COLUMNS": "100"}
    facts = hardware(Engine.start(options.device))
    lines = ["# Speed", "", f"{datetime.now(UTC):%Y-%m-%d}", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items() if key != "threads"]
    lines.append(f"- threads: {options.threads}")
    for title, arguments in plan(options).items():
        print(f"== {title}", flush=True)
        found = subprocess.run(
            [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        print(found.stdout)
        lines += ["", f"## {title}", "", "```", found.stdout.rstrip(), "```"]
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written  {options.out}")


if __name__ == "__main__":
    main()
