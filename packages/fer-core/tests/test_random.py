"""Derived random numbers: what they depend on, and that they are random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fer_core.data.random import SampleRandom, derive_seed


def test_values_are_pinned():
    # a change of these numbers changes every augmented run
    rng = SampleRandom(seed=0, epoch=0, indices=[0, 1])
    assert torch.allclose(
        rng.uniform(k=2), torch.tensor([[0.56505436, 0.67306393], [0.11692214, 0.69787356]]), atol=1e-7
    )
    assert rng.integers(1000).tolist() == [[347], [836]]
    assert derive_seed(0, 1, 2) == 568443913072839725


def test_numbers_do_not_depend_on_the_batch():
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))

    def draw(indices):
        rng = SampleRandom(7, 3, indices)
        parts = [rng.uniform(k=3), rng.integers(50, k=2), rng.normal((2, 3)).flatten(1), rng.branch().uniform()]
        return torch.cat([part.double() for part in parts], 1)

    together = draw(torch.arange(1000))
    assert torch.equal(draw(order), together[order])
    assert torch.equal(torch.cat([draw([i]) for i in (0, 5, 999)]), together[[0, 5, 999]])


def test_draws_are_counted():
    once, twice = SampleRandom(0, 0, [1, 2, 3]), SampleRandom(0, 0, [1, 2, 3])
    assert torch.equal(once.uniform(k=4), torch.cat([twice.uniform(k=3), twice.uniform()], 1))


def test_a_branch_leaves_the_parent_where_one_draw_does():
    parent, other = SampleRandom(0, 0, [1, 2, 3]), SampleRandom(0, 0, [1, 2, 3])
    branch = parent.branch()
    part = branch.select(torch.tensor([2]))
    assert torch.equal(part.uniform(k=5), branch.uniform(k=5)[[2]])
    other.uniform()
    assert torch.equal(parent.uniform(), other.uniform())


@pytest.mark.parametrize("vary", ["index", "draw", "epoch", "seed"])
def test_uniform_numbers_are_uniform_and_independent(vary):
    n = 40_000
    if vary == "index":
        numbers = SampleRandom(0, 0, np.arange(n)).uniform()[:, 0]
    elif vary == "draw":
        numbers = SampleRandom(0, 0, [0]).uniform(k=n)[0]
    elif vary == "epoch":
        numbers = torch.cat([SampleRandom(0, epoch, [0]).uniform() for epoch in range(n // 10)])[:, 0]
    else:
        numbers = torch.cat([SampleRandom(seed, 0, [0]).uniform() for seed in range(n // 10)])[:, 0]
    numbers = numbers.double()
    n = len(numbers)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    # five standard errors each
    assert abs(numbers.mean() - 0.5) < 5 * (1 / 12 / n) ** 0.5
    assert abs(numbers.var() - 1 / 12) < 5 * (1 / 180 / n) ** 0.5
    for lag in (1, 2, 3, 64, 256):
        correlation = torch.corrcoef(torch.stack([numbers[lag:], numbers[:-lag]]))[0, 1]
        assert abs(correlation) < 5 / n**0.5
    counts = torch.histc(numbers, bins=64, min=0, max=1)
    chi_squared = ((counts - n / 64) ** 2 / (n / 64)).sum()
    assert 63 - 5 * 126**0.5 < chi_squared < 63 + 5 * 126**0.5


def test_streams_of_neighbours_are_independent():
    numbers = torch.stack(
        [
            SampleRandom(seed, epoch, np.arange(5000)).uniform(k=4).flatten()
            for seed in (0, 1)
            for epoch in (0, 1, 2)
        ]
    )
    correlation = torch.corrcoef(numbers.double()) - torch.eye(6)
    assert correlation.abs().max() < 5 / numbers.shape[1] ** 0.5


def test_bits_change_with_half_probability():
    words = SampleRandom(0, 0, np.arange(20_000))._words(2)
    for difference in (words[1:] ^ words[:-1], words[:, 1] ^ words[:, 0]):
        bits = np.unpackbits(np.ascontiguousarray(difference).view(np.uint8)).reshape(-1, 64)
        assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / len(bits) ** 0.5


def test_range_of_uniform():
    numbers = SampleRandom(0, 0, np.arange(10_000)).uniform(-20, 20)
    assert -20 <= numbers.min() < -19.9
    assert 19.9 < numbers.max() <= 20
    assert numbers.dtype == torch.float32


def test_integers_are_uniform_below_each_bound():
    n = 30_000
    numbers = SampleRandom(0, 0, np.arange(n)).integers(torch.tensor([1, 3, 65]), k=3)
    assert numbers.dtype == torch.int64
    assert (numbers[:, 0] == 0).all()
    for column, high in ((1, 3), (2, 65)):
        counts = torch.bincount(numbers[:, column], minlength=high).double()
        assert len(counts) == high
        assert ((counts - n / high) ** 2 / (n / high)).sum() < high - 1 + 5 * (2 * (high - 1)) ** 0.5


def test_normal_numbers():
    numbers = SampleRandom(0, 0, np.arange(100)).normal((3, 15, 15)).double()
    assert numbers.shape == (100, 3, 15, 15)
    flat = numbers.flatten()
    n = len(flat)
    assert abs(flat.mean()) < 5 / n**0.5
    assert abs(flat.var() - 1) < 5 * (2 / n) ** 0.5
    assert abs((flat**4).mean() - 3) < 5 * (96 / n) ** 0.5
    assert abs(torch.corrcoef(torch.stack([flat[::2][: n // 2], flat[1::2][: n // 2]]))[0, 1]) < 5 / (n / 2) ** 0.5


def test_derived_seeds_differ():
    seeds = [derive_seed(a, b) for a in range(50) for b in range(50)]
    seeds += [derive_seed(a) for a in range(50)] + [derive_seed(a, 0, 0) for a in range(50)] + [derive_seed(-1, 0)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.Generator().manual_seed(max(seeds))
