"""Trained on FER2013, evaluated on FERPlus, and back: classes meet by name, figures stand in the report."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.types import EXPRESSIONS
from fer_datasets.specs.fer2013 import SPEC as FER2013
from fer_datasets.specs.ferplus import SPEC as FERPLUS
from fer_datasets.synthetic import Synthetic
from sklearn import metrics as sk

SMALL = ("data.input_size=32", "train.epochs=1", "data.batch_size=32", "callbacks=[]")


def write_copy(folder) -> None:
    """`fer2013.csv` and `fer2013new.csv` of the same drawn faces; FERPlus calls some of them contempt."""
    faces = Synthetic(samples=192, size=48, classes=8, seed=0)
    usages = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
    pixels, votes = ["emotion,pixels,Usage"], [f"Usage,Image name,{','.join(FERPLUS.classes)},unknown,NF"]
    for row, (label, split) in enumerate(zip(faces.table["label"], faces.table["split"], strict=True)):
        name = faces.classes[label]
        emotion = FER2013.classes.index("disgust" if name == "contempt" else name)
        grey = faces.read(row).mean(axis=2).round().astype(int).ravel()
        pixels.append(f"{emotion},{' '.join(map(str, grey))},{usages[split]}")
        given = ",".join("9" if name == each else "0" for each in FERPLUS.classes)
        votes.append(f"{usages[split]},fer{row:07d}.png,{given},1,0")
    folder.mkdir()
    (folder / "fer2013.csv").write_text("\n".join([*pixels, ""]))
    (folder / "fer2013new.csv").write_text("\n".join([*votes, ""]))


def fer_run(*arguments: object) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_there_and_back(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copy"
    write_copy(copy)
    options = [word for override in SMALL for word in ("-o", override)]
    ways = (("fer2013", "ferplus", 7), ("ferplus", "fer2013", 8))
    for trained, other, classes in ways:
        run = tmp_path / "runs" / trained
        fer_run("train", "timm", trained, "--data", copy, *options, "-o", f"run.dir={run}", "--device", "cpu")
        checkpoint = run / "best.safetensors"
        fer_run("evaluate", checkpoint, other, "--data", copy, "--classes", "shared", "--out", run / other)
        record = json.loads((run / other / "evaluation-test.json").read_text())
        assert len(record["classes"]) == classes
        assert record["label_space"].get("left_out", []) == (["contempt"] if other == "ferplus" else [])
        assert set(record["label_space"]["shared"]) == set(EXPRESSIONS) - {"contempt"}

    rows = json.loads(fer_run("leaderboard", tmp_path / "runs", "--json"))["results"]
    page = tmp_path / "report.html"
    fer_run("report", tmp_path / "runs", "--out", page)
    text = page.read_text()
    for trained, other, _ in ways:
        table = pd.read_csv(tmp_path / "runs" / trained / other / "predictions-test.csv")
        true = FER2013.classes if other == "fer2013" else [name for name in FERPLUS.classes if name != "contempt"]
        assert set(table["label"]) == set(true)
        way = [row for row in rows if row["dataset"] == other and row["trained_on"].startswith(trained)]
        found = {row["metric"]: row for row in way}
        assert (table.filter(like="p_").idxmax(axis=1) == "p_" + table["predicted"]).all()
        assert found["accuracy"]["mean"] == pytest.approx((table["label"] == table["predicted"]).mean())
        recall = sk.recall_score(table["label"], table["predicted"], labels=sorted(true), average=None)
        assert found["mean_class_accuracy"]["mean"] == pytest.approx(np.mean(recall))
        assert f"Cross-dataset, trained on {trained} (" in text
        assert f"{100 * found['accuracy']['mean']:.2f}" in text
    assert "Left out: faces of contempt" in text
    assert "Without faces here: contempt; can be predicted, which counts as wrong" in text
