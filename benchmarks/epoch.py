"""An epoch over small JPEGs: `fer-run train` beside a plain torchvision loop and timm's `train.py`.

python benchmarks/epoch.py [--timm TRAIN_PY] [--images 2000] [--size 64] [--rounds 2] [--epochs 3] [--precision P]

All three train a ResNet-18 on one core with AdamW on the same files of 100 x 100 pixels: resize, flip,
normalize. The plain loop is `ImageFolder`, torchvision's v2 transforms and a `DataLoader`; TRAIN_PY is the
script of a checkout of pytorch-image-models, which is run beside the installed timm. An epoch is what a process
with --epochs epochs takes beyond one with a single epoch, divided by those: imports, the first decoding into
fer's pack and the report do not count. Ours and timm's include validating and saving. Times are of the
processor, of all processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
BATCH = 64
VALIDATED = 70
"""Images of the validation part: few, since the plain loop has none."""
PLAIN = """
import sys
import timm, torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
folder, size, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
transform = v2.Compose([
    v2.ToImage(), v2.Resize((size, size)), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True),
    v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
])
data = ImageFolder(folder, transform)
loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True)
model = timm.create_model("resnet18", num_classes=7).train()
criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.05)
for _ in range(epochs):
    for images, labels in loader:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()
""".replace("BATCH", str(BATCH))


def draw(folder: Path, images: int) -> None:
    """Smooth noise as JPEG files, `train/CLASS/*.jpg` and a small `validation/CLASS/*.jpg`."""
    random = np.random.default_rng(0)
    for part, count in (("train", images), ("validation", VALIDATED), ("test", VALIDATED)):
        for number in range(count):
            path = folder / part / CLASSES[number % 7] / f"{number:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            rough = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            rough.resize((100, 100), Image.Resampling.BICUBIC).save(path, quality=90)


def commands(
    data: Path, out: Path, size: int, timm: Path | None, precision: str
) -> dict[str, Callable[[int], list[str]]]:
    """The command of each side for a number of epochs."""

    def ours(epochs: int) -> list[str]:
        changes = {
            "data.input_size": size,
            "data.batch_size": BATCH,
            "data.train_transforms": "[resize, horizontal_flip, normalize]",
            "train.precision": precision,
            "train.epochs": epochs,
        }
        options = [part for key, value in changes.items() for part in ("-o", f"{key}={value}")]
        return ["-m", "fer_core", "train", "timm", "folder", "--data", str(data), *options]

    def theirs(epochs: int) -> list[str]:
        options = f"{timm} {data} --output {out} --device cpu --workers 1 --no-prefetcher -b {BATCH}"
        options += f" --model resnet18 --num-classes 7 --input-size 3 {size} {size} --smoothing 0.1"
        options += f" --epochs {epochs} --opt adamw --lr 5e-4 --weight-decay 0.05 --sched cosine --warmup-epochs 0"
        return f"{options} --color-jitter 0 --scale 1 1 --ratio 1 1".split()

    def plain(epochs: int) -> list[str]:
        return ["-c", PLAIN, str(data / "train"), str(size), str(epochs)]

    sides = {"fer-run train": ours, "ImageFolder and torchvision v2": plain}
    return {**sides, "timm's train.py": theirs} if timm is not None else sides


def seconds(arguments: Sequence[str], folder: Path) -> float:
    """Time of the processor that a process and its children take, on one core."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FER_CACHE": str(folder / "cache")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{arguments[:4]} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timm", type=Path, metavar="TRAIN_PY")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", default="fp32", help="Of ours; the others are in fp32.")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw(folder / "faces", options.images)
        sides = commands(folder / "faces", folder / "out", options.size, options.timm, options.precision)
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, command in sides.items():
                short, long = (seconds(command(epochs), folder) for epochs in (1, options.epochs))
                found[name].append((long - short) / (options.epochs - 1))
    mine = next(iter(found.values()))
    print(f"{options.images:,} images at {options.size} pixels, {options.rounds} rounds\n")
    print("| | s an epoch | ours is faster by |\n|---|---|---|")
    for name, values in found.items():
        ratio = statistics.median(b / a for a, b in zip(mine, values, strict=True))
        print(f"| {name} | {statistics.median(values):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
