"""Extra targets: from columns of a table to batches, heads and losses; missing values count nothing."""

from __future__ import annotations

import re
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from fer_core import FerError, api, registry
from fer_core.cli.main import main
from fer_core.components import check
from fer_core.config import Config, resolve_config
from fer_core.config.names import component_names
from fer_core.data.inspection.check import check_dataset
from fer_core.data.loader import Loader
from fer_core.data.open import open_dataset
from fer_core.data.packs.open import open_pack
from fer_core.data.prepare import make_loader, prepare_data
from fer_core.data.samplers import balanced
from fer_core.data.targets import targets_of
from fer_core.data.transforms import build_pipeline
from fer_core.data.union import find_dataset
from fer_core.engine.devices import Cpu
from fer_core.losses import MultiHead
from fer_core.losses.multi_head import target_term
from fer_core.plugin import Loss, SampleBuffer, TaskInfo
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.state import read_state
from fer_core.testing import make_preprocessing
from fer_core.training.loop import Loop
from fer_core.training.memory import smaller_batch
from fer_core.types import Progress
from fer_core.weights.checkpoint import build_from_checkpoint
from torch import nn
from torch.nn import functional as F

MOODS = ("calm", "tense")
SHARES = ("young", "old", "unsure")
NOW = Progress(0, 1, 0, 1)


def config(dataset: str, *overrides: str) -> Config:
    small = ("data.input_size=16", "data.batch_size=16", "data.workers=0", "callbacks=[]")
    model = registry.find("models", "two_heads")
    return resolve_config(model, find_dataset(dataset), overrides=[*small, *overrides]).config


@pytest.mark.parametrize("pipeline", ["batched", "per-image"])
@pytest.mark.parametrize(
    "crops", ["[resize, horizontal_flip, normalize]", "[five_crop: {size: 8}, resize, normalize]"]
)
def test_a_batch_has_the_targets_of_its_samples(two_heads, pipeline, crops) -> None:
    chosen = config("faces", f"data.pipeline={pipeline}", f"data.train_transforms={crops}", "data.fraction=0.8")
    data = prepare_data(chosen)
    rows = data.rows("train")
    table = data.dataset.table.iloc[rows].reset_index(drop=True)
    loader = make_loader(data, rows, chosen, Cpu(), training=True)
    shares = table[[f"target_age:{name}" for name in SHARES]].to_numpy()
    for batch in (batch for epoch in (0, 1) for batch in loader.epoch(epoch)):
        index = batch["index"].numpy()
        assert batch["target_mood"].tolist() == table["target_mood"].cat.codes.to_numpy()[index].tolist()
        tension = table["target_tension"].to_numpy("float32")[index]
        np.testing.assert_array_equal(batch["target_tension"].numpy(), tension)
        expected = (shares / shares.sum(1, keepdims=True))[index]
        np.testing.assert_allclose(batch["target_age"].numpy(), expected, rtol=1e-6)
        assert [batch[f"target_{name}"].dtype for name in ("mood", "tension", "age")] == [
            torch.int64,
            torch.float32,
            torch.float32,
        ]
    (whole,) = make_loader(data, rows, config("faces", "data.eval_batch_size=90"), Cpu(), training=False).epoch(0)
    assert whole["target_mood"].tolist() == table["target_mood"].cat.codes.tolist()
    assert {-1, 0, 1} == set(whole["target_mood"].tolist())


def test_repeated_samples_and_shares_of_processes_have_their_own_targets(two_heads) -> None:
    dataset = open_dataset("faces", None, {})[1]
    tension, labels = targets_of(dataset)["tension"].values, dataset.table["label"].to_numpy()
    rows = np.flatnonzero((labels > 0) | (np.arange(90) < 12))  # a class is rare
    pipeline = build_pipeline(make_preprocessing(16), ["resize", "horizontal_flip", "normalize"])
    given = {"pipeline": pipeline, "batch_size": 16, "seed": 0, "workers": 0, "device": Cpu()}
    pack = open_pack(dataset, Path("cache"), progress=False)
    seen = []
    for rank in (0, 1):
        for sampler in (balanced(labels[rows], 0), None):
            loader = Loader(
                pack, rows, labels, sampler=sampler, targets={"tension": tension}, process=(rank, 2), **given
            )
            for batch in loader.epoch(1):
                expected = tension[rows][batch["index"].numpy()]
                np.testing.assert_array_equal(batch["target_tension"].numpy(), expected)
                seen += batch["index"].tolist() if sampler is None else []
    assert sorted(seen) == list(range(len(rows)))


