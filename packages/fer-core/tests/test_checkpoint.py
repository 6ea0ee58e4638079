"""Weight files: what is written comes back, and every file of another kind says what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from fer_core.errors import FerError
from fer_core.provenance import Component, Model
from fer_core.testing import make_preprocessing
from fer_core.weights import checkpoint
from fer_core.weights.header import Header, PartHeader
from safetensors import safe_open
from safetensors.torch import save_file

CLASSES = ("a", "b", "c")
HEADER = Header(
    format=2, hook_api=1, model=Model(name="tiny"), classes=CLASSES, preprocessing=make_preprocessing(16)
)
PART = PartHeader(format=2, hook_api=1, part="backbone", model="tiny")
STATE = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1, 2])}


def write(path: Path, text: str | None = None, **metadata: str) -> Path:
    save_file(STATE, path, metadata=metadata | ({} if text is None else {"fer": text}))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(FerError) as caught:
        checkpoint.read_header(path)
    return str(caught.value)


def test_weights_and_header_come_back(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    checkpoint.save_weights(path, STATE, HEADER)
    state, header = checkpoint.load_weights(path)
    assert header == checkpoint.read_header(path) == HEADER
    assert list(state) == ["a", "b"]
    assert all(torch.equal(state[name], tensor) for name, tensor in STATE.items())
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_any_reader_of_safetensors_finds_the_header(tmp_path) -> None:
    checkpoint.save_weights(tmp_path / "w.safetensors", STATE, HEADER)
    with safe_open(tmp_path / "w.safetensors", framework="numpy") as file:
        assert list(file.metadata()) == ["fer"]
        assert json.loads(file.metadata()["fer"])["classes"] == list(CLASSES)
        assert "\n" not in file.metadata()["fer"]
        assert np.array_equal(file.get_tensor("b"), STATE["b"].numpy())


def test_views_and_tensors_with_gradients_are_written_as_their_numbers(tmp_path) -> None:
    state = {"turned": STATE["b"].t(), "trained": torch.ones(2, requires_grad=True)}
    checkpoint.save_weights(tmp_path / "w.safetensors", state, HEADER)
    found, _ = checkpoint.load_weights(tmp_path / "w.safetensors")
    assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert not found["trained"].requires_grad


def test_a_file_that_is_not_there_or_not_whole_is_named(tmp_path) -> None:
    absent = tmp_path / "absent.safetensors"
    for path in (absent, tmp_path):
        assert refusal(path) == (
            f"there is no checkpoint {path}: give a .safetensors file written by fer-run train"
        )
    path = tmp_path / "w.safetensors"
    checkpoint.save_weights(path, STATE, HEADER)
    path.write_bytes(path.read_bytes()[:-1])
    line = refusal(path)
    assert line.startswith(f"{path} is not a complete safetensors file (")
    assert line.endswith(
        "): it is truncated or of another kind; copy it again, or convert a file of the model's authors "
        "with fer-run import"
    )


@pytest.mark.parametrize("text", [None, "", " " * (1 + (1 << 20))])
def test_a_file_without_a_header_is_named(tmp_path, text) -> None:
    path = write(tmp_path / "w.safetensors", text, format="pt")
    assert refusal(path) == (
        f"{path} carries no fer header, so its model and classes are unknown: "
        "use a checkpoint written by fer-run train or fer-run import"
    )
    assert checkpoint.read_part_header(path) is None


def test_a_header_of_the_largest_size_is_read(tmp_path) -> None:
    text = HEADER.line().strip()
    path = write(tmp_path / "w.safetensors", text + " " * ((1 << 20) - len(text)))
    assert checkpoint.read_header(path) == HEADER
    text = PART.line().strip()
    path = write(tmp_path / "p.safetensors", text + " " * ((1 << 20) - len(text)))
    assert checkpoint.read_part_header(path) == PART
    path = write(tmp_path / "q.safetensors", text + " " * (1 + (1 << 20) - len(text)))
    assert checkpoint.read_part_header(path) is None


@pytest.mark.parametrize("text", ["{", "[1]", "3", '"part"', "part"])
def test_a_header_that_is_none_is_named_with_the_file(tmp_path, text) -> None:
    path = write(tmp_path / "w.safetensors", text)
    line = refusal(path)
    assert line.startswith(f"{path}: header: ")
    assert line.endswith(": use a checkpoint written by fer-run train or fer-run import")


def test_a_part_of_a_model_is_known_from_whole_weights(tmp_path) -> None:
    path = tmp_path / "part.safetensors"
    checkpoint.save_weights(path, STATE, PART)
    assert checkpoint.read_part_header(path) == PART
    assert refusal(path) == (
        f"{path} holds a backbone only, which cannot predict: train from it with -o model.backbone_weights=FILE"
    )
    checkpoint.save_weights(path, STATE, HEADER)
    assert checkpoint.read_part_header(path) is None
    path.write_bytes(b"another file")
    assert checkpoint.read_part_header(path) is None
    assert checkpoint.read_part_header(tmp_path / "absent") is None


def test_a_damaged_header_of_a_part_is_named(tmp_path) -> None:
    path = write(tmp_path / "part.safetensors", json.dumps({**PART.plain(), "part": "head"}))
    for read in (checkpoint.read_part_header, checkpoint.read_header):
        with pytest.raises(FerError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: header: part is \"head\", expected 'backbone'")
        assert str(caught.value).endswith("use a checkpoint written by fer-run train or fer-run import")


def test_a_digest_is_that_of_the_bytes_in_order() -> None:
    for tensor in (STATE["b"], STATE["a"], torch.tensor(3.0), torch.zeros(0), STATE["b"].to(torch.bfloat16)):
        content = bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())
        assert checkpoint.tensor_digest(tensor) == hashlib.sha256(content).hexdigest()
    assert checkpoint.tensor_digest(STATE["b"].t().contiguous().t()) == checkpoint.tensor_digest(STATE["b"])
    assert checkpoint.tensor_digest(torch.ones(2, requires_grad=True)) == checkpoint.tensor_digest(torch.ones(2))


def test_a_tensor_that_a_digest_is_of_must_be_there(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    digest = checkpoint.tensor_digest(STATE["b"])
    checkpoint.save_weights(path, STATE, HEADER.model_copy(update={"digests": {"b": digest}}))
    assert set(checkpoint.load_weights(path)[0]) == {"a", "b"}
    checkpoint.save_weights(path, STATE, HEADER.model_copy(update={"digests": {"b": digest, "c": digest}}))
    with pytest.raises(FerError) as caught:
        checkpoint.load_weights(path)
    assert str(caught.value) == (f"{path}: the tensor c is not the one that the header describes: copy it again")


def tiny_weights(path: Path, **changes: object) -> Path:
    model = fer_core.create_model("tiny", classes=CLASSES, input_size=16)
    checkpoint.save_weights(path, model.state_dict(), HEADER.model_copy(update=changes))
    return path


def test_the_model_of_a_file_is_built_for_inference(tiny) -> None:
    path = tiny_weights(tiny / "w.safetensors")
    state, _ = checkpoint.load_weights(path)
    model, header = checkpoint.build_from_checkpoint(path)
    assert header == HEADER
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}


def test_weights_of_another_model_are_named(tiny) -> None:
    path = tiny_weights(tiny / "w.safetensors", model=Model(name="tiny", options={"width": 9}))
    with pytest.raises(FerError, match=f"^{path} does not fit model tiny: of 9 tensors 7 of another shape"):
        checkpoint.build_from_checkpoint(path)
    path = tiny_weights(tiny / "w.safetensors", model=Model(name="tinyy"))
    with pytest.raises(FerError, match=f"^{path}: header: there is no model 'tinyy': did you mean tiny"):
        checkpoint.build_from_checkpoint(path)


def test_a_model_that_is_not_installed_names_its_distribution(tiny) -> None:
    component = Component(kind="models", name="other", distribution="fer-models-other", version="1")
    path = tiny_weights(tiny / "w.safetensors", model=Model(name="other"), components=(component,))
    with pytest.raises(FerError) as caught:
        checkpoint.build_from_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: header: model 'other' comes with fer-models-other 1, which is not installed: "
        "pip install fer-models-other"
    )
    component = component.model_copy(update={"distribution": "fer-core"})
    path = tiny_weights(tiny / "w.safetensors", model=Model(name="other"), components=(component,))
    with pytest.raises(FerError, match="header: there is no model 'other'"):
        checkpoint.build_from_checkpoint(path)


def test_options_that_a_factory_fails_on_are_the_files_fault(tiny) -> None:
    path = tiny_weights(tiny / "w.safetensors", model=Model(name="tiny", options={"width": -3}))
    with pytest.raises(FerError) as caught:
        checkpoint.build_from_checkpoint(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: header: model tiny cannot be built (RuntimeError: ")
    assert line.endswith("): use a checkpoint written by fer-run train or fer-run import")


def test_an_unknown_option_is_named_with_its_place_in_the_file(tiny) -> None:
    path = tiny_weights(tiny / "w.safetensors", model=Model(name="tiny", options={"wide": 3}))
    with pytest.raises(
        FerError, match=rf"^{path}: header: model\.wide: unknown option of tiny, did you mean width"
    ):
        checkpoint.build_from_checkpoint(path)


def test_a_state_is_loaded_strictly() -> None:
    model = torch.nn.Linear(2, 1)
    state = {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    checkpoint.load_state(model, state, "x")
    assert model.weight.tolist() == [[1, 1]]
    with pytest.raises(FerError, match=r"^x: of 2 tensors 1 missing \(bias\)"):
        checkpoint.load_state(model, {"weight": torch.zeros(1, 2)}, "x")
    assert model.weight.tolist() == [[1, 1]]
