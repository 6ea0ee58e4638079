"""Arguments of public functions are checked against their annotations, and named in what is said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.options import checked
from pydantic import Field

if TYPE_CHECKING:
    from somewhere import Unknown  # type: ignore[import-not-found]

SHARE = Annotated[float, Field(gt=0, le=1)]


@checked
def train(
    name: str,
    folder: str | Path | None = None,
    *,
    share: SHARE = 1.0,
    steps: Sequence[int] = (),
    mode: Literal["fast", "exact"] = "fast",
    sections: Mapping[str, Any] | None = None,
    ready: bool = False,
    after: Callable[[int], None] | None = None,
    other: Unknown = None,
) -> dict[str, object]:
    """What it was called with."""
    return dict(locals())


@checked
def build(name: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """What it was called with."""
    return name, options


class Reader:
    """Has a checked constructor."""

    @checked
    def __init__(self, place: str | Path) -> None:
        self.place = place


def refusal(call: Callable[..., object], *args: object, **options: object) -> str:
    with pytest.raises(FerError) as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": 5}, "train: name is 5: expected text"),
        ({"name": None}, "train: name is null: expected text"),
        ({"folder": 5}, "train: folder is 5: expected text or a path or None"),
        ({"share": 0}, "train: share is 0: expected a number above 0 and of at most 1"),
        ({"share": float("nan")}, "train: share is .nan: expected a number above 0 and of at most 1"),
        ({"share": "half"}, "train: share is half: expected a number above 0 and of at most 1"),
        ({"steps": "12"}, "train: steps is '12': expected a list of whole numbers"),
        ({"steps": [1, 2.5]}, "train: steps is [1, 2.5]: expected a list of whole numbers"),
        ({"mode": "slow"}, "train: mode is slow: expected fast or exact"),
        ({"sections": [1]}, "train: sections is [1]: expected a mapping or None"),
        ({"ready": 1}, "train: ready is 1: expected true or false"),
        ({"name": object()}, "train: name is a object: expected text"),
        ({"shares": 1}, "train has no argument 'shares': did you mean share?"),
    ],
)
def test_what_does_not_fit_is_named_with_what_is_expected(options: dict, said: str) -> None:
    assert refusal(train, **{"name": "x", **options}) == said


@pytest.mark.parametrize(
    "options",
    [
        {"folder": "runs"},
        {"folder": Path("runs")},
        {"share": 1},
        {"steps": (1, 2)},
        {"sections": {"train": {"epochs": 3}}},
        {"after": print},
        {"other": object()},
    ],
)
def test_what_fits_reaches_the_function_as_it_was_given(options: dict) -> None:
    ((key, value),) = options.items()
    assert train("x", **options)[key] is value


def test_numbers_of_numpy_stand_for_those_of_python() -> None:
    found = train("x", share=np.float32(0.5), ready=np.bool_(True))
    assert (type(found["share"]), found["share"]) == (float, 0.5)
    assert found["ready"] is True
    assert "expected a list of whole numbers" in refusal(train, "x", steps=np.float64(1))


def test_options_of_components_pass_unchecked() -> None:
    assert build("sgd", lr="high", momentum=object)[1]["lr"] == "high"
    assert "build: name is 3" in refusal(build, 3, lr=1)


def test_a_constructor_is_called_by_the_name_of_its_class() -> None:
    assert refusal(Reader, 5) == "Reader: place is 5: expected text or a path"
    assert Reader("x").place == "x"


def test_a_wrong_call_is_a_type_error_as_ever() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'name'"):
        train()
    with pytest.raises(TypeError, match="too many positional arguments"):
        build("x", "y")


def test_documentation_and_signature_stay() -> None:
    assert train.__doc__ == "What it was called with."
    assert list(inspect.signature(train).parameters)[:3] == ["name", "folder", "share"]
