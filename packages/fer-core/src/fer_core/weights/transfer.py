"""Trained weights as the start of another training: what comes over, and which heads begin anew."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from fer_core.components import Options, build
from fer_core.errors import FerError, listed
from fer_core.files import sha256
from fer_core.nn.meta import without_content
from fer_core.provenance import Start
from fer_core.types import TaskInfo
from fer_core.weights.checkpoint import load_weights
from fer_core.weights.state import check_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

logger = logging.getLogger(__name__)
LABEL = ""
"""The head of the label, beside those of extra targets, which have names."""
ONE_MORE = "one more class"
SHOWN = 6


@dataclass(frozen=True)
class Transfer:
    """What a model starts from, and the names of its tensors that come from trained weights."""

    start: Start
    carried: tuple[str, ...]


@dataclass(frozen=True)
class _Family:
    """A model with its options, of which only names and shapes are asked for."""

    name: str
    options: Options

    def state(self, info: TaskInfo) -> Mapping[str, Tensor]:
        """A state dict without content, where the model can be built so."""
        with torch.random.fork_rng(devices=[]):
            try:
                with without_content():
                    return self._state(info)
            except FerError:
                raise
            except Exception:  # not every model can be built without content
                return self._state(info)

    def _state(self, info: TaskInfo) -> Mapping[str, Tensor]:
        model: nn.Module = build("models", self.name, self.options, info)
        return model.state_dict()

    def heads(self, info: TaskInfo) -> dict[str, str]:
        """Names of the tensors that depend on the classes or on a target, each with its head."""
        own, grown = self.state(info), self.state(_one_more(info, LABEL))
        found = {key: LABEL for key in own if _shape(own, key) != _shape(grown, key)}
        for target in info.targets:
            others = {name: classes for name, classes in info.targets.items() if name != target}
            without = self.state(replace(info, targets=others))
            found |= {key: target for key in own if _shape(own, key) != _shape(without, key)}
        return found


def carry_over(model: nn.Module, name: str, options: Options, info: TaskInfo, path: Path) -> Transfer:
    """Fill `model` from a weight file of the same architecture, and log what comes over and what begins anew.

    A head comes over where its classes are the same. Where all of them are among those of the weights, its rows
    are taken by the names of the classes. Otherwise it keeps its initial values.

    Args:
        model: Changed in place.
        name: Its registered name.
        options: Those that it was built with.
        info: What it was built for.
        path: The weights.

    Raises:
        FerError: The file is damaged, or of another architecture.
    """
    state, header = load_weights(path)
    what = f"{path} does not fit model {name}"
    before = TaskInfo(header.classes, input_size=header.preprocessing.input_size, targets=header.targets)
    theirs, ours = _Family(header.model_name, header.model.options), _Family(name, options)
    check_state(state, theirs.state(before), what)
    own, heads, their_heads = model.state_dict(), ours.heads(info), theirs.heads(before)
    unused = [key for key in their_heads if key not in own]
    body = {key: tensor for key, tensor in own.items() if key not in heads}
    check_state({key: state[key] for key in state if key not in (*heads, *unused)}, body, what)
    found = {key: state[key] for key in body}
    by_name = []
    for key, head in heads.items():
        were = header.targets.get(head) if head else header.classes
        are = info.targets[head] if head else info.classes
        if were == are and key in state and state[key].shape == own[key].shape:
            found[key] = state[key]
        elif were and are and key in state and set(are) <= set(were):
            grown = ours.state(_one_more(info, head))
            rows = _rows(state[key], own[key], _shape(grown, key), [were.index(each) for each in are])
            if rows is not None:
                found[key] = rows
                by_name.append(key)
    with torch.no_grad():
        for key, tensor in found.items():
            own[key].copy_(tensor)
    anew = [key for key in own if key not in found]
    parts = (("by the names of the classes", by_name), ("anew", anew), ("not used", unused))
    details = "".join(f"; {words}: {listed(keys, SHOWN)}" for words, keys in parts if keys)
    logger.info(f"start    {len(found)} of {len(own)} tensors from {path}{details}")
    origin = f" of {header.dataset.name}" if header.dataset else ""
    description = f"trained weights{origin} for {len(found)} of {len(own)} tensors{details}"
    return Transfer(Start(description=description, weights_sha256=sha256(path)), tuple(found))


def _one_more(info: TaskInfo, head: str) -> TaskInfo:
    """The task with one more class of a head."""
    if head == LABEL:
        return replace(info, classes=(*info.classes, ONE_MORE), class_counts=())
    return replace(info, targets={**info.targets, head: (*info.targets[head], ONE_MORE)})


def _shape(state: Mapping[str, Tensor], key: str) -> torch.Size | None:
    return state[key].shape if key in state else None


def _rows(theirs: Tensor, own: Tensor, grown: torch.Size | None, order: list[int]) -> Tensor | None:
    """The values of the model's classes; None where what depends on them is not one row for each.

    Args:
        theirs: Of the weights.
        own: Of the model.
        grown: Shape that `own` has with one more class.
        order: For each class of the model, its number in the weights.
    """
    if grown is None or not len(grown) == own.dim() == theirs.dim():
        return None
    for dimension, size in enumerate(grown):
        if size == own.shape[dimension]:
            continue
        if not size == own.shape[dimension] + 1 == len(order) + 1 or max(order) >= theirs.shape[dimension]:
            return None
        theirs = theirs.index_select(dimension, torch.tensor(order))
    return theirs if theirs.shape == own.shape else None
