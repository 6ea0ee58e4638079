"""Weights that predict anywhere, and the state that lets a run go on.

Weights are safetensors with one metadata key, `fer`: sorted JSON that names everything prediction needs.
The state is for resuming on the machine that made it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fer_core.components import build
from fer_core.errors import FerError
from fer_core.files import write_atomically
from fer_core.hookspecs import HOOK_API
from fer_core.preprocessing import Preprocessing
from fer_core.types import TaskInfo

FORMAT = 1
MAX_HEADER = 1 << 20
PART = "part"
"""Header key of files that hold a part of a model only, such as its backbone."""
HEADER_KEYS = frozenset({"format", "model", "classes", "preprocessing"})
TEMPERATURE = "temperature"
"""Header key of the number that logits are divided by; absent where it is 1."""
ADVICE = "use a checkpoint that fer-run train or fer-run import wrote"

State = dict[str, Tensor]


def save_weights(path: Path, state: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write `state` with `header` (plain values) as safetensors. Raises FerError when the disk refuses."""
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}
    text = json.dumps({"format": FORMAT, "hook_api": HOOK_API, **header}, sort_keys=True, allow_nan=False)
    write_atomically(path, lambda partial: save_file(tensors, partial, metadata={"fer": text}))


def read_header(path: Path) -> dict[str, Any]:
    """The header of a weight file.

    Raises:
        FerError: No such file, not safetensors, truncated, or without our header.
    """
    _open(path)
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get("fer", "")
    return _parse_header(path, text)


def load_weights(path: Path) -> tuple[State, dict[str, Any]]:
    """State dict and header of a weight file. Raises FerError as `read_header`."""
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in sorted(file.keys())}, header


def read_part(path: Path) -> dict[str, Any] | None:
    """The header of a file that holds a part of a model; None for any other file.

    Raises:
        FerError: The header is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("fer", "")
    except (SafetensorError, OSError):
        return None
    header = _json_header(path, text) if text else {}
    return header if PART in header else None


def _open(path: Path) -> None:
    if not path.is_file():
        raise FerError(f"there is no checkpoint {path}: name a .safetensors file that fer-run train wrote")
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise FerError(
            f"{path} is not a whole safetensors file ({error}): it is truncated or of another kind; "
            "copy it again, or bring a file of the model's authors in with fer-run import"
        ) from error


def _parse_header(path: Path, text: str) -> dict[str, Any]:
    header = _json_header(path, text)
    if PART in header:
        raise FerError(
            f"{path} holds a {header[PART]} only, which cannot predict: train from it with "
            "-o model.backbone_weights=FILE"
        )
    if missing := sorted(HEADER_KEYS - header.keys()):
        raise FerError(f"{path} has a header without {', '.join(missing)}, so the file was altered: {ADVICE}")
    temperature = header.get(TEMPERATURE, 1.0)
    if type(temperature) not in (int, float) or not 0 < temperature < float("inf"):
        raise FerError(f"{path} has the temperature {temperature!r}, so the file was altered: {ADVICE}")
    preprocessing_of(header, path)
    return header


def preprocessing_of(header: Mapping[str, Any], path: Path) -> Preprocessing:
    """The input contract in the header of the weight file at `path`."""
    return Preprocessing.check(header["preprocessing"], f"{path}: header: preprocessing", ADVICE)


def _json_header(path: Path, text: str) -> dict[str, Any]:
    if not text or len(text) > MAX_HEADER:
        raise FerError(f"{path} carries no fer header, so its model and classes are unknown: {ADVICE}")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FerError(f"{path} has a header that is not JSON, so the file was altered: {ADVICE}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else None
        raise FerError(f"{path} has header format {found}, this fer reads format {FORMAT}: {ADVICE}")
    return header


def build_from_checkpoint(path: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The trained model of a weight file, in eval mode on CPU, and its header.

    Raises:
        FerError: The model is not installed, or the weights are another model's.
    """
    state, header = load_weights(path)
    name, options = header["model"]["name"], header["model"]["options"]
    info = TaskInfo(classes=tuple(header["classes"]), input_size=preprocessing_of(header, path).input_size)
    model: torch.nn.Module = build("models", name, options, info, section=f"{path}: model")
    load_state(model, state, f"{path} does not fit model {name}")
    return model.eval(), header


def load_state(model: torch.nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load `state` strictly; a FerError that begins with `what` names the first keys that differ."""
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    surplus = [key for key in state if key not in own]
    shapes = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or surplus or shapes:
        found = (("missing", missing), ("surplus", surplus), ("of another shape", shapes))
        parts = [f"{len(keys)} {word} ({', '.join(keys[:3])})" for word, keys in found if keys]
        raise FerError(f"{what}: {'; '.join(parts)}; use the weights of the same model and options")
    model.load_state_dict(dict(state))


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what a run needs to go on: tensors and plain values only."""
    write_atomically(path, lambda partial: torch.save(dict(state), partial))


def load_state_file(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, executing nothing.

    Raises:
        FerError: No such file, or unreadable.
    """
    if not path.is_file():
        raise FerError(f"{path.parent} has no {path.name}, so it was never saved: start it again without --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged archive
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FerError(f"{path} cannot be read ({reason}): the run cannot be resumed, start it again") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise FerError(f"{path} was written by another version of fer: start the run again")
    return state
