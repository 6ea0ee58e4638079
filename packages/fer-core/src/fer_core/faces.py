"""Faces in photographs: where one is, and how it is cut out. Importing it loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer_core.records import Record

MAX_SIDE = 4096
"""Largest side of an input or of a cut face, in pixels."""


class Alignment(Record):
    """How faces were, or are to be, cut out of photographs.

    Attributes:
        kind: `none`: whole images, nothing is cut. `box`: the square around the centre of the face's box, its side
            the longer side of the box enlarged by `margin`. `points`: what the similarity transform (rotation,
            uniform scale, shift) shows that takes five points of the face as near as possible to a template.
        template: Name of the template, for `points`.
        margin: Share of the longer side by which a `box` is larger: 0.3 makes a square of 1.3 times that side.
        size: Height and width of the face that is cut, in pixels; null: as the photograph has it (`none`, `box`).
    """

    kind: Literal["none", "box", "points"]
    template: Annotated[str, Field(min_length=1)] | None = None
    margin: float = Field(0.0, ge=-0.5, le=4)
    size: int | None = Field(None, ge=1, le=MAX_SIDE)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "points" and (self.template is None or self.size is None):
            raise ValueError("a template and a size, since kind is points")
        if self.kind != "points" and self.template is not None:
            raise ValueError("no template, since kind is not points")
        if self.kind != "box" and self.margin:
            raise ValueError("no margin, since kind is not box")
        if self.kind == "none" and self.size is not None:
            raise ValueError("no size, since kind is none")
        return self
