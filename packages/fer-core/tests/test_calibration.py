"""Calibration: the error, the diagram, the temperature, and `fer-run calibrate`, which stores it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fer_core import FerError
from fer_core.cli import main
from fer_core.provenance import Calibration
from fer_core.statistics import apply_temperature, fit_temperature, reliability
from fer_core.weights import checkpoint
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss


def faces(temperature: float, count: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model whose logits are `temperature` times too large; labels drawn from right ones."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, 5))
    labels = (softmax(logits, axis=1).cumsum(1) < rng.random(count)[:, None]).sum(1).clip(0, 4)
    return softmax(temperature * logits, axis=1), labels


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_planted_temperature_is_found_and_lowers_the_error(temperature: float) -> None:
    probabilities, labels = faces(temperature)
    found = fit_temperature(probabilities[:3000], labels[:3000])
    assert found == pytest.approx(temperature, rel=0.06)
    after = apply_temperature(probabilities, found)
    assert (after.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    before, now = (reliability(each[3000:], labels[3000:]).error for each in (probabilities, after))
    assert before > 0.08
    assert now < 0.03


def test_the_temperature_makes_cross_entropy_least() -> None:
    probabilities, labels = faces(2.0, 800)
    found = fit_temperature(probabilities, labels)
    losses = [log_loss(labels, apply_temperature(probabilities, found * by)) for by in (0.97, 1, 1.03)]
    assert losses[1] == min(losses)


def test_a_temperature_acts_on_probabilities_as_on_logits() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (50, 7))
    assert apply_temperature(softmax(logits, axis=1), 1.7) == pytest.approx(softmax(logits / 1.7, axis=1))


@pytest.mark.parametrize("bins", [5, 15])
def test_the_diagram_equals_scikit_learns(bins: int) -> None:
    probabilities, labels = faces(2.0, 700)
    right, confident = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    accuracy, confidence = calibration_curve(right, confident, n_bins=bins)
    found = reliability(probabilities, labels, bins)
    some = found.counts > 0
    assert found.accuracy[some] == pytest.approx(accuracy)
    assert found.confidence[some] == pytest.approx(confidence)
    assert found.counts.sum() == 700
    assert np.isnan(found.accuracy[~some]).all()
    expected = np.average(np.abs(accuracy - confidence), weights=found.counts[some])
    assert found.error == pytest.approx(expected)


def test_where_no_temperature_fits_it_is_said() -> None:
    sure = np.tile([0.9, 0.1], (20, 1))
    with pytest.raises(FerError, match="all of 20 predictions are right"):
        fit_temperature(sure, np.zeros(20, dtype=int))
    with pytest.raises(FerError, match="no better than chance"):
        fit_temperature(sure, np.ones(20, dtype=int))
    with pytest.raises(FerError, match="add up to 1"):
        fit_temperature([[3.0, -1.0]], [0])
    with pytest.raises(FerError, match="no better than chance"):
        fit_temperature(np.full((20, 2), 0.5), np.zeros(20, dtype=int))


@pytest.fixture
def run(tiny, quick) -> Path:
    """A short run whose validation and test parts have mistakes in them."""
    train = quick["train"] | {"epochs": 1, "select": "last"}
    options = {
        "run": {"dir": "run"},
        **quick,
        "train": train,
        "data": quick["data"] | {"options": {"samples": 450}},
    }
    folder = fer_core.train("tiny", "bars", device="cpu", **options).folder
    return with_doubts(folder)


def with_doubts(folder: Path) -> Path:
    """Make the stored validation predictions those of a model that is too sure of itself."""
    for part in ("val", "test"):
        path = folder / f"predictions-{part}.csv"
        table = pd.read_csv(path)
        classes = [name for name in table if name.startswith("p_")]
        rng = np.random.default_rng(len(table))
        logits = rng.normal(0, 1, (len(table), 3)) + 2 * (
            table["label"].to_numpy()[:, None] == [c[2:] for c in classes]
        )
        table[classes] = softmax(4 * logits, axis=1)
        table["predicted"] = [classes[at][2:] for at in table[classes].to_numpy().argmax(axis=1)]
        table.to_csv(path, index=False)
    return folder


def fer_run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def test_calibrate_stores_a_temperature_that_evaluation_and_prediction_apply(run: Path) -> None:
    weights = run / "best.safetensors"
    before = fer_core.evaluate(weights, "bars", device="cpu")
    face = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    face_before = fer_core.Predictor(weights, "cpu")(face)[0]
    tensors, header = checkpoint.load_weights(weights)
    status, output = fer_run("calibrate", run)
    assert status == 0, output
    record = json.loads((run / "calibration.json").read_text())
    temperature = record["temperature"]
    stored = pd.read_csv(run / "predictions-val.csv")
    columns = [f"p_{name}" for name in header.classes]
    labels = stored["label"].map(header.classes.index).to_numpy()
    assert temperature == pytest.approx(fit_temperature(stored[columns].to_numpy(), labels))
    assert temperature > 1.3
    low, high = record["figures"]["val"]["expected_calibration_error"][::-1]
    assert low < high
    assert f"{high:.2%} -> {low:.2%}" in output
    after_tensors, after_header = checkpoint.load_weights(weights)
    assert after_header.temperature == temperature
    assert all(tensors[name].equal(after_tensors[name]) for name in tensors)
    assert after_header.model_copy(update={"calibration": None}) == header
    assert after_header.calibration.plain() == record
    after = fer_core.evaluate(weights, "bars", device="cpu")
    assert after.probabilities == pytest.approx(apply_temperature(before.probabilities, temperature), abs=1e-5)
    assert after.metrics.accuracy == before.metrics.accuracy
    face_after = fer_core.Predictor(weights, "cpu")(face)[0]
    expected = apply_temperature(list(face_before.probabilities.values()), temperature)
    assert list(face_after.probabilities.values()) == pytest.approx(list(expected), abs=1e-5)
    assert (run / "reliability-test.png").stat().st_size > 5000
    content = weights.read_bytes()
    assert fer_run("calibrate", weights, "--json")[0] == 0  # again, by the file's name
    assert weights.read_bytes() == content


def test_calibrate_in_python_is_the_command(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    found = fer_core.calibrate(str(run))
    assert fer_run("calibrate", copy)[0] == 0
    assert (run / "best.safetensors").read_bytes() == (copy / "best.safetensors").read_bytes()
    record = json.loads((copy / "calibration.json").read_text())
    assert found.temperature == record["temperature"]
    before, after = found.figures["val"].expected_calibration_error
    assert [before, after] == record["figures"]["val"]["expected_calibration_error"]
    assert after < before
    with pytest.raises(FerError, match="there are no weights"):
        fer_core.calibrate(tmp_path / "absent")


def test_calibrate_refuses_what_would_not_be_honest(run: Path, tmp_path: Path) -> None:
    original = (run / "best.safetensors").read_bytes()

    def refused(place: Path) -> str:
        status, output = fer_run("calibrate", place)
        assert status == 2
        assert output.count("\n") == 1
        return output

    def changed(name: str, **changes: object) -> Path:
        copy = tmp_path / name
        shutil.copytree(run, copy)
        result = json.loads((copy / "result.json").read_text())
        (copy / "result.json").write_text(json.dumps(result | changes))
        return copy

    result = json.loads((run / "result.json").read_text())
    on_test = changed("on_test", protocol=result["protocol"] | {"selected_on_test": True, "select": "best:test"})
    assert "on the test part" in refused(on_test)
    assert "no validation part" in refused(
        changed("no_val", best={**result["best"], "metrics": {"test": result["best"]["metrics"]["test"]}})
    )
    assert "there are no weights" in refused(tmp_path / "absent")
    assert "not of last.safetensors" in refused(run / "last.safetensors")
    (on_test / "result.json").unlink()
    assert "is not finished" in refused(on_test)
    lost = changed("lost")
    (lost / "predictions-val.csv").write_text("id,label\n")
    assert 'column 3 is null, expected "predicted"' in refused(lost)
    (lost / "predictions-val.csv").unlink()
    assert "predictions-val.csv" in refused(lost)
    assert (run / "best.safetensors").read_bytes() == original


def test_a_checkpoint_with_an_impossible_temperature_is_refused(run: Path) -> None:
    weights = run / "best.safetensors"
    tensors, header = checkpoint.load_weights(weights)
    good = Calibration(temperature=1.5, fitted_on="val", bins=15)
    for bad in (0.0, -1.0):
        calibration = good.model_copy(update={"temperature": bad})
        checkpoint.save_weights(weights, tensors, header.model_copy(update={"calibration": calibration}))
        with pytest.raises(FerError, match=r"header: calibration\.temperature is "):
            checkpoint.read_header(weights)
