"""Soft targets: the mean of tables of predictions, the loss that learns from them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from fer_core import FerError
from fer_core.losses import CrossEntropy, Distillation, Loss, MultiHead
from fer_core.losses.distillation import soft_term
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.predictions import probabilities_of, read_predictions, write_predictions
from fer_core.runs.state import read_state
from fer_core.testing import check_resume
from fer_core.training import loop
from fer_core.training.soft_targets import read_soft_targets
from fer_core.types import Progress, TaskInfo

CLASSES = ("happiness", "sadness", "neutral")
INFO, PROGRESS = TaskInfo(CLASSES), Progress(0, 1, 0, 10)


def table(path: Path, ids, probabilities, classes=CLASSES) -> str:
    scores = np.asarray(probabilities, np.float32)
    path.write_text(write_predictions(classes, list(ids), np.zeros(len(scores), np.int64), scores, []))
    return str(path)


def bars(samples: int = 90):
    return fer_core.open_dataset("bars", samples=samples).dataset


def test_at_temperature_1_the_gradient_is_that_of_cross_entropy_with_soft_targets() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 3, requires_grad=True), torch.rand(5, 3).softmax(1)
    (ours,) = torch.autograd.grad(soft_term(logits, targets, 1.0), logits)
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, targets), logits)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(soft_term(targets.log(), targets, 1.0), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_a_temperature_softens_both_and_zeros_stay_finite() -> None:
    logits, targets = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.7, 0.2, 0.1]])
    p = targets**0.25 / (targets**0.25).sum()
    q = (logits / 4).softmax(1)
    torch.testing.assert_close(soft_term(logits, targets, 4.0), 16 * (p * (p / q).log()).sum())
    assert soft_term(logits, torch.tensor([[1.0, 0.0, 0.0]]), 4.0).isfinite()


def test_the_weight_divides_between_labels_and_soft_targets() -> None:
    output = {"logits": torch.randn(4, 3)}
    batch = {"label": torch.tensor([0, 1, 2, 0]), "soft_target": torch.rand(4, 3).softmax(1)}
    loss = Distillation(INFO, weight=0.25, temperature=2.0, label_smoothing=0.1)
    found = loss.from_output(output, batch, PROGRESS)
    label = CrossEntropy(INFO, label_smoothing=0.1).from_output(output, batch, PROGRESS)["loss"]
    term = soft_term(output["logits"], batch["soft_target"], 2.0)
    torch.testing.assert_close(found["loss"], 0.75 * label + 0.25 * term)
    assert found["soft_targets"] == term


def test_parameters_vary_where_they_do_in_the_loss_of_the_label(tiny, monkeypatch) -> None:
    class Sometimes(CrossEntropy):
        parameters_vary = True

    plugin = Plugin("tests", "fer-tests", "0")
    monkeypatch.setitem(load_plugins().entries["losses"], "sometimes", [Entry("sometimes", Sometimes, plugin)])
    info = TaskInfo(CLASSES, targets={"age": ("young", "old")})
    for kind in (Distillation, MultiHead):
        assert kind(info, base="sometimes").parameters_vary
        assert not kind(info).parameters_vary


def test_a_loss_that_calls_the_model_itself_cannot_be_that_of_the_label(tiny, monkeypatch) -> None:
    class Twice(Loss):
        def __init__(self, info: TaskInfo) -> None:
            super().__init__()

        def forward(self, model, batch, progress):
            return {"loss": sum(model(batch["image"])["logits"].sum() for _ in range(2))}

    plugin = Plugin("tests", "fer-tests", "0")
    monkeypatch.setitem(load_plugins().entries["losses"], "twice", [Entry("twice", Twice, plugin)])
    info = TaskInfo(CLASSES, targets={"age": ("young", "old")})
    for kind, name in ((Distillation, "distillation"), (MultiHead, "multi_head")):
        with pytest.raises(FerError, match=f"loss twice calls the model itself, so {name} cannot take it"):
            kind(info, base="twice")


def test_tables_are_averaged_by_id_and_by_the_names_of_classes(tiny, tmp_path) -> None:
    dataset, rows = bars(), np.array([2, 5, 7])
    ids = dataset.table["id"].iloc[rows].tolist()
    one = table(tmp_path / "a.csv", ids, [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    turned = table(tmp_path / "b.csv", [*ids[::-1], "more"], np.full((4, 3), [0.6, 0.4, 0.0]), CLASSES[::-1])
    soft = read_soft_targets([one, turned], dataset, rows)
    expected = [[0.4, 0.25, 0.35], [0.1, 0.45, 0.45], [0.0, 0.2, 0.8]]
    np.testing.assert_allclose(soft.values[rows], expected, atol=1e-6)
    assert np.isnan(np.delete(soft.values, rows, axis=0)).all()


def ensemble(quick) -> list[str]:
    """Tables of two runs of different seeds on the training images."""
    tables = []
    for seed in (0, 1):
        run = fer_core.train("tiny", "bars", device="cpu", seed=seed, **quick, run={"dir": f"runs/{seed}"})
        found = fer_core.evaluate(run.checkpoint, "bars", split="train", device="cpu")
        tables += [str(path) for path in found.save(Path(f"teacher-{seed}"), "train") if path.suffix == ".csv"]
    return tables


def test_a_student_learns_from_an_ensemble_of_runs_and_ends_alike_when_resumed(
    tiny, quick, tmp_path, monkeypatch
) -> None:
    for seed in (0, 1):
        Path(f"teacher-{seed}").mkdir()
    tables = ensemble(quick)
    batches: list[dict] = []
    step = loop.Loop.step
    monkeypatch.setattr(loop.Loop, "step", lambda self, batch: (batches.append(batch), step(self, batch))[1])
    quick["data"] |= {"soft_targets": tables}
    quick |= {"loss": {"name": "distillation", "weight": 0.7, "temperature": 2.0}}
    quick |= {"train": {"epochs": 2, "trainer": {"name": "mix", "mixup": 0.2}}}
    check_resume("tiny", "bars", tmp_path, **quick)
    frames = [read_predictions(Path(path), CLASSES) for path in tables]
    mean = np.mean([probabilities_of(frame, CLASSES) for frame in frames], axis=0)
    table = pd.DataFrame(mean, index=frames[0]["id"])
    train = bars().table.query("split == 'train'")["id"].to_numpy()
    np.testing.assert_allclose(batches[0]["soft_target"], table.loc[train[batches[0]["index"]]], atol=1e-6)
    state = read_state(tmp_path / "whole" / "last.state.pt")
    assert state.envelope.identity.data.soft_targets is not None
    Path(tables[0]).write_bytes(Path(tables[1]).read_bytes())
    with pytest.raises(FerError, match="the data or their split are not those that this run began with"):
        fer_core.extend(tmp_path / "whole", epochs=3)


def test_what_does_not_go_together_is_one_line(tiny, quick, tmp_path) -> None:
    ids = bars().table["id"]
    whole, part = (table(tmp_path / f"{n}.csv", ids[:n], np.full((n, 3), [0.2, 0.2, 0.6])) for n in (90, 50))
    other = table(tmp_path / "c.csv", ids, np.full((90, 3), [0.2, 0.2, 0.6]), ("anger", "fear", "neutral"))
    (tmp_path / "d.csv").write_text("id,label\n")
    (tmp_path / "e.csv").write_bytes(b"\x89PNG\r\x1a" * 9)
    (tmp_path / "f.csv").write_text(Path(whole).read_text().replace("0.2", "2"))
    advice = "name a table that fer-run evaluate WEIGHTS DATASET --split train --out FOLDER writes$"
    none = rf"is not a table of predictions \(it has no column p_CLASS\): {advice}"
    distil = {"loss": "distillation"}
    for message, soft, sections in (
        ("the loss cross_entropy does not learn from data.soft_targets: use loss=distillation", [whole], {}),
        ("the loss distillation needs soft targets: name tables", [], distil),
        (r"50.csv lacks 4 of 54 training images, such as bar-0050", [whole, part], distil),
        ("has predictions of the classes anger, fear, neutral, but bars has", [other], distil),
        (f"d.csv {none}", [str(tmp_path / "d.csv")], distil),
        (f"e.csv {none}", [str(tmp_path / "e.csv")], distil),
        (f"row 1: probabilities is .*: {advice}", [str(tmp_path / "f.csv")], distil),
        (rf"absent.csv cannot be read \(No such file or directory\): {advice}", ["absent.csv"], distil),
    ):
        given = {**quick, "data": quick["data"] | {"soft_targets": soft}, **sections}
        with pytest.raises(FerError, match=message) as caught:
            fer_core.train("tiny", "bars", device="cpu", **given)
        assert "\n" not in str(caught.value)
    assert not Path("runs").exists()
