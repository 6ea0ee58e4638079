"""docs/reference/transforms.md names every built-in transform and each of its options."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from fer_core.builtins import fer_transforms
from fer_core.refs import resolve

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "reference" / "transforms.md").read_text(encoding="utf-8")
ROWS = {row.split("`")[1]: row for row in re.findall(r"^\| `.*$", PAGE, flags=re.MULTILINE)}


@pytest.mark.parametrize("name", fer_transforms())
def test_every_transform_stands_on_the_page_with_its_options(name):
    row = ROWS[name]
    options = list(inspect.signature(resolve(fer_transforms()[name])).parameters)[1:]
    if "as `center_crop`" in row:
        assert options == list(inspect.signature(resolve(fer_transforms()["center_crop"])).parameters)[1:]
        return
    missing = [option for option in options if f"`{option}`" not in row]
    assert not missing
