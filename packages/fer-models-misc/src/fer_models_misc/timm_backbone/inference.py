"""The inference form of timm's networks: batch normalisations fused into the convolutions before them."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from fer_core.plugin import FerError, fold_batch_norm
from torch import nn

from fer_models_misc.timm_backbone.network import TimmClassifier


def inference(model: nn.Module) -> nn.Module:
    """A copy in eval mode, reparameterised by timm where it can, with fused batch normalisations.

    A network that `torch.fx` cannot trace keeps its batch normalisations; most of these have none.
    """
    if not isinstance(model, TimmClassifier):
        raise FerError(f"this is a {type(model).__name__}, no network of timm: make it by create_model('timm')")
    from timm.utils.model import reparameterize_model

    network = reparameterize_model(copy.deepcopy(model.network).eval())
    for convolution, norm in _pairs(network):
        layer, after = network.get_submodule(convolution), network.get_submodule(norm)
        assert isinstance(layer, nn.Conv2d)
        assert isinstance(after, nn.BatchNorm2d)
        network.set_submodule(convolution, fold_batch_norm(layer, after))
        network.set_submodule(norm, _what_remains(after))
    return TimmClassifier(network).to(memory_format=torch.channels_last).requires_grad_(False).eval()


class _Tracer(torch.fx.Tracer):
    """Treats timm's batch normalisation, which contains the activation, as a leaf."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.BatchNorm2d) or super().is_leaf_module(module, name)


def _pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of each convolution whose only consumer is a batch normalisation, and of the latter."""
    try:
        nodes = list(_Tracer().trace(network).nodes)
    except Exception:  # tracing runs the network's own code, whose branches may depend on values
        return []
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    pairs = []
    for node in nodes:
        source: Any = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(source, torch.fx.Node) or source.op != "call_module":
            continue
        layer, norm = network.get_submodule(str(source.target)), network.get_submodule(str(node.target))
        once = calls[source.target] == calls[node.target] == len(source.users) == 1
        # Only modules that compute as nn.Conv2d does: some of timm's standardise their weights.
        if once and type(layer) is nn.Conv2d and isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
            pairs.append((str(source.target), str(node.target)))
    return pairs


def _what_remains(norm: nn.BatchNorm2d) -> nn.Module:
    """Dropout and activation of timm's BatchNormAct2d; the identity for a plain batch normalisation."""
    return nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))
