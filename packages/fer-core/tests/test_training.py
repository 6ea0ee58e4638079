"""A run from configuration to result: reproducible, resumable, explained."""

from __future__ import annotations

import gc
import json
import signal
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from fer_core import FerError, api, registry
from fer_core.errors import InterruptedRunError
from fer_core.runs.state import SavedPosition, read_state
from fer_core.training import loop
from fer_core.training.callbacks import Callback
from fer_core.training.signals import Signals
from fer_core.weights import checkpoint
from fer_core.workflows import train as whole_run
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, recall_score

PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")


def products(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in PRODUCTS}


def run(folder: str, quick: dict, **sections) -> api.Run:
    merged = quick | {key: quick.get(key, {}) | value for key, value in sections.items()}
    return fer_core.train("tiny", "bars", device="cpu", **merged, run={"dir": folder})


class Killed(BaseException):
    """Stands for a SIGKILL: nothing in the code under test catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    original = loop.Loop.step

    def dying(self, batch):
        if self.position.step == step:
            raise Killed
        original(self, batch)

    monkeypatch.setattr(loop.Loop, "step", dying)


def test_a_run_learns_and_explains_itself(tiny, quick) -> None:
    done = run("runs/a", quick)
    result = done.result
    assert result.metrics["test"].accuracy > 0.8
    assert result.classes == ("happiness", "sadness", "neutral")
    assert result.dataset.name == "bars"
    assert len(result.dataset.fingerprint) == 64
    assert result.dataset.counts["train"] == {"happiness": 18, "sadness": 18, "neutral": 18}
    assert result.split.protocol == "official"
    assert result.protocol.select == "best:val"
    assert result.protocol.selected_on_test is False
    assert {"val", "test"} == set(result.last.metrics)
    for picture in ("curves.png", "confusion-val.png", "confusion-test.png"):
        assert (done.folder / picture).read_bytes().startswith(b"\x89PNG")
    assert "seconds" not in result.text()


def test_predictions_and_metrics_agree_with_scikit_learn(tiny, quick) -> None:
    done = run("runs/a", quick)
    table = pd.read_csv(done.folder / "predictions-test.csv")
    classes = done.result.classes
    assert list(table.columns) == ["id", "label", "predicted", *(f"p_{name}" for name in classes)]
    assert table["id"].is_unique
    assert len(table) == 18
    probabilities = table[[f"p_{name}" for name in classes]].to_numpy()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (np.array(classes)[probabilities.argmax(axis=1)] == table["predicted"]).all()
    metrics, truth, found = done.result.metrics["test"], table["label"], table["predicted"]
    assert metrics.accuracy == pytest.approx(accuracy_score(truth, found))
    assert metrics.mean_class_accuracy == pytest.approx(balanced_accuracy_score(truth, found))
    assert metrics.macro_f1 == pytest.approx(f1_score(truth, found, average="macro"))
    assert np.array_equal(metrics.confusion, confusion_matrix(truth, found, labels=classes))
    recall = recall_score(truth, found, labels=classes, average=None)
    assert [metrics.recall[name] for name in classes] == pytest.approx(recall.tolist())


def test_equal_runs_give_equal_bytes_and_another_seed_does_not(tiny, quick) -> None:
    first, second = run("runs/a", quick), run("runs/b", quick)
    assert products(first.folder) == products(second.folder)
    other = run("runs/c", quick, train={"epochs": 4, "seed": 1})
    assert products(other.folder)["best.safetensors"] != products(first.folder)["best.safetensors"]


@pytest.mark.parametrize("step", [1, 6, 9])
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"optimizer": {"name": "sam", "base": "sgd", "lr": 0.05}, "scheduler": {"name": "cosine", "per": "step"}},
        {"train": {"epochs": 3, "ema": 0.9, "save_every": 2, "eval_every": 3, "accumulate": 2}},
    ],
    ids=["plain", "sam", "ema-midepoch"],
)
def test_a_killed_run_resumes_to_the_same_bytes(tiny, quick, monkeypatch, step: int, extra: dict) -> None:
    whole = run("runs/whole", quick, **extra)
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with pytest.raises(Killed):
            run("runs/killed", quick, **extra)
    resumed = api.resume("runs/killed")
    assert products(resumed.folder) == products(whole.folder)


def test_a_run_killed_in_mid_epoch_goes_on_from_its_last_saved_step(tiny, quick, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, 6)
        with pytest.raises(Killed):
            run("runs/killed", quick, train={"epochs": 4, "save_every": 2})
    state = read_state(Path("runs/killed/last.state.pt"))
    assert state.envelope.position == SavedPosition(epoch=1, batch=2, step=6)


def signal_at(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, number: int, count: int) -> None:
    """Let the call with this count send a signal first."""
    original, calls = getattr(owner, name), iter(range(1, 1000))

    def called(*arguments, **options):
        if next(calls) == count:
            signal.raise_signal(number)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize(
    ("number", "owner", "name", "count"),
    [
        (signal.SIGTERM, loop.Loop, "step", 1),
        (signal.SIGINT, loop.Loop, "step", 3),
        (signal.SIGTERM, loop.Loop, "step", 12),
        (signal.SIGTERM, loop.Loop, "_evaluate", 4),
        (signal.SIGINT, whole_run, "evaluate_network", 1),
        (signal.SIGTERM, whole_run, "evaluate_network", 2),
    ],
    ids=["first-step", "last-of-epoch", "last-step", "last-validation", "evaluation", "later-evaluation"],
)
def test_a_signal_says_how_to_go_on_to_the_same_bytes(
    tiny, quick, monkeypatch, number, owner, name, count
) -> None:
    whole = run("runs/whole", quick)
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        signal_at(patch, owner, name, number, count)
        with pytest.raises(InterruptedRunError, match="fer-run train --resume runs/interrupted") as raised:
            run("runs/interrupted", quick)
    assert raised.value.exit_status == 128 + number
    assert signal.getsignal(number) is before
    assert not Path("runs/interrupted/result.json").exists()
    assert products(api.resume("runs/interrupted").folder) == products(whole.folder)


def test_a_signal_while_the_result_is_written_does_not_lose_it(tiny, quick, monkeypatch) -> None:
    signal_at(monkeypatch, whole_run, "draw_curves", signal.SIGTERM, 1)
    done = run("runs/a", quick)
    assert (done.folder / "report.html").exists()


def test_under_torchrun_an_error_is_told_before_the_process_is_ended(monkeypatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("WORLD_SIZE", "2")
    try:
        with pytest.raises(FerError, match="lost another one"), Signals(Path("run")):
            raise FerError("lost another one")
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_resuming_a_finished_run_says_so_and_changes_nothing(tiny, quick, lines) -> None:
    done = run("runs/a", quick)
    before = products(done.folder)
    lines.clear()
    api.resume("runs/a")
    assert "finished already" in lines[0]
    assert products(done.folder) == before


def test_resuming_a_finished_run_writes_the_report_that_is_missing(tiny, quick) -> None:
    done = run("runs/a", quick)
    (done.folder / "report.html").rename(done.folder / ".report.html.partial")  # killed while it was written
    api.resume("runs/a")
    assert (done.folder / "report.html").exists()
    assert not (done.folder / ".report.html.partial").exists()


def test_a_run_without_a_report_draws_nothing_and_has_the_same_result(tiny, quick) -> None:
    done = run("runs/a", quick)
    plain = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/b", "report": False})
    assert products(plain.folder) == products(done.folder)
    api.resume("runs/b")
    assert {path.name for path in done.folder.iterdir()} - {path.name for path in plain.folder.iterdir()} == {
        "report.html",
        "curves.png",
        "confusion-val.png",
        "confusion-test.png",
    }


def test_resuming_on_other_data_is_refused(tiny, quick, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, 6)
        with pytest.raises(Killed):
            run("runs/killed", quick)
    bars = registry.find("datasets", "bars").factory
    monkeypatch.setattr(bars, "fingerprint", lambda self: "0" * 64)
    with pytest.raises(FerError, match="not those that this run began with"):
        api.resume("runs/killed")


def test_early_stopping_ends_the_run_and_is_recorded(tiny, quick) -> None:
    done = run(
        "runs/a",
        quick | {"callbacks": [{"early_stopping": {"patience": 2}}, "csv_log"]},
        train={"epochs": 60},
        optimizer={"name": "sgd", "lr": 1e-9},
    )
    assert "no improvement of accuracy for 2 evaluations" in done.result.protocol.stopped
    rows = [json.loads(line) for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    assert 3 <= len(rows) < 60
    assert list(pd.read_csv(done.folder / "metrics.csv")["step"]) == [row["step"] for row in rows]


def test_steps_end_a_run_within_an_epoch(tiny, quick) -> None:
    done = run("runs/a", quick, train={"epochs": 4, "steps": 6})
    assert done.result.last.step == 6
    assert done.result.last.epoch == 1.5


def test_the_last_epoch_can_be_the_result(tiny, quick) -> None:
    done = run("runs/a", quick, train={"epochs": 2, "select": "last"})
    assert done.result.best == done.result.last
    weights = [checkpoint.load_weights(done.folder / name)[0] for name in ("best.safetensors", "last.safetensors")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_selecting_on_the_test_split_is_marked(tiny, quick, lines) -> None:
    quick["train"] = {"epochs": 1, "select": "best:test"}
    done = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/a"})
    assert done.result.protocol.selected_on_test is True
    assert any("chosen on the test split" in line for line in lines)


def test_ema_weights_are_the_product_and_raw_ones_the_state(tiny, quick) -> None:
    done = run("runs/a", quick, train={"epochs": 2, "ema": 0.9, "select": "last"})
    product, _ = checkpoint.load_weights(done.folder / "last.safetensors")
    state = read_state(done.folder / "last.state.pt")
    assert torch.equal(product["head.weight"], state.ema["average"]["head.weight"])
    assert not torch.equal(product["head.weight"], state.task["model.head.weight"])


def test_accumulating_equals_the_whole_batch_without_batch_norm(tiny, quick, monkeypatch) -> None:
    from torch import nn

    monkeypatch.setattr(nn, "BatchNorm2d", nn.Identity)
    whole = run("runs/a", quick, model={"dropout": 0.0}, train={"epochs": 1})
    parts = run("runs/b", quick, model={"dropout": 0.0}, train={"epochs": 1, "accumulate": 2})
    one, two = (checkpoint.load_weights(done.folder / "last.safetensors")[0] for done in (whole, parts))
    for key, value in one.items():
        # Adam's first steps divide by tiny second moments, which turns rounding into visible differences.
        assert torch.allclose(value, two[key], atol=2e-3), key


def test_a_diverging_loss_ends_in_one_line_and_leaves_the_checkpoint(tiny, quick) -> None:
    class Poison(Callback):
        def on_step(self, trainer) -> None:
            if trainer.position.step == 7:
                trainer.setup.task.model.head.weight.data.fill_(float("nan"))

    from fer_core.plugins import Entry, Plugin, load_plugins

    entries = load_plugins().entries["callbacks"]
    entries["poison"] = [Entry("poison", Poison, Plugin("tests", "fer-tests", "0"))]
    try:
        with pytest.raises(FerError, match="training diverged"):
            run("runs/a", quick | {"callbacks": ["poison"]})
    finally:
        del entries["poison"]
    assert read_state(Path("runs/a/last.state.pt")).envelope.position.epoch == 1
    assert not Path("runs/a/result.json").exists()


def test_no_half_written_run_when_the_configuration_is_wrong(tiny, quick) -> None:
    with pytest.raises(FerError, match="did you mean lr"):
        run("runs/a", quick, optimizer={"name": "adamw", "lrr": 0.1})
    assert not Path("runs").exists()


def test_two_runs_of_one_second_get_distinct_folders(tiny, quick) -> None:
    quick["train"] = {"steps": 1}
    folders = {fer_core.train("tiny", "bars", device="cpu", **quick).folder for _ in range(3)}
    assert len(folders) == 3


def loops() -> set[int]:
    """Ids of the loops that exist; the results of earlier tests may hold some."""
    return {id(found) for found in gc.get_objects() if type(found) is loop.Loop}


def test_a_finished_training_holds_no_memory(tiny, quick) -> None:
    gc.disable()
    try:
        before = loops()
        run("runs/a", quick)
        assert loops() <= before
    finally:
        gc.enable()
