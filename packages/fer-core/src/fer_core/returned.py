"""What code of plugins returns, checked while it is used: shapes and types alone, which wait for no device."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Sized
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor, is_grad_enabled, nn

from fer_core.boundary import shown
from fer_core.errors import FerError
from fer_core.faces import Detection
from fer_core.makers import maker_of
from fer_core.types import HEAD

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.optim import Optimizer

    from fer_core.faces import Detector
    from fer_core.types import TaskInfo

CLOSE = 1e-2
"""How far logits of an inference form may be from the model's, relative to the largest: rounding stays below."""


def in_words(value: object) -> str:
    """A returned value as messages name it: by type and shape."""
    if isinstance(value, Tensor | np.ndarray):
        kind = str(value.dtype).removeprefix("torch.")
        return f"{kind} {list(value.shape)}"
    if isinstance(value, Mapping):
        keys = ", ".join(str(key) for key in value)
        return f"a mapping with the keys {keys}" if keys else "an empty mapping"
    return shown(value) if value is None or isinstance(value, bool | int | float | str) else type(value).__name__


def wrong(component: object, method: str, returned: str, expected: str) -> FerError:
    """The error for a method of a component that returned something else than it should, both in words."""
    maker = maker_of(component)
    whose = str(maker) if maker is not None else type(component).__name__
    advice = maker.advice if maker is not None else "correct it"
    return FerError(f"{whose}: {method} returned {returned}, expected {expected}: {advice}")


def check_losses(loss: object, losses: Any, size: int) -> None:
    """Raises FerError unless `losses` of a batch of `size` samples are a mapping that can be minimised."""
    expected = "a mapping with a scalar tensor 'loss' that requires grad"
    if not isinstance(losses, Mapping) or "loss" not in losses:
        raise wrong(loss, "the loss", in_words(losses), expected)
    value = losses["loss"]
    if not isinstance(value, Tensor) or value.dim() or not value.is_floating_point():
        raise wrong(loss, "the loss", f"{in_words(value)} as 'loss'", expected)
    if not value.requires_grad and is_grad_enabled():
        raise wrong(loss, "the loss", "a 'loss' without a gradient", expected)
    for name, term in losses.items():
        if not isinstance(term, Tensor):
            raise wrong(loss, "the loss", f"{in_words(term)} as {shown(name)}", "tensors, such as value.detach()")
    logits = losses.get("logits")
    if logits is not None and (logits.dim() != 2 or len(logits) != size):
        raise wrong(loss, "the loss", f"logits {list(logits.shape)}", f"[{size}, classes]")


def check_output(model: nn.Module, output: Any, size: int, info: TaskInfo | None = None) -> None:
    """Raises FerError unless an output for `size` images has `logits` float [size, classes] and heads that fit."""
    classes = info.num_classes if info else None
    logits = output.get("logits") if isinstance(output, Mapping) else None
    expected = f"a mapping with 'logits', float [{size}, {classes or 'classes'}]"
    if not isinstance(logits, Tensor):
        raise wrong(model, "forward", in_words(output), expected)
    fits = logits.dim() == 2 and len(logits) == size and classes in (None, logits.shape[1])
    if not fits or not logits.is_floating_point():
        raise wrong(model, "forward", f"logits {in_words(logits)}", expected)
    for name, head in output.items():
        if isinstance(name, str) and name.startswith(HEAD):
            known = info.targets.get(name.removeprefix(HEAD)) if info else None
            _check_head(model, name, head, size, known)


def _check_head(model: nn.Module, name: str, head: Any, size: int, classes: Sequence[str] | None) -> None:
    """Raises FerError unless a head is numbers [size], or logits for each of the classes of its target."""
    shape = [size, *([len(classes)] if classes else [])]
    fits = isinstance(head, Tensor) and head.is_floating_point() and list(head.shape[: len(shape)]) == shape
    if not fits or head.dim() > (2 if classes is None else len(shape)):
        raise wrong(model, "forward", f"{in_words(head)} as {name}", f"float {shape}")


