"""Finished runs that were never trained: run folders with predictions of a given skill."""

from pathlib import Path

import numpy as np
from fer_core.config import config_hash, load_config
from fer_core.metrics import MetricsRow, compute_metrics
from fer_core.preprocessing import Preprocessing
from fer_core.provenance import Dataset, Model, Split, Start
from fer_core.runs.predictions import write_predictions
from fer_core.runs.records import Environment, Result, ScoredWeights, Training

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
SHARES = (0.35, 0.27, 0.12, 0.11, 0.08, 0.03, 0.03, 0.01)


def write_run(
    folder: Path, model: str, dataset: str, *, skill: float, images: int, epochs: int = 8, seed: int = 0
):
    """A run of `model` whose logits of the right class are raised by `skill`; labels [N] and predictions [N]."""
    folder.mkdir(parents=True)
    code = sum(map(ord, dataset))
    labels = np.random.default_rng(code).choice(len(CLASSES), images, p=SHARES)
    noise = np.random.default_rng([code, sum(map(ord, model))])
    logits = noise.normal(size=(images, len(CLASSES))) + np.log(SHARES)
    logits[np.arange(images), labels] += skill
    scores = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{dataset}-{number:05d}" for number in range(images)]
    (folder / "predictions-test.csv").write_text(write_predictions(CLASSES, ids, labels, scores, []))
    (folder / "config.yaml").write_text(
        f"model: {{name: {model}}}\ndata: {{name: {dataset}, input_size: 112}}\n"
        f"train: {{epochs: {epochs}}}\nrun: {{dir: {folder}}}\n"
    )
    weights = ScoredWeights(
        epoch=epochs, step=100 * epochs, metrics={"test": compute_metrics(labels, scores, CLASSES)}
    )
    counts = {name: int((labels == number).sum()) for number, name in enumerate(CLASSES)}
    result = Result(
        format=2,
        model=Model(name=model),
        classes=CLASSES,
        dataset=Dataset(name=dataset, fingerprint=f"{code:064x}", counts={"train": counts, "test": counts}),
        split=Split(protocol="official", holdout=0.1, seed=0, digest=f"{code:064x}"),
        start=Start(description="random weights"),
        preprocessing=Preprocessing(
            input_size=112,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            color="rgb",
            eval_transforms=("resize", "normalize"),
            pipeline="batched",
        ),
        protocol=Training(
            select="best:val",
            metric="accuracy",
            selected_on_test=False,
            seed=0,
            epochs=epochs,
            steps=100 * epochs,
        ),
        config_sha256=config_hash(load_config(folder / "config.yaml")),
        best=weights,
        last=weights,
    )
    (folder / "result.json").write_text(result.text())
    environment = Environment(
        format=2,
        started="2026-01-01T00:00:00+00:00",
        command=("fer-run", "train", model, dataset),
        device="cpu",
        precision="fp32",
        compile=False,
        deterministic=True,
        threads=2,
        processes=1,
        python="3.11",
        platform="Linux",
        versions={"torch": "2"},
        config_sha256=config_hash(load_config(folder / "config.yaml")),
        training_seconds=(4000.0,),
        evaluated_per_second=900.0 + code % 7 + 100 * len(model),
    )
    (folder / "env.json").write_text(environment.text())
    rows = [
        MetricsRow(
            epoch=epoch,
            step=100 * epoch,
            lr=0.01,
            train={"loss": 2 / epoch, "accuracy": 0.9 - 0.6 / epoch},
            val={"cross_entropy": 1 + 0.5 / epoch, "accuracy": 0.8 - 0.4 / epoch, "mean_class_accuracy": 0.5},
        )
        for epoch in range(1, epochs + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(row.line() for row in rows))
    return labels, scores.argmax(axis=1)
