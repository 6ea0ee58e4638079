"""Token orders of the attention windows on a square grid of tokens.

Between two blocks the tokens are in window order, the windows row by row and the tokens of a window row by row.
Everything except attention and merging acts on each token separately, so no block has to restore the row-major
order: one gather leads from the windows of a block to those of the next.
"""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 7
"""Side of an attention window in tokens."""
SHIFT = 3
"""By how many tokens every second block moves its windows, along both axes."""
TOKENS = WINDOW * WINDOW
MASKED = -100.0
"""Added to the scores of tokens that share a window only because of the cyclic shift."""


def split_windows(grid: Tensor) -> Tensor:
    """Values of a grid [S, S] in window order [S * S]."""
    number = grid.shape[0] // WINDOW
    return grid.view(number, WINDOW, number, WINDOW).transpose(1, 2).reshape(-1)


def window_order(side: int, shift: int) -> Tensor:
    """Row-major token numbers [S * S] in window order, the grid being rolled by -`shift` on both axes before."""
    grid = torch.arange(side * side).view(side, side)
    return split_windows(grid.roll((-shift, -shift), (0, 1)))


def transition(before: Tensor, after: Tensor) -> Tensor:
    """Indices that gather tokens from the order `before` into the order `after` (any shape)."""
    return before.argsort()[after]


def merge_order(side: int) -> Tensor:
    """Row-major token numbers [S/2 * S/2, 4] that merge into each token of the halved grid, in window order.

    The four are those of even row and column, odd row, odd column, and both odd.
    """
    half = side // 2
    grid = torch.arange(side * side).view(half, 2, half, 2)
    corners = [grid[:, row, :, column] for column in (0, 1) for row in (0, 1)]
    return torch.stack([split_windows(corner) for corner in corners], dim=1)


def shift_mask(side: int) -> Tensor:
    """Mask of the shifted windows' scores: 0 within a region, -100 across [windows, 49, 49]."""
    position = torch.arange(side)
    band = (position >= side - WINDOW).long() + (position >= side - SHIFT).long()
    region = split_windows(3 * band[:, None] + band).view(-1, TOKENS)
    return torch.where(region[:, :, None] == region[:, None, :], 0.0, MASKED)


def relative_position_index() -> Tensor:
    """Row of the bias table for each query and key of a window [49, 49], by their offset in rows and columns."""
    cells = torch.arange(TOKENS)
    rows, columns = cells // WINDOW, cells % WINDOW
    reach = WINDOW - 1
    vertical, horizontal = rows[:, None] - rows, columns[:, None] - columns
    return (vertical + reach) * (2 * WINDOW - 1) + horizontal + reach
