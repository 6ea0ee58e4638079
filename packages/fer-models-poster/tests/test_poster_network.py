"""Shapes, inputs, number formats, initialisation, the loss, and the form for inference."""

from __future__ import annotations

import copy

import pytest
import torch
from fer_core import create_loss, create_model
from fer_core.errors import FerError
from fer_core.refs import resolve
from fer_core.registry import find
from fer_core.types import Progress
from fer_models_poster.backbones import shrink
from fer_models_poster.layers import StochasticDepth
from fer_models_poster.poster import POSTER
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

FAMILIES = ("poster", "poster_pp")
SMALL = {"poster": {"type": "small", "token_mixing": False}, "poster_pp": {}}
NOW = Progress(0, 1, 0, 1)


@pytest.fixture(scope="module")
def models(filled):
    """A model of each family for three classes, with statistics and layer scales that are not trivial."""
    return {name: filled(create_model(name, num_classes=3, **SMALL[name])).eval() for name in FAMILIES}


@pytest.fixture(scope="module")
def images(reference):
    return reference("poster").images[:2]


def for_inference(name, model):
    return resolve(find("models", name).inference)(model)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_every_second_pixel_of_224_is_read(models, images, name):
    assert torch.equal(shrink(images), images[:, :, ::2, ::2])
    changed = images.clone()
    changed[:, :, 1::2] += 1
    changed[:, :, :, 1::2] -= 1
    with torch.no_grad():
        expected = models[name](images)
        for given in (changed, images[:, :, ::2, ::2]):
            assert_close(models[name](given)["logits"], expected["logits"], atol=1e-5, rtol=0)
    assert expected["logits"].shape == (2, 3)
    assert expected["features"].shape == (2, 512 if name == "poster" else 768)


@pytest.mark.parametrize("name", FAMILIES)
def test_eight_classes(name):
    with torch.device("meta"):
        assert create_model(name, num_classes=8)(torch.empty(2, 3, 100, 90))["logits"].shape == (2, 8)


@pytest.mark.parametrize("name", FAMILIES)
def test_channels_last_memory_gives_the_same_output(models, images, name):
    model = models[name]
    with torch.no_grad():
        expected = model(images)["logits"]
        model.to(memory_format=torch.channels_last)
        actual = model(images.to(memory_format=torch.channels_last))["logits"]
        model.to(memory_format=torch.contiguous_format)
    assert_close(actual, expected, atol=3e-5, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_training_under_autocast_reaches_every_trained_parameter(images, name):
    torch.manual_seed(0)
    model = create_model(name, num_classes=3, **SMALL[name]).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model(images)["logits"].float(), torch.tensor([0, 2]))
    loss.backward()
    for key, parameter in model.named_parameters():
        if key.startswith("face_landback."):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all()


def test_initialisation():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        poster, pp = create_model("poster", type="small"), create_model("poster_pp")
    assert not poster.pyramid_fuse.pos_embed.any()
    weight = poster.face_landback.conv_6_sep.conv.weight
    assert weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert (pp.ffn2.gamma1 == 1e-5).all()
    assert (pp.ffn2.gamma2 == 1e-5).all()
    for tensor, deviation in (
        (pp.VIT.pos_embed, 0.02),
        (pp.attn1.relative_position_bias_table, 0.02),
        (pp.VIT.blocks[0].attn.qkv.weight, 0.01),
    ):
        assert tensor.std().item() == pytest.approx(deviation, rel=0.03)
    assert not pp.VIT.blocks[1].mlp.fc1.bias.any()


def drops(model):
    return [m.p for m in model.modules() if isinstance(m, StochasticDepth)]


def test_stochastic_depth_rises_with_the_blocks():
    with torch.device("meta"):
        poster, pp = create_model("poster"), create_model("poster_pp")
    assert drops(poster) == pytest.approx([0.1 * i / 7 for i in range(8) for _ in range(3)])
    assert drops(pp) == [0, 0.125, 0.25]


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    x = torch.ones(4000, 2, 3)
    y = layer(x)
    assert ((y == 0).all((1, 2)) | torch.isclose(y, torch.tensor(4 / 3)).all((1, 2))).all()
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    assert layer.eval()(x) is x


