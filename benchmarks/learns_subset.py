"""Whether every installed model learns: 64 drawn faces, at most 200 steps, by its own settings.

`python benchmarks/learns_subset.py [--by accuracy|either] [MODEL...]` prints a line for each; all take about an
hour on one core. The settings are those of `fer-run train MODEL synthetic`, the schedule drawn out over 200 steps,
with at most 16 faces a batch. A model has learned when it recognises 90 % of the faces, or when the excess of the
loss over its floor, as a mean over the last 10 steps, is half of what it was at the first step; `--by either`
stops at whichever comes first.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from fer_core import registry
from fer_core.config import Config
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import build_pipeline
from fer_core.engine import Engine
from fer_core.inference.predict import logits_of
from fer_core.preprocessing import Preprocessing
from fer_core.refs import resolve
from fer_core.training.setup import build_model
from fer_core.types import Progress, TaskInfo
from fer_core.workflows.configure import resolve_run
from torch import Tensor, nn

FACES, BATCH, STEPS, EVERY = 64, 16, 200, 10
PER_EPOCH = FACES // BATCH
FLOORS = {"lnsu": 1.148}
"""The least loss that smoothed targets allow, where it is not 0."""


def faces(config: Config) -> tuple[Tensor, Tensor]:
    """The first 64 faces, prepared as for evaluation."""
    dataset = resolve(registry.find("datasets", "synthetic").factory)(None, samples=700)
    pipeline = build_pipeline(Preprocessing.from_config(config.data))
    pixels = [dataset.read(row) for row in range(FACES)]
    labels = torch.from_numpy(dataset.table["label"].to_numpy()[:FACES].copy())
    return pipeline.batch(pixels, SampleRandom(0, 0, np.arange(FACES))), labels


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of the 64 faces that are recognised, in eval mode."""
    model.eval()
    found = torch.cat([logits_of(model, part).argmax(1) for part in torch.split(images, BATCH)])
    model.train()
    return float((found == labels).float().mean())


def learn(name: str, by: str) -> str:
    """Train one model; a row of the table."""
    config = resolve_run(name, "synthetic", overrides=[f"data.batch_size={BATCH}"]).config
    classes = registry.find("datasets", "synthetic").classes
    info = TaskInfo(classes, (FACES // 7 + 1,) * 7, config.data.input_size, BATCH)
    engine = Engine.start("auto")
    model = build_model(config, info)
    engine.prepare(model)
    loss = registry.find("losses", config.loss.name)(info, **config.loss.options).to(engine.device.torch_device)
    parameters = [p for p in [*model.parameters(), *loss.parameters()] if p.requires_grad]
    optimizer = registry.find("optimizers", config.optimizer.name)(parameters, **config.optimizer.options)
    schedule = config.scheduler
    total, unit = (STEPS, PER_EPOCH) if schedule.per == "step" else (STEPS // PER_EPOCH, 1)
    scheduler = registry.find("schedulers", schedule.name)(
        optimizer, total=total, per_epoch=unit, **schedule.options
    )
    images, labels = faces(config)
    batch = engine.place({"image": images, "label": labels, "index": torch.arange(FACES)})
    model.train()
    losses, best, began = list[float](), 0.0, time.monotonic()
    floor = FLOORS.get(name, 0.0)
    for step in range(STEPS):
        epoch, part = divmod(step, PER_EPOCH)
        order = torch.randperm(FACES, generator=torch.Generator().manual_seed(epoch))
        rows = order[part * BATCH : (part + 1) * BATCH].to(engine.device.torch_device)
        micro = {key: value[rows] for key, value in batch.items()}

        progress = Progress(epoch, STEPS // PER_EPOCH, step, STEPS)

        def closure(micro: dict[str, Tensor] = micro, progress: Progress = progress) -> dict[str, Tensor]:
            optimizer.zero_grad(set_to_none=True)
            with engine.autocast():
                terms = loss(model, micro, progress)
            engine.backward(terms["loss"])
            if config.train.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, config.train.clip_norm)
            return {"loss": terms["loss"].detach()}

        losses.append(float(optimizer.step(closure)["loss"]))
        if schedule.per == "step" or part == PER_EPOCH - 1:
            scheduler.step()
        if (step + 1) % EVERY == 0:
            best = max(best, accuracy(model, batch["image"], batch["label"]))
            recent = statistics.fmean(losses[-EVERY:])
            halved = recent - floor <= (losses[0] - floor) / 2
            print(
                f"{name} {step + 1} steps: {losses[0]:.3f} to {recent:.3f}, {best:.1%}",
                file=sys.stderr,
                flush=True,
            )
            if best >= 0.9 or (halved and by == "either"):
                break
    seconds = time.monotonic() - began
    side, method = config.data.input_size, f"{config.optimizer.name} {config.optimizer.options.get('lr')}"
    return (
        f"| {name} | {side} | {method} | {len(losses)} | {losses[0]:.3f} | {recent:.3f} "
        f"| {best:.1%} | {'yes' if best >= 0.9 or halved else 'NO'} | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--by", choices=("accuracy", "either"), default="accuracy")
    options = parser.parse_args()
    print(
        "| model | pixels | optimizer | steps | first loss | last loss | accuracy on the 64 | learns | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.models or registry.names("models"):
        print(learn(name, options.by), flush=True)


if __name__ == "__main__":
    main()