def test_a_choice_of_classes_and_a_union_keep_the_targets_of_each_sample(two_heads, tmp_path) -> None:
    def other(dataset):
        rows = len(dataset.table)
        mood = pd.Categorical.from_codes(np.arange(rows) % 2, ["tense", "angry"])
        dataset.table = dataset.table.assign(target_mood=mood, target_gaze=np.arange(rows, dtype="int64"))

    two_heads("others", other)
    whole = open_dataset("faces", None, {})[1].table
    chosen = open_dataset("faces", None, {}, ["neutral", "happiness"])[1]
    kept = whole[whole["label"] != 1].reset_index(drop=True)
    assert chosen.table["id"].tolist() == kept["id"].tolist()
    pd.testing.assert_series_equal(chosen.table["target_mood"], kept["target_mood"])

    union = open_dataset("faces+others", None, {"others": {"samples": 30}})[1]
    found = targets_of(union)
    assert list(found) == ["age", "gaze", "mood", "tension"]
    assert found["mood"].classes == (*MOODS, "angry")
    assert found["mood"].values[90:].tolist() == [1, 2] * 15
    np.testing.assert_array_equal(found["tension"].values[:90], whole["target_tension"].to_numpy("float32"))
    assert np.isnan(found["tension"].values[90:]).all()
    assert np.isnan(found["gaze"].values[:90]).all()
    assert found["gaze"].values[90:].tolist() == list(range(30))
    assert np.isnan(found["age"].values[90:]).all()
    np.testing.assert_array_equal(
        found["age"].values[:90], targets_of(open_dataset("faces", None, {})[1])["age"].values
    )
    assert len(open_pack(union, tmp_path, progress=False)) == 120


def test_a_union_gives_no_share_to_classes_that_a_part_lacks_and_refuses_another_kind(two_heads) -> None:
    two_heads(
        "few", lambda d: setattr(d, "table", d.table.assign(**{"target_age:old": 1.0, "target_age:dead": 3.0}))
    )
    two_heads("years", lambda d: setattr(d, "table", d.table.assign(target_age=30)))
    age = targets_of(open_dataset("faces+few", None, {})[1])["age"]
    assert age.classes == (*SHARES, "dead")
    assert age.values[1, 3] == 0
    assert age.values[90].tolist() == [0, 0.25, 0, 0.75]
    assert np.isnan(age.values[0]).all()
    with pytest.raises(FerError, match=r"age is not of one kind \(a distribution in faces, numbers in years\)"):
        open_dataset("faces+years", None, {})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"target_x": "a"}, "the target x has the type "),
        ({"target_x": True}, "the target x has the type bool"),
        ({"target_x": np.inf}, "the target x is infinite in row 0"),
        ({"target_": 1.0}, "'target_' does not name a target"),
        ({"target_a/b": 1.0}, "'target_a/b' does not name a target"),
        ({"target_x": 1.0, "target_x:a": 1.0}, "has the column target_x and others for its classes"),
        ({"target_x:a": 1.0}, "the target x has the classes ['a']: give 2 to 1,000 different names"),
        ({"target_x:a": 1.0, "target_x:": 1.0}, "the target x has the classes ['a', '']"),
        ({"target_x:a": 1.0, "target_x:b": "1"}, "not all of its columns are numbers"),
        ({"target_x:a": 1.0, "target_x:b": -0.5}, "the target x is not a distribution in row 0"),
        ({"target_x:a": 1.0, "target_x:b": np.nan}, "the target x is not a distribution in row 0"),
        ({"target_x:a": 0, "target_x:b": 0}, "the target x is not a distribution in row 0"),
    ],
)
def test_a_column_that_is_no_target_is_refused_in_one_line(two_heads, given, says) -> None:
    two_heads("odd", lambda dataset: setattr(dataset, "table", dataset.table.assign(**given)))
    with pytest.raises(FerError) as error:
        open_dataset("odd", None, {})
    assert str(error.value).startswith("odd: ")
    assert says in str(error.value)


