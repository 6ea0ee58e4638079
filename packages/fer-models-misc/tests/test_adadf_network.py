"""Ada-DF beyond the figures: options, other sizes, weights of others, the form that predicts, the plugin."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.config import resolve_config
from fer_core.errors import FerError
from fer_core.registry import find
from fer_core.types import DatasetSpec, TaskInfo
from fer_models_misc.adadf.convert import backbone, convert, describe
from fer_models_misc.adadf.inference import inference
from fer_models_misc.adadf.network import AdaDF, build_adadf
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18, resnet34

INFO = TaskInfo(("a", "b", "c"))


@pytest.fixture(scope="module")
def model():
    """Three classes, with weights and running statistics as different as those of a trained network."""
    torch.manual_seed(0)
    network = build_adadf(INFO).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(std=0.2)
        elif name.startswith("branch_2"):
            tensor.mul_(torch.empty_like(tensor, dtype=torch.float32).uniform_(0.8, 1.2).to(tensor.dtype))
    return network


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_branches_start_equal_and_attentions_do_not():
    network = fer_core.create_model("ada-df", num_classes=8)
    assert network(torch.zeros(2, 3, 32, 32))["logits"].shape == (2, 8)
    state = network.state_dict()
    for name, tensor in state.items():
        if name.startswith("branch_1"):
            assert torch.equal(tensor, state[name.replace("branch_1", "branch_2")])
    assert not torch.equal(state["alpha_1.0.weight"], state["alpha_2.0.weight"])
    assert network.branch_1_feature[0][0].conv1.weight is not network.branch_2_feature[0][0].conv1.weight


def test_views_are_rows(model, images):
    with torch.no_grad():
        rows, views = model(images), model(images[:, None])
    assert {name: list(tensor.shape) for name, tensor in rows.items()} == {
        "logits": [2, 3],
        "auxiliary": [2, 3],
        "attention": [2, 1],
    }
    for name, tensor in rows.items():
        assert torch.equal(views[name], tensor)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_stem_keeps_its_weights_while_its_statistics_adapt(frozen, images):
    network = build_adadf(INFO, freeze_stem=frozen).train()
    before = network.feature[1].running_mean.clone()
    sum(tensor.sum() for tensor in network(images).values()).backward()
    assert not torch.equal(network.feature[1].running_mean, before)
    assert {p.grad is None for p in network.feature.parameters()} == {frozen}
    assert all(p.grad is not None for p in network.branch_2_feature.parameters())


def test_the_gradient_of_the_pixels_passes_the_frozen_stem(model, images):
    pixels = images[:1].clone().requires_grad_()
    model(pixels)["logits"].sum().backward()
    assert pixels.grad.abs().sum() > 0


def test_dropout_acts_in_training_alone(images):
    network = build_adadf(INFO, drop_rate=0.5).eval()
    with torch.no_grad():
        assert torch.equal(network(images)["logits"], network(images)["logits"])
        network.train()
        assert not torch.equal(network(images)["logits"], network(images)["logits"])
    with pytest.raises(FerError, match=r"drop_rate is 1"):
        build_adadf(INFO, drop_rate=1.0)


def test_autocast_keeps_logits_and_attention_in_float32(model, images):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert {tensor.dtype for tensor in model(images).values()} == {torch.float32}


def test_inference_form_has_the_same_logits_and_only_the_target_branch(model, images):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    quick = inference(model)
    with torch.no_grad():
        expected, found = model(images)["logits"], quick(images)
    assert list(found) == ["logits"]
    assert_close(found["logits"], expected, atol=1e-5 * expected.abs().max().item(), rtol=0)
    assert not quick.training
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in quick.modules())
    assert sum(p.numel() for p in quick.parameters()) < 0.52 * sum(p.numel() for p in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(FerError, match="no Ada-DF"):
        inference(resnet18(weights=None))


def test_macs_of_the_inference_form():
    with torch.device("meta"):
        network = inference(AdaDF(7))
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, 224, 224))
    assert counter.get_total_flops() // 2 == 1_813_565_440


def upstream(state):
    """As the authors' file has it: every tensor of a branch under two names."""
    aliases = {}
    for name, tensor in state.items():
        for branch in ("branch_1", "branch_2"):
            if name.startswith(f"{branch}_feature."):
                aliases[name.replace("_feature.", ".", 1)] = tensor
            elif name.startswith(f"{branch}_classifier."):
                aliases[name.replace("_classifier.", ".4.", 1)] = tensor
    assert len(aliases) == 184
    return dict(state) | aliases


def test_checkpoints_load_strictly(model):
    state = model.state_dict()
    prefixed = {f"module.{name}": tensor for name, tensor in upstream(state).items()}
    for file in (state, {"epoch": 1, "state_dict": upstream(state), "acc": 0.9}, prefixed):
        found = convert(file)
        assert list(found) == list(state)
        assert all(torch.equal(tensor, state[name]) for name, tensor in found.items())
        assert describe(found) == (3, {})


