from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from fer_core.components import build
from fer_core.errors import FerError
from fer_core.optim import adam, constant, cosine, exponential, sam, sgd, step
from torch import nn


def rates(
    factory: Any, units: int, *, lr: float = 0.1, total: int | None = None, per_epoch: int = 1, **options: Any
) -> Any:
    """Learning rate of each unit."""
    optimizer = sgd([nn.Parameter(torch.ones(1))], lr=lr)
    scheduler = factory(optimizer, total=total or units, per_epoch=per_epoch, **options)
    got = []
    for _ in range(units):
        got.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return got


def test_constant_keeps_the_rate() -> None:
    assert rates(constant, 4) == [0.1] * 4


def test_step_counts_epochs_whatever_the_unit() -> None:
    assert rates(step, 5, every=2, gamma=0.5) == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])
    assert rates(step, 8, every=1, gamma=0.5, per_epoch=3) == pytest.approx([0.1] * 3 + [0.05] * 3 + [0.025] * 2)
    assert rates(step, 4, every=0.5, gamma=0.5, per_epoch=4) == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_exponential_reaches_gamma_after_an_epoch_whatever_the_unit() -> None:
    assert rates(exponential, 3, gamma=0.9) == pytest.approx([0.1, 0.09, 0.081])
    by_step = rates(exponential, 9, gamma=0.9, per_epoch=4)
    assert by_step[::4] == pytest.approx([0.1, 0.09, 0.081])
    assert by_step == sorted(by_step, reverse=True)


def test_cosine_equals_torch_without_warmup() -> None:
    optimizer = sgd([nn.Parameter(torch.ones(1))], lr=0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7, eta_min=0.01)
    expected = []
    for _ in range(7):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert rates(cosine, 7, min_lr=0.01) == pytest.approx(expected)


def test_warmup_is_in_epochs_starts_above_zero_and_precedes_the_cosine() -> None:
    got = rates(cosine, 12, warmup=2, per_epoch=2)
    assert got[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert got[8] == pytest.approx(0.05)
    assert rates(cosine, 12, warmup_fraction=1 / 3, per_epoch=2) == pytest.approx(got)
    assert rates(cosine, 3, warmup=1, warmup_lr=0.0)[:2] == pytest.approx([0.0, 0.1])


def test_a_cosine_counted_from_the_start_gives_the_published_rates() -> None:
    """LNSU-Net: 60,000 steps of which 2,000 warm up, and its rates at some of them."""
    published = {0: 3.125e-8, 1000: 1.5641e-5, 2000: 3.1165e-5, 30000: 1.5781e-5, 59999: 3.125e-7}
    optimizer = adam([nn.Parameter(torch.ones(1))], lr=3.125e-5)
    scheduler = cosine(
        optimizer,
        total=60_000,
        per_epoch=31_250,
        warmup_fraction=1 / 30,
        warmup_lr=3.125e-8,
        warmup_prefix=False,
        min_lr=3.125e-7,
    )
    for done, rate in published.items():
        scheduler.last_epoch = done
        assert scheduler.get_lr() == [pytest.approx(rate, rel=1e-4)]


def test_past_the_end_the_rate_stays_low() -> None:
    assert rates(cosine, 9, total=5, min_lr=0.01)[5:] == pytest.approx([0.01] * 4)


def test_each_group_keeps_its_own_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": 0.3}, {"params": [nn.Parameter(torch.ones(1))]}]
    optimizer = sam(groups, base="sgd", lr=0.1)
    scheduler = cosine(optimizer, total=2, per_epoch=1, min_lr=0.05)
    optimizer.step(lambda: None)
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([(0.3 + 0.05) / 2, (0.1 + 0.05) / 2])


def test_the_state_is_plain() -> None:
    scheduler = cosine(sgd([nn.Parameter(torch.ones(1))], lr=0.1), total=4, per_epoch=1)
    plain = (int, float, bool, type(None), str, list)
    assert all(isinstance(value, plain) for value in scheduler.state_dict().values())
    assert scheduler.state_dict()["last_epoch"] == 0


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("step", {"every": 0}, "scheduler.every is 0, which step does not accept: expected a number above 0"),
        ("step", {"every": 0.2}, "per=step"),
        ("step", {"every": 1, "gamma": 0}, "scheduler.gamma"),
        ("exponential", {"gamma": -0.9}, "scheduler.gamma is -0.9"),
        ("exponential", {"gamma": math.nan}, "scheduler.gamma is .nan"),
        ("cosine", {"warmup": 10}, "fills all 10 epochs"),
        ("cosine", {"warmup": "2"}, "scheduler.warmup is '2'"),
        ("cosine", {"warmup": 1, "warmup_fraction": 0.1}, "keep one"),
        ("cosine", {"warmup_fraction": 1.5}, "expected a number of at least 0 and of at most 1"),
        ("cosine", {"min_lr": 0.2}, "scheduler.min_lr is 0.2, above optimizer.lr, which is 0.1: lower it"),
        ("cosine", {"warmup_lr": 0.2}, "scheduler.warmup_lr is 0.2, above optimizer.lr"),
        ("cosine", {"descent": 0}, "scheduler.descent is 0"),
    ],
)
def test_wrong_options_are_explained_in_one_line(name: str, options: dict[str, Any], said: str) -> None:
    optimizer = sgd([nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(FerError, match=re.escape(said)) as caught:
        build("schedulers", name, options, optimizer, 10, 1)
    assert "\n" not in str(caught.value)


def test_a_short_descent_is_the_wave_of_torch() -> None:
    optimizer = sgd([nn.Parameter(torch.ones(1))], lr=0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    expected = []
    for _ in range(11):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert rates(cosine, 11, descent=4) == pytest.approx(expected, abs=1e-8)
    assert rates(cosine, 22, descent=4, per_epoch=2)[::2] == pytest.approx(expected, abs=1e-8)
