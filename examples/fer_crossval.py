"""Run the whole of `fer-crossval` and gather what to publish. Give the same command again to resume.

FER_DATA=DIR python examples/fer_crossval.py FOLDER [--random] [OPTIONS of fer-run experiment, such as --jobs 8]
"""

import argparse
import contextlib
import functools
import io
import json
import sys
import tarfile
from pathlib import Path

import torch
from fer_core.cli import main as fer_run
from fer_core.experiments.schema import read_experiment

BACKBONES = {  # what the authors start from, as `fer-run fetch` names it; for MFER the nearest that is published
    "poster": ["poster_pp/ir50", "poster_pp/mobilefacenet"],
    "poster_pp": ["poster_pp/ir50", "poster_pp/mobilefacenet"],
    "dan": ["dan/resnet18_msceleb"],
    "ddamfn": ["ddamfn/MFN_msceleb"],
    "lnsu": ["lnsu/start_0"],
    "adadf": ["adadf/resnet18_msceleb"],
    "mfer": ["mfer/convnext_base_22k_224"],
    "gsdnet": ["gsdnet/vgg_msceleb_resnet50_ft_weight"],
}
RECORDS = ("config.yaml", "env.json", "experiment.json", "metrics.jsonl", "result.json")


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--random", action="store_true", help="start from random weights where others are missing")
    args, options = parser.parse_known_args()
    runs, publish = args.folder / "runs", args.folder / "publish"
    publish.mkdir(parents=True, exist_ok=True)

    experiment = read_experiment("fer-crossval")
    weights = {model: list(map(fetch, names)) for model, names in BACKBONES.items()}
    missing = [model for model, files in weights.items() if not all(files)]
    if missing and not args.random:
        parser.error(f"no backbone weights of {', '.join(missing)}: get them as said above, or give --random")
    for model, files in weights.items():
        if model not in missing:
            experiment["when"].append({"models": [model], "config": {"model": {"backbone_weights": files}}})
    file = publish / "fer-crossval.yaml"
    file.write_text(json.dumps(experiment, indent=1))  # JSON is YAML

    jobs = max(torch.cuda.device_count(), 1)
    status = run("experiment", file, "--root", runs, "--jobs", jobs, *options)
    if status > 1 or "--dry-run" in options:
        sys.exit(status)
    with tarfile.open(publish / "records.tar.gz", "w:gz") as archive:
        for path in sorted(path for name in RECORDS for path in runs.glob(f"*/*/{name}")):
            archive.add(path, path.relative_to(runs))
    pages = [("report", "report.html"), ("leaderboard", "leaderboard.md"), ("leaderboard", "leaderboard.csv")]
    sys.exit(max(status, *(run(command, runs, "--out", publish / page) for command, page in pages)))


def run(*words: object) -> int:
    """Exit status of a command of fer-run: 0, 1 where some of its runs failed, or more."""
    try:
        fer_run([str(word) for word in words], prog_name="fer-run")
    except SystemExit as end:
        return int(end.code or 0)


@functools.cache
def fetch(name: str) -> str:
    """Path of a file of weights; empty where it is not on this machine and cannot be downloaded."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        run("fetch", name)
    return output.getvalue().strip()


if __name__ == "__main__":
    main()
