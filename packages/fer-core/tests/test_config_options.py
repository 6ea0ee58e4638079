"""Options of components against the signatures of their factories."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pytest
from fer_core.config import check_options
from fer_core.errors import FerError

if TYPE_CHECKING:
    from torch import Tensor


def adam(
    params: Sequence[Tensor],
    lr: float = 1e-3,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    steps: int | None = None,
    fused: bool = False,
    mode: Literal["a", "b"] = "a",
    text: str = "",
    layers: Sequence[int] = (),
    extra: dict[str, int] | None = None,
    anything: Tensor | None = None,
    untyped=None,
) -> None: ...


class Net:
    def __init__(self, info: object, width: int, depth: int = 1) -> None: ...


class Child(Net):
    """Inherits its options."""


def open_ended(info: object, **options: Any) -> None: ...


def check(options, factory=adam, name="adam", kind="optimizer", skip=("params", "info"), origin=None):
    check_options(kind, name, factory, options, set(skip), origin)


def refusal(*args, **kwargs):
    with pytest.raises(FerError) as caught:
        check(*args, **kwargs)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 1},
        {"lr": 0.1, "betas": [0.9, 1]},
        {"betas": (0.9, 0.99)},
        {"steps": None},
        {"steps": 3, "fused": True, "mode": "b", "text": "x"},
        {"layers": [1, 2], "extra": {"a": 1}},
        {"extra": None, "anything": "no type that YAML has", "untyped": [1]},
    ],
)
def test_options_of_the_right_type_pass(options):
    check(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lrr": 1}, "optimizer.lrr: unknown option of adam, did you mean lr?"),
        ({"params": []}, "optimizer.params: set by the framework, not an option of adam: remove it"),
        ({"lr": "fast"}, "optimizer.lr is fast, which adam does not take: expected a number"),
        ({"lr": True}, "optimizer.lr is true, which adam does not take: expected a number"),
        ({"lr": None}, "optimizer.lr is null, which adam does not take: expected a number"),
        ({"steps": 1.5}, "optimizer.steps is 1.5, which adam does not take: expected a whole number or null"),
        ({"steps": True}, "optimizer.steps is true, which adam does not take: expected a whole number or null"),
        ({"fused": 1}, "optimizer.fused is 1, which adam does not take: expected true or false"),
        ({"text": 1}, "optimizer.text is 1, which adam does not take: expected text"),
        ({"mode": "c"}, "optimizer.mode is c, which adam does not take: expected a or b"),
        ({"betas": 0.9}, "optimizer.betas is 0.9, which adam does not take: expected a list of 2 values"),
        ({"betas": [0.9]}, "optimizer.betas is [0.9], which adam does not take: expected a list of 2 values"),
        ({"layers": ["x"]}, "optimizer.layers is [x], which adam does not take: expected a list"),
        ({"extra": [1]}, "optimizer.extra is [1], which adam does not take: expected a mapping or null"),
    ],
)
def test_mistakes_are_one_line(options, message):
    assert refusal(options) == message


def test_the_layer_is_named_when_it_is_known():
    origin = {"optimizer.lr": "mine.yaml", "optimizer.lrr": "-o"}
    assert "optimizer.lr is x (mine.yaml), which" in refusal({"lr": "x"}, origin=origin)
    assert refusal({"lrr": 1}, origin=origin) == "optimizer.lrr: unknown option of adam, did you mean lr? (-o)"


@pytest.mark.parametrize("factory", [Net, Child])
def test_classes_are_checked_by_their_constructor(factory):
    check({"width": 3}, factory, "net", "model")
    assert refusal({"width": "x"}, factory, "net", "model").startswith("model.width is x, which net does not take")
    assert refusal({"with": 3, "width": 1}, factory, "net", "model").endswith("did you mean width?")


def test_a_required_option_has_to_be_there():
    assert (
        refusal({}, Net, "net", "model") == "model.width: missing, net needs it: set it with -o model.width=VALUE"
    )


def test_factories_with_open_options_take_all():
    check({"whatever": 3}, open_ended, "x", "model")


def test_a_factory_without_options_says_so():
    assert refusal({"p": 1}, lambda info: None, "x", "data.sampler") == (
        "data.sampler.p: unknown option of x, it has no options: remove it"
    )


def test_partial_factories_and_compiled_ones():
    check({"lr": 1}, functools.partial(adam, fused=True))
    assert "expected a number" in refusal({"lr": "x"}, functools.partial(adam, fused=True))
    check({"anything": 1}, min)  # whose signature Python cannot tell
