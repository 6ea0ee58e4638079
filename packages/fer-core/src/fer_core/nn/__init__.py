"""Pieces of networks that more than one family needs."""

from __future__ import annotations

from fer_core.nn.fold import fold_batch_norm
from fer_core.nn.frozen import Frozen

__all__ = ["Frozen", "fold_batch_norm"]
