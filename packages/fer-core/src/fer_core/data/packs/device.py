"""Pixels of a pack on a device: a whole pack lives there if it is small beside the free memory."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from fer_core.types import Pack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fer_core.engine import Device

logger = logging.getLogger(__name__)
SHARE = 8
"""A pack may take one eighth of the device's free memory."""
CHUNK = 1 << 26
"""Bytes that are copied at once."""
_held: WeakKeyDictionary[Pack, dict[str, Tensor | None]] = WeakKeyDictionary()
"""What all loaders of a pack share: its pixels on each device, or that they do not fit there."""
_lock = Lock()


def images_on(device: Device, pack: Pack, rows: NDArray[np.int64]) -> Tensor | list[Tensor]:
    """The pixels of `rows` on the device.

    Returns:
        uint8 [N, C, H, W], channels last in memory, of a uniform pack; of others a list of uint8 [H, W, C].
    """
    whole = None if device.on_host else _whole(device, pack)
    if whole is not None:
        return whole[device.place(torch.from_numpy(rows))].permute(0, 3, 1, 2)
    images = pack.images(rows)
    if not isinstance(images, list):
        return device.place(torch.from_numpy(images)).permute(0, 3, 1, 2)
    flat = device.place(torch.from_numpy(np.concatenate([image.ravel() for image in images])))
    parts = torch.split(flat, [image.size for image in images])
    return [part.view(image.shape) for part, image in zip(parts, images, strict=True)]


def _whole(device: Device, pack: Pack) -> Tensor | None:
    """All pixels of the pack on the device, [N, H, W, C]; None where they do not fit, or are not one array."""
    with _lock:
        held = _held.setdefault(pack, {})
        if str(device) not in held:
            held[str(device)] = _copy(device, pack)
        return held[str(device)]


def _copy(device: Device, pack: Pack) -> Tensor | None:
    pixels = pack.whole()
    if pixels is None or pixels.nbytes > device.room() // SHARE:
        return None
    whole = torch.empty(pixels.shape, dtype=torch.uint8, device=device.torch_device)
    step = max(CHUNK * len(pixels) // pixels.nbytes, 1)
    for first in range(0, len(pixels), step):
        whole[first : first + step] = device.place(torch.from_numpy(np.array(pixels[first : first + step])))
    device.synchronize()  # other loaders read it in streams of their own
    logger.debug(f"pixels   {pixels.nbytes / 1e6:.0f} MB on {device}")
    return whole
