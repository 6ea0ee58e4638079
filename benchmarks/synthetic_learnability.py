"""How hard the synthetic dataset is: linear on pixels, a small network, and the background alone.

Prints one table; takes a few minutes on one core. `python benchmarks/synthetic_learnability.py`
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from fer_datasets.synthetic import Synthetic, create
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

SIDE = 48
EPOCHS = 8
BATCH = 64


@dataclass(frozen=True)
class Faces:
    """Pixels uint8 [N, side, side, 3] and labels [N] of one split."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def load(dataset: Synthetic, split: str) -> Faces:
    table = dataset.table[dataset.table["split"] == split]
    return Faces(np.stack([dataset.read(row) for row in table.index]), table["label"].to_numpy())


def background(faces: Faces) -> Faces:
    """The same pictures with an ellipse blanked that holds every face, chin of a dropped jaw included."""
    axis = np.linspace(-1, 1, SIDE)
    inside = (axis[None, :] / 0.92) ** 2 + (axis[:, None] / 1.15) ** 2 < 1
    return Faces(np.where(inside[None, :, :, None], np.uint8(128), faces.pixels), faces.labels)


def linear(train: Faces, val: Faces, test: Faces) -> float:
    """Test accuracy of logistic regression on standardised grey pixels; C is chosen on the val split."""
    scaler = StandardScaler()

    def flat(faces: Faces) -> NDArray[np.float32]:
        return faces.pixels.mean(axis=3, dtype=np.float32).reshape(len(faces.labels), -1)

    x = scaler.fit_transform(flat(train))
    scores = []
    for c in (1e-5, 1e-4, 1e-3, 1e-2):
        model = LogisticRegression(C=c, max_iter=300).fit(x, train.labels)
        on_val = model.score(scaler.transform(flat(val)), val.labels)
        scores.append((on_val, model.score(scaler.transform(flat(test)), test.labels)))
    return float(max(scores)[1])


def small_network() -> nn.Sequential:
    """Four stages of 3x3 convolutions, 0.23 M parameters."""
    layers: list[nn.Module] = []
    width = 3
    for out in (24, 48, 96, 192):
        layers += [nn.Conv2d(width, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        width = out
    cells = (SIDE // 16) ** 2
    return nn.Sequential(*layers, nn.Conv2d(width, 40, 1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(40 * cells, 7))


def to_tensor(faces: Faces) -> Tensor:
    """Float [N, 3, side, side] in -1..1; channels stay last in memory, which CPUs convolve faster."""
    return torch.tensor(faces.pixels).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


def network(train: Faces, test: Faces) -> tuple[float, NDArray[np.float64], float, int]:
    """Test accuracy, recall of each class, seconds of processor time and number of parameters."""
    torch.manual_seed(0)
    images, labels = to_tensor(train), torch.tensor(train.labels)
    model = small_network().to(memory_format=torch.channels_last)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    start = time.process_time()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images))[: len(images) // BATCH * BATCH].split(BATCH):
            batch = images[rows]
            mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
            batch = torch.where(mirrored, batch.flip(3), batch)
            loss = nn.functional.cross_entropy(model(batch), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.process_time() - start
    model.eval()
    with torch.no_grad():
        predicted = torch.cat([model(part).argmax(1) for part in to_tensor(test).split(256)]).numpy()
    right = predicted == test.labels
    recall = np.array([right[test.labels == k].mean() for k in range(7)])
    return float(right.mean()), recall, seconds, sum(p.numel() for p in model.parameters())


def main() -> None:
    dataset = create(None, size=SIDE)
    start = time.process_time()
    default = create(None)
    for row in range(1000):
        default.read(row)
    speed = time.process_time() - start
    train, val, test = (load(dataset, split) for split in ("train", "val", "test"))
    accuracy, recall, seconds, parameters = network(train, test)
    alone, _, _, _ = network(background(train), background(test))
    print(f"{len(train.labels)} training and {len(test.labels)} test faces at {SIDE} px")
    print(f"drawing at 64 px                          {speed:6.2f} ms a face")
    print(f"logistic regression on pixels             {100 * linear(train, val, test):6.1f} %")
    print(f"small network ({parameters / 1e6:.2f} M), {seconds:3.0f} s           {100 * accuracy:6.1f} %")
    for name, value in zip(dataset.classes, recall, strict=True):
        print(f"    recall {name:<30} {100 * value:6.1f} %")
    print(f"small network, background only            {100 * alone:6.1f} %  (chance {100 / 7:.1f} %)")


if __name__ == "__main__":
    main()
