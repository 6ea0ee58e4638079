"""Ada-DF against figures made with the authors' code, through the interface that users have."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.types import Progress, TaskInfo, class_names
from fer_models_misc.adadf.loss import AdaDFLoss
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

CASES = (
    "raf_epoch1",
    "raf_epoch3",
    "raf_epoch5",
    "raf_epoch75",
    "affectnet_epoch2",
    "multi_crop_epoch1",
)


@pytest.fixture(scope="module")
def reference(reference_of):
    return reference_of("adadf")


@pytest.fixture(scope="module")
def images(reference):
    return reference.images(4, 224)


def upstream_state(reference):
    """The authors' file: every tensor of a branch under two names."""
    state = {name: reference.fill(name, shape) for name, shape in reference.keys["shapes"].items()}
    for name, factor in reference.golden["gain"].items():
        state[name] *= factor
    return state | {alias: state[name] for alias, name in reference.keys["aliases"].items()}


def make_model(reference):
    model = fer_core.create_model("adadf", num_classes=7)
    checkpoint = {"epoch": 2, "state_dict": upstream_state(reference), "class_distributions": torch.zeros(7, 7)}
    model.load_state_dict(fer_core.convert_upstream("adadf", checkpoint), strict=True)
    return model


@pytest.fixture(scope="module")
def trained(reference, images):
    """One forward pass in training mode, of which every case of the loss is a function."""
    model = make_model(reference).train()
    return model, model(images)


class Said(torch.nn.Module):
    """Answers with a given output."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


def close(actual, expected, atol, rtol=0.0):
    assert_close(actual.detach().double(), torch.as_tensor(expected).double(), atol=atol, rtol=rtol)


def check(actual, expected, atol=1e-5):
    assert list(actual.shape) == expected["shape"]
    close(actual.flatten()[:8], expected["first8"], atol)
    close(actual.double().mean(), expected["mean"], atol)
    close(actual.double().std(), expected["std"], atol)


def test_names_shapes_parameters_and_macs(reference):
    model = fer_core.create_model("adadf", num_classes=7)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == reference.keys["shapes"]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == reference.keys["params"] == 22_046_224
    assert sum(p.numel() for p in model.parameters()) == reference.keys["params_all"] == 22_203_728
    with FlopCounterMode(display=False) as counter:
        model.to("meta").eval()(torch.empty(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() // 2 == reference.keys["macs"] == 3_046_694_912


def test_inference(reference, images):
    figures, seen = reference.golden["eval"], {}
    model = make_model(reference).eval()
    for name in ("feature", "branch_1_feature", "branch_2_feature"):
        model.get_submodule(name).register_forward_hook(
            lambda module, args, output, name=name: seen.update({name: output})
        )
    with torch.no_grad():
        output = model(images)
    close(output["logits"], figures["logits"], 1e-5)
    close(output["auxiliary"], figures["out_1"], 1e-5)
    close(output["attention"], figures["attention"], 1e-5)
    found = {
        "out_1": output["auxiliary"],
        "attention": output["attention"],
        "stem (after layer1)": seen["feature"],
        "branch_1_feature": seen["branch_1_feature"].flatten(1),
        "branch_2_feature": seen["branch_2_feature"].flatten(1),
    }
    assert [expected["name"] for expected in figures["aux"]] == list(found)
    for expected in figures["aux"]:
        check(found[expected["name"]], expected)


def test_training_forward(reference, trained):
    _, output = trained
    names = {"out_1": "auxiliary", "out_2": "logits", "attention": "attention"}
    for expected in reference.golden["train"]["forward"]:
        check(output[names[expected["name"]]], expected)


def make_loss(reference, case):
    threshold = float(case["class_distributions"].rpartition("_")[2])
    info = TaskInfo(class_names(7), batch_size=case["configured_batch_size"])
    loss = AdaDFLoss(info, threshold=threshold, beta=case["beta"])
    rows = torch.tensor(reference.golden["train"]["class_distributions"][case["class_distributions"]])
    if case["class_distributions"].startswith("init"):
        close(loss.class_distributions, rows, 1e-6)
    loss.class_distributions.copy_(rows)
    return loss


@pytest.mark.parametrize("name", CASES)
def test_loss(reference, trained, name):
    figures = reference.golden["train"]
    case, (model, output) = figures["cases"][name], trained
    loss = make_loss(reference, case)
    batch = {"image": torch.zeros(4, 3, 8, 8), "label": torch.tensor(figures["labels"])}
    found = loss(Said(output), batch, Progress(case["epoch"] - 1, 75, 0, 1))
    close(torch.stack(loss.weights(torch.tensor(case["epoch"]))), [case["alpha_1"], case["alpha_2"]], 1e-6)
    close(found["cross_entropy"], case["loss_ce"], 0, 1e-5)
    close(found["divergence"], case["loss_kld"], 0, 1e-5)
    close(found["rank"], case["loss_rank"], 0, 1e-5)
    close(found["loss"], case["loss_total"], 0, 1e-5)
    assert torch.equal(found["logits"], output["logits"])
    if "grad_l2" not in case:
        return
    parameters = dict(model.named_parameters())
    assert set(parameters) == set(case["grad_l2"])
    used = {name: p for name, p in parameters.items() if case["grad_l2"][name] is not None}
    assert {name for name, p in parameters.items() if p.requires_grad} == set(used)
    gradients = torch.autograd.grad(found["loss"], list(used.values()), retain_graph=True)
    for gradient, (name, expected) in zip(gradients, ((n, case["grad_l2"][n]) for n in used), strict=True):
        assert gradient.norm().item() == pytest.approx(expected, rel=2e-3), name
    buffers = dict(model.named_buffers())
    for name, expected in case["buffers_after_step"].items():
        check(buffers[name], expected, 1e-6)


def test_class_distributions_after_an_epoch(reference):
    loss = AdaDFLoss(TaskInfo(class_names(7)), threshold=0.7)
    labels = reference.labels(64, 6)
    logits = 20 * reference.fill("ld_logits", (64, 7))
    logits[torch.arange(64), labels] += torch.where(labels % 2 == 0, 6.0, 1.0)

    def scan():
        for rows in torch.arange(64).split(24):
            yield {"label": labels[rows]}, {"auxiliary": logits[rows]}

    loss.after_epoch(scan, Progress(0, 75, 0, 1))
    close(loss.class_distributions, reference.golden["train"]["class_distributions"]["updated_0.7"], 1e-6)
