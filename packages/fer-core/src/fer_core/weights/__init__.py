"""Weight files: reading them, and checking names and shapes of tensors."""

from __future__ import annotations

from fer_core.weights.state import check_state, unwrap
from fer_core.weights.upstream.read import read_upstream

__all__ = ["check_state", "read_upstream", "unwrap"]
