"""Face detectors side by side: time on one photograph, and the faces that they find in it and in scenes.

python benchmarks/detectors.py [--rounds 20] [--scenes 60] [--only NAME]

Needs scikit-image, whose photograph of an astronaut (512 x 512, one face) is measured. Detectors of others are
measured where they are installed: deface, facenet-pytorch, mtcnn (which needs tensorflow) and fer. Times are CPU
times of one thread, medians, so that other load on the machine counts little.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from fer_core.components import build
from fer_core.data.scenes import make_scene
from PIL import Image

Boxes = list[tuple[float, float, float, float]]
Find = Callable[[np.ndarray], Boxes]
FACE = (179, 56, 272, 180)
"""Of the photograph."""
AROUND = (150, 30, 300, 210)
"""The part of it that is pasted into scenes."""


def astronaut() -> np.ndarray:
    """uint8 RGB [512, 512, 3]."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        sys.exit("pip install scikit-image, whose photograph is measured")
    return np.array(Image.open(Path(found.origin).parent / "data" / "astronaut.png").convert("RGB"))


def centerface(side: int) -> Find:
    """Ours."""
    detector = build("detectors", "centerface", {"side": side})
    return lambda image: [face.box for face in detector.detect([image])[0]]


def deface() -> Find:
    """The same network in OpenCV."""
    from deface.centerface import CenterFace

    detector = CenterFace(in_shape=(480, 480), backend="opencv")
    return lambda image: [tuple(row[:4]) for row in detector(np.ascontiguousarray(image[..., ::-1]), 0.5)[0]]


def facenet() -> Find:
    """MTCNN in torch."""
    from facenet_pytorch import MTCNN

    detector = MTCNN()

    def find(image: np.ndarray) -> Boxes:
        boxes, _ = detector.detect(image)
        return [] if boxes is None else [tuple(box) for box in boxes]

    return find


def mtcnn() -> Find:
    """MTCNN in tensorflow."""
    from mtcnn import MTCNN

    detector = MTCNN(device="CPU:0")
    return lambda image: [_corners(*face["box"]) for face in detector.detect_faces(image) or []]


def fer() -> Find:
    """OpenCV's cascade with the network for expressions behind it."""
    from fer.fer import FER

    whole = FER()
    return lambda image: [
        _corners(*face["box"]) for face in whole.detect_emotions(np.ascontiguousarray(image[..., ::-1]))
    ]


def _corners(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    return left, top, left + width, top + height


DETECTORS: dict[str, tuple[str, Callable[[], Find]]] = {
    "`centerface`, 480 pixels": ("fer-faces", lambda: centerface(480)),
    "`centerface`, 320 pixels": ("fer-faces", lambda: centerface(320)),
    "deface (CenterFace in OpenCV), 480 pixels": ("deface", deface),
    "facenet-pytorch (MTCNN)": ("facenet-pytorch", facenet),
    "mtcnn (tensorflow)": ("mtcnn", mtcnn),
    "fer (cascade, with expressions)": ("fer", fer),
}
"""Name -> distribution, and what makes the detector."""


def use_one_thread() -> None:
    """As far as libraries are installed."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
    if find_spec("tensorflow"):
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def measured(find: Find, image: np.ndarray, rounds: int, scenes: int) -> Iterator[str]:
    """Cells of a row: milliseconds; right and false boxes in the photograph; recall and false boxes in scenes."""
    boxes = find(image)
    found = [box for box in boxes if _middle_in(box, FACE)]
    times = []
    for _ in range(rounds):
        start = time.process_time()
        find(image)
        times.append(time.process_time() - start)
    yield f"{1000 * statistics.median(times):.0f}"
    yield f"{min(len(found), 1)} + {len(boxes) - min(len(found), 1)}"
    left, top, right, bottom = AROUND
    seen = false = 0
    for number in range(scenes):
        scene, (place,) = make_scene(np.random.default_rng(number), [image[top:bottom, left:right]])
        boxes = find(scene)
        hits = [box for box in boxes if _middle_in(box, place)]
        seen, false = seen + bool(hits), false + len(boxes) - bool(hits)
    yield f"{seen / scenes:.0%} + {false}"


def _middle_in(box: tuple[float, float, float, float], place: tuple[int, int, int, int]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return place[0] <= x <= place[2] and place[1] <= y <= place[3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--only", default="", help="detectors whose name has this")
    arguments = parser.parse_args()
    image = astronaut()
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    print(
        "| detector | version | ms | photograph: right + false | scenes: recall + false |\n|---|---|---|---|---|"
    )
    for name, (distribution, make) in DETECTORS.items():
        if arguments.only not in name:
            continue
        try:
            find = make()
        except ImportError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        cells = measured(find, image, arguments.rounds, arguments.scenes)
        print(f"| {name} | {version(distribution)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
