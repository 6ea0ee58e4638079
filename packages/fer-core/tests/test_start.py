"""What a training starts from: backbone weights that the core reads, or a warning; and the record of it."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import fer_core
import pytest
import torch
from fer_core import FerError, api
from fer_core.config import config_hash, load_config
from fer_core.plugin import ModelSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Start
from fer_core.training import loop
from fer_core.weights import backbone, checkpoint
from fer_core.weights.header import PartHeader
from torch import Tensor

PAPER = "a network trained on other faces"

OF_BASED = PartHeader(format=2, hook_api=1, part="backbone", model="based")


def to_ours(state: dict) -> dict[str, Tensor]:
    """Files of the family name the convolution `conv` and the normalisation `norm`; `fc` is their classifier."""
    names = {"conv": "body.0", "norm": "body.1"}
    found = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        if part in names:
            found[f"{names[part]}.{rest}"] = tensor
    if not found:
        raise FerError("this file has no conv and no norm: give one of the family's")
    return found


@pytest.fixture
def based(tiny, monkeypatch) -> Path:
    """`based` is the tiny model with a backbone."""
    entries = load_plugins().entries["models"]
    spec: ModelSpec = dataclasses.replace(
        entries["tiny"][0].value, name="based", backbone=to_ours, pretrained=PAPER
    )
    monkeypatch.setitem(entries, "based", [Entry("based", spec, Plugin("tests", "fer-tests", "0"))])
    return tiny


def conv() -> dict[str, Tensor]:
    return {
        "conv.weight": torch.full((8, 3, 3, 3), 0.25),
        "conv.bias": torch.zeros(8),
        "fc.weight": torch.ones(9, 9),
    }


def norm() -> dict[str, Tensor]:
    return {"norm.weight": torch.full((8,), 2.0), "norm.bias": torch.ones(8)}


@pytest.fixture
def files(tmp_path) -> list[str]:
    places = [str(tmp_path / "conv.pth"), str(tmp_path / "norm.pth")]
    for place, state in zip(places, (conv(), norm()), strict=True):
        torch.save({"state_dict": state, **state}, place)
    return places


def sums(files: list[str]) -> list[str]:
    return [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]


def train(quick, folder: str = "runs/a", **model) -> api.Run:
    quick = quick | {"train": {"epochs": 2}, "optimizer": {"name": "sgd", "lr": 1e-9}}
    return fer_core.train("based", "bars", device="cpu", model=model, **quick, run={"dir": folder})


def test_files_fill_their_parts_and_the_run_says_so(based, quick, files, lines) -> None:
    done = train(quick, backbone_weights=files)
    weights, header = checkpoint.load_weights(done.checkpoint)
    assert torch.allclose(weights["body.0.weight"], torch.tensor(0.25))
    assert torch.allclose(weights["body.1.weight"], torch.tensor(2.0))
    (line,) = [line for line in lines if line.startswith("start ")]
    assert f"2 tensors from {files[0]}, 2 tensors from {files[1]}; 5 of 9 stay at their initial values" in line
    assert not any("warning" in line for line in lines)
    words = "backbone weights for 4 of 9 tensors, the others random"
    for record in (header, done.result):
        assert record.start == Start(description=words, backbone_sha256=tuple(sums(files)))
        assert str(based) not in record.text()


def test_one_file_may_stand_without_a_list(based, files) -> None:
    model = fer_core.create_model("based", 3, backbone_weights=files[0])
    assert torch.equal(model.get_parameter("body.0.weight"), conv()["conv.weight"])
    assert not torch.equal(model.get_parameter("body.1.weight"), norm()["norm.weight"])


def test_training_without_them_warns_once_and_is_marked(based, quick, lines) -> None:
    done = train(quick)
    (line,) = [line for line in lines if "warning" in line]
    assert PAPER in line
    assert "model.backbone_weights=FILE" in line
    _, header = checkpoint.load_weights(done.checkpoint)
    words = f"random weights; the paper starts from {PAPER}"
    assert header.start == done.result.start == Start(description=words)


def test_a_model_that_starts_from_random_weights_does_not_warn(tiny, quick, lines) -> None:
    quick["train"] = {"steps": 1}
    done = fer_core.train("tiny", "bars", device="cpu", **quick)
    assert not any("warning" in line for line in lines)
    assert done.result.start.description == "random weights"


def test_resuming_needs_the_files_no_more_and_ends_alike(based, quick, files, monkeypatch) -> None:
    whole = train(quick, folder="runs/whole", backbone_weights=files)
    original = loop.Loop.step

    def dying(self, batch):
        if self.position.step == 5:
            raise KeyboardInterrupt
        original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            train(quick, folder="runs/killed", backbone_weights=files)
    for file in files:
        Path(file).unlink()
    resumed = api.resume("runs/killed")
    for name in ("best.safetensors", "last.safetensors", "result.json"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_the_folder_of_the_files_does_not_change_the_result(based, quick, files, tmp_path) -> None:
    one = train(quick, folder="runs/a", backbone_weights=files[0])
    moved = tmp_path / "elsewhere" / "conv.pth"
    moved.parent.mkdir()
    Path(files[0]).rename(moved)
    two = train(quick, folder="runs/b", backbone_weights=str(moved))
    assert (one.folder / "result.json").read_bytes() == (two.folder / "result.json").read_bytes()
    configs = [load_config(run.folder / "config.yaml") for run in (one, two)]
    assert config_hash(configs[0]) == config_hash(configs[1])
    other = train(quick, folder="runs/c")
    assert config_hash(load_config(other.folder / "config.yaml")) != config_hash(configs[0])


def test_a_partial_file_of_our_own_is_taken_as_it_is(based, tmp_path) -> None:
    path = tmp_path / "part.safetensors"
    state = to_ours(conv())
    checkpoint.save_weights(path, state, OF_BASED)
    model = fer_core.create_model("based", 3, backbone_weights=path)
    assert torch.equal(model.get_parameter("body.0.weight"), state["body.0.weight"])
    checkpoint.save_weights(path, state, OF_BASED.model_copy(update={"model": "other"}))
    with pytest.raises(FerError, match="holds the backbone of other, not of based"):
        fer_core.create_model("based", 3, backbone_weights=path)
    with pytest.raises(FerError, match="holds a backbone only, which cannot predict"):
        fer_core.Predictor(path)


def test_a_model_with_the_same_backbone_takes_it_too(based, tmp_path, monkeypatch) -> None:
    entries = load_plugins().entries["models"]
    spec = dataclasses.replace(entries["based"][0].value, name="sibling")
    monkeypatch.setitem(entries, "sibling", [Entry("sibling", spec, Plugin("tests", "fer-tests", "0"))])
    path = tmp_path / "part.safetensors"
    checkpoint.save_weights(path, to_ours(conv()), OF_BASED)
    model = fer_core.create_model("sibling", 3, backbone_weights=path)
    assert torch.equal(model.get_parameter("body.0.weight"), conv()["conv.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv.bias": torch.zeros(9)}, r"of another shape \(body.0.bias \[9\] instead of \[8\]\)"),
        ({"conv.scale": torch.zeros(9)}, r"1 not part of the model \(body.0.scale\)"),
    ],
)
def test_what_does_not_fit_is_named(based, tmp_path, change, message) -> None:
    torch.save(conv() | change, tmp_path / "a.pth")
    with pytest.raises(FerError, match=message):
        fer_core.create_model("based", 3, backbone_weights=tmp_path / "a.pth")


def test_mistakes_are_named_before_data_are_read(based, quick, files, tmp_path) -> None:
    with pytest.raises(FerError, match="is not a file"):
        train(quick, backbone_weights=str(tmp_path / "absent.pth"))
    with pytest.raises(FerError, match="no plugin fetches shelf://"):
        train(quick, backbone_weights="shelf://conv.pth")
    with pytest.raises(FerError, match="tiny does not accept backbone weights"):
        fer_core.create_model("tiny", 3, backbone_weights=files[0])
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(FerError, match="no conv and no norm"):
        train(quick, backbone_weights=str(tmp_path / "a.pth"))
    with pytest.raises(FerError, match=r"fills 2 tensors that .*conv.pth fills too"):
        train(quick, backbone_weights=[files[0], files[0]])
    assert not Path("runs").exists()


def test_a_uri_is_fetched_by_a_plugin(based, files, monkeypatch) -> None:
    monkeypatch.setattr(
        type(load_plugins()), "fetch", lambda self, uri, cache: Path(files[0]) if cache.is_dir() else None
    )
    assert backbone.local_file("shelf://conv.pth") == Path(files[0])
    assert isinstance(fer_core.create_model("based", 3, backbone_weights="shelf://conv.pth"), torch.nn.Module)
