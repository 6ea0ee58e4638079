"""Weight files for inference: safetensors with one metadata key, `fer`, whose JSON is a `Header`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fer_core import registry
from fer_core.components import build
from fer_core.errors import FerError, within
from fer_core.files import write_atomically
from fer_core.nn.meta import without_content
from fer_core.types import TaskInfo
from fer_core.weights.header import Header, PartHeader
from fer_core.weights.state import check_state

KEY = "fer"
"""Metadata key of the header."""
MAX_HEADER = 1 << 20
ADVICE = "use a checkpoint written by fer-run train or fer-run import"

State = dict[str, Tensor]


def save_weights(path: Path, state: Mapping[str, Tensor], header: Header | PartHeader) -> None:
    """Write `state` with `header` as safetensors. Raises FerError if it cannot be written."""
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}
    metadata = {KEY: header.line().strip()}
    write_atomically(path, lambda partial: save_file(tensors, partial, metadata=metadata))


def read_header(path: Path) -> Header:
    """The header of a weight file.

    Raises:
        FerError: No such file, not safetensors, truncated, or without a fer header.
    """
    if not path.is_file():
        raise FerError(f"there is no checkpoint {path}: give a .safetensors file written by fer-run train")
    try:
        text = _header_text(path)
    except (SafetensorError, OSError) as error:
        raise FerError(
            f"{path} is not a complete safetensors file ({error}): it is truncated or of another kind; "
            "copy it again, or convert a file of the model's authors with fer-run import"
        ) from error
    if not text or len(text) > MAX_HEADER:
        raise FerError(f"{path} carries no fer header, so its model and classes are unknown: {ADVICE}")
    if _is_part(text):
        part = PartHeader.parse(text, _where(path), ADVICE).part
        raise FerError(
            f"{path} holds a {part} only, which cannot predict: train from it with -o model.backbone_weights=FILE"
        )
    return Header.parse(text, _where(path), ADVICE)


def read_model_header(path: Path) -> Header:
    """The header of a weight file whose model is installed.

    Raises:
        FerError: As `read_header`, or there is no such model.
    """
    header = read_header(path)
    with within(_where(path)):
        registry.entry("models", header.model_name)
    return header


def load_weights(path: Path) -> tuple[State, Header]:
    """State dict and header of a weight file.

    Raises:
        FerError: As `read_header`, or a tensor is not what the header's digest says.
    """
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in sorted(file.keys())}
    for name, digest in header.digests.items():
        if name not in state or tensor_digest(state[name]) != digest:
            raise FerError(f"{path}: the tensor {name} is not the one that the header describes: copy it again")
    return state, header


def tensor_digest(tensor: Tensor) -> str:
    """sha256 of a tensor's bytes in row-major order, as hexadecimal text."""
    content: NDArray[np.uint8] = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(content.data).hexdigest()


def read_part_header(path: Path) -> PartHeader | None:
    """The header of a file that holds a part of a model; None for any other file.

    Raises:
        FerError: The header is damaged.
    """
    try:
        text = _header_text(path)
    except (SafetensorError, OSError):
        return None
    return PartHeader.parse(text, _where(path), ADVICE) if len(text) <= MAX_HEADER and _is_part(text) else None


def _header_text(path: Path) -> str:
    with safe_open(path, framework="pt") as file:
        found: str = (file.metadata() or {}).get(KEY, "")
    return found


def _is_part(text: str) -> bool:
    try:
        content = from_json(text)
    except ValueError:  # reading it as a header reports what is wrong with it
        return False
    return isinstance(content, dict) and "part" in content


def _where(path: Path) -> str:
    return f"{path}: header"


def build_from_checkpoint(path: Path) -> tuple[torch.nn.Module, Header]:
    """The trained model of a weight file, in eval mode on CPU, and its header.

    Raises:
        FerError: The model is not installed, or the weights are another model's.
    """
    state, header = load_weights(path)
    what = f"{path} does not fit model {header.model.name}"
    # Without content it takes no memory, whatever sizes the header asks for. Not every model can be built so.
    with contextlib.suppress(_BuildError), without_content():
        check_state(state, _build(path, header).state_dict(), what)
    model = _build(path, header)
    load_state(model, state, what)
    return model.eval(), header


class _BuildError(FerError):
    """A model cannot be built with the options that a header names."""


def _build(path: Path, header: Header) -> torch.nn.Module:
    where, size = _where(path), header.preprocessing.input_size
    info = TaskInfo(classes=header.classes, input_size=size, targets=header.targets)
    try:
        with within(where):
            name = header.model_name
            model: torch.nn.Module = build("models", name, header.model.options, info, section=f"{where}: model")
    except FerError:
        raise
    except Exception as error:  # a plugin's factory may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise _BuildError(f"{where}: model {name} cannot be built ({reason}): {ADVICE}") from error
    return model


def load_state(model: torch.nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load `state` strictly; a FerError that begins with `what` names the first tensors that differ."""
    check_state(state, model.state_dict(), what)
    model.load_state_dict(dict(state))
