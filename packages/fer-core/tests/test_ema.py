from __future__ import annotations

import io

import pytest
import torch
from fer_core.errors import FerError
from fer_core.training.ema import EMA
from torch import Tensor, nn


def network(seed: int = 0, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def change(model: nn.Module, seed: int) -> None:
    """Move the weights as a training step would, the statistics of the norm included."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    model.train()(torch.randn(8, 3))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_averages_follow_the_formula_and_counters_are_copied() -> None:
    model = network()
    ema = EMA(model)
    expected = {name: value.double() for name, value in state(model).items()}
    for t in range(60):
        change(model, t)
        ema.update(model, 0.8)
        decay = min(0.8, (1 + t) / (10 + t))
        for name, value in state(model).items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    averaged = ema.average
    assert averaged.keys() == model.state_dict().keys()
    counter = averaged.pop("1.num_batches_tracked")
    assert counter.dtype == torch.int64
    assert counter.item() == 60
    for name, value in averaged.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-5)


class Odd(nn.Module):
    """A shared module, a buffer that will be replaced, one that is not saved, and a bias that is absent."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = self.first
        self.centre = nn.Buffer(torch.zeros(3))
        self.scratch = nn.Buffer(torch.zeros(3), persistent=False)


def test_what_a_state_dict_holds_is_followed_also_where_it_is_replaced() -> None:
    model = Odd()
    ema = EMA(model)
    assert list(ema.average) == list(model.state_dict())
    model.centre = torch.ones(3)
    ema.update(model, 0.5)
    assert ema.average["centre"].tolist() == pytest.approx([0.9] * 3)
    other = Odd()
    other.centre += 2
    ema.update(other, 0.5)
    assert ema.average["centre"].tolist() == pytest.approx([2 / 11 * 0.9 + 9 / 11 * 2] * 3)
    with ema.applied(other):
        assert same(state(other), ema.average)


def test_following_leaves_the_model_alone() -> None:
    model = network()
    ema = EMA(model)
    change(model, 1)
    before = state(model)
    ema.update(model, 0.9)
    assert same(state(model), before)
    assert not any(value.requires_grad for value in ema.average.values())


@pytest.mark.parametrize("fails", [False, True])
def test_applied_swaps_in_and_restores_bit_by_bit(fails: bool) -> None:
    model = network()
    ema = EMA(model)
    change(model, 1)
    ema.update(model, 0.9)
    own, averaged = state(model), {n: v.clone() for n, v in ema.average.items()}
    pointers = [p.data_ptr() for p in model.parameters()]
    try:
        with ema.applied(model):
            assert same(state(model), averaged)
            model.train()(torch.randn(8, 3))  # must change neither the average nor what comes back
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert same(state(model), own)
    assert same(ema.average, averaged)
    assert [p.data_ptr() for p in model.parameters()] == pointers


def test_tied_weights_stay_tied() -> None:
    model = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    model[1].weight = model[0].weight
    ema = EMA(model)
    with torch.no_grad():
        model[0].weight.add_(1.0)
    ema.update(model, 0.9)
    own = state(model)
    with ema.applied(model):
        assert model[1].weight is model[0].weight
        assert torch.equal(model[0].weight, ema.average["1.weight"])
        assert not torch.equal(model[0].weight, own["0.weight"])
    assert same(state(model), own)


def test_resuming_equals_never_stopping() -> None:
    whole, model = network(), network()
    ema, first = EMA(whole), EMA(model)
    for t in range(6):
        change(whole, t)
        ema.update(whole, 0.999)
    for t in range(3):
        change(model, t)
        first.update(model, 0.999)
    file = io.BytesIO()
    torch.save([model.state_dict(), first.state_dict()], file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    other = network(seed=9)
    second = EMA(other)
    other.load_state_dict(loaded[0])
    second.load_state_dict(loaded[1])
    for t in range(3, 6):
        change(other, t)
        second.update(other, 0.999)
    assert same(second.average, ema.average)
    assert second.state_dict()["updates"] == 6


def test_the_average_of_another_model_is_refused() -> None:
    with pytest.raises(FerError, match="another model"):
        EMA(network()).load_state_dict(EMA(network(width=5)).state_dict())
    with pytest.raises(FerError, match="another model"):
        EMA(network()).load_state_dict(EMA(network()[:2]).state_dict())


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_a_wrong_decay_is_explained(decay: float) -> None:
    model = network()
    with pytest.raises(FerError, match=r"train\.ema"):
        EMA(model).update(model, decay)
