"""A network of timm (Wightman, https://github.com/huggingface/pytorch-image-models) as a classifier of faces."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from fer_core.plugin import FerError, Output, TaskInfo, nearest, unwrap
from torch import Tensor, nn

PREFIX = "network."
"""Prefix of every key of the state dict; timm's name follows."""


class TimmClassifier(nn.Module):
    """Puts the logits of a network from `timm.create_model` into a dict."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Output:
        """Images [N, 3, H, W] to `logits` [N, C]."""
        return {"logits": self.network(images)}


def build_timm(
    info: TaskInfo,
    *,
    backbone: str = "resnet18",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
) -> TimmClassifier:
    """Build a network of timm with a new classifier for `info`.

    Args:
        info: The task. Networks of a fixed input size are made for its `input_size`.
        backbone: timm's name, with or without the tag of its weights: `resnet18`, `convnext_tiny.fb_in1k`.
        drop_rate: Dropout in front of the classifier.
        drop_path_rate: Stochastic depth: probability of dropping the last residual branch; lower for earlier ones.

    Raises:
        FerError: An unknown backbone, or an option that it does not take.
    """
    import timm

    for option, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
        if not 0 <= rate < 1:
            raise FerError(f"model.{option} is {rate}, which is not a rate: use 0 or more and less than 1")
    check_name(backbone, "model.backbone")
    # Not every network takes every option, so each is passed only if it differs from its default.
    given: dict[str, Any] = {"drop_rate": drop_rate or None, "drop_path_rate": drop_path_rate or None}
    configured = timm.get_pretrained_cfg(backbone)
    if configured is not None and configured.fixed_input_size and configured.input_size[-1] != info.input_size:
        given["img_size"] = info.input_size
    try:
        network = timm.create_model(backbone, num_classes=info.num_classes, **given)
    except TypeError as error:
        asked = ", ".join(f"{option} {value}" for option, value in given.items() if value is not None)
        raise FerError(f"timm's {backbone} does not take {asked} ({first_line(error)}): leave it out") from error
    except Exception as error:  # whatever the network itself raises
        raise FerError(f"timm cannot make {backbone} here ({first_line(error)}): choose another") from error
    return TimmClassifier(network)


def backbone(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a state dict with timm's names, which for ResNets are torchvision's, into a part of ours.

    The classifier, under any name that timm uses for it, is left out. The other keys are not checked here, since
    the state does not name its network; loading them into the model does that.

    Raises:
        FerError: The state contains only a classifier.
    """
    tensors = unwrap(state)
    classifiers = _classifiers()
    kept = {f"{PREFIX}{name}": t for name, t in tensors.items() if name.rpartition(".")[0] not in classifiers}
    if not kept:
        raise FerError(
            f"model.backbone_weights: 0 of its {len(tensors)} tensors are a backbone's: give a state dict with "
            "timm's names"
        )
    return kept


def convert(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a state dict with timm's names, which for ResNets are torchvision's, into ours.

    It does not name its network, so the keys are not checked here; loading them into the model does that.
    """
    return {f"{PREFIX}{name}": tensor for name, tensor in unwrap(state).items()}


def describe(state: Mapping[str, Tensor]) -> tuple[int | None, dict[str, Any]]:
    """The number of classes of our state dict, where its classifiers agree; it does not name its network."""
    places = {f"{PREFIX}{name}.weight" for name in _classifiers()}
    sizes = {len(tensor) for name, tensor in state.items() if name in places and tensor.dim() > 1}
    return (sizes.pop() if len(sizes) == 1 else None), {}


def check_name(name: str, key: str) -> None:
    """Reject a name that timm does not know, given as `key`. Raises FerError with the closest match."""
    import timm
    from timm.models import get_arch_pretrained_cfgs

    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if not timm.is_model(architecture):
        # The closest match of 1300 names, however distant, instead of all of them.
        near = get_close_matches(architecture, known, n=3, cutoff=0)
        raise FerError(
            f"{key} is {name}, which timm {timm.__version__} does not know: "
            f"{nearest(architecture, near)} (`timm.list_models()` names all {len(known)})"
        )
    tags = [known_tag.partition(".")[2] for known_tag in get_arch_pretrained_cfgs(architecture)]
    if tag and tag not in tags:
        raise FerError(f"{key} is {name}, but timm has no weights {tag} of {architecture}: {nearest(tag, tags)}")


def _classifiers() -> frozenset[str]:
    import timm

    configured = (timm.get_pretrained_cfg(name) for name in timm.list_models())
    return frozenset(name for one in configured if one is not None for name in _names(one.classifier))


def _names(classifier: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if classifier is None:
        return ()
    return (classifier,) if isinstance(classifier, str) else tuple(classifier)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
