"""Every loss of the house serves a plain loop, computes in the precision it is given, and compiles once."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core import Progress, registry
from torch import nn
from torch._dynamo.testing import CompileCounter

CLASSES = ("neutral", "happiness", "sadness")
IMAGES, EPOCHS = 6, 5
SHAPES = {
    "logits": (3,),
    "auxiliary": (3,),
    "attention": (1,),
    "features": (512, 2, 2),
    "heads": (4, 512),
    "maps": (3, 2, 2),
    "stage_logits": (3, 3),
    **{f"logits_{i}": (3,) for i in (1, 2, 3)},
    **{f"features_{i}": (8,) for i in (1, 2, 3, 4)},
    "head_mood": (2,),
    "head_age": (),
}
"""What the models return for an image, all together."""
OWN_SHAPES = {"ddamfn": {"heads": (2, 4, 2, 2)}, "mfer": {"features": (1024,)}}
LOSSES = (
    "cross_entropy",
    "distillation",
    "multi_head",
    "poster",
    "dan",
    "ddamfn",
    "adadf",
    "gsdnet",
    "lnsu",
    "mfer",
)
CALLS_THE_MODEL = ("lnsu",)
OPTIONS = {"mfer": {"center": 0.001}, "multi_head": {"targets": {"mood": ("calm", "tense"), "age": ()}}}


class Answering(nn.Module):
    """A model whose answers are given, in double precision; its scale can be trained."""

    def __init__(self, name):
        super().__init__()
        torch.manual_seed(0)
        shapes = SHAPES | OWN_SHAPES.get(name, {})
        self.answers = {key: torch.rand(IMAGES, *shape, dtype=torch.float64) for key, shape in shapes.items()}
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, images):
        return {key: answer * self.scale for key, answer in self.answers.items()}


def make_loss(name):
    torch.manual_seed(0)
    return fer_core.create_loss(name, classes=CLASSES, class_counts=(3, 2, 1), **OPTIONS.get(name, {}))


def make_batch():
    targets = {"target_mood": torch.arange(IMAGES) % 3 - 1, "target_age": torch.tensor([1.0, 2.0, torch.nan] * 2)}
    soft = torch.tensor([[0.2, 0.2, 0.6]]).expand(IMAGES, 3)
    return {
        "image": torch.zeros(IMAGES, 3, 2, 2),
        "label": torch.arange(IMAGES) % 3,
        "soft_target": soft,
        **targets,
    }


def test_the_house_is_complete():
    assert set(LOSSES) == set(registry.names("losses"))


@pytest.mark.parametrize("name", LOSSES)
def test_a_plain_loop_gives_the_output_and_the_labels(name):
    model, loss, progress = Answering(name), make_loss(name), Progress(1, EPOCHS, 3, 10)
    batch = make_batch()
    images = batch.pop("image")
    expected = loss(model, make_batch(), progress)
    if name in CALLS_THE_MODEL:
        with pytest.raises(fer_core.FerError, match="calls the model itself: call loss"):
            loss.from_output(model(images), batch, progress)
        return
    found = loss.from_output(model(images), batch, progress)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_has_the_precision_of_the_output_and_at_least_float32(name):
    model, loss = Answering(name), make_loss(name)
    for given, expected in ((torch.float64, torch.float64), (torch.bfloat16, torch.float32)):
        model.answers = {key: answer.to(given) for key, answer in model.answers.items()}
        model.scale.data = model.scale.data.to(given)
        assert loss(model, make_batch(), Progress(0, EPOCHS, 0, 10))["loss"].dtype == expected


@pytest.mark.parametrize("name", LOSSES)
def test_a_compiled_loss_is_one_graph_for_all_epochs(name):
    torch._dynamo.reset()  # losses share code, and so would share a count
    model, loss, batch = Answering(name), make_loss(name), make_batch()
    count = CompileCounter()
    compiled = torch.compile(loss, backend=count, fullgraph=True)
    for epoch in range(EPOCHS):
        numbers = (epoch, EPOCHS, 2 * epoch, 2 * EPOCHS)
        found = compiled(model, batch, Progress(*map(torch.tensor, numbers)))
        expected = loss(model, batch, Progress(*numbers))
        assert torch.allclose(found["loss"], expected["loss"], rtol=1e-12)
    assert count.frame_count == 1
