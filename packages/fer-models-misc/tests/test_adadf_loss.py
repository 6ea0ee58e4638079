"""Ada-DF's loss by itself: weights of the epochs, views, odd batches, distributions of the classes."""

from __future__ import annotations

import math

import pytest
import torch
from fer_core.errors import FerError
from fer_core.types import Progress, TaskInfo
from fer_models_misc.adadf.loss import AdaDFLoss, rank_loss, rescale
from torch import nn

CLASSES = ("a", "b", "c")
NOW = Progress(0, 75, 0, 1)


class Said(nn.Module):
    """Answers with given tensors."""

    def __init__(self, **output):
        super().__init__()
        self.output = output

    def forward(self, images):
        return self.output


def make_output(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "logits": torch.randn(rows, 3, generator=generator, requires_grad=True),
        "auxiliary": torch.randn(rows, 3, generator=generator, requires_grad=True),
        "attention": torch.rand(rows, 1, generator=generator, requires_grad=True),
    }


def make_batch(images):
    return {"image": torch.zeros(images, 3, 8, 8), "label": torch.arange(images) % 3}


def make_loss(batch_size=0, **options):
    return AdaDFLoss(TaskInfo(CLASSES, batch_size=batch_size), **options)


def test_weights_of_the_epochs():
    loss = make_loss(beta=3)
    found = {epoch: loss.weights(torch.tensor(epoch)) for epoch in (1, 3, 5, 75)}
    expected = {1: (0.6412, 1), 3: (1, 1), 5: (1, 0.8521), 75: (1, 0.3979)}
    for epoch, weights in expected.items():
        assert found[epoch] == pytest.approx(weights, abs=5e-5)
    assert make_loss(alpha=0.3).weights(torch.tensor(40)) == (0.3, 0.7)


def test_the_target_carries_gradient_into_the_auxiliary_branch():
    output = make_output(4)
    found = make_loss()(Said(**output), make_batch(4), NOW)
    divergence = torch.autograd.grad(found["divergence"], list(output.values()))
    assert all(gradient.abs().sum() > 0 for gradient in divergence)


def test_views_repeat_the_labels_and_the_configured_batch_divides():
    views, images = 10, 4
    output, batch = make_output(images * views), make_batch(images)
    batch["image"] = torch.zeros(images, views, 3, 8, 8)
    one = {"image": batch["image"].flatten(0, 1), "label": batch["label"].repeat_interleave(views)}
    found = make_loss(images)(Said(**output), batch, NOW)
    mean = make_loss(0)(Said(**output), one, NOW)
    assert found["divergence"].item() == pytest.approx(views * mean["divergence"].item(), rel=1e-5)
    assert found["cross_entropy"].item() == pytest.approx(mean["cross_entropy"].item(), rel=1e-6)
    assert found["logits"].shape == (images, 3)
    assert torch.allclose(found["logits"][1], output["logits"][10:20].mean(0))


def test_a_batch_that_is_not_full_counts_as_a_smaller_one():
    output, batch = make_output(4), make_batch(4)
    expected = make_loss(4)(Said(**output), batch, NOW)
    for name, found in make_loss(64)(Said(**output), batch, NOW).items():
        assert torch.equal(found, expected[name]), name


def test_rank_compares_the_ends():
    attention = torch.tensor([0.1, 0.9, 0.5, 0.3, 0.7, 0.2])
    # size 4: the int(0.7 * 4) = 2 largest and the 2 smallest
    assert rank_loss(attention, 4, 0.7, 1.0).item() == pytest.approx(0.15 - 0.8 + 1.0)
    assert rank_loss(attention, 4, 0.7, 0.07).item() == 0


def test_equal_attentions_and_single_images_are_finite():
    assert rescale(torch.full((3, 1), 0.4), 0.2, 1.0).flatten().tolist() == pytest.approx([0.2] * 3)
    output = make_output(1)
    found = make_loss(64)(Said(**output), make_batch(1), NOW)
    found["loss"].backward()
    assert found["loss"].isfinite()
    assert all(tensor.grad.isfinite().all() for tensor in output.values())


def test_half_precision_is_computed_in_float32():
    output = {name: tensor.bfloat16() for name, tensor in make_output(4).items()}
    found = make_loss()(Said(**output), make_batch(4), NOW)
    assert {found[name].dtype for name in ("loss", "cross_entropy", "divergence", "rank")} == {torch.float32}


def rebuilt(views=1, **options):
    """Class 0 is said with certainty, class 1 is doubtful, class 2 is absent."""
    loss = make_loss(threshold=0.5, **options)
    said = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.4, 0.3, 0.3]])
    batches = [(torch.tensor([0, 1]), said[[0, 2]]), (torch.tensor([0]), said[[1]])]

    def scan():
        for labels, rows in batches:
            yield {"label": labels}, {"auxiliary": rows.log().repeat_interleave(views, 0)}

    loss.after_epoch(scan, NOW)
    return loss.class_distributions


def test_rows_of_doubtful_and_absent_classes_fall_back():
    expected = torch.tensor([[0.7, 0.15, 0.15], [0.2, 0.5, 0.2], [0.2, 0.2, 0.5]])
    assert torch.allclose(rebuilt(), expected)
    assert torch.allclose(rebuilt(views=3), expected)
    normalised = rebuilt(fallback="normalised")
    assert torch.allclose(normalised.sum(1), torch.ones(3))
    assert torch.allclose(normalised[2], torch.tensor([0.25, 0.25, 0.5]))


def test_distributions_belong_to_the_state_and_are_rebuilt_from_anew():
    loss = make_loss(threshold=0.7)
    assert list(loss.state_dict()) == ["class_distributions"]
    assert torch.allclose(loss.class_distributions, torch.full((3, 3), 0.15) + 0.55 * torch.eye(3))
    loss.class_distributions.fill_(9)
    loss.after_epoch(lambda: iter(()), NOW)
    assert loss.class_distributions.max() < 1


@pytest.mark.parametrize(
    ("options", "says"),
    [({"threshold": 1.0}, "threshold is 1"), ({"rank_share": 0.0}, "rank_share is 0"), ({"beta": 0}, "beta is 0")],
)
def test_senseless_options_are_refused(options, says):
    with pytest.raises(FerError, match=rf"loss\.{says}"):
        make_loss(**options)


def test_another_model_is_refused_by_name():
    with pytest.raises(FerError, match="returns logits: train the model adadf"):
        make_loss()(Said(logits=torch.zeros(2, 3)), make_batch(2), NOW)
    with pytest.raises(FerError, match="two classes"):
        AdaDFLoss(TaskInfo(("a",)))


def test_the_divergence_is_that_of_the_fused_target():
    output, batch = make_output(4), make_batch(4)
    loss = make_loss(threshold=0.7)
    found = loss(Said(**output), batch, NOW)
    total = 0.0
    attention = output["attention"].flatten().tolist()
    auxiliary, logits = output["auxiliary"].softmax(1).tolist(), output["logits"].log_softmax(1).tolist()
    for i, label in enumerate(batch["label"].tolist()):
        w = (attention[i] - min(attention)) / (max(attention) - min(attention)) * 0.8 + 0.2
        for j in range(3):
            t = (1 - w) * auxiliary[i][j] + w * (0.7 if j == label else 0.15)
            total += t * (math.log(t) - logits[i][j])
    assert found["divergence"].item() == pytest.approx(total / 4, rel=1e-5)