def test_columns_that_repeat_a_name_or_have_none_are_no_targets(two_heads) -> None:
    def twice(dataset):
        rows = len(dataset.table)
        extra = pd.DataFrame(np.ones((rows, 4)), columns=["target_x:a", "target_x:a", 3, None])
        dataset.table = pd.concat([dataset.table, extra], axis=1)

    two_heads("odd", twice)
    with pytest.raises(FerError, match="the target x has the classes"):
        open_dataset("odd", None, {})


def test_columns_of_pandas_that_may_miss_values_are_numbers(two_heads) -> None:
    years = pd.array([30, None] * 45, dtype="Int64")
    two_heads("years", lambda dataset: setattr(dataset, "table", dataset.table.assign(target_age=years)))
    values = targets_of(open_dataset("years", None, {})[1])["age"].values
    assert values[0] == 30
    assert np.isnan(values[1::2]).all()


def train(folder: str, dataset: str = "faces", **more):
    given = {
        "data": {"input_size": 16, "batch_size": 16},
        "loss": {"name": "multi_head", "weights": {"tension": 0.1}, "label_smoothing": 0.1},
        "train": {"epochs": 3, "precision": "fp32"},
        "callbacks": [],
    }
    return fer_core.train("two_heads", dataset, run={"dir": folder}, **{**given, **more})


@pytest.fixture
def interrupted(two_heads) -> Path:
    """A run that ended in its second epoch."""

    def step(self, batch):
        if self.position.step == 5:
            raise KeyboardInterrupt
        whole(self, batch)

    whole = Loop.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train("runs/part")
    return Path("runs/part")


