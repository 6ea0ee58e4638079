"""`last.state.pt`: what a run needs to be resumed on the machine that made it.

The file is torch's, read without executing anything. One of its entries is the envelope, a record in JSON: it
holds everything but tensors, and says which tensors and values belong to the others.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import torch
from pydantic import Field, JsonValue, model_validator
from torch import Tensor

from fer_core.config import edits, parse_config
from fer_core.errors import FerError
from fer_core.faces import Alignment
from fer_core.files import write_atomically
from fer_core.metrics import MetricsRow
from fer_core.provenance import Extension, Start
from fer_core.records import Count, Name, Record, Sha256, Text, found, misfit
from fer_core.runs.folder import STATE
from fer_core.runs.records import Best
from fer_core.types import StateDict

if TYPE_CHECKING:
    from fer_core.config import Config

ADVICE = "the run cannot be resumed, start it again"
ENVELOPE = "envelope"
MAX_DEPTH = 16
MAX_ENTRIES = 1_000_000


class DataIdentity(Record):
    """The training dataset, digests of its split, extra and soft targets, and the alignment of its faces."""

    fingerprint: Sha256
    split: Sha256
    targets: Sha256 | None = None
    soft_targets: Sha256 | None = None
    alignment: Alignment | None = None


class Identity(Record):
    """What must be equal for a bit-identical resume.

    Attributes:
        config: The configuration that the run began with, in YAML.
        config_sha256: Its hash.
        data: What is trained on.
        versions: Of the distributions that equal bytes depend on, at the run's beginning.
    """

    config: str
    config_sha256: Sha256
    data: DataIdentity
    versions: dict[Name, Text]

    def check_config(self, path: Path, config: Config) -> None:
        """Raise FerError, which names every edited key, where `config` of the file `path` is not the run's own."""
        if changed := edits(parse_config(self.config, f"{path.parent / STATE}, identity.config"), config):
            raise FerError(
                f"{path} was edited after the run began ({'; '.join(changed)}): undo that, or start a new run; "
                "fer-run train --extend RUN --epochs N trains longer"
            )

    def check_data(self, now: DataIdentity) -> None:
        """Raise FerError if the data are not those that the run began with."""
        if now != self.data:
            raise FerError(
                "the data or their split are not those that this run began with: restore them, or start a new run"
            )

    def changed_versions(self, now: Mapping[str, str]) -> list[tuple[str, str, str]]:
        """Name, version in the run, and version now of every distribution whose version is another one."""
        return [(name, was, now[name]) for name, was in self.versions.items() if now.get(name, was) != was]


class SavedPosition(Record):
    """Where training stands: finished epochs, batches done in the current one, optimizer steps in all."""

    epoch: Count
    batch: Count
    step: Count


class Envelope(Record):
    """Everything in a state but its tensors.

    Attributes:
        format: Of the state.
        identity: What must be equal for a bit-identical resume.
        extended: The run that this one was extended from; None where it was not.
        start: What its weights were before.
        position: Where training is.
        history: Evaluations so far.
        best: The best of them.
        stop: Why the training ends here; None where it does not.
        layout: What stands where in the other entries of the file, as `describe` gives it.
    """

    format: Literal[2]
    identity: Identity
    extended: Extension | None = None
    start: Start
    position: SavedPosition
    history: tuple[MetricsRow, ...] = ()
    best: Best | None = None
    stop: Text | None = None
    layout: dict[str, str] = Field(default={}, repr=False)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        steps = [row.step for row in self.history]
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise misfit("history", self.history, "evaluations of ascending steps")
        if steps and steps[-1] > self.position.step:
            raise misfit("position.step", self.position.step, f"at least {steps[-1]}, the last evaluation's")
        if self.best is not None and self.best.step not in steps:
            raise misfit("best.step", self.best.step, "the step of an evaluation")
        if self.stop is not None and steps[-1:] != [self.position.step]:
            raise misfit("stop", self.stop, "null, since training does not stand at an evaluation")
        return self


