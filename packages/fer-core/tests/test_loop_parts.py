"""The parts that watch a training see a small view of it, and each does one thing."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from fer_core import FerError, distributed
from fer_core.config import Config
from fer_core.engine.devices import Cpu, Device
from fer_core.metrics import MetricsRow
from fer_core.runs.folder import NONFINITE
from fer_core.runs.records import NonFinite
from fer_core.training.callbacks import CSVLog, EarlyStopping
from fer_core.training.guard import BEHIND, LossGuard
from fer_core.training.memory import out_of_memory
from fer_core.training.state import Position, TrainingView

IDS = [f"face-{number}" for number in range(8)]


pytestmark = pytest.mark.usefixtures("tiny")  # whose model computes the losses


@dataclass
class View:
    """All that callbacks and the guard may know of a training."""

    folder: Path
    config: Config
    position: Position = field(default_factory=lambda: Position(epoch=1, batch=2, step=10))
    history: list[MetricsRow] = field(default_factory=list)
    stop: str | None = None
    epochs: int = 4
    total_steps: int = 32

    def score(self, row: MetricsRow) -> float | None:
        return None if self.config.train.select == "last" else row.val[self.config.train.metric]


def view(folder: Path, **train) -> TrainingView:
    return View(
        folder,
        Config.model_validate({"model": "tiny", "data": {"name": "d"}, "loss": "cross_entropy", "train": train}),
    )


def noted(loss: float, samples: int = 2) -> dict[str, torch.Tensor]:
    return {"loss": torch.tensor(loss * samples), "samples": torch.tensor(float(samples))}


def batch(*rows: int) -> dict[str, torch.Tensor]:
    return {"index": torch.tensor(rows)}


class Queue(Device):
    """A device beside the host that computes as it does."""

    torch_name = "cpu"


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_non_finite_loss_ends_the_run_and_its_faces_are_listed(tmp_path, loss) -> None:
    guard = LossGuard(view(tmp_path), IDS, Cpu())
    assert guard.rejects(noted(0.5), batch(0, 1)) is False
    with pytest.raises(
        FerError, match=r"the loss is (nan|inf|-inf) at step 10.*on_nonfinite=skip.*2 faces"
    ) as error:
        guard.rejects(noted(loss), batch(3, 6))
    assert str(tmp_path / NONFINITE) in str(error.value)
    found = NonFinite.read(tmp_path / NONFINITE, "")
    assert (found.step, found.epoch, found.ids) == (10, 1, ("face-3", "face-6"))
    guard.check_all()  # what was reported is not reported again


def test_on_an_accelerator_a_loss_is_looked_at_some_steps_later_and_before_anything_is_saved(tmp_path) -> None:
    training = view(tmp_path)
    guard = LossGuard(training, IDS, Queue())
    guard.rejects(noted(float("nan")), batch(5, 7))
    training.position.epoch += 1
    for _ in range(BEHIND - 1):
        training.position.step += 1
        guard.rejects(noted(0.5), batch(0, 1))
    assert not (tmp_path / NONFINITE).exists()
    with pytest.raises(FerError, match="at step 10"):
        guard.rejects(noted(0.5), batch(0, 1))
    found = NonFinite.read(tmp_path / NONFINITE, "")
    assert (found.step, found.epoch, found.ids) == (10, 1, ("face-5", "face-7"))

    guard.rejects(noted(float("nan")), batch(2, 4))
    with pytest.raises(FerError, match="the loss is nan"):
        guard.check_all()


@pytest.mark.parametrize("device", [Queue(), Cpu()], ids=str)
def test_a_step_is_skipped_at_once_where_that_is_asked_for(tmp_path, device) -> None:
    guard = LossGuard(view(tmp_path, on_nonfinite="skip"), IDS, device)
    assert [guard.rejects(noted(loss), batch(0, 1)) for loss in (0.5, float("nan"), 0.4)] == [False, True, False]
    guard.check_all()
    assert not (tmp_path / NONFINITE).exists()


def row(step: int, accuracy: float) -> MetricsRow:
    return MetricsRow(epoch=step / 8, step=step, lr=0.1, train={"loss": 1.0}, val={"accuracy": accuracy}, test={})


def test_early_stopping_counts_evaluations_without_improvement_and_remembers_them(tmp_path) -> None:
    training, stopping = view(tmp_path, select="best:val"), EarlyStopping(patience=2, min_delta=0.01)
    for step, accuracy in ((8, 0.5), (16, 0.505)):
        stopping.on_evaluation(training, row(step, accuracy))
    assert training.stop is None
    resumed = EarlyStopping(patience=2, min_delta=0.01)
    resumed.load_state_dict(stopping.state_dict())
    resumed.on_evaluation(training, row(24, 0.51))
    assert training.stop == "no improvement of accuracy for 2 evaluations"
    with pytest.raises(FerError, match=r"set train\.select=best:val"):
        EarlyStopping().on_evaluation(view(tmp_path, select="last"), row(8, 0.5))
    with pytest.raises(FerError, match="waited is"):
        resumed.load_state_dict({"best": 0.5, "waited": -1})


def test_the_table_of_a_resumed_run_has_every_evaluation_once(tmp_path) -> None:
    training = view(tmp_path)
    for step in (8, 16, 24):
        training.history.append(row(step, 0.5 + step / 100))
        CSVLog().on_evaluation(training, training.history[-1])  # a new one each time, as after a resumption
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(float(found["step"]), float(found["val.accuracy"])) for found in rows] == [
        (8, 0.58),
        (16, 0.66),
        (24, 0.74),
    ]


@pytest.mark.parametrize("name", ["best.safetensors", "predictions-test.csv", "../out.csv", "table"])
def test_the_table_takes_no_name_that_another_file_has(name) -> None:
    with pytest.raises(FerError, match=r"csv_log\.file is"):
        CSVLog(file=name)


def test_refused_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 50)
    assert out_of_memory(refused.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("shapes do not match"))
    assert not out_of_memory(ValueError("can't allocate memory"))


def test_a_lost_process_is_told_from_other_errors_and_only_where_there_are_several(monkeypatch) -> None:
    lost = RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:4242")
    assert not distributed.peer_is_gone(lost)
    monkeypatch.setattr(distributed, "size", lambda: 2)
    assert distributed.peer_is_gone(lost)
    assert not distributed.peer_is_gone(RuntimeError("shapes do not match"))
    assert not distributed.peer_is_gone(OSError("Broken pipe"))
