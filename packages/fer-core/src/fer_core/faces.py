"""Faces in photographs: where one is (`Detection`), and how it is cut out (`Alignment`, `Template`).

Importing it loads no torch. `fer_core.data.alignment` does the geometry.

Coordinates are pixels, x to the right and y down. A box is in coordinates of the pixels' edges: the whole image is
(0, 0, width, height). Points are in coordinates of the pixels' centres, as in OpenCV: (0, 0) is the centre of the
first pixel. Left and right are those of the image, not of the person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, Self

from pydantic import Field, model_validator

from fer_core.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SIDE = 4096
"""Largest side of an input or of a cut face, in pixels."""

Point = Annotated[tuple[float, float], Field(strict=False)]
"""x and y."""
FivePoints = Annotated[tuple[Point, Point, Point, Point, Point], Field(strict=False)]
"""Left eye, right eye, tip of the nose, left corner of the mouth, right corner of the mouth; left as seen."""


class Detection(Record):
    """One face that a detector found.

    Attributes:
        box: Left, top, right and bottom edge. It may reach beyond the image.
        score: Confidence of the detector, 0..1.
        points: The five points, None where the detector has none.
    """

    box: Annotated[tuple[float, float, float, float], Field(strict=False)]
    score: float = Field(ge=0, le=1)
    points: FivePoints | None = None

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        left, top, right, bottom = self.box
        if right <= left or bottom <= top:
            raise ValueError("a box (left, top, right, bottom) with left < right and top < bottom")
        return self


class Detector(Protocol):
    """What a factory of the hook `fer_detectors` makes.

    One that has a method `to(device)`, as modules of torch do, is moved to the device of the network.
    """

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """The faces of each image, the highest score first.

        Args:
            images: uint8 RGB [H, W, 3], of any sizes; they are not changed.
        """


class Whole:
    """The detector `whole`: the image is the face."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        """A box around each image, without points."""
        sizes = [image.shape[:2] for image in images]
        return [[Detection(box=(0.0, 0.0, float(width), float(height)), score=1.0)] for height, width in sizes]


class Alignment(Record):
    """How faces were, or are to be, cut out of photographs.

    Attributes:
        kind: `none`: whole images, nothing is cut. `box`: the square around the centre of the face's box, its side
            the longer side of the box enlarged by `margin`. `points`: what the similarity transform (rotation,
            uniform scale, shift) shows that takes five points of the face as near as possible to a template.
        template: Name of the template, for `points`; see `fer-run list templates`.
        margin: Share of the longer side by which a `box` is larger: 0.3 makes a square of 1.3 times that side.
        size: Height and width of the face that is cut, in pixels; null: as the photograph has it (`none`, `box`).
    """

    kind: Literal["none", "box", "points"]
    template: Annotated[str, Field(min_length=1)] | None = None
    margin: Annotated[float, Field(gt=-1, le=9)] = 0.0
    size: Annotated[int, Field(ge=1, le=MAX_SIDE)] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "points" and (self.template is None or self.size is None):
            raise ValueError("a template and a size, since kind is points")
        if self.kind != "points" and self.template is not None:
            raise ValueError("no template, since kind is not points")
        if self.kind != "box" and self.margin:
            raise ValueError("no margin, since kind is not box")
        if self.kind == "none" and self.size is not None:
            raise ValueError("no size, since kind is 'none'")
        return self

    def cuts_like(self, other: Alignment) -> bool:
        """Whether both show the same part of a face, regardless of size."""
        mine, others = ((each.kind, each.template, each.margin) for each in (self, other))
        return mine == others

    def __str__(self) -> str:
        if self.kind == "none":
            return "whole images"
        size = "" if self.size is None else f", {self.size} x {self.size} pixels"
        return f"five points to {self.template}{size}" if self.template else f"box + {self.margin:.0%}{size}"


@dataclass(frozen=True, kw_only=True)
class Template:
    """Where the five points of a face lie in an aligned image.

    Attributes:
        poses: The points, for each pose that the template distinguishes; the one that fits a face best is used.
        size: Height and width of the image that they are given for, in pixels.
        source: Who uses it, and where it is published.
        whole_pixels: Whether the authors cut off the fractions of the points before they fit them.
    """

    poses: tuple[FivePoints, ...]
    size: int
    source: str
    whole_pixels: bool = False


ARCFACE = Template(
    poses=(((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),),
    size=112,
    source="Deng et al.: ArcFace, CVPR 2019, https://arxiv.org/abs/1801.07698; the points are those of "
    "https://github.com/deepinsight/insightface (python-package/insightface/utils/face_align.py)",
)
"""Five points of a frontal face in 112 x 112 pixels, the usual alignment of face recognition."""