def test_an_unknown_type_is_refused():
    with pytest.raises(FerError, match=r"model\.type is 'larg', which does not exist: .*large"):
        create_model("poster", type="larg")


@pytest.mark.parametrize("case", ["poster", "poster_pp", "mixing"])
def test_the_inference_form_gives_the_same_logits(request, models, images, case):
    name = "poster" if case == "mixing" else case
    model = request.getfixturevalue("poster") if case == "mixing" else models[case]
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    lean = for_inference(name, model)
    with torch.no_grad():
        expected, actual = model(images)["logits"], lean(images)
    assert list(actual) == ["logits"]
    assert_close(actual["logits"], expected, atol=1e-4 * expected.abs().max().item(), rtol=0)
    assert not lean.training
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    own = {tensor.data_ptr() for tensor in model.state_dict().values()}
    assert not own & {tensor.data_ptr() for tensor in lean.state_dict().values()}


def test_the_inference_form_leaves_out_what_it_says(models):
    for name in FAMILIES:
        lean = for_inference(name, models[name])
        names = list(lean.state_dict())
        assert not any("face_landback.output_layer" in key for key in names)
        # of an IR-50 unit only the normalisation before its first convolution is left
        assert sum(isinstance(m, nn.BatchNorm2d) for m in lean.modules()) == 21
        assert not any("relative_position" in key for key in names)
        assert all(not p.requires_grad for p in lean.parameters())
        assert not any("blocks.3.block_l.block.attn_lm" in key for key in names)


def test_loss_is_cross_entropy_with_two_fifteenths_of_smoothing_three_times():
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 3, 2, 2])

    class Fixed(nn.Module):
        def forward(self, images):
            return {"logits": logits}

    batch = {"image": torch.zeros(5, 3, 2, 2), "label": labels}
    classes = ("a", "b", "c", "d")
    losses = create_loss("poster", classes=classes)(Fixed(), batch, NOW)
    assert_close(losses["loss"], 3 * F.cross_entropy(logits, labels, label_smoothing=2 / 15))
    assert_close(losses["loss"], losses["cross_entropy"] + 2 * losses["smoothed_cross_entropy"])
    assert losses["logits"] is logits
    plain = create_loss("poster", classes=classes, weight=0)(Fixed(), batch, NOW)
    assert_close(plain["loss"], F.cross_entropy(logits, labels))
    for options in ({"smoothing": 1.0}, {"smoothing": -0.1}, {"weight": -1}):
        with pytest.raises(FerError, match=r"loss\."):
            create_loss("poster", classes=classes, **options)


@pytest.mark.parametrize("name", FAMILIES)
def test_two_passes_over_one_batch_share_the_landmark_network(filled, images, name):
    """SAM's second pass: computed once, and yet the statistics end where two computations leave them."""
    model = filled(create_model(name, num_classes=3, **SMALL[name])).train()
    for module in model.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0
    twice = copy.deepcopy(model)
    computed = []
    for each in (model, twice):
        each.face_landback.register_forward_hook(lambda module, args, output: computed.append(module))
    first, second = model(images), model(images)
    assert computed == [model.face_landback]
    for _ in range(2):
        expected = twice(images.clone())
    assert computed[1:] == [twice.face_landback] * 2
    assert_close(second["logits"], expected["logits"])
    assert_close(first["landmarks"], second["landmarks"])
    for key, tensor in twice.state_dict().items():
        assert_close(model.state_dict()[key], tensor, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_statistics_settle_without_gradients(name):
    """As for measuring: train mode under inference mode."""
    model = create_model(name, num_classes=3, **SMALL[name]).train()
    with torch.inference_mode():
        for _ in range(2):
            model(torch.randn(2, 3, 112, 112))
    assert model.face_landback.conv1.bn.num_batches_tracked == 2


def test_tokens_of_the_image_are_cut_from_memory_not_from_places(images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = POSTER(3, 4).eval()
    plane = torch.randn(2, 256, 14, 14)
    model.ir_back = nn.Identity()
    with torch.no_grad():
        for given in (plane, plane.to(memory_format=torch.channels_last)):
            tokens = model.image_tokens(given)
            # features 0 to 1023 of token 1 are elements 1024 to 2047 of the map, channels first
            assert_close(tokens[:, 1], model.ir_layer(plane.flatten(1)[:, 1024:2048]))
