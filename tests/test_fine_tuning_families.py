"""Every family starts from its own weights: for fewer of their classes it answers as the weights do."""

from __future__ import annotations

from pathlib import Path

import fer_core
import pytest
import torch
from fer_core import registry
from fer_core.config import resolve_config
from fer_core.provenance import Model
from fer_core.testing import make_preprocessing
from fer_core.types import TaskInfo
from fer_core.weights.checkpoint import save_weights
from fer_core.weights.header import Header
from fer_core.weights.transfer import carry_over

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
FEWER, OTHERS = ("sadness", "neutral"), ("sadness", "boredom")


@pytest.mark.parametrize("name", fer_core.list_models())
def test_heads_of_every_family_are_found(name: str, tmp_path: Path) -> None:
    config = resolve_config(registry.find("models", name), registry.find("datasets", "synthetic")).config
    options, size = config.model.options, config.data.input_size
    torch.manual_seed(0)
    source = fer_core.create_model(name, classes=CLASSES, input_size=size, **options).eval()
    header = Header(
        format=2,
        hook_api=1,
        model=Model(name=name, options=options),
        classes=CLASSES,
        preprocessing=make_preprocessing(size),
    )
    save_weights(tmp_path / "a.safetensors", source.state_dict(), header)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = source(images)["logits"][:, [2, 0]]
    model = fer_core.create_model(name, classes=FEWER, input_size=size, **options).eval()
    carry_over(model, name, options, TaskInfo(FEWER, input_size=size), tmp_path / "a.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(model(images)["logits"], expected, rtol=1e-4, atol=1e-5)
    model = fer_core.create_model(name, classes=OTHERS, input_size=size, **options)
    found = carry_over(model, name, options, TaskInfo(OTHERS, input_size=size), tmp_path / "a.safetensors")
    assert len(model.state_dict()) - 8 <= len(found.carried) < len(model.state_dict())
