"""Parts of networks and losses shared by several families."""

from __future__ import annotations

from fer_core.nn.fold import fold_batch_norm
from fer_core.nn.frozen import Frozen
from fer_core.nn.precision import at_least_float32, no_autocast
from fer_core.nn.resnet import ResidualBlock, resnet18

__all__ = ["Frozen", "ResidualBlock", "at_least_float32", "fold_batch_norm", "no_autocast", "resnet18"]
