"""Heads for extra targets from evaluation to result, report and leaderboard; missing targets are masked."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from fer_core import FerError
from fer_core.cli.main import main
from fer_core.inference.predict import outputs_of
from fer_core.metrics.numbers import ccc
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.reading import read_history, read_run
from fer_core.statistics import apply_temperature, fit_temperature
from fer_core.types import MetricSpec
from fer_core.weights.checkpoint import read_header
from sklearn import metrics as sklearn

CLASSES, NUMBERS = ("accuracy", "mean_class_accuracy", "macro_f1"), ("ccc", "rmse", "mae")


def train(folder: str, dataset: str = "faces", model: str = "two_heads", **more):
    given = {
        "data": {"input_size": 16, "batch_size": 16},
        "loss": "multi_head",
        "train": {"epochs": 2, "precision": "fp32"},
        "callbacks": [],
        "device": "cpu",
    }
    return fer_core.train(model, dataset, run={"dir": folder}, **{**given, **more})


def run(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def kappa(monkeypatch):
    """The metric `kappa` of `kappa-metrics`."""

    def agreement(labels, probabilities):
        return sklearn.cohen_kappa_score(labels, probabilities.argmax(axis=1))

    spec = MetricSpec(name="kappa", measures="classes", function=agreement)
    entry = Entry("kappa", spec, Plugin("kappa", "kappa-metrics", "1.5"))
    monkeypatch.setitem(load_plugins().entries["metrics"], "kappa", [entry])


def test_figures_of_heads_are_those_of_the_stored_predictions_over_present_targets(two_heads, kappa) -> None:
    done = train("runs/a", metrics=["kappa"])
    table = pd.read_csv("runs/a/heads-test.csv")
    labels = pd.read_csv("runs/a/predictions-test.csv")
    assert table["id"].tolist() == labels["id"].tolist()
    metrics = done.result.metrics["test"]
    assert metrics.others == {
        "kappa": pytest.approx(sklearn.cohen_kappa_score(labels["label"], labels["predicted"]), abs=1e-9)
    }
    for name, classes, missing in (("mood", ("calm", "tense"), 3), ("age", ("young", "old", "unsure"), 5)):
        present = table[table[f"target_{name}"].notna()]
        assert len(present) == 18 - len(range(-72 % missing, 18, missing))
        head = metrics.heads[name]
        truth, predicted = present[f"target_{name}"], present[f"head_{name}"]
        assert head.count == len(present)
        assert head.figures == pytest.approx(
            {
                "accuracy": sklearn.accuracy_score(truth, predicted),
                "mean_class_accuracy": sklearn.recall_score(
                    truth, predicted, labels=truth.unique(), average="macro", zero_division=0
                ),
                "macro_f1": sklearn.f1_score(truth, predicted, average="macro", zero_division=0),
                "kappa": sklearn.cohen_kappa_score(truth, predicted),
            },
            abs=1e-9,
        )
        shares = table[[f"head_{name}:{each}" for each in classes]].to_numpy()
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        assert [classes[best] for best in shares.argmax(axis=1)] == table[f"head_{name}"].tolist()
    present = table[table["target_tension"].notna()]
    truth, predicted = (present[column].to_numpy() for column in ("target_tension", "head_tension"))
    assert metrics.heads["tension"].count == len(present) < 18
    assert metrics.heads["tension"].figures == pytest.approx(
        {
            "ccc": ccc(truth, predicted),
            "rmse": sklearn.root_mean_squared_error(truth, predicted),
            "mae": sklearn.mean_absolute_error(truth, predicted),
        },
        rel=1e-6,
    )
    (last,) = read_history(Path("runs/a"))[-1:]
    names = {"kappa", *(f"tension.{name}" for name in NUMBERS)}
    names |= {f"{head}.{name}" for head in ("mood", "age") for name in (*CLASSES, "kappa")}
    assert set(last.val) == {*CLASSES, "cross_entropy", *names}
    evaluated = fer_core.evaluate("runs/a", device="cpu", precision="fp32")
    assert evaluated.metrics == metrics
    assert evaluated.to_frame()["head_mood"].tolist() == table["head_mood"].tolist()


def test_report_and_leaderboard_show_the_heads_and_the_better_row(two_heads, kappa) -> None:
    for seed in (0, 1):
        train(f"runs/a{seed}", train={"epochs": 1, "seed": seed, "precision": "fp32"})
    train("runs/b", metrics=["kappa"], train={"epochs": 4, "precision": "fp32"})
    runs = [read_run(Path(f"runs/{name}")).result.metrics["test"].heads["tension"] for name in ("a0", "a1", "b")]
    means = [np.mean([each.figures["rmse"] for each in runs[:2]]), runs[2].figures["rmse"]]
    board = run("leaderboard", "runs")
    (line,) = [line for line in board.splitlines() if f"{means[0]:.4f} ± " in line]
    cells = [cell.strip() for cell in line.split("|")]
    counts = f"{runs[0].count} of 18"
    assert cells[2] == counts
    bold = "**" if means[0] < means[1] else ""
    assert cells[4].startswith(f"{bold}{means[0]:.4f} ± ")
    assert "Head for the target mood on faces, mean ± standard deviation, best bold:" in board
    assert "| model | images | accuracy, % | mean class accuracy, % | macro-F1, % | kappa |" in board
    assert "Further metrics of the label on faces" in board

    found = json.loads(run("leaderboard", "runs", "--json"))["results"]
    (record,) = [each for each in found if each["metric"] == "tension.rmse" and each["runs"] == 2]
    assert (record["images"], record["mean"]) == (runs[0].count, pytest.approx(means[0]))
    run("leaderboard", "runs", "--out", "board.csv")
    rows = list(csv.DictReader(io.StringIO(Path("board.csv").read_text())))
    assert {row["metric"] for row in rows} >= {"accuracy", "kappa", "age.macro_f1", "mood.kappa", "tension.ccc"}
    run("leaderboard", "runs", "--out", "board.tex")
    assert r"\caption{Head for the target tension on faces. Best in bold.}" in Path("board.tex").read_text()

    own = Path("runs/b/report.html").read_text()
    for title in ("Head for the target age on faces", "Head for the target mood", "Further metrics of the label"):
        assert title in own
    assert f"{means[1]:.4f}" in own
    run("report", "runs", "--out", "all.html")
    assert f"{means[0]:.4f} ± " in Path("all.html").read_text()


def test_heads_are_matched_by_name_on_other_data_and_what_fits_nowhere_is_said(two_heads, lines) -> None:
    def other(dataset):
        rows = np.arange(len(dataset.table))
        mood = pd.Categorical.from_codes(rows % 3, ["tense", "angry", "calm"])
        dataset.table = dataset.table.assign(target_mood=mood, target_age=30.0, target_gaze=1.0)

    two_heads("others", other)
    train("runs/a")
    found = fer_core.evaluate("runs/a", "others", split="test", device="cpu")
    assert set(found.metrics.heads) == {"mood"}
    frame = found.to_frame()
    assert frame["target_mood"].fillna("").tolist() == ["tense", "", "calm"] * 6
    assert found.metrics.heads["mood"].count == 12
    said = "\n".join(lines)
    assert "head mood does not know angry: such faces are left out of its metrics" in said
    told = "was trained on the classes young, old, unsure, here are numbers"
    assert f"head age is not measured: it {told}" in said
    assert fer_core.evaluate("runs/a", "bars", device="cpu").metrics.heads == {}
    shown = run("evaluate", "runs/a", "others", "--device", "cpu", "--out", "runs/a/others")
    assert "head mood, 12 faces have the target" in shown
    assert Path("runs/a/others/heads-test.csv").is_file()
    assert "Head for the target mood on others" in run("leaderboard", "runs")


def test_a_part_without_a_target_has_a_count_of_0_and_no_figures(two_heads) -> None:
    name = os.fsdecode(b"\xff.png")  # which pyarrow, where pandas uses it, cannot hold

    def rare(dataset):
        dataset.table["id"] = pd.Series([*dataset.table["id"].iloc[:-1], name], dtype=object)
        dataset.table.loc[dataset.table["split"] == "test", "target_tension"] = np.nan

    two_heads("rare", rare, targets=True)
    metrics = train("runs/a", "rare").result.metrics
    assert (metrics["test"].heads["tension"].count, metrics["test"].heads["tension"].figures) == (0, {})
    assert metrics["val"].heads["tension"].count > 0
    tables = [Path(f"runs/a/{table}-test.csv").read_text().splitlines()[-1] for table in ("heads", "predictions")]
    assert tables[0].split(",")[0] == tables[1].split(",")[0] == r"\udcff.png"
    assert fer_core.evaluate("runs/a", device="cpu").to_frame()["id"].iloc[-1] == name
    assert "Head for the target tension" not in Path("runs/a/report.html").read_text()


def test_weights_name_the_metrics_of_their_training_and_are_evaluated_without_them(
    two_heads, kappa, lines, monkeypatch
) -> None:
    train("runs/a", metrics=["KAPPA"])
    header = read_header(Path("runs/a/best.safetensors"))
    assert ("metrics", "kappa", "kappa-metrics") in [
        (of.kind, of.name, of.distribution) for of in header.components
    ]
    monkeypatch.delitem(load_plugins().entries["metrics"], "kappa")
    assert fer_core.evaluate("runs/a", device="cpu").metrics.others == {}
    (line,) = [line for line in lines if "comes with kappa-metrics 1.5" in line]
    assert line.endswith("without it the figure kappa is left out")
    assert "Head for the target mood" in run("leaderboard", "runs")  # figures stay where nobody knows the metric


def test_an_unknown_metric_is_named_before_data_are_read(two_heads) -> None:
    with pytest.raises(FerError, match="there is no metric 'acuracy': did you mean accuracy"):
        train("runs/a", metrics=["acuracy"])


def test_the_epoch_is_chosen_by_the_smallest_error_of_a_head(two_heads) -> None:
    section = {"epochs": 6, "precision": "fp32", "metric": "tension.rmse"}
    done = train("runs/a", train=section, optimizer={"name": "adam", "lr": 0.02})
    errors = [row.val["tension.rmse"] for row in read_history(Path("runs/a"))]
    assert errors[int(done.result.best.epoch) - 1] == min(errors) < max(errors)
    worse = train("runs/b", train=section | {"epochs": 1})
    assert worse.result.metrics["val"].heads["tension"].figures["rmse"] > min(errors)
    shown = run("evaluate", "runs/best", "--device", "cpu")
    assert f"of the best of 2 runs below runs, validation tension.rmse {min(errors):.4f}" in shown


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (
            "tension.accuracy",
            "train.metric is tension.accuracy, which is not measured here: did you mean",
        ),
        ("ccc", "train.metric is ccc, which is not measured here"),
        ("kappa", "train.metric is kappa, which is not measured here"),  # `metrics` does not name it
        ("mood.acc", "there is no metric 'acc'"),
        ("rare.mae", "train.metric is rare.mae, but the val part has no such figure, since"),
    ],
)
def test_a_metric_that_is_not_measured_cannot_choose_the_epoch(two_heads, kappa, metric, says) -> None:
    def rare(dataset):
        dataset.table["target_rare"] = np.where(dataset.table["split"] == "val", np.nan, 1.0)

    two_heads("faces", rare, targets=True)
    with pytest.raises(FerError) as error:
        train("runs/a", train={"epochs": 1, "precision": "fp32", "metric": metric})
    assert str(error.value).startswith(says)


def test_heads_of_several_views_are_averaged_as_the_logits_are(two_heads) -> None:
    targets = {"mood": ("calm", "tense"), "age": ()}
    model = fer_core.create_model("two_heads", num_classes=3, targets=targets).eval()
    views = torch.rand(4, 5, 3, 16, 16)
    found = outputs_of(model, views)
    shapes = {name: each.shape for name, each in found.items()}
    assert shapes == {"logits": (4, 3), "head_mood": (4, 2), "head_age": (4,)}
    for name, each in found.items():
        alone = torch.stack([model(views[:, view])[name] for view in range(5)]).mean(0)
        torch.testing.assert_close(each, alone)
    halves = views[:, 0].bfloat16()
    assert {each.dtype for each in model.bfloat16()(halves).values()} == {torch.bfloat16}
    assert {each.dtype for each in outputs_of(model, halves).values()} == {torch.float32}


def test_an_evaluation_of_crops_measures_heads_once_for_each_face(two_heads) -> None:
    transforms = [{"five_crop": {"size": 8}}, "resize", "normalize"]
    crops = {"input_size": 16, "batch_size": 16, "eval_transforms": transforms}
    done = train("runs/a", data=crops, callbacks=["csv_log"])
    assert done.result.metrics["test"].heads["tension"].count == 13
    with Path("runs/a/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    heads = done.result.metrics["val"].heads
    chosen = rows[int(done.result.best.epoch) - 1]
    assert float(chosen["val.tension.rmse"]) == pytest.approx(heads["tension"].figures["rmse"], rel=1e-6)
    assert float(chosen["train.head_mood"]) > 0


def test_a_union_trains_and_measures_heads_on_the_part_that_has_the_targets(two_heads, lines) -> None:
    done = train(
        "runs/a", "faces+bars", data={"input_size": 16, "batch_size": 16, "options": {"bars": {"samples": 60}}}
    )
    assert "target   mood, 2 classes: 36 of 90 training images have it" in lines
    assert "target   tension, numbers: 40 of 90 training images have it" in lines
    metrics = done.result.metrics["test"]
    assert (metrics.count, metrics.heads["mood"].count, metrics.heads["tension"].count) == (30, 12, 13)
    table = pd.read_csv("runs/a/heads-test.csv")
    assert table[table["id"].str.startswith("bars/")][["target_mood", "target_tension"]].isna().all(axis=None)
    assert table["head_tension"].notna().all()
    alone = fer_core.evaluate("runs/a", "faces", device="cpu", precision="fp32")
    for name, head in metrics.heads.items():
        assert alone.metrics.heads[name].count == head.count
        assert alone.metrics.heads[name].figures == pytest.approx(head.figures, rel=1e-4)


def test_heads_stay_when_classes_of_the_label_are_left_out(two_heads) -> None:
    data = {"input_size": 16, "batch_size": 16, "classes": {"sadness": None}}
    metrics = train("runs/a", data=data).result.metrics["test"]
    present = [row for row in range(72, 90) if row % 3 != 1]
    assert metrics.count == len(present)
    assert metrics.heads["mood"].count == sum(row % 3 != 0 for row in present)
    assert metrics.heads["tension"].count == sum(row % 4 != 0 for row in present)
    shared = fer_core.evaluate("runs/a", "bars", classes="shared", device="cpu")
    assert (shared.metrics.count, shared.metrics.heads) == (12, {})


def make_plausible(table: Path) -> None:
    """Let the stored head `mood` be right with 90 % three times in four."""
    stored = pd.read_csv(table)
    right = np.arange(len(stored)) % 4 > 0
    calm = (stored["target_mood"] == "calm") == right
    stored["head_mood:calm"] = np.where(calm, 0.9, 0.1)
    stored["head_mood:tense"] = np.where(calm, 0.1, 0.9)
    stored.to_csv(table, index=False)


def test_every_head_for_classes_gets_a_temperature_of_its_own(two_heads) -> None:
    train("runs/a")
    make_plausible(Path("runs/a/heads-val.csv"))
    weights = Path("runs/a/best.safetensors")
    before = fer_core.evaluate(weights, device="cpu")
    output = run("calibrate", "runs/a")
    stored = pd.read_csv("runs/a/heads-val.csv").dropna(subset="target_mood")
    scores = stored[["head_mood:calm", "head_mood:tense"]].to_numpy()
    expected = fit_temperature(scores, stored["target_mood"].map(("calm", "tense").index).to_numpy())
    calibration = read_header(weights).calibration
    found = calibration.heads["mood"]
    assert found.temperature == pytest.approx(expected)
    assert found.temperature != calibration.temperature
    assert "tension" not in calibration.heads
    assert found.figures["val"].count == len(stored)
    low, high = found.figures["val"].cross_entropy[::-1]
    assert low < high
    assert "head mood\ntest     calibration error" in output
    assert Path("runs/a/reliability-mood-val.png").stat().st_size > 5000
    after = fer_core.evaluate(weights, device="cpu")
    probabilities = apply_temperature(before.probabilities, calibration.temperature)
    assert after.probabilities == pytest.approx(probabilities, abs=1e-5)
    moods = apply_temperature(before.heads["mood"].predicted, found.temperature)
    assert after.heads["mood"].predicted == pytest.approx(moods, abs=1e-5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda text: text.replace(",calm,", ",merry,", 1),
            'target_mood is "merry", expected one of the head\'s classes',
        ),
        (lambda text: text.replace("head_mood:calm", "head_mood:else", 1), "is not a table of the head mood"),
    ],
)
def test_a_table_of_heads_that_is_not_the_runs_is_not_calibrated(two_heads, wrong, says) -> None:
    train("runs/a")
    path = Path("runs/a/heads-val.csv")
    path.write_text(wrong(path.read_text()))
    weights = Path("runs/a/best.safetensors").read_bytes()
    with pytest.raises(FerError, match=says):
        fer_core.calibrate("runs/a")
    assert Path("runs/a/best.safetensors").read_bytes() == weights
