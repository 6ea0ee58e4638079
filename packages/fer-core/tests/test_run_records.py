"""Files of a run: whatever is altered is one line that names file and field, and a report shows the other runs."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.config import Config, config_hash, dump_config
from fer_core.errors import FerError
from fer_core.metrics import Metrics, MetricsRow, compute_metrics
from fer_core.provenance import Calibration, Component, Dataset, Model, Split, Start
from fer_core.records import Record
from fer_core.runs.predictions import write_predictions
from fer_core.runs.reading import collect
from fer_core.runs.records import (
    Environment,
    EvaluatedData,
    EvaluatedWeights,
    EvaluationRecord,
    LabelSpace,
    Membership,
    Result,
    ScoredWeights,
    Training,
)
from fer_core.runs.state import DataIdentity, Envelope, Identity, SavedPosition
from fer_core.testing import make_preprocessing

CLASSES = ("anger", "happiness", "neutral")
COUNTS = {"train": {"anger": 20, "happiness": 30, "neutral": 10}, "test": {"anger": 20, "neutral": 40}}
SHA = "0123456789abcdef" * 4
MODEL = "nowhere"


def predictions(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels [60] and probabilities [60, 3]."""
    labels = np.repeat([0, 2], [20, 40])
    scores = np.random.default_rng(seed).dirichlet(np.ones(3), 60).astype(np.float32)
    return labels, scores


def metrics_of(seed: int) -> Metrics:
    return compute_metrics(*predictions(seed), CLASSES)


def config_of(seed: int) -> Config:
    return Config.model_validate(
        {
            "model": {"name": MODEL, "width": 4},
            "data": {"name": "faces", "input_size": 32},
            "train": {"seed": seed, "select": "last", "epochs": 2},
        }
    )


def result_of(seed: int) -> Result:
    weights = ScoredWeights(epoch=2, step=8, metrics={"test": metrics_of(seed)})
    return Result(
        format=2,
        model=Model(name=MODEL, options={"width": 4}),
        classes=CLASSES,
        dataset=Dataset(name="faces", fingerprint=SHA, counts=COUNTS),
        split=Split(protocol="official", holdout=0.1, seed=0, digest=SHA),
        start=Start(description="random weights"),
        preprocessing=make_preprocessing(32),
        protocol=Training(
            select="last", metric="accuracy", selected_on_test=False, seed=seed, epochs=2, steps=8, stopped=None
        ),
        config_sha256=config_hash(config_of(seed)),
        best=weights,
        last=weights,
        components=(Component(kind="models", name=MODEL, distribution="fer-tests", version="0"),),
    )


ENVIRONMENT = Environment(
    format=2,
    started="2026-01-01T00:00:00+00:00",
    command=("fer-run", "train", MODEL, "faces"),
    device="cpu",
    precision="fp32",
    compile=False,
    deterministic=True,
    threads=1,
    processes=1,
    python="3.11",
    platform="Linux",
    versions={"torch": "2"},
    config_sha256=64 * "0",
)
ROWS = tuple(
    MetricsRow(epoch=n, step=4 * n, lr=0.1, train={"loss": 1 / n}, val={"accuracy": n / 4}) for n in (1, 2)
)
MEMBERSHIP = Membership(format=2, experiment="e", grid=("optimizer.lr=0.1",))


