"""Pieces of networks that more than one family needs."""

from __future__ import annotations

from fer_core.nn.fold import fold_batch_norm

__all__ = ["fold_batch_norm"]
