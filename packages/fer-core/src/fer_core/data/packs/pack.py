"""What reads the images of a dataset by row."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Height, width and one or three channels."""


class Pack(ABC):
    """Images of a dataset by row number of its table."""

    @property
    @abstractmethod
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image in pixels, [N, 2]."""

    @property
    @abstractmethod
    def uniform(self) -> bool:
        """Whether all images are known to have the same height, width and number of channels."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def images(self, rows: NDArray[np.int64]) -> Image | list[Image]:
        """Pixels of `rows`, RGB or grey: uint8 [n, H, W, C] if `uniform`, else a list of n arrays [H, W, C]."""
