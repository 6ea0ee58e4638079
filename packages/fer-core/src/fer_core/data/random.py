"""Random numbers that are derived, never carried.

Each number is a hash of (seed, epoch, sample index, draw number). So a sample gets the same numbers in any batch,
in any order, in any worker and on any number of machines, and there is no generator state to save.

The hash is the output function of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
OOPSLA 2014, https://doi.org/10.1145/2714064.2660195), in Stafford's variant 13.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: the step between the states of one stream
_START = 0x5851F42D4C957F2D  # any constant: what the chain of parts starts from
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)

Words = NDArray[np.uint64]


def _mix(words: Words) -> Words:
    """Hash of each word, computed in place."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(_MULTIPLIERS[0])
    words ^= words >> np.uint64(27)
    words *= np.uint64(_MULTIPLIERS[1])
    words ^= words >> np.uint64(31)
    return words


def _mix_int(word: int) -> int:
    """The same hash of one word, in Python's integers, which do not warn when they wrap."""
    word = ((word ^ (word >> 30)) * _MULTIPLIERS[0]) & _MASK
    word = ((word ^ (word >> 27)) * _MULTIPLIERS[1]) & _MASK
    return word ^ (word >> 31)


def _chain(parts: Sequence[int]) -> int:
    """64-bit hash of a sequence of integers; order and number of parts matter."""
    state = _START
    for part in parts:
        state = _mix_int((state ^ _mix_int((part + _GAMMA) & _MASK)) + _GAMMA & _MASK)
    return state


def derive_seed(*parts: int) -> int:
    """A seed from integers, for example (seed, epoch, step, rank): 63 bits, the same on every platform."""
    return _chain(parts) >> 1


class SampleRandom:
    """A stream of random numbers for each of N samples, all at the same draw number.

    Args:
        seed: Seed of the run.
        epoch: 0-based epoch.
        indices: Number of each sample in its dataset, [N].
    """

    def __init__(self, seed: int, epoch: int, indices: Tensor | NDArray[np.int64] | Sequence[int]) -> None:
        if isinstance(indices, Tensor):
            indices = indices.cpu().numpy()
        words = np.asarray(indices, dtype=np.int64).astype(np.uint64)  # negative numbers wrap
        words += np.uint64(_GAMMA)
        words = _mix(words)
        words ^= np.uint64(_chain((seed, epoch)))
        words += np.uint64(_GAMMA)
        self._keys: Words = _mix(words)
        self._draw = 0

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._keys)

    def _words(self, k: int) -> Words:
        """The next k 64-bit words of every sample, [N, k]."""
        counters = np.arange(self._draw + 1, self._draw + 1 + k, dtype=np.uint64)
        counters *= np.uint64(_GAMMA)
        self._draw += k
        return _mix(self._keys[:, None] + counters)

    def uniform(self, low: float = 0.0, high: float = 1.0, k: int = 1) -> Tensor:
        """The next k numbers of every sample, uniform in [low, high): float32 [N, k], on the CPU.

        With `low` other than 0 rounding to float32 may give `high` itself.
        """
        numbers = (self._words(k) >> np.uint64(40)).astype(np.float32)  # 24 bits: all that float32 holds
        numbers *= np.float32((high - low) / (1 << 24))
        if low:
            numbers += np.float32(low)
        return torch.from_numpy(numbers)

    def integers(self, high: int | Tensor, k: int = 1) -> Tensor:
        """The next k integers of every sample, uniform in [0, high): int64 [N, k], on the CPU.

        `high` is at most 2^31; a tensor that broadcasts to [N, k] gives each number its own bound.
        """
        words = self._words(k) >> np.uint64(32)
        words *= np.uint64(high) if isinstance(high, int) else high.cpu().numpy().astype(np.uint64)
        words >>= np.uint64(32)
        return torch.from_numpy(words.astype(np.int64))

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers for every sample: float32 [N, *shape], on the CPU.

        By Box and Muller's transform, two numbers from each 64-bit word.
        """
        count = math.prod(shape)
        words = self._words((count + 1) // 2)
        # 24 bits each; the half keeps the logarithm finite, and the largest number is 5.9
        first = ((words >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * np.float32(2**-24)
        angle = ((words >> np.uint64(8)) & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(math.tau * 2**-24)
        radius = np.sqrt(-2 * np.log(first))
        pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        flat = pairs.reshape(len(self), -1)[:, :count]
        return torch.from_numpy(np.ascontiguousarray(flat)).reshape(len(self), *shape)

    def branch(self) -> SampleRandom:
        """A stream of its own that starts here, while this one moves on by one draw.

        Steps that happen for some samples only take their numbers from a branch, so what follows them does not
        depend on whether they happened.
        """
        child = object.__new__(SampleRandom)
        child._keys = self._words(1)[:, 0]
        child._draw = 0
        return child

    def views(self, count: int) -> SampleRandom:
        """A stream of its own for each of `count` views of every sample, views of one sample side by side."""
        child = object.__new__(SampleRandom)
        child._keys = self._words(count).reshape(-1)
        child._draw = 0
        return child

    def follow(self, part: SampleRandom) -> None:
        """Move on to the draw number of `part`, a selection of these streams that was drawn from."""
        self._draw = part._draw

    def select(self, rows: Tensor) -> SampleRandom:
        """The streams of these rows (int64 [n]), at the same draw number; they move on independently."""
        part = object.__new__(SampleRandom)
        part._keys = self._keys[rows.numpy()]
        part._draw = self._draw
        return part