@dataclass(frozen=True)
class State:
    """A state of a run.

    Attributes:
        envelope: Everything but tensors.
        sums: Sums of the terms of the loss since the last evaluation, by name.
        scaler: Of fp16.
        task: Model, loss and what the trainer adds.
        optimizers: Of each optimizer.
        schedulers: Of the learning rate schedule of each.
        extra: What the trainer keeps besides.
        ema: The averaged weights; empty where there are none.
        callbacks: By the names of the callbacks.
    """

    envelope: Envelope
    sums: dict[str, Tensor]
    scaler: StateDict
    task: dict[str, Tensor]
    optimizers: list[StateDict]
    schedulers: list[StateDict]
    extra: StateDict
    ema: StateDict
    callbacks: dict[str, dict[str, JsonValue]]

    def entries(self) -> StateDict:
        """All but the envelope."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != ENVELOPE}


def save_state(path: Path, state: State) -> None:
    """Write a state. Raises FerError if it cannot be written."""
    entries = state.entries()
    try:
        layout = dict(describe(entries))
    except ValueError as error:
        raise FerError(f"cannot save {path} ({error}): keep states to tensors and plain values") from None
    envelope = state.envelope.model_copy(update={"layout": layout})
    content = {ENVELOPE: envelope.text(), **entries}
    write_atomically(path, lambda partial: torch.save(content, partial))


def read_state(path: Path) -> State:
    """Read what `save_state` wrote, executing nothing.

    Raises:
        FerError: No such file, unreadable, or something in it is not what its envelope says.
    """
    if not path.exists():
        raise FerError(
            f"{path.parent} has no {path.name}, so nothing was saved: start the run again without --resume"
        )
    content = _load(path)
    text = content.pop(ENVELOPE, None) if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise FerError(f"{path} was written by another version of fer: start the run again")
    envelope = Envelope.parse(text, str(path), ADVICE)
    _check_layout(path, content, envelope.layout)
    expected = {field.name for field in fields(State)} - {ENVELOPE}
    if content.keys() != expected:
        raise FerError(f"{path}: it holds {', '.join(content)}, expected {', '.join(sorted(expected))}: {ADVICE}")
    _check_moments(path, content["optimizers"])
    return State(envelope, **content)


def _check_moments(path: Path, optimizers: list[StateDict]) -> None:
    """Reject moments that are not finite: no training saves them, and the next step would corrupt the weights."""
    for place, optimizer in enumerate(optimizers if isinstance(optimizers, list) else ()):
        state = optimizer.get("state") if isinstance(optimizer, dict) else None
        for number, moments in state.items() if isinstance(state, dict) else ():
            for name, value in moments.items() if isinstance(moments, dict) else ():
                if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
                    raise FerError(f"{path}: optimizers.{place}.state.{number}.{name} is not finite: {ADVICE}")


def _load(path: Path) -> StateDict:
    if not path.is_file():
        raise FerError(f"{path} is not a regular file: {ADVICE}")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed")
        content: StateDict = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged archive
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FerError(f"{path} cannot be read ({reason}): {ADVICE}") from error
    return content


def _check_layout(path: Path, content: StateDict, layout: dict[str, str]) -> None:
    size = path.stat().st_size
    try:
        own = dict(describe(content, largest=size))
    except ValueError as error:
        raise FerError(f"{path}: {error}: {ADVICE}") from None
    for place in sorted(own.keys() | layout.keys()):
        is_there, expected = own.get(place, "missing"), layout.get(place, "nothing")
        if is_there != expected:
            raise FerError(f"{path}: {place} is {found(is_there)}, expected {found(expected)}: {ADVICE}")


def describe(content: StateDict, largest: int | None = None) -> Iterator[tuple[str, str]]:
    """Place and kind of every tensor and plain value: `optimizer.state.0.exp_avg`, `float32[64, 3, 7, 7]`.

    Plain values, and tensors of one number without dimensions, are given as they are.

    Args:
        content: Nested mappings and lists.
        largest: Bytes that a tensor may have.

    Raises:
        ValueError: It is nested too deeply or holds other values, too many of them, or too large a tensor.
    """
    waiting: list[tuple[str, object, int]] = [("", content, 0)]
    for _ in range(MAX_ENTRIES):
        if not waiting:
            return
        place, value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"{place[:80]} is nested too deeply")
        if isinstance(value, dict | list | tuple):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{place}.{key}" if place else str(key), inner, depth + 1) for key, inner in items]
            yield place, "mapping" if isinstance(value, dict) else "list"
        elif isinstance(value, Tensor):
            if value.layout is not torch.strided:
                raise ValueError(f"{place} is a tensor of the layout {value.layout}, which no training saves")
            if largest is not None and value.nbytes > largest:
                raise ValueError(f"{place} is a tensor that is larger than the file")
            number = f" {value.item()!r}" if value.dim() == 0 else ""
            yield place, f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}{number}"
        elif value is None or isinstance(value, bool | int | float | str):
            yield place, repr(value)
        else:
            raise ValueError(f"{place} is {type(value).__name__}, which is neither a tensor nor a plain value")
    raise ValueError(f"it holds more than {MAX_ENTRIES:,} values")
