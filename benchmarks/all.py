"""All speed measurements on a CPU, one after another, into one Markdown file with the hardware.

python benchmarks/all.py [--threads 1] [--quick] [--out bench.md]

`make bench` runs it. For a GPU there is `gpu.py`.
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
BATCH = "4"


def plan(options: argparse.Namespace) -> dict[str, list[str]]:
    """Title and command of every part."""
    where = ["--device", "cpu", "--threads", str(options.threads)]
    rounds = "3" if options.quick else "9"
    names = ["dan"] if options.quick else list(registry.names("models"))
    return {
        "The trainer against bare loops": [
            str(HERE / "trainer_overhead.py"),
            *where,
            "--batch",
            BATCH,
            "--rounds",
            "12",
        ],
        "Every network, plain against our settings": [
            str(HERE / "models.py"),
            *where,
            "--batch",
            BATCH,
            "--rounds",
            rounds,
        ],
        "Every phase, and its share of what the device reaches": [
            "-m",
            "fer_core",
            "benchmark",
            *names,
            "--device",
            "cpu",
            "--batch",
            BATCH,
        ],
        "Start-up": [str(HERE / "startup.py"), "--runs", "5"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="Fewer rounds, and one network for the phases.")
    parser.add_argument("--out", type=Path, default=Path("bench.md"))
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "COLUMNS": "100"}
    facts = hardware(Engine.start("cpu"))
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
