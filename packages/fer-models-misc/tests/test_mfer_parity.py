"""MFER against figures made with the authors' classes (float32 and float64, on CPU).

Train and eval mode differ by drop path alone, so that one pass at rate 0 serves both.
"""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.types import Progress, TaskInfo, class_names
from fer_models_misc.mfer.loss import MFERLoss
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

NAMES = {"downsample_layers.{} output": "downsample_layers.{}", "stages.{} output": "stages.{}"}
HOOKED = {upstream.format(i): ours.format(i) for upstream, ours in NAMES.items() for i in range(4)} | {
    "stages.2: input of the attention": "stages.2.26",
    "stages.3: input of the attention": "stages.3.2",
}
"""Our module behind each auxiliary map of the figures."""


@pytest.fixture(scope="module")
def reference(reference_of):
    return reference_of("mfer")


@pytest.fixture(scope="module")
def step(reference):
    """One training step: the model with its gradients, its output, the maps on the way, and the losses."""
    with torch.device("meta"):  # initialising 155 million weights to overwrite them takes longer than the step
        model = fer_core.create_model("mfer", num_classes=7, drop_path_rate=0.0)
    state = {f"module.{name}": reference.fill(name, shape) for name, shape in reference.keys["shapes"].items()}
    converted = fer_core.convert_upstream("mfer", {"iter": 1, "model_state_dict": state})
    model.load_state_dict(converted, strict=True, assign=True)
    maps, outputs = {}, []
    for upstream, ours in HOOKED.items():
        keep = lambda module, args, output, name=upstream: maps.update({name: output.detach().permute(0, 3, 1, 2)})  # noqa: E731
        model.get_submodule(ours).register_forward_hook(keep)
    model.register_forward_hook(lambda module, args, output: outputs.append(output))
    batch = {"image": reference.images(4, 224), "label": reference.labels(4, 7)}
    assert batch["label"].tolist() == reference.golden["labels"]
    losses = MFERLoss(TaskInfo(class_names(7)))(model.train(), batch, Progress(0, 1, 0, 1))
    losses["loss"].backward()
    (output,) = outputs
    return model, output, maps, losses


def close(actual, expected, atol, rtol=0.0):
    assert_close(actual.detach().double(), torch.as_tensor(expected).double(), atol=atol, rtol=rtol)


def test_names_shapes_parameters_and_macs(reference):
    with torch.device("meta"):
        model = fer_core.create_model("mfer", num_classes=7).eval()
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert list(shapes.items()) == list(reference.keys["shapes"].items())
    assert len(shapes) == 374
    assert sum(p.numel() for p in model.parameters()) == reference.keys["parameters"] == 155_357_013
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() // 2 == reference.keys["macs"] == 20_519_334_656


def test_logits_of_every_head_and_their_sum(reference, step):
    _, output, _, losses = step
    exact = torch.tensor(reference.golden["float64"]["logits"], dtype=torch.float64)
    close(output["logits"], exact, 2e-5)
    assert losses["logits"] is output["logits"]
    assert output["logits"].argmax(1).tolist() == exact.argmax(1).tolist()
    for i in range(3):
        close(output["stage_logits"][:, i], reference.golden["eval"]["heads"][f"head{i}"], 2e-5)


def test_every_map_on_the_way(reference, step):
    _, output, maps, _ = step
    heads = {f"head{i}": output["stage_logits"][:, i] for i in range(3)}
    tensors = maps | heads | {"feature": output["features"]}
    figures = reference.golden["eval"]["aux"]
    assert {expected["name"] for expected in figures} == set(tensors)
    for expected in figures:
        tensor = tensors[expected["name"]].detach()
        assert list(tensor.shape) == expected["shape"]
        atol = 1e-5 * expected["std"]
        close(tensor.flatten()[:8], expected["first8"], atol)
        close(tensor.double().mean(), expected["mean"], atol)
        close(tensor.double().std(), expected["std"], atol)


def test_losses(reference, step):
    losses, figures = step[3], reference.golden["train"]
    assert set(losses) == {"loss", "head_0", "head_1", "head_2", "logits"}
    close(losses["loss"], figures["total_float64"], 0, 2e-6)
    for i in range(3):
        close(losses[f"head_{i}"], figures["loss"][f"lsce_head{i}"], 0, 2e-6)


def test_gradients(reference, step):
    figures, zero = reference.golden["float64"]["grad_l2"], reference.golden["train"]["zero_grad"]
    assert zero == ["stages.2.27.norm.bias", "stages.3.3.norm.bias"]  # in front of a softmax over positions
    off = {}
    for name, parameter in step[0].named_parameters():
        norm = torch.linalg.vector_norm(parameter.grad, dtype=torch.float64).item()
        expected = 0 if name in zero else figures.pop(name)
        if abs(norm - expected) > (1e-6 if name in zero else 1e-4 * expected):
            off[name] = (norm, expected)
    assert not off
    assert set(figures) <= set(zero)
