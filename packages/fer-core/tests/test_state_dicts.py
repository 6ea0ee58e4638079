"""State dicts: taken out of what training scripts save, and compared with those of a model."""

from __future__ import annotations

import pytest
import torch
from fer_core.errors import FerError
from fer_core.weights.state import check_state, unwrap

STATE = {"body.weight": torch.ones(2, 3), "body.bias": torch.zeros(2), "module_scale": torch.ones(1)}


def zeros(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def rejected(state: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> str:
    with pytest.raises(FerError) as caught:
        check_state(state, expected, "a.pth")
    return str(caught.value)


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict", "model"])
def test_weights_are_found_under_the_keys_of_training_scripts(key) -> None:
    found = unwrap({"epoch": 3, key: STATE, "optimizer": {"lr": torch.ones(1)}})
    assert found.keys() == STATE.keys()
    assert all(found[name] is tensor for name, tensor in STATE.items())


def test_prefixes_of_wrappers_are_taken_off() -> None:
    for prefix in ("module.", "_orig_mod.", "module._orig_mod."):
        assert unwrap({prefix + name: value for name, value in STATE.items()}).keys() == STATE.keys()


def test_containers_within_containers_are_opened() -> None:
    assert unwrap({"model": {"state_dict": STATE}}).keys() == STATE.keys()


def test_weights_are_preferred_to_the_weights_of_a_teacher() -> None:
    assert unwrap({"model": {"teacher": torch.ones(1)}, "model_state_dict": STATE}).keys() == STATE.keys()
    assert unwrap({"model": {"teacher": torch.ones(1)}, "state_dict": STATE}).keys() == STATE.keys()


def test_a_tensor_called_model_is_a_tensor() -> None:
    assert unwrap({"model": torch.ones(1), "head": torch.ones(2)}).keys() == {"model", "head"}


def test_the_prefix_of_data_parallel_goes_once_and_only_from_the_front() -> None:
    state = {"module.body": torch.ones(1), "module.module.head": torch.ones(1), "in.module.tail": torch.ones(1)}
    assert list(unwrap(state)) == ["body", "module.head", "in.module.tail"]


def test_what_is_not_a_tensor_is_left_out() -> None:
    assert list(unwrap({"epoch": 3, "bias": torch.ones(1), "name": "resnet", "args": {"lr": 1}})) == ["bias"]


def test_equal_names_and_shapes_pass_whatever_the_order() -> None:
    check_state(dict(reversed(STATE.items())), STATE, "a.pth")


def test_every_kind_of_difference_is_counted_and_named() -> None:
    expected = zeros(a=(1,), b=(2,), c=(3, 4), d=(5,))
    assert rejected(zeros(b=(2,), c=(4, 3), d=(5,), e=(6,), f=(7,)), expected) == (
        "a.pth: of 4 tensors 1 missing (a); 2 not part of it (e, f); "
        "1 of another shape (c [4, 3] instead of [3, 4]); give a file of the same network"
    )


def test_one_kind_of_difference_is_enough() -> None:
    expected = zeros(a=(1,), b=(2,))
    assert rejected(zeros(a=(1,)), expected).startswith("a.pth: of 2 tensors 1 missing (b); give")
    assert rejected(zeros(a=(1,), b=(2,), c=(3,)), expected).startswith(
        "a.pth: of 2 tensors 1 not part of it (c);"
    )
    assert "1 of another shape (b [3] instead of [2])" in rejected(zeros(a=(1,), b=(3,)), expected)


def test_of_many_differences_three_are_named() -> None:
    expected = zeros(a=(1,), b=(1,), c=(1,), d=(1,))
    assert "4 missing (a, b, c, ...)" in rejected({}, expected)
    assert "3 missing (b, c, d);" in rejected(zeros(a=(1,)), expected)