def make_run(folder: Path, seed: int = 0) -> Path:
    """A finished run as training leaves it."""
    folder.mkdir(parents=True)
    labels, scores = predictions(seed)
    texts = {
        "config.yaml": dump_config(config_of(seed)),
        "result.json": result_of(seed).text(),
        "env.json": ENVIRONMENT.text(),
        "metrics.jsonl": "".join(row.line() for row in ROWS),
        "experiment.json": MEMBERSHIP.text(),
        "predictions-test.csv": write_predictions(CLASSES, [f"face-{n}" for n in range(60)], labels, scores, []),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten finished runs."""
    root = tmp_path_factory.mktemp("runs")
    for seed in range(10):
        make_run(root / f"good{seed}", seed)
    return root


def test_a_good_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = collect([make_run(tmp_path / "run", 3)])
    assert found.problems == ()
    (run,) = found.runs
    assert (run.result, run.env, run.history) == (result_of(3), ENVIRONMENT, ROWS)
    labels, scores = predictions(3)
    assert np.array_equal(run.predictions[[f"p_{name}" for name in CLASSES]].to_numpy(np.float32), scores)
    assert run.predictions["label"].tolist() == [CLASSES[label] for label in labels]


RECORDS: dict[str, Record] = {
    "result": result_of(0),
    "environment": ENVIRONMENT,
    "row": ROWS[0],
    "membership": MEMBERSHIP,
    "calibration": Calibration(temperature=1.5, fitted_on="val", bins=15),
    "evaluation": EvaluationRecord(
        format=2,
        weights=EvaluatedWeights(model=MODEL, fingerprint=SHA, digest=SHA),
        dataset=EvaluatedData(name="other", fingerprint=SHA, part="test"),
        classes=CLASSES,
        metrics=metrics_of(0),
        label_space=LabelSpace(restricted=False, shared=CLASSES),
    ),
    "envelope": Envelope(
        format=2,
        identity=Identity(
            config=dump_config(config_of(0)),
            config_sha256=config_hash(config_of(0)),
            data=DataIdentity(fingerprint=SHA, split=SHA),
            versions={"torch": "2"},
        ),
        start=Start(description="random weights"),
        position=SavedPosition(epoch=2, batch=0, step=8),
        history=ROWS,
        layout={"task": "mapping"},
    ),
}
VALUES = {
    "text instead": "text",
    "null": None,
    "a list": [1, 2],
    "a mapping": {"a": 1},
    "huge": 10**30,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "control characters": "a\x1b[2J\n",
}


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def places(value: object, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something can be altered."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from places(inner, (*above, key))


def put(tree: object, place: tuple[str | int, ...], value: object) -> object:
    altered = copy.deepcopy(tree)
    inner = altered
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return altered


@pytest.mark.parametrize("name", RECORDS)
def test_every_altered_value_is_taken_or_refused_in_one_line(name: str) -> None:
    record = RECORDS[name]
    kind, plain = type(record), record.plain()
    assert kind.parse(record.text(), name, "make it again") == record
    refusals = 0
    for place in places(plain):
        for value in [*VALUES.values(), deep(50), deep(5000)]:
            text = json.dumps(put(plain, place, "SPOT")).replace('"SPOT"', json_of(value))
            try:
                kind.parse(text, "file.json", "make it again")
            except FerError as error:
                refusals += 1
                line = str(error)
                assert line.startswith("file.json: ")
                assert line.endswith(": make it again")
                assert line.isprintable()
                assert len(line) < 400
                if "not valid JSON" not in line:
                    assert any(str(key) in line for key in place) or "expected" in line
    assert refusals > 5 * len(list(places(plain)))


def json_of(value: object) -> str:
    depth = 0
    while isinstance(value, list) and len(value) == 1:
        depth, value = depth + 1, value[0]
    return "[" * depth + json.dumps(value) + "]" * depth


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_missing_or_unknown_is_named(name: str) -> None:
    record = RECORDS[name]
    kind, plain = type(record), record.plain()
    for field, about in kind.model_fields.items():
        if about.is_required():
            without = {key: value for key, value in plain.items() if key != field}
            with pytest.raises(FerError, match=rf"file\.json: {field} is missing: make it again"):
                kind.parse(json.dumps(without), "file.json", "make it again")
    with pytest.raises(FerError, match=r"file\.json: surprise is not a known field"):
        kind.parse(json.dumps({**plain, "surprise": 1}), "file.json", "make it again")


def edit(name: str, place: tuple[str | int, ...], value: object):
    """A change of one value in a JSON file of a run."""

    def spoil(run: Path) -> None:
        path = run / name
        path.write_text(json.dumps(put(json.loads(path.read_text()), place, value)))

    return spoil


def replace(name: str, old: str, new: str):
    """A change of the text of a file."""

    def spoil(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return spoil


def pipe(name: str):
    """A named pipe in the place of a file: reading it would wait for ever."""

    def spoil(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return spoil


def folder(name: str):
    """A folder in the place of a file."""

    def spoil(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return spoil


FILES = ("config.yaml", "result.json", "env.json", "metrics.jsonl", "experiment.json", "predictions-test.csv")
BEST = ("best", "metrics", "test")
SPOILT = [
    (edit("result.json", ("preprocessing", "input_size"), 10**9), "preprocessing.input_size is 1000000000"),
    (edit("result.json", (*BEST, "count"), 61), "best.metrics.test.count is 61, expected the sum"),
    (edit("result.json", (*BEST, "accuracy"), 1.5), "best.metrics.test.accuracy is 1.5"),
    (edit("result.json", (*BEST, "recall"), {"a": 1}), "best.metrics.test.confusion is a list of 3"),
    (edit("result.json", ("classes",), ["anger", "happiness"]), "best.metrics.test.recall is a mapping of 3"),
    (edit("result.json", ("model", "options"), {"width": 10**9}), "model.options is not what config.yaml says"),
    (edit("result.json", ("model", "name"), "other"), "model.name is not what config.yaml says"),
    (edit("result.json", ("protocol", "seed"), 98), "protocol.seed is not what config.yaml says"),
    (edit("result.json", ("dataset", "counts", "test"), {}), "has no faces in its test part"),
    (edit("result.json", ("split", "digest"), "abc"), 'split.digest is "abc", expected a sha256'),
    (edit("env.json", ("threads",), 0), "env.json: threads is 0"),
    (edit("experiment.json", ("recipe",), 3), "experiment.json: recipe is 3, expected text"),
    (replace("metrics.jsonl", '"step": 8', '"step": 4'), "metrics.jsonl, line 2: step is 4"),
    (replace("metrics.jsonl", '"lr": 0.1', '"lr": 1e999'), "metrics.jsonl, line 1: lr is inf"),
    (replace("metrics.jsonl", "{", "[" * 10_000), "metrics.jsonl, line 1: not valid JSON"),
    (replace("config.yaml", "epochs: 2", "epochs: many"), "train.epochs is many"),
    (replace("config.yaml", "model:", "model: &a"), "anchors and aliases are not allowed"),
    (
        replace("config.yaml", "batch_size: 256", "batch_size: 255"),
        "is not the configuration that gave",
    ),
    (replace("predictions-test.csv", "face-1,", "face-0,"), 'has the id "face-0" twice'),
    (replace("predictions-test.csv", "p_anger", "p_rage"), 'column 4 is "p_rage", expected "p_anger"'),
    (replace("predictions-test.csv", "face-0,anger", "face-0,rage"), 'row 1: label is "rage"'),
    (replace("predictions-test.csv", "face-59,neutral", "face-59,neutral,"), "is not a table of predictions"),
    (replace("predictions-test.csv", ",0.", ",nan"), "predictions-test.csv"),
    (replace("predictions-test.csv", ",0.", ",9."), "row 1: probabilities is a list of 3"),
    *((pipe(name), f"{name} is not a regular file") for name in FILES),
    *((folder(name), f"{name} is not a regular file") for name in FILES),
]


@pytest.mark.parametrize(("spoil", "says"), SPOILT)
def test_a_report_over_ten_good_runs_and_a_bad_one_shows_ten(ten: Path, spoil, says: str) -> None:
    bad = make_run(ten / "bad", 99)
    try:
        spoil(bad)
        found = collect([ten])
    finally:
        shutil.rmtree(bad)
    assert len(found.runs) == 10
    (line,) = found.problems
    assert says in line
    assert str(bad) in line
    assert line.isprintable()


@pytest.mark.parametrize("command", ["report", "leaderboard"])
def test_the_commands_name_the_bad_one_and_show_the_others(ten: Path, tmp_path: Path, command: str) -> None:
    bad = make_run(ten / "bad", 99)
    try:
        pipe("predictions-test.csv")(bad)
        out = tmp_path / "out.html"
        done = CliRunner().invoke(main, [command, str(ten), "--out", str(out)])
    finally:
        shutil.rmtree(bad)
    assert done.exit_code in (0, 1), done.output
    (warning,) = [
        line for line in done.stderr.splitlines() if "predictions-test.csv is not a regular file" in line
    ]
    page = out.read_text()
    assert "10 runs" in page
    assert "predictions-test.csv is not a regular file" in page
    assert warning.isprintable()
