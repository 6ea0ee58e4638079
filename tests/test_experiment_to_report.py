"""An experiment of four models, killed twice on its way to a report whose figures are computed here once more."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from fer_core.runs.reading import find_files
from scipy import stats
from sklearn import metrics as sk
from torch import nn

MODELS = ("adadf", "dan", "ddamfn", "timm")
SEEDS = (0, 1, 2)
MEASURES = {
    "accuracy": lambda label, found: (label == found).mean(),
    "mean class accuracy": sk.balanced_accuracy_score,
    "macro-F1": lambda label, found: sk.f1_score(label, found, average="macro"),
}
COMMAND = ["experiment", "--models", "dan,ddamfn,adadf,timm", "--datasets", "synthetic", "--seeds", "0-2"]
for _override in (
    "data.options={samples: 105, size: 32}",
    "data.input_size=112",
    "data.batch_size=37",
    "train.epochs=1",
    "train.save_every=1",
    "callbacks=[]",
):
    COMMAND += ["-o", _override]
DRAWS = 2000
NOISE = 0.006
"""Between shares of two times so many draws near a tail."""
ROUNDED = 6e-5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are told by /proc"),
]


class Tables(HTMLParser):
    """The tables of a page in their order: rows of cells, each the list of its texts; `best` where it is bold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[list[list[list[str]]]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.found.append([])
        if tag == "tr":
            self.found[-1].append([])
        if tag in ("td", "th"):
            self.found[-1][-1].append(["best"] if "best" in (dict(attrs).get("class") or "").split() else [])
            self.inside = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside and data.strip():
            self.found[-1][-1][-1].append(data.strip())


def start(folder: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "FER_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fer_core", *COMMAND, "--root", "runs", "--device", "cpu", "--jobs", "2"]
    return subprocess.Popen(
        command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def kill_everything(folder: Path) -> None:
    """As a power cut does: the runner and its trainings, told by their environment."""
    mark = f"FER_CACHE={folder / 'cache'}".encode()
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The finished experiment and its report."""
    folder = tmp_path_factory.mktemp("experiment")

    def count(name: str) -> int:
        return len(list(find_files(folder / "runs", name)))

    try:
        process = start(folder)
        wait_for(lambda: count("last.state.pt") > 0, process)
        kill_everything(folder)
        process.communicate()
        done = count("result.json")

        process = start(folder)
        wait_for(
            lambda: count("result.json") >= done + 3 and count("last.state.pt") > count("result.json"), process
        )
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 128 + signal.SIGTERM, output
        assert "  resumes" in output
        assert 3 <= count("result.json") < len(MODELS) * len(SEEDS)

        process = start(folder)
        output = process.communicate(timeout=900)[0]
        assert process.returncode == 0, output
        assert "is finished already" in output
        assert "all 12 runs are finished" in output
    finally:
        kill_everything(folder)
    report = [sys.executable, "-m", "fer_core", "report", "runs", "--out", "report.html"]
    subprocess.run(report, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def stored(folder) -> dict[str, list[pd.DataFrame]]:
    """Model -> predictions of its seeds on the test part."""
    found = {}
    for model in MODELS:
        paths = sorted(folder.glob(f"runs/{model}-synthetic/*/predictions-test.csv"))
        found[model] = [pd.read_csv(path).sort_values("id", ignore_index=True) for path in paths]
        assert len(paths) == len(SEEDS)
    return found


@pytest.fixture(scope="module")
def page(folder) -> Tables:
    text = (folder / "report.html").read_text()
    assert len(text) < 10e6
    return Tables(text)


@pytest.fixture(scope="module")
def draws(stored) -> dict[str, dict[str, np.ndarray]]:
    """Measure -> model -> mean over its seeds in each of many draws of persons.

    Their quantiles are taken as Hesterberg (2015) expands them for few persons.
    """
    rng = np.random.default_rng(5)
    owner = stored["dan"][0]["group"].to_numpy()
    persons = {name: np.flatnonzero(owner == name) for name in sorted(set(owner))}
    found = {measure: {model: np.zeros(DRAWS) for model in MODELS} for measure in MEASURES}
    classes = sorted(set(stored["dan"][0]["label"]))
    codes = {
        model: [
            (pd.Categorical(t["label"], classes).codes, pd.Categorical(t["predicted"], classes).codes) for t in of
        ]
        for model, of in stored.items()
    }
    for draw in range(DRAWS):
        drawn = rng.choice(list(persons), len(persons))
        faces = np.concatenate([persons[name] for name in drawn])
        for model, runs in codes.items():
            for label, predicted in runs:
                pairs = label[faces].astype(int) * len(classes) + predicted[faces]
                matrix = np.bincount(pairs, minlength=len(classes) ** 2).reshape(len(classes), -1)
                hits, true, said = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
                recall = (hits[true > 0] / true[true > 0]).mean()
                f1 = (2 * hits[true + said > 0] / (true + said)[true + said > 0]).mean()
                for measure, value in zip(MEASURES, (hits.sum() / true.sum(), recall, f1), strict=True):
                    found[measure][model][draw] += value / len(runs)
    return found


def scores(stored, measure: str) -> dict[str, list[float]]:
    return {model: [MEASURES[measure](t["label"], t["predicted"]) for t in of] for model, of in stored.items()}


def test_results_are_those_of_scikit_learn(page, stored, draws) -> None:
    head, *rows = page.found[0]
    assert [cell[0] for cell in head[:6]] == ["model", *MEASURES, "calibration error", "runs"]
    assert [row[0][0] for row in rows[len(MODELS) :]] == ["always neutral", "chance"]
    rows = rows[: len(MODELS)]
    accuracy = {model: np.mean(of) for model, of in scores(stored, "accuracy").items()}
    assert sorted(accuracy) == sorted(row[0][0] for row in rows)
    assert [accuracy[row[0][0]] for row in rows] == sorted(accuracy.values(), reverse=True)
    persons = stored["dan"][0]["group"].nunique()
    for column, measure in enumerate(MEASURES, 1):
        values = scores(stored, measure)
        best = max(MODELS, key=lambda model: np.mean(values[model]))
        for row in rows:
            model, texts = row[0][0], [text for text in row[column] if text != "best"]
            expected = f"{100 * np.mean(values[model]):.2f} ± {100 * np.std(values[model], ddof=1):.2f}"
            assert texts[0].rstrip(" ≈?") == expected
            assert ("best" in row[column]) == (model == best)
            low, high = (float(text) / 100 for text in texts[-1].split(" to "))
            spread = draws[measure][model]
            share = stats.norm.cdf(stats.t.ppf(0.025, persons - 1) * np.sqrt(persons / (persons - 1)))
            # Of few persons there are few different draws, so shares are compared, not values.
            for values_beyond, end in ((spread, low), (-spread, -high)):
                assert (values_beyond < end - ROUNDED).mean() <= share + NOISE
                assert (values_beyond <= end + ROUNDED).mean() >= share - NOISE
    for row in rows:
        pooled = pd.concat(stored[row[0][0]])
        scored = pooled.filter(like="p_").to_numpy()
        scored = scored / scored.sum(axis=1, keepdims=True)
        right, place = (pooled["label"] == pooled["predicted"]).to_numpy(), np.ceil(scored.max(axis=1) * 15)
        gaps = [abs((right - scored.max(axis=1))[place == number].sum()) for number in np.unique(place)]
        assert row[4][0].removesuffix(" †") == f"{100 * sum(gaps) / len(pooled):.2f}"
        assert row[5] == [str(len(SEEDS))]


def test_paired_tests_are_those_of_the_draws(page, stored, draws) -> None:
    _, *rows = page.found[1]
    names = {measure.replace("-F1", "_f1").replace(" ", "_"): measure for measure in MEASURES}
    persons = stored["dan"][0]["group"].nunique()
    by_measure: dict[str, list[tuple[float, float]]] = {}
    for (metric,), (best,), (other,), (difference,), (p,), (adjusted,), (test,) in rows:
        measure = names[metric.replace(" ", "_")]
        values = scores(stored, measure)
        assert difference == f"{100 * (np.mean(values[best]) - np.mean(values[other])):+.2f}"
        assert test == "paired bootstrap over groups"
        apart = draws[measure][best] - draws[measure][other]
        beyond = min(0.5, (1 + min((apart <= 1e-12).sum(), (apart >= -1e-12).sum())) / (DRAWS + 1))
        score = stats.norm.ppf(beyond) * np.sqrt((persons - 1) / persons)
        assert float(p) == pytest.approx(2 * stats.t.cdf(score, persons - 1), abs=0.08)
        by_measure.setdefault(metric, []).append((float(p), float(adjusted)))
    assert len(by_measure) == 3
    for pairs in by_measure.values():
        reached = 0.0
        for number, (p, adjusted) in enumerate(sorted(pairs)):
            reached = max(reached, min(1.0, p * (len(pairs) - number)))
            assert adjusted == pytest.approx(reached, abs=2e-4 * len(pairs))


@pytest.mark.parametrize("model", MODELS)
def test_figures_of_every_class_are_those_of_scikit_learn(page, stored, model) -> None:
    models = [row[0][0] for row in page.found[0][1:]]
    _, *rows = page.found[2 + models.index(model)]
    pooled = pd.concat(stored[model])
    names = [row[0][0] for row in rows]
    assert set(names) == set(pooled["label"])
    recalls, precisions = (
        measure(pooled["label"], pooled["predicted"], labels=names, average=None, zero_division=np.nan)
        for measure in (sk.recall_score, sk.precision_score)
    )
    for row, recall, precision in zip(rows, recalls, precisions, strict=True):
        assert row[1] == [str((pooled["label"] == row[0][0]).sum())]
        assert row[2][0] == f"{100 * recall:.2f}"
        low, high = (float(text) for text in row[2][1].split(" to "))
        assert low <= 100 * recall + 0.01
        assert high >= 100 * recall - 0.01
        assert row[3] == ["–" if np.isnan(precision) else f"{100 * precision:.2f}"]


def test_costs_are_those_of_the_networks(page) -> None:
    """Parameters of all; multiply-adds of the one network that is nothing but convolutions and a linear layer."""
    head, *rows = page.found[0]
    assert [cell[0] for cell in head[6:8]] == ["parameters", "GMACs"]
    costs = {row[0][0]: (row[6][0], row[7][0]) for row in rows[: len(MODELS)]}
    for model in MODELS:
        network = fer_core.create_model(model, num_classes=7, input_size=112)
        assert costs[model][0] == f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.3g} M"
    network, counted = fer_core.create_model("timm", num_classes=7, input_size=112).eval(), []

    def count(layer, inputs, output):
        counted.append(output.numel() * layer.weight[0].numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, 112, 112))
    assert costs["timm"][1] == f"{sum(counted) / 1e9:.3g}"
