"""Images a second of each model's full network and of its inference form, as a Markdown table.

python benchmarks/inference_form.py [MODEL...] [--threads 1 2] [--batch 8] [--rounds 15]

Without names, every installed model that has an inference form. Both are laid out as prediction lays them out,
hold the same weights and take turns call by call in one process, so that other load falls on both; the figures are
medians over the rounds. Difference: the largest between their logits in fp32, over the largest logit.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch
from fer_core import FerError, create_model, inference_form, registry
from fer_core.config import resolve_config
from fer_core.engine import Engine
from fer_core.workflows.import_weights import NO_DATASET
from torch import nn


def networks(name: str, batch: int) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """A network whose normalisations have seen images, its inference form, and a batch."""
    size = resolve_config(registry.find("models", name), NO_DATASET).config.data.input_size
    torch.manual_seed(0)
    full = create_model(name, num_classes=7, input_size=size)
    images = torch.randn(batch, 3, size, size)
    with torch.no_grad():
        full.train()(images)
    return full.eval(), inference_form(full, name), images


def rate(model: nn.Module, images: torch.Tensor, engine: Engine) -> float:
    """Images a second of one call."""
    start = time.perf_counter()
    with engine.autocast():
        model(images)
    return len(images) / (time.perf_counter() - start)


@torch.inference_mode()
def row(name: str, threads: int, precision: str, batch: int, rounds: int) -> str:
    """One line of the table."""
    torch.set_num_threads(threads)
    full, form, images = networks(name, batch)
    difference = (full(images)["logits"] - form(images)["logits"]).abs().max() / full(images)["logits"].abs().max()
    engine = replace(Engine.start("cpu", "fp32"), precision=precision)
    placed = engine.place({"image": images})["image"]
    rates: dict[nn.Module, list[float]] = {full: [], form: []}
    for model in rates:
        engine.prepare(model)
        rate(model, placed, engine)
    for _ in range(rounds):
        for model, found in rates.items():
            found.append(rate(model, placed, engine))
    before, after = (statistics.median(found) for found in rates.values())
    return (
        f"| {name} | {images.shape[-1]} | {threads} | {precision} | {before:.1f} | {after:.1f} "
        f"| {after / before:.2f} | {difference:.1e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    known = [name for name in registry.names("models") if registry.find("models", name).inference is not None]
    print(
        "| model | input | threads | precision | full, images/s | inference form, images/s | ratio | difference |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in options.models or known:
        for precision in options.precision:
            for threads in options.threads:
                try:
                    print(row(name, threads, precision, options.batch, options.rounds), flush=True)
                except FerError as error:
                    raise SystemExit(f"Error: {error}") from error


if __name__ == "__main__":
    main()
