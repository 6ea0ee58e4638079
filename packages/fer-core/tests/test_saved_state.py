"""States of runs without a run: what is written comes back, and each kind of damage is named by its place."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fer_core.config import Config, config_hash, dump_config
from fer_core.errors import FerError
from fer_core.metrics import MetricsRow
from fer_core.provenance import Start
from fer_core.runs.records import Best
from fer_core.runs.state import (
    DataIdentity,
    Envelope,
    Identity,
    SavedPosition,
    State,
    describe,
    read_state,
    save_state,
)

SHA = 64 * "a"
CONFIG = Config.model_validate({"model": {"name": "dan"}, "data": {"name": "bars"}})
IDENTITY = Identity(
    config=dump_config(CONFIG),
    config_sha256=config_hash(CONFIG),
    data=DataIdentity(fingerprint=SHA, split=SHA),
    versions={"torch": "2.1", "numpy": "1.26"},
)
ROWS = tuple(MetricsRow(epoch=n, step=4 * n, lr=0.1) for n in (1, 2))
LONGER = tuple(MetricsRow(epoch=n, step=4 * n, lr=0.1) for n in (1, 2, 3))
ENVELOPE = Envelope(
    format=2,
    identity=IDENTITY,
    start=Start(description="random weights"),
    position=SavedPosition(epoch=2, batch=1, step=9),
    history=ROWS,
    best=Best(score=0.5, epoch=1, step=4),
)
EARLY = SavedPosition(epoch=0, batch=3, step=3)
STATE = State(
    envelope=ENVELOPE,
    sums={"loss": torch.tensor(1.5)},
    scaler={},
    task={"model.weight": torch.arange(6.0).reshape(2, 3)},
    optimizers=[{"state": {0: {"exp_avg": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
    schedulers=[{"last": 3}],
    extra={"seen": [torch.arange(3)]},
    ema={},
    callbacks={"early_stopping": {"best": None}},
)


def saved(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "last.state.pt"
    save_state(path, replace(STATE, **changes))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(FerError) as caught:
        read_state(path)
    return str(caught.value)


def test_a_state_comes_back_as_it_was(tmp_path) -> None:
    found = read_state(saved(tmp_path))
    assert found.envelope.model_copy(update={"layout": {}}) == ENVELOPE
    assert torch.equal(found.task["model.weight"], STATE.task["model.weight"])
    assert torch.equal(found.sums["loss"], STATE.sums["loss"])
    assert torch.equal(found.optimizers[0]["state"][0]["exp_avg"], torch.ones(2, 3))
    assert found.optimizers[0]["param_groups"] == STATE.optimizers[0]["param_groups"]
    assert torch.equal(found.extra["seen"][0], torch.arange(3))
    assert (found.scaler, found.schedulers, found.ema) == ({}, [{"last": 3}], {})
    assert found.callbacks == STATE.callbacks
    assert [file.name for file in tmp_path.iterdir()] == ["last.state.pt"]


def test_the_layout_names_every_entry(tmp_path) -> None:
    layout = read_state(saved(tmp_path)).envelope.layout
    assert layout["sums.loss"] == "float32[] 1.5"
    assert layout["task.model.weight"] == "float32[2, 3]"
    assert layout["optimizers.0.state.0.exp_avg"] == "float32[2, 3]"
    assert layout["optimizers.0.param_groups"] == "list"
    assert layout["optimizers.0.param_groups.0.lr"] == "0.1"
    assert layout["callbacks.early_stopping.best"] == "None"
    assert layout["ema"] == "mapping"
    assert "envelope" not in layout


def test_what_cannot_be_saved_is_named(tmp_path) -> None:
    with pytest.raises(FerError) as caught:
        saved(tmp_path, callbacks={"mine": {"handle": object()}})
    path = tmp_path / "last.state.pt"
    assert str(caught.value) == (
        f"cannot save {path} (callbacks.mine.handle is object, which is neither a tensor nor a plain value): "
        "keep states to tensors and plain values"
    )
    assert not path.exists()


def change(path: Path, **entries: object) -> Path:
    """Other entries; None takes one out."""
    content = torch.load(path, weights_only=True) | entries
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


ADVICE = "the run cannot be resumed, start it again"


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"schedulers": [{"last": 4}]}, 'schedulers.0.last is "4", expected "3"'),
        ({"schedulers": [{}]}, 'schedulers.0.last is "missing", expected "3"'),
        ({"schedulers": [{"last": 3, "more": 1}]}, 'schedulers.0.more is "1", expected "nothing"'),
        ({"task": {"model.weight": torch.ones(3, 2)}}, 'is "float32[3, 2]", expected "float32[2, 3]"'),
        ({"sums": {"loss": torch.tensor(2.5)}}, 'sums.loss is "float32[] 2.5", expected "float32[] 1.5"'),
        ({"surplus": 3}, 'surplus is "3", expected "nothing"'),
        ({"ema": None}, 'ema is "missing", expected "mapping"'),
    ],
)
def test_what_is_not_as_the_envelope_says_is_named(tmp_path, entries, says) -> None:
    path = saved(tmp_path)
    line = refusal(change(path, **entries))
    assert line.startswith(f"{path}: ")
    assert line.endswith(f"{says}: {ADVICE}")


def test_a_state_with_other_entries_is_refused_though_the_envelope_agrees(tmp_path) -> None:
    path = saved(tmp_path)
    content = torch.load(path, weights_only=True)
    del content["ema"]
    layout = dict(describe({key: value for key, value in content.items() if key != "envelope"}))
    content["envelope"] = ENVELOPE.model_copy(update={"layout": layout}).text()
    torch.save(content, path)
    assert refusal(path) == (
        f"{path}: it holds sums, scaler, task, optimizers, schedulers, extra, callbacks, "
        f"expected callbacks, ema, extra, optimizers, scaler, schedulers, sums, task: {ADVICE}"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_moments_that_are_not_finite_are_named(tmp_path, value) -> None:
    moments = {"exp_avg": torch.tensor([1.0, value]), "step": torch.tensor(3)}
    path = saved(tmp_path, optimizers=[{}, {"state": {7: moments}, "param_groups": []}])
    assert refusal(path) == f"{path}: optimizers.1.state.7.exp_avg is not finite: {ADVICE}"


def test_a_file_that_is_not_a_state_says_why(tmp_path) -> None:
    path = tmp_path / "last.state.pt"
    assert (
        refusal(path)
        == f"{tmp_path} has no last.state.pt, so nothing was saved: start the run again without --resume"
    )
    path.mkdir()
    assert refusal(path) == f"{path} is not a regular file: {ADVICE}"
    path.rmdir()
    path.write_bytes(b"content")
    assert refusal(path) == f"{path} cannot be read (File is not a zip file): {ADVICE}"
    torch.save([1, 2], path)
    assert refusal(path) == f"{path} was written by another version of fer: start the run again"
    torch.save({"envelope": 3}, path)
    assert refusal(path) == f"{path} was written by another version of fer: start the run again"


def test_a_compressed_archive_is_refused_before_it_is_read(tmp_path) -> None:
    path, packed = saved(tmp_path), tmp_path / "packed.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert refusal(packed) == f"{packed} cannot be read (it is compressed): {ADVICE}"


@pytest.mark.parametrize(
    ("update", "field"),
    [
        ({"history": ROWS[::-1]}, "history is a list of 2, expected evaluations of ascending steps: the run"),
        ({"history": (ROWS[0], ROWS[0])}, "history"),
        ({"position": SavedPosition(epoch=2, batch=0, step=7)}, "position.step is 7, expected at least 8"),
        ({"history": LONGER}, "position.step is 9, expected at least 12, the last evaluation's"),
        ({"history": LONGER[:1], "best": None, "position": EARLY}, "position.step is 3, expected at least 4"),
        ({"best": Best(score=0.5, epoch=1, step=5)}, "best.step is 5, expected the step of an evaluation"),
        ({"history": (), "best": Best(score=0.5, epoch=1, step=4)}, "best.step is 4"),
        (
            {"stop": "patience"},
            'stop is "patience", expected null, since training does not stand at an evaluation',
        ),
        ({"history": (), "best": None, "stop": "patience"}, 'stop is "patience"'),
    ],
)
def test_an_envelope_that_contradicts_itself_is_refused(update, field) -> None:
    text = ENVELOPE.model_copy(update=update).text()
    with pytest.raises(FerError) as caught:
        Envelope.parse(text, "state", ADVICE)
    assert str(caught.value).startswith(f"state: {field}")


@pytest.mark.parametrize(
    "update",
    [
        {"position": SavedPosition(epoch=2, batch=0, step=8)},
        {"position": SavedPosition(epoch=2, batch=0, step=8), "stop": "patience"},
        {"history": (), "best": None},
        {"best": None},
        {"best": Best(score=0.5, epoch=2, step=8)},
    ],
)
def test_an_envelope_that_agrees_with_itself_is_read(update) -> None:
    envelope = ENVELOPE.model_copy(update=update)
    assert Envelope.parse(envelope.text(), "state", ADVICE) == envelope


def test_versions_that_changed_are_told_apart_from_those_that_are_gone() -> None:
    assert IDENTITY.changed_versions({"torch": "2.2", "numpy": "1.26", "pillow": "9"}) == [("torch", "2.1", "2.2")]
    assert IDENTITY.changed_versions({"numpy": "2.0", "torch": "3"}) == [
        ("torch", "2.1", "3"),
        ("numpy", "1.26", "2.0"),
    ]
    assert IDENTITY.changed_versions({}) == []


def test_other_data_are_refused_and_the_same_are_not() -> None:
    IDENTITY.check_data(DataIdentity(fingerprint=SHA, split=SHA))
    for other in ({"fingerprint": 64 * "b", "split": SHA}, {"fingerprint": SHA, "split": 64 * "b"}):
        with pytest.raises(FerError) as caught:
            IDENTITY.check_data(DataIdentity(**other))
        assert str(caught.value) == (
            "the data or their split are not those that this run began with: restore them, or start a new run"
        )


def test_an_edited_configuration_is_named_by_key() -> None:
    path = Path("run/config.yaml")
    IDENTITY.check_config(path, CONFIG)
    edited = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"seed": 5})})
    with pytest.raises(FerError) as caught:
        IDENTITY.check_config(path, edited)
    line = str(caught.value)
    assert line.startswith("run/config.yaml was edited after the run began (train.seed")
    assert line.endswith("): undo that, or start a new run; fer-run train --extend RUN --epochs N trains longer")


def test_a_configuration_that_is_damaged_within_a_state_is_named() -> None:
    damaged = IDENTITY.model_copy(update={"config": "model: ["})
    with pytest.raises(FerError, match=r"run/last\.state\.pt, identity\.config"):
        damaged.check_config(Path("run/config.yaml"), CONFIG)


def test_a_damaged_envelope_is_named_with_the_file(tmp_path) -> None:
    path = change(saved(tmp_path), envelope="{")
    assert refusal(path).startswith(f"{path}: not valid JSON")
    assert refusal(path).endswith(f": {ADVICE}")
    path = change(path, envelope=None)
    assert refusal(path) == f"{path} was written by another version of fer: start the run again"


def nest(levels: int) -> dict[str, object]:
    content: object = 1
    for _ in range(levels):
        content = {"a": content}
    return {"top": content}


def test_descriptions_end_at_their_limits(monkeypatch) -> None:
    assert len(list(describe(nest(15)))) == 17
    with pytest.raises(ValueError, match=r"^top\.a\.a.* is nested too deeply$"):
        list(describe(nest(16)))
    tensor = torch.zeros(4)
    assert dict(describe({"a": tensor}, largest=16))["a"] == "float32[4]"
    with pytest.raises(ValueError, match=r"^a is a tensor that is larger than the file$"):
        list(describe({"a": tensor}, largest=15))
    monkeypatch.setattr("fer_core.runs.state.MAX_ENTRIES", 3)
    assert len(list(describe({"a": 1}))) == 2
    with pytest.raises(ValueError, match=r"^it holds more than 3 values$"):
        list(describe({"a": 1, "b": 2, "c": 3}))


def test_every_kind_of_value_has_a_description() -> None:
    content = OrderedDict(a=(1, [True]), b="text", c=None, d=torch.tensor(2), e=torch.ones(1, dtype=torch.bool))
    assert dict(describe({"top": content})) == {
        "": "mapping",
        "top": "mapping",
        "top.a": "list",
        "top.a.0": "1",
        "top.a.1": "list",
        "top.a.1.0": "True",
        "top.b": "'text'",
        "top.c": "None",
        "top.d": "int64[] 2",
        "top.e": "bool[1]",
    }


class Touch:
    """Pickled, it asks for a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_state_that_would_run_code_is_refused_and_runs_nothing(tmp_path) -> None:
    canary = tmp_path / "canary"
    path = change(saved(tmp_path), scaler={"a": Touch(canary)})
    line = refusal(path)
    assert line.startswith(f"{path} cannot be read (")
    assert line.endswith(f"): {ADVICE}")
    assert not canary.exists()


def test_a_tensor_that_is_larger_than_the_file_is_refused(tmp_path) -> None:
    path = change(saved(tmp_path), task={"model.weight": torch.zeros(1).expand(10_000_000)})
    assert refusal(path) == f"{path}: task.model.weight is a tensor that is larger than the file: {ADVICE}"


def test_a_sparse_tensor_is_refused(tmp_path) -> None:
    path = change(saved(tmp_path), task={"model.weight": torch.eye(3).to_sparse()})
    assert refusal(path) == (
        f"{path}: task.model.weight is a tensor of the layout torch.sparse_coo, which no training saves: {ADVICE}"
    )
