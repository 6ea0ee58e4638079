"""The input contract of a model: everything between the pixels of a face and what the model reads.

Importing it loads no torch; `fer_core.data.transforms.build_pipeline` makes the transforms of a contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field

from fer_core.config.schema import TransformItem
from fer_core.faces import MAX_SIDE, Alignment
from fer_core.records import Record

if TYPE_CHECKING:
    from fer_core.config.schema import Data

_Channels = tuple[float, float, float]
_Mean = Annotated[_Channels, Field(strict=False)]
_Positive = Annotated[float, Field(gt=0)]
_Std = Annotated[tuple[_Positive, _Positive, _Positive], Field(strict=False)]


class Preprocessing(Record):
    """What a model is fed, under the names of the configuration's keys.

    A face arrives as uint8 RGB or grey. It is put into the model's order of channels, then the transforms make it
    float32 [3, input_size, input_size].

    Attributes:
        input_size: Height and width of the input in pixels.
        mean: Mean of each channel, of pixels in 0..1, in the order of `color`.
        std: Standard deviation of each channel, likewise.
        color: Order of the channels that the model reads.
        eval_transforms: Transforms of evaluated faces: names, or `{name: {options}}`.
        pipeline: Whether whole batches are transformed on the device, or images one by one.
        alignment: How the training faces were cut out of photographs; None if it was not recorded.
    """

    input_size: int = Field(ge=1, le=MAX_SIDE)
    mean: _Mean
    std: _Std
    color: Literal["rgb", "bgr"]
    eval_transforms: Annotated[tuple[TransformItem, ...], Field(strict=False, min_length=1)]
    pipeline: Literal["batched", "per-image"]
    alignment: Alignment | None = None

    @classmethod
    def from_config(cls, section: Data, alignment: Alignment | None = None) -> Preprocessing:
        """The contract that the section `data` of a configuration describes.

        Args:
            section: Of the configuration.
            alignment: That of the dataset, for a section that gives none.
        """
        return Preprocessing(
            input_size=section.input_size,
            mean=cast(_Channels, tuple(section.mean)),
            std=cast(_Channels, tuple(section.std)),
            color=section.color,
            eval_transforms=tuple(section.eval_transforms),
            pipeline=section.pipeline,
            alignment=section.alignment or alignment,
        )
