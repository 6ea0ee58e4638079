"""CPU time of finding, cutting and classifying faces, and the memory that many photographs take.

python benchmarks/faces.py [--rounds 20] [--photographs 500]

Needs scikit-image, whose photograph of an astronaut is measured. Times are CPU times of one thread, or of two for
`predict`, so that other load on the machine counts little: medians, with the convolution ceiling beside them.
`benchmarks/detectors.py` compares detectors of others.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import fer_core
import numpy as np
import torch
from fer_core.benchmarking.ceiling import measure_ceiling
from fer_core.components import build
from fer_core.data.alignment import cut_face
from fer_core.engine import Engine
from fer_core.faces import Alignment
from fer_core.inference.predict import logits_of
from PIL import Image

CROPS, SIDE, BATCH = 1000, 112, 64
MEMORY = """
import sys
from fer_core.cli import main
main(sys.argv[1:], standalone_mode=False)
with open("/proc/self/status") as status:
    print(int(status.read().split("VmHWM:")[1].split()[0]) // 1024)
"""


def astronaut() -> np.ndarray:
    """uint8 RGB [512, 512, 3]."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        sys.exit("pip install scikit-image, whose photograph is measured")
    return np.array(Image.open(Path(found.origin).parent / "data" / "astronaut.png").convert("RGB"))


def cpu_time(call: Callable[[], object], rounds: int) -> float:
    """Median CPU time of a call in milliseconds."""
    call()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def detection(image: np.ndarray, rounds: int) -> list[str]:
    """Lines on one photograph, one thread."""
    torch.set_num_threads(1)
    ceiling = measure_ceiling(Engine.start("cpu", "fp32"), 1.0)
    lines = [f"| convolution ceiling, GFLOP/s | {ceiling.convolution / 1e9:.0f} |"]
    for side in (480, 320):
        detector = build("detectors", "centerface", {"side": side})
        ((face,),) = detector.detect([image])
        spent = cpu_time(lambda detector=detector: detector.detect([image]), rounds)
        lines.append(f"| `centerface`, {side} pixels, ms | {spent:.1f} |")
    alignment = Alignment(kind="points", template="arcface", size=SIDE)
    spent = cpu_time(lambda: cut_face(image, alignment, points=face.points), rounds)
    lines.append(f"| alignment to {SIDE} pixels, ms | {spent:.2f} |")
    return lines


def train(folder: Path) -> Path:
    """Weights of ResNet-18 after one step."""
    run = fer_core.train(
        "timm",
        "synthetic",
        device="cpu",
        model={"backbone": "resnet18"},
        data={"input_size": SIDE, "batch_size": 16, "options": {"samples": 42, "size": 64}},
        train={"steps": 1},
        run={"dir": str(folder / "run")},
    )
    return run.checkpoint


@torch.inference_mode()
def crops(weights: Path, folder: Path, image: np.ndarray) -> str:
    """A line on crops in files, against the bare network on tensors; both in turn."""
    torch.set_num_threads(2)
    place = folder / "crops"
    place.mkdir()
    face = Image.fromarray(image).crop((150, 30, 300, 210)).resize((SIDE, SIDE))
    face.save(place / "0.jpg", quality=95)
    for number in range(1, CROPS):
        os.link(place / "0.jpg", place / f"{number}.jpg")
    predictor = fer_core.Predictor(weights, "cpu", detect="none")
    network = predictor.network
    batch = network.engine.place({"image": torch.randn(BATCH, 3, SIDE, SIDE)})["image"]

    def bare() -> None:
        with network.engine.autocast():
            for _ in range(CROPS // BATCH + 1):
                logits_of(network.model, batch)

    ratios = []
    for _ in range(3):
        network_alone = cpu_time(bare, 1) * CROPS / ((CROPS // BATCH + 1) * BATCH)
        ratios.append(network_alone / cpu_time(lambda: predictor(place), 1))
    share = statistics.median(ratios)
    return f"| {CROPS:,} crops through ResNet-18, share of the bare network's throughput | {share:.0%} |"


def memory(weights: Path, folder: Path, image: np.ndarray, photographs: int) -> str:
    """A line on photographs of 12 million pixels."""
    place = folder / "photographs"
    place.mkdir()
    Image.fromarray(image).resize((4000, 3000)).save(place / "0.jpg")
    for number in range(1, photographs):
        os.link(place / "0.jpg", place / f"{number}.jpg")
    arguments = ["predict", place, "-m", weights, "--csv", folder / "out.csv"]
    done = subprocess.run([sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True, check=True)
    return (
        f"| {photographs} photographs of 4,000 x 3,000 pixels, MiB resident | {int(done.stdout.split()[-1]):,} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--photographs", type=int, default=500)
    arguments = parser.parse_args()
    image = astronaut()
    print("| | |\n|---|---|")
    print(*detection(image, arguments.rounds), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = train(folder)
        print(crops(weights, folder, image), flush=True)
        print(memory(weights, folder, image, arguments.photographs))


if __name__ == "__main__":
    main()