def refusal(function, state):
    with pytest.raises(FerError) as caught:
        function(state)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_named(model):
    state = upstream(model.state_dict())
    other = state | {"branch_1.0.0.conv1.weight": torch.zeros(1)}
    assert "other values in branch_1.0.0.conv1.weight than in branch_1_feature.0.0" in refusal(convert, other)
    state["extra"] = torch.zeros(1)
    state["alpha_1.0.bias"] = torch.zeros(2)
    del state["feature.0.weight"]
    message = refusal(convert, state)
    assert "1 missing (feature.0.weight)" in message
    assert "1 not part of it (extra)" in message
    assert "1 of another shape (alpha_1.0.bias [2] instead of [1])" in message
    assert "no branch_2_classifier.weight" in refusal(convert, {"fc.weight": torch.zeros(7, 512)})


def test_a_resnet18_starts_the_stem_and_both_branches(images):
    donor = resnet18(weights=None, num_classes=1000).eval()
    file = {name: tensor for name, tensor in donor.state_dict().items() if "num_batches" not in name}
    part = backbone({"state_dict": {f"module.{name}": tensor for name, tensor in file.items()}})
    network = AdaDF(3).eval()
    result = network.load_state_dict(part, strict=False)
    assert not result.unexpected_keys
    assert {name.partition(".")[0] for name in result.missing_keys} == {
        "branch_1_classifier",
        "branch_2_classifier",
        "alpha_1",
        "alpha_2",
    }
    donor.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = donor(images)
        for branch in (network.branch_1_feature, network.branch_2_feature):
            assert_close(branch(network.feature(images)).flatten(1), expected)


def test_other_backbones_are_refused():
    message = refusal(backbone, resnet34(weights=None).state_dict())
    assert "120 of 120" in message
    assert "layer1.2.conv1.weight" in message
    assert "20 of 120 tensors fit" in refusal(backbone, {"encoder.weight": torch.zeros(3)})


def resolved(dataset):
    classes = tuple("abcdefg")
    empty = dict.fromkeys(("factory", "summary", "licence", "homepage"), "")
    tables = {key: {} for key in ("splits", "layouts", "expected_counts")}
    spec = DatasetSpec(name=dataset, classes=classes, **empty, **tables)
    return resolve_config(find("models", "Ada-DF"), spec).config


@pytest.mark.parametrize(
    ("dataset", "batch", "sampler", "threshold", "beta", "operations", "magnitude"),
    [
        ("rafdb", 64, "shuffle", 0.7, 3, 3, 5),
        ("affectnet", 64, "balanced_down", 0.5, 5, 3, 5),
        ("sfew", 16, "shuffle", 0.5, 5, 5, 3),
    ],
)
def test_recipes_of_the_authors(dataset, batch, sampler, threshold, beta, operations, magnitude):
    config = resolved(dataset)
    data, loss = config.data, config.loss
    assert (data.batch_size, data.drop_last, data.sampler.name) == (batch, True, sampler)
    assert data.options == ({"classes": 7} if dataset == "affectnet" else {})
    assert (data.input_size, data.color, data.mean[0], data.std[2]) == (224, "rgb", 0.485, 0.225)
    assert loss.name == "adadf"
    assert (loss.options["threshold"], loss.options["beta"]) == (threshold, beta)
    assert (loss.options["max_weight"], loss.options["min_weight"]) == (1.0, 0.2)
    assert (loss.options["rank_share"], loss.options["rank_margin"]) == (0.7, 0.07)
    assert loss.options["fallback"] == "upstream"
    adam = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
    assert (config.optimizer.name, config.optimizer.options) == ("adam", adam)
    assert (config.scheduler.name, config.scheduler.per) == ("exponential", "epoch")
    assert config.scheduler.options == {"gamma": 0.9}
    assert (config.train.epochs, config.train.precision, config.train.select) == (75, "tf32", "best:val")
    assert config.model.options == {"freeze_stem": True, "drop_rate": 0.0}
    first, augment, *rest = data.train_transforms
    crops = {"ten_crop": {"resize": 256, "size": 224}}
    assert first == (crops if dataset == "sfew" else "resize")
    assert data.eval_transforms == [first, "normalize"]
    found = augment["rand_augment"]
    assert (found["num_ops"], found["magnitude"], found["magnitude_std"]) == (operations, magnitude, 0.5)
    assert (found["p"], found["increasing"], found["fill"]) == (0.5, False, [124, 116, 104])
    erasing = {"random_erasing": {"p": 0.5, "scale": [0.02, 0.25], "ratio": [0.3, 3.3], "value": 0}}
    assert rest == [{"horizontal_flip": {"p": 0.5}}, "normalize", erasing]


@pytest.mark.parametrize("dataset", ["synthetic", "anything"])
def test_our_own_recipes_train_the_stem(dataset):
    config = resolved(dataset)
    assert config.model.options == {"freeze_stem": False}
    assert config.loss.options["fallback"] == "normalised"
    assert config.train.select == "best:val"
