"""Where a network looks: Grad-CAM, and the maps that it has of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core import registry
from fer_core.diagnosis.faces import read_faces
from fer_core.diagnosis.folder import Folder, NotPossibleError
from fer_core.diagnosis.trace import find_map, run_to
from fer_core.plotting.faces import Tile, overlay, save_gallery
from fer_core.refs import resolve
from fer_core.runs.diagnosis import AttentionFigures
from fer_core.runs.predictions import label_numbers, probabilities_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from fer_core.diagnosis.faces import Faces
    from fer_core.diagnosis.trace import Site
    from fer_core.inference.network import Network

GRAD_CAM = "Grad-CAM"
NO_MAP = "this network has no spatial feature map that its whole decision passes through"
BATCH = 8
COLUMNS = 8
"""Tiles of a line, where a pair of faces with their maps needs no more."""
PLACES = (
    ("upper left", "top", "upper right"),
    ("left", "middle", "right"),
    ("lower left", "bottom", "lower right"),
)
"""Thirds of a face, by which the place of a map's maximum is named."""


def grad_cam(model: nn.Module, images: Tensor, classes: Tensor, site: Site) -> Tensor:
    """Evidence for a class by position: the channels of a map, weighted by the mean gradient of the logit.

    Selvaraju et al.: Grad-CAM, Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017,
    https://arxiv.org/abs/1610.02391.

    Args:
        model: In eval mode.
        images: [N, 3, H, W].
        classes: Whose logit, int64 [N].
        site: The map, from `find_map`.

    Returns:
        Float32 [N, h, w], 0 or more: evidence against the class is clipped.
    """
    with torch.enable_grad():
        maps, logits = run_to(model, images.detach().clone().requires_grad_(), site)
        (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), maps)
    maps, gradient = maps.detach().float(), gradient.float()
    channels, sides = (3, (1, 2)) if site.channels_last else (1, (2, 3))
    return (maps * gradient.mean(sides, keepdim=True)).sum(channels).relu()


@dataclass(frozen=True)
class Looked:
    """`pixels` uint8 [N, H, W, 3], faces as the network gets them, and `maps`: name -> [N, H, W] from 0 to 1."""

    pixels: NDArray[np.uint8]
    maps: dict[str, NDArray[np.float32]]


def look(network: Network, faces: Sequence[NDArray[np.uint8]], classes: Sequence[int]) -> Looked:
    """Grad-CAM of faces, where the network has a map for it, and its family's own maps.

    Args:
        network: What is diagnosed.
        faces: uint8 RGB [H, W, 3] or grey [H, W, 1].
        classes: For each, whose logit Grad-CAM explains.

    Raises:
        NotPossibleError: There is neither, or the evaluation cuts a face into views.
    """
    if network.pipeline.views is not None:
        raise NotPossibleError(
            "this network averages several views of a face, so there is no map of the whole face"
        )
    images = network.prepare(faces)
    spec = registry.find("models", network.header.model_name)
    own: Callable[[nn.Module, Tensor], Mapping[str, Tensor]] | None = (
        None if spec.attention is None else resolve(spec.attention)
    )
    device = network.engine.device.torch_device
    site = find_map(network.model, network.engine.place({"image": images[:2]})["image"])
    if site is None and own is None:
        raise NotPossibleError(f"{NO_MAP}, and no attention maps of its own")
    found: dict[str, list[Tensor]] = {}
    for part, labels in zip(torch.split(images, BATCH), torch.split(torch.tensor(classes), BATCH), strict=True):
        batch = network.engine.place({"image": part})["image"]
        maps = {} if site is None else {GRAD_CAM: grad_cam(network.model, batch, labels.to(device), site)}
        if own is not None:
            with torch.no_grad():
                maps |= {name: _stretch(each) for name, each in own(network.model, batch).items()}
        for name, each in maps.items():
            found.setdefault(name, []).append(_enlarge(each, part.shape[-2:]))
    joined = {name: torch.cat(parts).numpy() for name, parts in found.items()}
    pixels = network.pipeline.show(images).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return Looked(pixels.numpy(), joined)