def test_a_run_with_heads_resumes_byte_for_byte_and_its_weights_are_built_again(interrupted) -> None:
    whole, part = train("runs/whole"), api.resume(interrupted)
    for name in ("result.json", "best.safetensors", "last.safetensors"):
        assert (part.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    row = read_state(whole.folder / "last.state.pt").envelope.history[-1]
    assert {"loss", "accuracy", "head_age", "head_mood", "head_tension"} == set(row.train)
    model, header = build_from_checkpoint(whole.folder / "best.safetensors")
    assert header.targets == {"age": SHARES, "mood": MOODS, "tension": ()}
    assert model(torch.zeros(2, 3, 16, 16))["head_age"].shape == (2, 3)


def test_out_of_memory_is_probed_with_targets_too(two_heads, monkeypatch) -> None:
    loops = []
    monkeypatch.setattr(Loop, "fit", lambda loop: loops.append(loop) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("runs/a")
    assert "8 fit: use train.accumulate=2" in str(smaller_batch(loops[0].setup, NOW))


def test_a_run_is_not_resumed_with_other_targets(two_heads, interrupted) -> None:
    def changed(dataset):
        dataset.table.loc[7, "target_tension"] = 0.5

    two_heads("faces", changed, targets=True)
    with pytest.raises(FerError, match="the data or their split are not those that this run began with"):
        api.resume(interrupted)


INFO = TaskInfo(("a", "b"), (3, 3), targets={"mood": MOODS, "tension": (), "age": SHARES})


def batch() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Output and batch of four samples, two without each target."""
    torch.manual_seed(0)
    output = {
        "logits": torch.randn(4, 2),
        "head_mood": torch.randn(4, 2),
        "head_tension": torch.randn(4),
        "head_age": torch.randn(4, 3),
    }
    nan = float("nan")
    given = {
        "label": torch.tensor([0, 1, 1, 0]),
        "target_mood": torch.tensor([1, -1, 0, -1]),
        "target_tension": torch.tensor([nan, 2.0, nan, -1.0]),
        "target_age": torch.tensor([[0.5, 0.5, 0], [nan] * 3, [nan] * 3, [0, 0, 1.0]]),
    }
    return {name: value.requires_grad_() for name, value in output.items()}, given


def test_multi_head_adds_the_terms_of_those_that_have_the_target() -> None:
    output, given = batch()
    losses = MultiHead(INFO, weights={"tension": 0.5, "age": 0.0}).from_output(output, given, NOW)
    mood = F.cross_entropy(output["head_mood"][[0, 2]], torch.tensor([1, 0]), reduction="sum") / 4
    tension = ((output["head_tension"][[1, 3]] - torch.tensor([2.0, -1.0])) ** 2).sum() / 4
    label = F.cross_entropy(output["logits"], given["label"])
    torch.testing.assert_close(losses["loss"], label + mood + 0.5 * tension)
    torch.testing.assert_close(losses["head_mood"], mood)
    assert "head_age" not in losses
    losses["loss"].backward()
    assert (output["head_mood"].grad[[1, 3]] == 0).all()
    assert (output["head_tension"].grad[[0, 2]] == 0).all()
    assert (output["head_mood"].grad[[0, 2]] != 0).all()


def test_parts_of_a_batch_add_up_to_the_whole_and_a_part_without_targets_is_0() -> None:
    output, given = batch()
    for name in ("mood", "tension", "age"):
        head, target = output[f"head_{name}"], given[f"target_{name}"]
        parts = [target_term(head[[row]], target[[row]]) for row in range(4)]
        torch.testing.assert_close(target_term(head, target), sum(parts) / 4)
        assert min(parts) == 0
        assert target_term(head.half(), target).dtype == torch.float32
    age = F.cross_entropy(output["head_age"][[0, 3]], given["target_age"][[0, 3]], reduction="sum") / 4
    torch.testing.assert_close(target_term(output["head_age"], given["target_age"]), age)


class Scaled(Loss):
    """Cross-entropy with a parameter, which counts its epochs."""

    def __init__(self, info, *, start: float = 1.0) -> None:
        super().__init__()
        self.scale, self.epochs = nn.Parameter(torch.tensor(start)), SampleBuffer(1)

    def from_output(self, output, batch, progress):
        return {"loss": F.cross_entropy(self.scale * output["logits"], batch["label"]), "odd": torch.tensor(2.0)}

    def after_epoch(self, scan, progress):
        self.epochs[torch.tensor([0])] = self.epochs.values + sum(len(batch["label"]) for batch, _ in scan())


def test_the_base_loss_keeps_its_parameters_and_what_it_does_after_epochs(two_heads, monkeypatch) -> None:
    entry = Entry("scaled", Scaled, Plugin("t", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["losses"], "scaled", [entry])
    done = train("runs/a", loss={"name": "multi_head", "base": "scaled", "start": 2.0})
    state = read_state(done.folder / "last.state.pt")
    assert state.task["loss.base.scale"] != 2.0
    assert state.task["loss.base.epochs._extra_state"].tolist() == [3 * 54]
    assert state.envelope.history[-1].train["odd"] == 2.0
    with pytest.raises(FerError, match=r"loss\.stat: unknown option of scaled, did you mean start"):
        train("runs/b", loss={"name": "multi_head", "base": "scaled", "stat": 2.0})


@pytest.mark.parametrize(
    ("info", "weights", "says"),
    [
        (TaskInfo(("a", "b")), None, "loss multi_head needs a dataset with extra targets"),
        (INFO, {"moon": 2.0}, "loss.weights names the target 'moon', which the dataset does not have: did you"),
    ],
)
def test_multi_head_says_what_it_lacks(info, weights, says) -> None:
    with pytest.raises(FerError, match=says):
        MultiHead(info, weights=weights)


def test_a_model_without_the_head_is_named_with_the_way_to_do_without(two_heads) -> None:
    with pytest.raises(FerError, match=r"no output head_age for the target age: .* -o loss.weights.age=0"):
        fer_core.train("tiny", "faces", loss="multi_head", data={"input_size": 16}, callbacks=[])


def test_a_check_of_the_data_counts_the_targets_and_names_of_the_base_loss_are_recorded(two_heads) -> None:
    report = check_dataset(open_dataset("faces", None, {})[1], find_dataset("faces"))
    assert report.targets["mood"] == {"train": 36, "val": 12, "test": 12}
    assert report.targets["tension"] == {"train": 40, "val": 14, "test": 13}
    shown = CliRunner().invoke(main, ["data", "check", "faces"]).stdout
    assert re.search(r"target mood\W+36\W+12\W+12\W", shown)
    chosen = config("faces", "loss={name: multi_head, base: Cross-Entropy, label_smoothing: 0.1}")
    assert {("losses", "multi_head"), ("losses", "cross_entropy")} <= component_names(chosen)
    with pytest.raises(FerError, match=r"loss\.label_smooth: unknown option of cross_entropy, did you mean"):
        check("losses", "multi_head", {"label_smooth": 0.1})
