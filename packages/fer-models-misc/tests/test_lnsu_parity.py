"""LNSU-Net and its loss against figures made with the authors' code (float32, on CPU)."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.types import Progress, TaskInfo, class_names
from fer_models_misc.lnsu.convert import CONSTANT
from fer_models_misc.lnsu.inference import build_inference
from fer_models_misc.lnsu.loss import LNSULoss, attention_consistency
from fer_models_misc.lnsu.network import LNSU
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

RAFDB = (1290, 281, 717, 4772, 1982, 705, 2524)
INFO = TaskInfo(class_names(7), RAFDB, input_size=112)
NOW = Progress(0, 1, 0, 1)


@pytest.fixture(scope="module")
def reference(reference_of):
    return reference_of("lnsu")


@pytest.fixture(scope="module")
def model(reference):
    """Filled with the reference weights, through the converter and without stochastic depth."""
    state = {
        name: torch.zeros(shape) if CONSTANT.search(name) else reference.fill(name, shape)
        for name, shape in reference.keys["shapes"].items()
    }
    network = fer_core.create_model("lnsu", input_size=112, drop_path=0.0)
    network.load_state_dict(
        fer_core.convert_upstream("lnsu", {"epoch": 1, "state_dict_model": state}), strict=True
    )
    return network


@pytest.fixture(scope="module")
def images(reference):
    return reference.images(4, 112)


def close(actual, expected, atol, rtol=0.0):
    assert_close(actual.detach().double(), torch.as_tensor(expected).double(), atol=atol, rtol=rtol)


def check_aux(tensor, expected, atol):
    tensor = tensor.detach()
    assert list(tensor.shape) == expected["shape"]
    close(tensor.flatten()[:8], expected["first8"], atol)
    close(tensor.double().mean(), expected["mean"], atol)
    close(tensor.double().std(), expected["std"], atol)


def test_names_shapes_parameters_and_macs(reference):
    with torch.device("meta"):
        network = fer_core.create_model("lnsu", input_size=112).eval()
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    theirs = {
        name: shape
        for name, shape in reference.keys["shapes"].items()
        if not CONSTANT.search(name) and not name.startswith(("encoder.norm.", "encoder.feature."))
    }
    assert list(shapes.items()) == list(theirs.items())
    assert len(reference.keys["shapes"]) - len(shapes) == 31
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters == reference.keys["params_used"] == 27_521_281
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 112, 112, device="meta"))
    maps = 7 * 768 * 49  # a broadcast product in the authors' code, which the counter does not see
    assert counter.get_total_flops() // 2 == reference.keys["macs"] + maps == 4_479_229_440


def test_inference(reference, model, images):
    figures, seen = reference.golden["eval"], {}
    parts = {"patch_embed": model.encoder.patch_embed}
    parts |= {f"encoder stage {i} output": stage for i, stage in enumerate(model.encoder.layers)}
    hooks = [
        part.register_forward_hook(lambda module, args, output, name=name: seen.update({name: output}))
        for name, part in parts.items()
    ]
    with torch.no_grad():
        output = model.eval()(images)
    for hook in hooks:
        hook.remove()
    close(output["logits"], figures["logits"], 5e-6)
    # Tokens lie in window order, which changes neither the first of them nor mean and deviation.
    maps, *others = figures["aux"]
    check_aux(output["maps"], maps, 5e-6)
    assert {expected["name"] for expected in others} == seen.keys()
    for expected in others:
        check_aux(seen[expected["name"]], expected, 1e-5)
    close(output["maps"].mean((2, 3)) + model.head.bias, output["logits"], 5e-6)

    fast = build_inference(model)(images)
    assert fast.keys() == {"logits"}
    close(fast["logits"], figures["logits"], 5e-6)


def test_training_step(reference, model, images):
    figures, outputs = reference.golden["train"], []
    model.train().zero_grad()
    hook = model.register_forward_hook(lambda module, args, output: outputs.append(output))
    loss = LNSULoss(INFO)
    close(loss.weights, figures["class_weights"], 1e-8, 2e-7)
    labels = torch.tensor(figures["labels"])
    assert torch.equal(labels, reference.labels(4, 7))
    close(loss.targets[labels], figures["smoothed_targets"], 1e-7)

    losses = loss(model, {"image": images, "label": labels}, NOW)
    hook.remove()
    check_aux(outputs[1]["maps"], figures["second_view_maps"], 5e-6)
    difference = (outputs[0]["maps"] - outputs[1]["maps"].flip(-1)).square().mean((2, 3))
    close(difference, figures["rac_per_sample_per_class"], 5e-6)
    close(losses["smooth_labels"], figures["loss_rsl"], 5e-6)
    close(losses["consistency"], figures["loss_rac"], 5e-6)
    close(losses["loss"], figures["loss_total"], 5e-6)

    losses["loss"].backward()
    norms = {name: parameter.grad.double().norm() for name, parameter in model.named_parameters()}
    expected = {name: norm for name, norm in figures["grad_l2"].items() if norm is not None}
    assert norms.keys() == expected.keys()
    off = {
        name: (norms[name].item(), norm) for name, norm in expected.items() if abs(norms[name] / norm - 1) > 1e-5
    }
    assert not off
    close(torch.stack(list(norms.values())).norm(), figures["grad_l2_all"], 0, 1e-5)


def test_both_views_in_one_batch_give_the_same(model, images):
    batch = {"image": images[:2], "label": torch.tensor([2, 1])}
    model.eval()
    with torch.no_grad():
        apart, joined = (LNSULoss(INFO, joined=joined)(model, batch, NOW) for joined in (False, True))
    assert apart.keys() == joined.keys()
    for name, value in apart.items():
        close(joined[name], value, 5e-6)


def test_the_consistency_trains_features_and_not_the_head():
    torch.manual_seed(0)
    network = LNSU(3)
    tokens = torch.randn(2, 49, 768, requires_grad=True)
    network.encoder = torch.nn.Identity()
    network.encoder.forward = lambda images: tokens
    maps = network(torch.zeros(2, 3, 112, 112))["maps"]
    attention_consistency(maps, maps.detach().flip(0), torch.ones(3)).backward()
    assert network.head.weight.grad is None
    assert tokens.grad.norm() > 0
