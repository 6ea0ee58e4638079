"""Training on few faces, from trained weights and from random ones: accuracy of both, and their paired difference.

Each seed draws its own faces from the training part and trains twice on them, with the same settings. All runs are
measured on the same test faces; the interval is the bootstrap over these of the difference of the mean accuracies.
Repeat the command after an interruption: finished runs are kept, others resumed.

python benchmarks/fine_tuning.py MODEL WEIGHTS DATASET [--data DIR] [--faces 400] [--seeds 5] [-c FILE]
    [-o KEY=VALUE] [--out runs/fine-tuning]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from fer_core.data.prepare import divide, open_configured
from fer_core.runs.predictions import read_predictions
from fer_core.runs.reading import read_result
from fer_core.statistics import paired_bootstrap
from fer_core.workflows.configure import resolve_run
from fer_core.workflows.resume import resume_run
from fer_core.workflows.train import start_run

ARMS = ("random", "weights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("weights")
    parser.add_argument("dataset")
    parser.add_argument("--data")
    parser.add_argument("--faces", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("-o", "--override", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/fine-tuning"))
    options = parser.parse_args()
    share = fraction(options)
    folders = {arm: [run(options, arm, seed, share) for seed in range(options.seeds)] for arm in ARMS}
    tables = {arm: [predictions(folder) for folder in found] for arm, found in folders.items()}
    for arm, found in tables.items():
        scores = [100 * float((table["label"] == table["predicted"]).mean()) for table in found]
        deviation = np.std(scores, ddof=1) if len(scores) > 1 else 0.0
        each = ", ".join(f"{score:.2f}" for score in scores)
        print(f"{arm:<8} {np.mean(scores):.2f} % (deviation {deviation:.2f}; {each})")
    labels = tables["random"][0]["label"].to_numpy()
    answers = [np.stack([table["predicted"] for table in tables[arm]]) for arm in ("weights", "random")]
    found, low, high, p = (100 * value for value in paired_bootstrap(labels, *answers, "accuracy"))
    print(f"difference {found:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}, p {p / 100:.4f}")
    counts = read_result(folders["random"][0]).dataset.counts
    print(f"{sum(counts['train'].values())} training faces, {len(labels):,} test faces")


def fraction(options: argparse.Namespace) -> float:
    """The share of the training part that has the wanted number of faces."""
    given = {"data": options.data, "config": options.config, "overrides": options.override}
    config = resolve_run(options.model, options.dataset, **given).config
    return options.faces / len(divide(config, *open_configured(config)).train)


def run(options: argparse.Namespace, arm: str, seed: int, share: float) -> Path:
    """The folder of a finished run."""
    folder = options.out / f"{arm}-s{seed}"
    if (folder / "config.yaml").exists():
        return resume_run(folder, "auto")
    given = [f"data.fraction={share}", f"data.split_seed={seed}", f"run.dir={folder}", "run.report=false"]
    resolved = resolve_run(
        options.model,
        options.dataset,
        data=options.data,
        weights=options.weights if arm == "weights" else None,
        seed=seed,
        config=options.config,
        overrides=[*options.override, *given],
    )
    return start_run(resolved.config)


def predictions(folder: Path) -> pd.DataFrame:
    """Those of a run on the test part, by id."""
    table = read_predictions(folder / "predictions-test.csv", read_result(folder).classes)
    return table.sort_values("id", ignore_index=True)


if __name__ == "__main__":
    main()
