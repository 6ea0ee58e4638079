"""The network, its loss and a SAM step against figures made with the authors' code (on CPU)."""

from __future__ import annotations

import pytest
import torch
from fer_core.optim import sam
from fer_core.types import Progress, TaskInfo, class_names
from fer_models_ddamfn.convert import convert
from fer_models_ddamfn.ddamfn import build_ddamfn
from fer_models_ddamfn.loss import DDAMFNLoss
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

INFO = TaskInfo(class_names(7))
NOW = Progress(0, 1, 0, 1)


def make_model(reference):
    model = build_ddamfn(INFO)
    model.load_state_dict(convert({"iter": 20, "model_state_dict": reference.state}), strict=True)
    return model


def close(actual, expected, atol, rtol=0.0):
    assert_close(actual.detach().double(), torch.as_tensor(expected).double(), atol=atol, rtol=rtol)


def check_aux(output, figures):
    maps = {f"attention_map_{h}": output["heads"][:, h] for h in range(2)}
    for expected in figures["aux"]:
        tensor = (output | maps)[expected["name"]].detach()
        assert list(tensor.shape) == expected["shape"]
        atol = 1e-4 * expected["std"]
        close(tensor.flatten()[:8], expected["first8"], atol)
        close(tensor.double().mean(), expected["mean"], atol)
        close(tensor.double().std(), expected["std"], atol)


def check_buffers(state, figures):
    for name, expected in figures.items():
        if name not in state:  # of the authors' batch normalisation of the logits, which they never use
            assert name.startswith("bn.")
        elif isinstance(expected, dict):
            atol = 1e-4 * state[name].std().item()
            close(state[name][:4], expected["first4"], atol)
            close(state[name].mean(), expected["mean"], atol)
        else:
            assert state[name] == expected


def check_gradients(model, expected, total, zero):
    norms = {name: parameter.grad.double().norm().item() for name, parameter in model.named_parameters()}
    off = {}
    for name, found in norms.items():
        b = 0 if name in zero else expected[name]
        allowed = 1e-4 * total if name in zero else 2e-3 * b + 1e-5 * total
        if abs(found - b) > allowed:
            off[name] = (found, b)
    assert not off


def test_names_shapes_parameters_and_macs(reference):
    keys, train = reference.keys, reference.golden["train"]
    model = build_ddamfn(INFO)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(keys["shapes"]) == 1190
    assert shapes.items() <= keys["shapes"].items()
    # What is left out is exactly what gets no gradient in the authors' code, with the buffers beside it.
    idle = {name.rpartition(".")[0] for name in train["no_grad"]}
    left_out = keys["shapes"].keys() - shapes.keys()
    assert left_out == {name for name in keys["shapes"] if name.rpartition(".")[0] in idle}
    assert len(train["no_grad"]) == 110
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == keys["parameters"] - keys["never_used"] == 4_105_999
    model.to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 112, 112, device="meta"))
    assert counter.get_total_flops() // 2 == keys["macs"] == 539_588_896


def test_inference(reference):
    figures = reference.golden["eval"]
    with torch.no_grad():
        output = make_model(reference).eval()(reference.images)
    exact = torch.tensor(figures["float64_logits"], dtype=torch.float64)
    close(output["logits"], exact, 1e-5)
    assert list(output["logits"].argmax(1)) == list(exact.argmax(1))
    check_aux(output, figures)


def test_training_step(reference):
    figures = reference.golden["train"]
    model, outputs = make_model(reference), []
    model.register_forward_hook(lambda module, args, output: outputs.append(output))

    losses = DDAMFNLoss(INFO)(model, {"image": reference.images, "label": reference.labels}, NOW)
    losses["loss"].backward()

    assert len(outputs) == 1
    check_aux(outputs[0], figures)
    close(losses["logits"], figures["logits"], 1e-4)
    close(losses["loss"], figures["float64_loss"], 0, 1e-5)
    terms = figures["float64_terms"]
    close(losses["cross_entropy"], terms["cross_entropy"], 0, 1e-5)
    close(losses["attention"], terms["attention_unweighted"], 0, 1e-5)
    zero = set(figures["identically_zero_grad"])
    check_gradients(model, figures["float64_grad_norms"], figures["grad_norm_total_float64"], zero)
    check_buffers(model.state_dict(), figures["buffers_after_one_forward"])


def test_a_step_of_sharpness_aware_minimisation(reference):
    figures = reference.golden["sam_step"]
    exact = figures["float64"]
    model, loss, seen = make_model(reference), DDAMFNLoss(INFO), []
    optimizer = sam(model.parameters(), base="adam", rho=figures["rho"], lr=figures["lr"])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def closure():
        optimizer.zero_grad()
        losses = loss(model, {"image": reference.images, "label": reference.labels}, NOW)
        losses["loss"].backward()
        seen.append(losses["loss"].item())

    optimizer.step(closure)

    assert seen == pytest.approx([exact["loss_at_w"], exact["loss_at_w_plus_e"]], rel=1e-5)
    zero, total = set(figures["update_noise_dominated"]), exact["grad_norm_at_w_plus_e"]
    check_gradients(model, figures["float64_grad_norms_at_w_plus_e"], total, zero)
    for name, parameter in model.named_parameters():
        if name not in zero:
            update = (parameter.detach().double() - before[name].double()).norm().item()
            assert update == pytest.approx(figures["update_l2_float64"][name], rel=5e-3), name
    check_buffers(model.state_dict(), figures["buffers_after_step"])