def _stretch(maps: Tensor) -> Tensor:
    """Maps [N, h, w] less their least values: only differences between places count."""
    maps = maps.detach().float()
    return maps - maps.amin((1, 2), keepdim=True)


def _enlarge(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps [N, h, w] at the images' size, each divided by its largest value, on the CPU."""
    large = F.interpolate(maps[:, None], list(size), mode="bilinear")[:, 0].cpu()
    return large / large.amax((1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


def choose_extremes(table: pd.DataFrame, classes: Sequence[str]) -> list[int | None]:
    """The most confident right and wrong prediction of each class: places in the table, None without one.

    Args:
        table: Predictions of N faces.
        classes: In the order of the result, two entries each.
    """
    sure = probabilities_of(table, classes).max(axis=1)
    right = (table["label"] == table["predicted"]).to_numpy()
    chosen: list[int | None] = []
    for number in range(len(classes)):
        own = label_numbers(table, classes) == number
        for group in (own & right, own & ~right) if own.any() else ():
            places = np.flatnonzero(group)
            chosen.append(int(places[sure[places].argmax()]) if len(places) else None)
    return chosen


def diagnose_attention(network: Network, faces: Faces, folder: Folder) -> None:
    """The sheet `attention.png`.

    Raises:
        NotPossibleError: The network has neither a map for Grad-CAM nor maps of its own.
    """
    chosen = choose_extremes(faces.table, faces.classes)
    shown = faces.table.iloc[[place for place in chosen if place is not None]]
    classes = [faces.classes.index(name) for name in shown["predicted"]]
    looked = look(network, read_faces(faces.pack, faces.rows(shown["id"])), classes)
    sheet: list[list[Tile]] = []
    told: list[str] = []
    sure = probabilities_of(shown, faces.classes).max(axis=1)
    columns = (shown["id"], shown["label"], shown["predicted"], sure)
    for number, (face, label, predicted, confidence) in enumerate(zip(*columns, strict=True)):
        wrong = bool(label != predicted)
        words = f"{label} → {predicted}" if wrong else label
        maps = [
            Tile(overlay(looked.pixels[number], each[number]), name, "" if each[number].any() else "nothing found")
            for name, each in looked.maps.items()
        ]
        sheet.append([Tile(looked.pixels[number], words, f"{confidence:.1%}", wrong=wrong), *maps])
        peaks = ", ".join(f"{name} {_peak(each[number])}" for name, each in looked.maps.items())
        told.append(f"{face}: {words} {confidence:.1%}, {peaks}")
    names = list(looked.maps)
    description = f"{len(shown)} faces, each beside {', '.join(names)}, with the place where each map is highest. "
    path = folder.picture("attention", "Attention", description + "; ".join(told) + ".")
    width, drawn = 1 + len(names), iter(sheet)
    none = [Tile(np.full((1, 1, 3), 255, dtype=np.uint8), "")] * width
    tiles = [tile for place in chosen for tile in (none if place is None else next(drawn))]
    save_gallery(
        path,
        tiles,
        columns=2 * width * max(COLUMNS // (2 * width), 1),
        title=f"Where the network looks: {faces.dataset.name}",
        note="of each class the most confident right and wrong prediction, where there are any\n"
        "given class, or given → predicted class, and its probability; bright is much",
    )
    folder.add("attention", AttentionFigures(faces=len(shown), maps=tuple(names)), _notes(names))


def _notes(names: Sequence[str]) -> list[str]:
    own = [name for name in names if name != GRAD_CAM]
    notes = [f"No Grad-CAM: {NO_MAP}."]
    if GRAD_CAM in names:
        notes = [
            "Grad-CAM (Selvaraju et al. 2017) shows what speaks for the predicted class, each map by its own "
            "largest value; a map that is dark all over found nothing."
        ]
    if own:
        notes.append(
            f"{', '.join(own)}: the network's own maps, each from its least to its largest value. They show what "
            "is let through, for whichever class."
        )
    return notes


def _peak(heat: NDArray[np.float32]) -> str:
    """The third of the face, across and down, in which a map [H, W] is highest."""
    if not heat.any():
        return "nowhere"
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return PLACES[3 * int(row) // heat.shape[0]][3 * int(column) // heat.shape[1]]
