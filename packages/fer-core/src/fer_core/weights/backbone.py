"""Initial weights of a training: random, or backbone weights that the user gives."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fer_core import registry
from fer_core.errors import FerError
from fer_core.files import sha256
from fer_core.provenance import Start
from fer_core.refs import resolve
from fer_core.weights import read_upstream
from fer_core.weights.address import local_file
from fer_core.weights.checkpoint import read_part_header

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fer_core.types import ModelSpec

logger = logging.getLogger(__name__)


def check_backbones(model: str, places: Sequence[str]) -> None:
    """Reject early, before data are read, what `load_backbones` would reject. Raises FerError."""
    spec = registry.find("models", model)
    if places and spec.backbone is None:
        raise FerError(f"{spec.name} does not accept backbone weights: leave model.backbone_weights out")
    for place in places:
        _local(place)


def load_backbones(model: nn.Module, name: str, places: Sequence[str]) -> Start:
    """Fill the parts of `model` that the files of backbone weights hold, and log what stays random.

    Args:
        model: A model of the family `name`; changed in place.
        name: Its registered name.
        places: Paths or URIs, each a file that the family's `ModelSpec.backbone` knows, or one that
            `fer-run import --as backbone` wrote.

    Returns:
        What it started from, for the record of the run.

    Raises:
        FerError: A file is missing, unreadable or of another family, or two files fill the same tensors.
    """
    spec = registry.find("models", name)
    check_backbones(name, places)
    if not places:
        return Start(description=_from_random(spec))
    own, filled, counts = model.state_dict(), dict[str, str](), []
    for place in places:
        path = _local(place)
        part = read_backbone(spec, path)
        check_part(part, own, path)
        if twice := [key for key in part if key in filled]:
            raise FerError(
                f"model.backbone_weights: {path} fills {len(twice)} tensors that {filled[twice[0]]} fills too "
                f"({', '.join(twice[:3])}): give one of the two"
            )
        filled |= dict.fromkeys(part, str(path))
        counts.append(f"{len(part)} tensors from {path}")
        with torch.no_grad():
            for key, tensor in part.items():
                own[key].copy_(tensor)
    rest = f"{len(own) - len(filled)} of {len(own)} stay at their initial values"
    logger.info(f"start    {', '.join(counts)}; {rest}")
    return Start(
        description=f"backbone weights for {len(filled)} of {len(own)} tensors, the others random",
        backbone_sha256=tuple(sha256(_local(place)) for place in places),
    )


def read_backbone(spec: ModelSpec, path: Path) -> dict[str, Tensor]:
    """The part of the family's state dict that a backbone file fills.

    Raises:
        FerError: The file is unreadable, or not a backbone of this family.
    """
    header = read_part_header(path)
    if header is None:
        assert spec.backbone is not None
        converted: dict[str, Tensor] = resolve(spec.backbone)(read_upstream(path))
        return converted
    if not _reads_alike(spec, header.model):
        raise FerError(
            f"{path} holds the {header.part} of {header.model}, not of {spec.name}: give a file for this model"
        )
    return {key: value for key, value in read_upstream(path).items() if isinstance(value, torch.Tensor)}


def check_part(part: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> None:
    """Compare the tensors of a backbone with those of the model. Raises FerError that names what differs."""
    unexpected = [key for key in part if key not in own]
    shapes = [
        f"{key} {list(tensor.shape)} instead of {list(own[key].shape)}"
        for key, tensor in part.items()
        if key in own and own[key].shape != tensor.shape
    ]
    found = (("not part of the model", unexpected), ("of another shape", shapes))
    faults = [f"{len(keys)} {fault} ({', '.join(keys[:3])})" for fault, keys in found if keys]
    if not part:
        faults = ["none of the model's"]
    if faults:
        raise FerError(
            f"{path}: of {len(part)} backbone tensors {'; '.join(faults)}: give the weights of that very "
            "backbone, or the options of the model that they were made with"
        )


def _reads_alike(spec: ModelSpec, name: str) -> bool:
    """Whether the model of that name is this one, or has its backbones in common."""
    return name == spec.name or (
        name in registry.names("models") and registry.find("models", name).backbone == spec.backbone
    )


def _local(place: str) -> Path:
    path = local_file(place)
    if not path.is_file():
        raise FerError(
            f"model.backbone_weights: {path} is not a file: correct the path, or leave the option out to start "
            "from random weights"
        )
    return path


def _from_random(spec: ModelSpec) -> str:
    if not spec.pretrained:
        return "random weights"
    way = ""
    if spec.backbone is not None:
        way = f"; give -o model.backbone_weights=FILE (`fer-run info {spec.name}` says where it is)"
    logger.warning(f"{spec.name} starts from random weights, while the paper starts from {spec.pretrained}{way}")
    return f"random weights; the paper starts from {spec.pretrained}"
