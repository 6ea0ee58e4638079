"""The authors' checkpoints, in our form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from fer_core.errors import FerError
from fer_core.weights import check_state, unwrap
from torch import Tensor

from fer_models_dan.dan import DAN


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint of https://github.com/yaoing/DAN into the state dict of `DAN`.

    The names are equal already; the work is to unwrap (`model_state_dict`, `state_dict`, `module.`) and to check
    every name and shape. The number of classes is the rows of `fc.weight`, the number of heads that of the
    `cat_head*` found. The class order stays the file's own.

    Raises:
        FerError: Tensors are missing, surplus or of another shape; the first of each are named.
    """
    tensors = unwrap(state)
    heads = {match[1] for name in tensors if (match := re.match(r"cat_head(\d+)\.", name))}
    if "fc.weight" not in tensors or not heads:
        lacking = "fc.weight" if "fc.weight" not in tensors else "cat_head0"
        raise FerError(
            f"this state dict has {len(tensors)} tensors but no {lacking}, so it is no DAN: give a checkpoint of "
            "https://github.com/yaoing/DAN"
        )
    with torch.device("meta"):  # names and shapes alone
        expected = DAN(tensors["fc.weight"].shape[0], len(heads)).state_dict()
    check_state(tensors, expected, f"this state dict is no DAN with {len(heads)} heads")
    return {name: tensors[name] for name in expected}
