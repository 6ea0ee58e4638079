"""Networks of timm as classifiers: options, refusals, backbone files, the form that predicts, the plugin."""

from __future__ import annotations

import subprocess
import sys

import fer_core
import pytest
import timm
import torch
from fer_core.config import resolve_config
from fer_core.errors import FerError
from fer_core.registry import find
from fer_core.types import DatasetSpec, TaskInfo
from fer_core.weights.address import local_file
from fer_core.weights.backbone import load_backbones
from fer_models_misc.timm_backbone.inference import inference
from fer_models_misc.timm_backbone.network import backbone, build_timm
from torch.testing import assert_close
from torchvision.models import resnet18, resnet34, resnet50

INFO = TaskInfo(("a", "b", "c"))


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def unsettle(network):
    """Norms as different from their start as those of a trained network."""
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(std=0.2)
    return network


def refusal(**options):
    with pytest.raises(FerError) as caught:
        fer_core.create_model("timm", num_classes=3, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


def test_the_default_is_a_resnet18():
    network = fer_core.create_model("timm", num_classes=8)
    assert sum(p.numel() for p in network.parameters()) == 11_176_512 + 8 * 513
    names = {name.removeprefix("network.") for name in network.state_dict()}
    assert names == set(resnet18(weights=None).state_dict())


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto.d2_in1k"])
def test_other_backbones_have_logits_and_take_rates(name, images):
    network = build_timm(
        TaskInfo(("a", "b", "c"), input_size=64), backbone=name, drop_rate=0.5, drop_path_rate=0.1
    )
    with torch.no_grad():
        assert network.train()(images)["logits"].shape == (2, 3)
        assert torch.equal(network.eval()(images)["logits"], network(images)["logits"])


def test_drop_rates_reach_the_network():
    assert build_timm(INFO, drop_rate=0.3).network.drop_rate == 0.3
    paths = build_timm(INFO, drop_path_rate=0.2).network.layer4[1].drop_path
    assert paths.drop_prob == pytest.approx(0.2)


def test_unknown_names_are_refused_with_the_nearest():
    assert "resnet18" in refusal(backbone="resnt18")
    assert "timm.list_models()" in refusal(backbone="qqqqqq")
    message = refusal(backbone="resnet18.a1_in2k")
    assert "no weights a1_in2k of resnet18" in message
    assert "a1_in1k" in message


def test_options_that_do_not_fit_are_refused():
    assert "model.drop_rate is 1.0" in refusal(drop_rate=1.0)
    assert "model.drop_path_rate is -0.1" in refusal(drop_path_rate=-0.1)
    assert "vgg11 does not take drop_path_rate 0.1" in refusal(backbone="vgg11", drop_path_rate=0.1)


def test_weights_that_cannot_be_downloaded_are_refused(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    for place, says in (
        ("timm://resnet18", "timm://resnet18 cannot be had"),
        ("timm://resnt18", "resnet18"),
        ("timm://resnet18.a1_in2k", "no weights a1_in2k of resnet18"),
        ("timm://botnet50ts_256", "timm has no weights of botnet50ts_256"),
    ):
        with pytest.raises(FerError) as caught:
            local_file(place)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_timms_weights_start_a_training(monkeypatch, tmp_path, images):
    """What a download would bring; the second time there is none."""
    donor, made = timm.create_model("resnet18").eval(), []

    def create(name: str, *, pretrained: bool) -> torch.nn.Module:
        made.append((name, pretrained))
        return donor

    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    model = build_timm(INFO).eval()
    with monkeypatch.context() as patched:
        patched.setattr(timm, "create_model", create)
        record = load_backbones(model, "timm", ["timm://resnet18"])
        assert local_file("timm://resnet18").name == "timm-resnet18.a1_in1k.safetensors"
    assert made == [("resnet18", True)]
    assert record.description.startswith("backbone weights for")
    donor.fc = model.network.fc
    with torch.no_grad():
        assert_close(model(images)["logits"], donor(images))


def test_a_backbone_file_fills_all_but_the_classifier(images):
    donor = resnet18(weights=None, num_classes=1000).eval()
    file = {f"module.{k}": v for k, v in donor.state_dict().items() if "num_batches" not in k}
    network = build_timm(INFO).eval()
    before = network.network.fc.weight.clone()
    result = network.load_state_dict(backbone({"state_dict": file}), strict=False)
    assert set(result.missing_keys) == {"network.fc.weight", "network.fc.bias"}
    assert not result.unexpected_keys
    assert torch.equal(network.network.fc.weight, before)
    donor.fc = network.network.fc
    with torch.no_grad():
        assert_close(network(images)["logits"], donor(images))


@pytest.mark.parametrize("name", ["convnext_atto", "efficientvit_b0", "deit_tiny_distilled_patch16_224"])
def test_classifiers_are_left_out_whatever_their_name(name):
    with torch.device("meta"):
        donor = timm.create_model(name, num_classes=1000)
        network = build_timm(INFO, backbone=name)
    result = network.load_state_dict(backbone(donor.state_dict()), strict=False, assign=True)
    assert not result.unexpected_keys
    named = donor.pretrained_cfg["classifier"]
    heads = {
        f"network.{head}.{end}"
        for head in ([named] if isinstance(named, str) else named)
        for end in ("weight", "bias")
    }
    assert set(result.missing_keys) <= heads


def test_another_backbones_file_is_refused(tmp_path):
    for donor, says in ((resnet34, "layer1.2.conv1.weight"), (resnet50, "layer1.0.conv1.weight [64, 64, 1, 1]")):
        torch.save(donor(weights=None).state_dict(), tmp_path / "other.pth")
        with pytest.raises(FerError, match=r"other.pth: of \d+ backbone tensors") as caught:
            load_backbones(build_timm(INFO), "timm", [str(tmp_path / "other.pth")])
        assert says in str(caught.value)
    with pytest.raises(FerError, match="0 of its 1 tensors"):
        backbone({"fc.weight": torch.zeros(2, 2)})


@pytest.fixture
def trained(tmp_path):
    """A network of timm with three classes, and the checkpoint that a script of timm leaves of it."""
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050", num_classes=3).eval()
    state = {f"module._orig_mod.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 3, "arch": "mobilenetv3_small_050", "state_dict": state}, tmp_path / "best.pth.tar")
    return network, tmp_path / "best.pth.tar"


def test_a_trained_network_of_timm_is_imported_and_predicts_alike(trained, tmp_path):
    network, file = trained
    classes = ("anger", "fear", "neutral")
    given = {"model": {"backbone": "mobilenetv3_small_050"}, "data": {"input_size": 32, "mean": [0.5, 0.5, 0.5]}}
    path = fer_core.import_weights("timm", file, tmp_path / "a.safetensors", classes=classes, **given)
    model = fer_core.load_model(path, device="cpu")
    assert (model.classes, model.preprocessing.input_size) == (classes, 32)
    assert model.preprocessing.mean == (0.5, 0.5, 0.5)
    faces = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert_close(model(faces), network(faces), rtol=1e-4, atol=1e-5)


def test_what_a_state_dict_does_not_say_is_asked_for(trained, tmp_path):
    _, file = trained
    target, of_it = tmp_path / "a.safetensors", {"model": {"backbone": "mobilenetv3_small_050"}}
    for message, given in {
        "the order of its 3 classes is unknown": of_it,
        "the file has 3 classes, but --classes has 2": of_it | {"classes": ["a", "b"]},
        r"does not fit model timm with 3 classes: of \d+ tensors": {"classes": ["a", "b", "c"]},
        "train.epochs is for a training": of_it | {"classes": ["a", "b", "c"], "train": {"epochs": 3}},
        "model.freeze is for a training": {"model": {"freeze": ["a"]}, "classes": ["a", "b", "c"]},
    }.items():
        with pytest.raises(FerError, match=message):
            fer_core.import_weights("timm", file, target, **given)
    assert not target.exists()


def test_a_whole_state_loads_strictly():
    network = build_timm(INFO)
    network.load_state_dict(build_timm(INFO).state_dict(), strict=True)


@pytest.mark.parametrize(
    ("name", "left"), [("resnet18", 0), ("mobilenetv3_small_050", 0), ("nf_resnet26", 0), ("mobileone_s0", 0)]
)
def test_inference_form_has_the_same_logits_and_no_norms(name, left, images):
    torch.manual_seed(0)
    model = unsettle(build_timm(INFO, backbone=name, drop_rate=0.2).eval())
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    quick = inference(model.train())
    with torch.no_grad():
        expected, found = model.eval()(images)["logits"], quick(images)
    assert list(found) == ["logits"]
    assert_close(found["logits"], expected, atol=1e-5 * expected.abs().max().item(), rtol=0)
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in quick.modules()) == left
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_inference_form_of_what_has_no_graph_and_of_other_models(images):
    model = build_timm(TaskInfo(("a",) * 3, input_size=64), backbone="vit_tiny_patch16_224").eval()
    with torch.no_grad():
        assert_close(inference(model)(images)["logits"], model(images)["logits"])
    with pytest.raises(FerError, match="no network of timm"):
        inference(resnet18(weights=None))


def test_timm_is_imported_only_when_a_model_is_built():
    code = "import sys, fer_models_misc.timm_backbone.network; sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("dataset", "epochs", "lr"), [("synthetic", 4, 1e-3), ("anything", 40, 5e-4)])
def test_recipes(dataset, epochs, lr):
    empty = dict.fromkeys(("factory", "summary", "licence", "homepage"), "")
    tables = {key: {} for key in ("splits", "layouts", "expected_counts")}
    config = resolve_config(
        find("models", "timm"), DatasetSpec(name=dataset, classes=(), **empty, **tables)
    ).config
    assert config.model.options["backbone"] == "resnet18"
    assert config.loss.name == "cross_entropy"
    assert (config.train.epochs, config.optimizer.options["lr"], config.train.select) == (epochs, lr, "best:val")
