"""ResNet-18 without pooling and classifier, and the weights it can start from."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fer_core.errors import FerError
from fer_core.weights import check_state, unwrap
from torch import nn

PARTS = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""torchvision's name of each part of the sequence that has weights (2 and 3 are ReLU and max-pooling)."""


def build_backbone() -> nn.Sequential:
    """Images [N, 3, H, W] to a map [N, 512, H/32, W/32], with torchvision's random initialisation."""
    from torchvision.models import resnet18

    return nn.Sequential(*list(resnet18(weights=None).children())[:-2])


def load_backbone(backbone: nn.Module, file: str) -> None:
    """Load ResNet-18 weights with torchvision's names from `file`; the classifier `fc` is left out.

    Raises:
        FerError: The file is missing, is no state dict, or holds another network.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise FerError(
            f"model.backbone_weights: there is no file {path}; get the authors' resnet18_msceleb.pth by the link "
            "that `fer-run info dan` prints, or leave the option out to start from random weights"
        )
    state = {name: tensor for name, tensor in unwrap(_read(path)).items() if not name.startswith("fc.")}
    expected = {}
    for name, tensor in backbone.state_dict().items():
        position, _, rest = name.partition(".")
        expected[f"{PARTS[position]}.{rest}"] = tensor
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):  # absent from files older than PyTorch 0.4.1
            state.setdefault(name, torch.zeros_like(tensor))
    check_state(state, expected, f"model.backbone_weights: {path} is no ResNet-18 with torchvision's names")
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(state[name])


def _read(path: Path) -> Mapping[str, Any]:
    loaded: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise _unreadable(path, str(error).strip().partition("\n")[0]) from error
    except Exception as error:  # safetensors raises its own class, which is derived from Exception alone
        if type(error).__name__ != "SafetensorError":
            raise
        raise _unreadable(path, str(error)) from error
    if not isinstance(loaded, Mapping):
        raise _unreadable(path, f"it holds a {type(loaded).__name__}")
    return loaded


def _unreadable(path: Path, why: str) -> FerError:
    return FerError(f"model.backbone_weights: {path} holds no state dict ({why}); give a .pth or .safetensors")
