"""Mistakes of a user: one line that says what, why and what to do, status 2, nothing half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.provenance import Model
from fer_core.weights import checkpoint
from safetensors.torch import save_file


def fer_run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments: str | Path) -> str:
    """The one line of a refusal."""
    result = fer_run(*arguments)
    assert result.exit_code == 2, result.output
    line, *details = result.stderr.strip().split("\n")
    assert line.startswith("Error: "), result.stderr
    assert "Traceback" not in result.stderr
    assert not details, details
    return line


@pytest.fixture
def weights(tiny, quick) -> Path:
    """A checkpoint of the tiny model."""
    quick["train"] = {"steps": 2}
    return fer_core.train("tiny", "bars", device="cpu", **quick).checkpoint


TINY_RUN = ("train", "tiny", "bars", "--device", "cpu", "-o", "data.input_size=16", "-o", "train.steps=1")


def test_unknown_names_offer_the_nearest(tiny) -> None:
    assert "tiny" in refused("train", "tinny", "bars")
    assert "bars" in refused("train", "tiny", "barz")
    assert "did you mean data.batch_size" in refused(*TINY_RUN, "-o", "data.batchsize=3")
    assert "did you mean dropout" in refused(*TINY_RUN, "-o", "model.dropot=0.1")
    assert "did you mean horizontal_flip" in refused(
        *TINY_RUN, "-o", "data.train_transforms=[resize, horizontal_flop]"
    )
    assert "did you mean samples" in refused(*TINY_RUN, "-o", "data.options.sample=3")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=many", "train.epochs"),
        ("train.epochs=0", "train.epochs"),
        ("optimizer.lr=fast", "optimizer.lr"),
        ("model.width=wide", "model.width"),
        ("train.select=best", "train.select"),
        ("data.split=kfold:1:0", "kfold"),
        ("data.split=weekly", "weekly"),
        ("data.options.samples=lots", "samples"),
        ("data.options.classes=1", "only the class happiness"),
    ],
)
def test_values_of_the_wrong_type_or_range(tiny, override: str, expected: str) -> None:
    assert expected in refused(*TINY_RUN, "-o", override)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "override",
    [
        "model.width=wide",
        "loss.label_smoothing=lots",
        "optimizer.lr=fast",
        "scheduler.name=cosin",
        "data.sampler={name: shuffle, strength: 2}",
        "data.train_transforms=[resize, {horizontal_flip: {q: 0.5}}]",
        "callbacks=[{early_stopping: {patience: long}}]",
        "train.trainer=standart",
    ],
)
def test_a_mistake_in_a_component_is_told_before_data_are_read(tiny, monkeypatch, override: str) -> None:
    def read(*_: object) -> None:
        raise AssertionError("data were opened")

    monkeypatch.setattr("fer_core.workflows.train.prepare_data", read)
    refused(*TINY_RUN, "-o", override)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_absent_device_is_not_replaced(tiny) -> None:
    line = refused("train", "tiny", "bars", "--device", "cuda")
    assert "cuda" in line
    assert "--device cpu" in line
    assert not Path("runs").exists()


def test_an_unknown_device_offers_the_known(tiny) -> None:
    assert "did you mean cuda" in refused("train", "tiny", "bars", "--device", "cudda")


def test_an_existing_run_folder_is_not_touched(tiny) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    assert "--resume" in refused(*TINY_RUN, "-o", "run.dir=mine")
    assert [file.name for file in Path("mine").iterdir()] == ["notes.txt"]


def test_a_run_folder_that_cannot_be_made(tiny) -> None:
    Path("file").write_text("")
    assert "run.root" in refused(*TINY_RUN, "-o", "run.root=file/runs")


def test_resume_needs_a_run_and_takes_nothing_else(tiny) -> None:
    assert "not a run folder" in refused("train", "--resume", "nowhere")
    assert "alone" in refused("train", "tiny", "bars", "--resume", "nowhere")


def test_a_damaged_state_is_told(tiny, quick, weights) -> None:
    folder = weights.parent
    (folder / "result.json").unlink()
    state = (folder / "last.state.pt").read_bytes()
    (folder / "last.state.pt").write_bytes(state[: len(state) // 2])
    assert "last.state.pt cannot be read" in refused("train", "--resume", folder)


def test_damaged_checkpoints(weights) -> None:
    whole = weights.read_bytes()
    damaged = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"not a checkpoint, but long enough to be read",
        "huge-header": (1 << 40).to_bytes(8, "little") + whole[8:],
    }
    for name, content in damaged.items():
        path = weights.parent / f"{name}.safetensors"
        path.write_bytes(content)
        Path("face.png").touch()
        for command in (("evaluate", path, "bars"), ("predict", "face.png", "-m", path)):
            assert "not a complete safetensors file" in refused(*command), name
    assert "there are no weights absent.safetensors" in refused("evaluate", "absent.safetensors", "bars")
    save_file({"w": torch.zeros(1)}, "foreign.safetensors")
    assert "no fer header" in refused("evaluate", "foreign.safetensors", "bars")


def test_a_checkpoint_of_another_model_or_format(weights) -> None:
    state, header = checkpoint.load_weights(weights)
    checkpoint.save_weights(
        Path("a.safetensors"), state, header.model_copy(update={"model": Model(name="tiny", options={"width": 4})})
    )
    assert "does not fit model tiny" in refused("evaluate", "a.safetensors", "bars")
    checkpoint.save_weights(Path("b.safetensors"), state, header.model_copy(update={"model": Model(name="tinny")}))
    assert "tinny" in refused("evaluate", "b.safetensors", "bars")
    checkpoint.save_weights(Path("c.safetensors"), state, header.model_copy(update={"format": 99}))
    assert "header: format is 99, expected 2" in refused("evaluate", "c.safetensors", "bars")


def test_a_checkpoint_with_other_classes(weights) -> None:
    state, header = checkpoint.load_weights(weights)
    checkpoint.save_weights(
        Path("a.safetensors"),
        state,
        header.model_copy(update={"classes": ("happiness", "sadness", "fear"), "dataset": None}),
    )
    line = refused("evaluate", "a.safetensors", "bars")
    assert "classes neutral, which a.safetensors was not trained on (it knows happiness, sadness, fear)" in line
    classes = ("happiness", "sadness", "neutral", "fear")
    wider = {name: torch.zeros(4, *tensor.shape[1:]) for name, tensor in state.items() if "head." in name}
    checkpoint.save_weights(Path("b.safetensors"), state | wider, header.model_copy(update={"classes": classes}))
    line = refused("evaluate", "b.safetensors", "bars")
    assert "classes fear, which bars lacks (it has happiness, sadness, neutral)" in line


def test_classes_in_another_order_are_matched_by_name(weights) -> None:
    state, header = checkpoint.load_weights(weights)
    turned = ("neutral", "happiness", "sadness")
    order = [header.classes.index(name) for name in turned]
    state |= {key: state[key][order] for key in ("head.weight", "head.bias")}
    checkpoint.save_weights(Path("turned.safetensors"), state, header.model_copy(update={"classes": turned}))
    figures = [
        json.loads(fer_run("evaluate", path, "bars", "--json").stdout) for path in (weights, "turned.safetensors")
    ]
    assert figures[0]["recall"] == figures[1]["recall"]


def test_the_checkpoint_alone_predicts(weights, tmp_path) -> None:
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    shutil.copy(weights, alone / "model.safetensors")
    shutil.rmtree(weights.parent)
    dataset = fer_core.registry.find("datasets", "bars").factory(tmp_path)
    faces = fer_core.Predictor(alone / "model.safetensors", device="cpu")(
        *(dataset.read(row) for row in range(72, 90))
    )
    found = fer_core.evaluate(alone / "model.safetensors", "bars", device="cpu")
    assert [face.label for face in faces] == [found.classes[i] for i in found.probabilities.argmax(axis=1)]
    given = np.array([list(face.probabilities.values()) for face in faces])
    assert np.allclose(given, found.probabilities, atol=1e-5)


def test_a_full_disk_keeps_the_previous_checkpoint(tiny, quick) -> None:
    """The limit on file size stands for a full disk: the kernel refuses the same writes."""
    pytest.importorskip("resource")
    from fer_core import api
    from fer_core.training.loop import Loop

    class Killed(BaseException):
        pass

    original = Loop.step

    def dying(self, batch):
        if self.position.step == 6:
            raise Killed
        original(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "step", dying)
        with pytest.raises(Killed):
            fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "r"})
    before = Path("r/last.state.pt").read_bytes()

    import resource
    import signal

    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(fer_core.FerError, match=r"cannot write r.*free some space"):
            api.resume("r")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert Path("r/last.state.pt").read_bytes() == before
    assert not list(Path("r").glob(".*partial"))
    assert api.resume("r").result.metrics["test"].accuracy > 0.5
