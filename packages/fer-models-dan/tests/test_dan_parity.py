"""The network and its loss against figures made with the authors' code (float32 and float64, on CPU)."""

from __future__ import annotations

import re

import pytest
import torch
from fer_core.types import Progress, TaskInfo, class_names
from fer_models_dan.convert import convert
from fer_models_dan.dan import build_dan
from fer_models_dan.loss import DANLoss
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

INFO = TaskInfo(class_names(7))
REGIMES = ("saturated", "unsaturated")  # of the softmax over the heads


def make_model(reference, regime, mode):
    model = build_dan(INFO)
    state = dict(reference.state)
    if regime == "unsaturated":
        figures = reference.golden["unsaturated"]
        for name in state:
            if re.search(figures["UNSAT"], name):
                state[name] = state[name] * figures[f"{mode}_factor"]
    model.load_state_dict(convert({"iter": 21, "model_state_dict": state}), strict=True)
    return model.train(mode == "train")


def make_loss(reference, **options):
    loss = DANLoss(INFO, **options)
    loss.load_state_dict({"centers": reference.fill("centers", loss.centers.shape)})
    return loss


def figures_of(reference, regime, mode):
    return (reference.golden if regime == "saturated" else reference.golden["unsaturated"])[mode]


def close(actual, expected, atol, rtol=0.0):
    assert_close(actual.detach().double(), torch.as_tensor(expected).double(), atol=atol, rtol=rtol)


def check_aux(output, figures):
    for expected in figures["aux"]:
        tensor = output[expected["name"]].detach()
        assert list(tensor.shape) == expected["shape"]
        atol = 1e-4 * expected["std"]
        close(tensor.flatten()[:8], expected["first8"], atol)
        close(tensor.double().mean(), expected["mean"], atol)
        close(tensor.double().std(), expected["std"], atol)


def test_names_shapes_parameters_and_macs(reference):
    model = build_dan(INFO)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert list(shapes.items()) == list(reference.keys["shapes"].items())
    assert len(shapes) == 275
    assert sum(p.numel() for p in model.parameters()) == reference.keys["parameters"] == 19_723_733
    model.to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() // 2 == reference.keys["macs"] == 2_224_737_792


@pytest.mark.parametrize("regime", REGIMES)
def test_inference(reference, regime):
    figures = figures_of(reference, regime, "eval")
    with torch.no_grad():
        output = make_model(reference, regime, "eval")(reference.images)
    exact = torch.tensor(figures["float64_logits"], dtype=torch.float64)
    close(output["logits"], exact, 1e-5 * exact.abs().max().item())
    assert list(output["logits"].argmax(1)) == list(exact.argmax(1))
    check_aux(output, figures)


@pytest.mark.parametrize("regime", REGIMES)
def test_training_step(reference, regime):
    figures = figures_of(reference, regime, "train")
    model, loss = make_model(reference, regime, "train"), make_loss(reference)
    outputs = []
    model.register_forward_hook(lambda module, args, output: outputs.append(output))

    losses = loss(model, {"image": reference.images, "label": reference.labels}, Progress(0, 1, 0, 1))
    losses["loss"].backward()

    assert len(outputs) == 1
    check_aux(outputs[0], figures)
    close(losses["logits"], figures["logits"], 1e-4)
    close(losses["loss"], figures["float64_loss"], 0, 1e-5)
    for term, value in figures["float64_terms"].items():
        close(losses[term], value, 0, 1e-4)
    check_gradients(dict(model.named_parameters()), figures)
    centres = figures["loss_state"]["centers"]
    close(loss.centers.grad.norm(), centres["float64_grad_norm"], 0, 2e-3)
    state = model.state_dict()
    for name, expected in figures["buffers_after_one_forward"].items():
        atol = 1e-4 * state[name].std().item()
        close(state[name][:4], expected["first4"], atol)
        close(state[name].mean(), expected["mean"], atol)
    assert state["bn.num_batches_tracked"] == 1


def check_gradients(parameters, figures):
    norms = {name: parameter.grad.double().norm().item() for name, parameter in parameters.items()}
    expected, total = figures["float64_grad_norms"], figures["grad_norm_total_float64"]
    zero = set(figures["identically_zero_grad"])
    assert set(expected) == set(norms)
    off = {}
    for name, b in expected.items():
        allowed = 1e-4 * total if name in zero else 2e-3 * b + 1e-5 * total
        if abs(norms[name] - (0 if name in zero else b)) > allowed:
            off[name] = (norms[name], b)
    assert not off


def test_eight_centres_for_seven_classes_as_in_the_authors_rafdb_script(reference):
    figures = reference.golden["train"]["variant_8_centers"]
    model, loss = make_model(reference, "saturated", "train"), make_loss(reference, centers=8)
    losses = loss(model, {"image": reference.images, "label": reference.labels}, Progress(0, 1, 0, 1))
    losses["loss"].backward()
    close(losses["loss"], figures["loss"], 0, 1e-5)
    for term, value in figures["terms"].items():
        close(losses[term], value, 0, 1e-4)
    close(loss.centers.grad.norm(), figures["centers_grad_norm"], 0, 2e-3)
    assert loss.centers.grad[7].norm() > 0  # never chosen, and yet moved, through the spread
