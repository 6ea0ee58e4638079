"""The network `compact`: shapes, heads, and what it does not see."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from fer_core.errors import FerError
from fer_core.testing import check_plugin
from fer_core.types import TaskInfo, class_names
from fer_models_compact.inference import build_inference
from fer_models_compact.network import Compact, standardize
from torch.testing import assert_close

SMALL = (8, 16)


def build(classes=8, widths=SMALL, **targets):
    torch.manual_seed(0)
    return Compact(TaskInfo(class_names(classes), targets=targets), widths=widths).eval()


def test_the_plugin_is_sound():
    check_plugin("fer-models-compact")


def test_importing_the_plugin_loads_no_torch():
    code = "import sys, fer_models_compact.plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("size", [(48, 48), (44, 44), (224, 224), (31, 50)])
def test_a_head_for_each_target_at_any_size(size):
    model = build(8, fer2013=tuple("abcdefg"), valence=())
    with torch.no_grad():
        output = model(torch.rand(3, 3, *size))
    shapes = {name: tuple(each.shape) for name, each in output.items()}
    assert shapes == {"logits": (3, 8), "head_fer2013": (3, 7), "head_valence": (3,)}


def test_without_targets_the_logits_are_all():
    assert list(build()(torch.rand(2, 3, 48, 48))) == ["logits"]


def test_the_default_fits_into_ten_megabytes_of_half_precision():
    model = Compact(TaskInfo(class_names(8), targets={"fer2013": class_names(7)}))
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_525_487
    assert sum(2 * each.numel() for each in model.state_dict().values()) < 10_000_000


def test_grey_is_the_luma_of_an_image_without_its_mean_and_contrast():
    image = torch.rand(1, 3, 8, 8)
    luma = 0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:]
    found = standardize(image)
    assert found.shape == (1, 1, 8, 8)
    assert_close(found, (luma - luma.mean()) / luma.std(correction=0), atol=1e-2, rtol=1e-2)
    assert_close(found.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_exposure_and_contrast_of_a_face_do_not_change_its_logits():
    model, faces = build(), torch.rand(4, 3, 48, 48)
    with torch.no_grad():
        plain, darker = model(faces)["logits"], model(0.5 * faces - 0.3)["logits"]
    assert_close(plain, darker, atol=0.02 * float(plain.abs().max()), rtol=0)
    assert plain.std(0).max() > 0


def test_an_image_of_one_colour_has_finite_logits_and_gradients():
    model = build().train()
    loss = model(torch.ones(2, 3, 48, 48))["logits"].square().sum()
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_both_paths_of_a_block_count_from_the_start():
    """Its shortcut sees a quarter of the positions: a network of shortcuts alone learns nothing for long."""
    model, faces = build(), torch.rand(4, 3, 48, 48)
    plain = model(faces)["logits"]
    for block in list(model.body)[3:]:
        torch.nn.init.zeros_(block.bn2.weight)
    assert (model(faces)["logits"] - plain).abs().max() > 0.1 * plain.abs().max()


def test_the_inference_form_gives_the_same_logits_alone_with_fewer_operations():
    model = build(8, widths=(8, 8, 16), fer2013=tuple("abcdefg"))
    for each in model.modules():
        if isinstance(each, torch.nn.BatchNorm2d):  # as after a training
            each.running_mean.normal_()
            each.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(each.weight, 0.5, 1.5)
            torch.nn.init.normal_(each.bias)
    faces = torch.rand(4, 3, 48, 48)
    form = build_inference(model)
    output = form(faces)
    assert list(output) == ["logits"]
    assert_close(output["logits"], model(faces)["logits"], atol=1e-5, rtol=1e-4)
    assert not [each for each in form.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    assert "head_fer2013" in model(faces)


def test_features_are_dropped_in_training_alone():
    model, faces = build(), torch.rand(4, 3, 48, 48)
    assert torch.equal(model(faces)["logits"], model(faces)["logits"])
    model.body.requires_grad_(False)
    model.dropout.train()
    assert not torch.equal(model(faces)["logits"], model(faces)["logits"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "model.widths is \\[\\]"),
        ({"widths": (8, 1)}, "2 or more each"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(FerError, match=message):
        Compact(TaskInfo(class_names(3)), **options)
