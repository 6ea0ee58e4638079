"""A photograph: the astronaut Eileen Collins, in the public domain, as scikit-image has it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def astronaut_file():
    """The file, of an installed scikit-image."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        pytest.skip("needs the photograph of an installed scikit-image")
    return Path(found.origin).parent / "data" / "astronaut.png"


@pytest.fixture(scope="session")
def astronaut(astronaut_file):
    """uint8 RGB [512, 512, 3]."""
    return np.asarray(Image.open(astronaut_file).convert("RGB"))