def check_first_output(model: nn.Module, info: TaskInfo) -> None:
    """Let the first output of a model be checked by `check_output`."""

    def check(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        handle.remove()
        images = given[0] if given else None
        check_output(model, output, len(images) if isinstance(images, Sized) else 0, info)

    handle = model.register_forward_hook(check)


def check_order(sampler: object, order: Any, samples: int, size: int | None = None) -> NDArray[np.int64]:
    """The order of an epoch. Raises FerError unless it is positions in `samples`, `size` of them if known."""
    expected = f"whole numbers from 0 to {samples - 1}, [{size or 'at least 1'}]"
    if not isinstance(order, np.ndarray) or order.ndim != 1 or order.dtype.kind not in "iu" or not len(order):
        raise wrong(sampler, "order", in_words(order), expected)
    if size is not None and len(order) != size:
        raise wrong(sampler, "order", in_words(order), f"{expected}, as many as for the first epoch")
    if order.min() < 0 or order.max() >= samples:
        raise wrong(sampler, "order", f"positions from {order.min()} to {order.max()}", expected)
    return order


def check_step(optimizer: Optimizer, returned: Any) -> None:
    """Raises FerError unless a step returned what the closure did."""
    if not isinstance(returned, Mapping):
        raise wrong(optimizer, "step(closure)", in_words(returned), "what the last call of closure returned")


def check_rate(scheduler: object, rate: Any) -> None:
    """Raises FerError where a schedule has set a learning rate that is negative or not finite."""
    if isinstance(rate, int | float) and not (math.isfinite(rate) and rate >= 0):
        raise wrong(scheduler, "step", f"the learning rate {rate}", "a finite number of at least 0")


def check_batch(transform: object, images: Any, size: int) -> Tensor:
    """Images of a transform's `batch`. Raises FerError unless they are [size, 1 or 3, H, W], uint8 or float32."""
    fits = isinstance(images, Tensor) and images.dim() == 4 and len(images) == size and images.shape[1] in (1, 3)
    if not fits or str(images.dtype) not in ("torch.uint8", "torch.float32"):
        raise wrong(transform, "batch", in_words(images), f"float32 or uint8 [{size}, 3, H, W]")
    found: Tensor = images
    return found


def check_picture(transform: object, picture: Any) -> Any:
    """An image of a transform's `image`. Raises FerError unless it is a PIL image or float32 [C, H, W]."""
    fits = isinstance(picture, Tensor) and picture.dim() == 3 and str(picture.dtype) == "torch.float32"
    if not fits and not isinstance(picture, Image.Image):
        raise wrong(transform, "image", in_words(picture), "a PIL image or a tensor float32 [3, H, W]")
    return picture


def check_plain(callback: object, state: Any) -> Any:
    """The state of a callback. Raises FerError unless it is a mapping of plain values."""
    try:
        plain = isinstance(state, dict) and isinstance(json.dumps(state, allow_nan=False), str)
    except (TypeError, ValueError, RecursionError):
        plain = False
    if not plain:
        raise wrong(callback, "state_dict", shown(state), "a dict of numbers, text, lists and dicts")
    return state


def check_reason(callback: object, reason: object) -> None:
    """Raises FerError unless what a callback has set `training.stop` to is None or one line of text."""
    if reason is not None and not (isinstance(reason, str) and reason.isprintable()):
        raise wrong(callback, "on_evaluation", f"{shown(reason)} as training.stop", "a reason in one line of text")


def find_faces(detector: Detector, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
    """What a detector finds in images. Raises FerError unless it is a list of `Detection` for each of them."""
    found: Any = detector.detect(images)
    expected = f"{len(images)} lists of Detection, the highest score first"
    if not isinstance(found, list) or not all(isinstance(faces, list) for faces in found):
        raise wrong(detector, "detect", in_words(found), expected)
    if len(found) != len(images):
        raise wrong(detector, "detect", f"{len(found)} lists", expected)
    for faces in found:
        if odd := [face for face in faces if not isinstance(face, Detection)]:
            raise wrong(detector, "detect", f"{in_words(odd[0])} as a face", expected)
        if any(first.score < second.score for first, second in pairwise(faces)):
            raise wrong(detector, "detect", f"scores {[face.score for face in faces]}", expected)
    faces_of_images: list[list[Detection]] = found
    return faces_of_images


def check_form(form: nn.Module, before: Tensor, after: Any) -> None:
    """Raises FerError unless the logits of a model's inference form are those of the model before."""
    if not isinstance(after, Tensor) or after.shape != before.shape:
        raise wrong(form, "the inference form", in_words(after), f"the same logits, {in_words(before)}")
    if not before.isfinite().all():  # weights that are not finite, which whoever reads the logits refuses
        return
    off, largest = float((after - before).abs().max()), float(before.abs().max())
    if not off <= CLOSE * max(largest, 1.0):
        raise wrong(form, "the inference form", f"logits that are off by {off:.3g}", "those of the model")
