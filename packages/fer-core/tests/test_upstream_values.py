"""What a pickle of others becomes: numbers only, and never more of them than are stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fer_core.weights.upstream.values import MAX_DIMENSIONS, Array, DType, Storage, TensorClaim

SIX = np.arange(6, dtype=np.float32)


UNEQUAL = "^a tensor's size and stride do not belong together$"
BROKEN = "^a tensor's size, stride or offset is not a whole number$"


def stored(numbers: np.ndarray = SIX, extra: bytes = b"") -> Storage:
    content = numbers.tobytes() + extra
    return Storage(torch.float32, len(content), lambda: bytearray(content))


def claim(size, stride, offset=0, storage=None) -> TensorClaim:
    return TensorClaim(storage or stored(), torch.float32, offset, size, stride)


@pytest.mark.parametrize(
    ("size", "stride", "offset", "expected"),
    [
        ((6,), (1,), 0, [0, 1, 2, 3, 4, 5]),
        ((2,), (1,), 4, [4, 5]),
        ((2, 3), (3, 1), 0, [[0, 1, 2], [3, 4, 5]]),
        ((3, 2), (1, 3), 0, [[0, 3], [1, 4], [2, 5]]),
        ((2,), (5,), 0, [0, 5]),
        ((), (), 5, 5),
        ((4,), (0,), 5, [5, 5, 5, 5]),
    ],
)
def test_a_tensor_is_a_view_of_its_storage(size, stride, offset, expected) -> None:
    assert claim(size, stride, offset).tensor().tolist() == expected


@pytest.mark.parametrize(
    ("size", "stride", "offset", "message"),
    [
        ((7,), (1,), 0, r"a tensor of shape \[7\] claims more than its 6 stored numbers"),
        ((2,), (1,), 5, "claims more than its 6"),
        ((2,), (6,), 0, "claims more than its 6"),
        ((), (), 6, "claims more than its 6"),
        ((7,), (0,), 0, "claims more than its 6"),
        ((2, 2), (1,), 0, UNEQUAL),
        (
            (1,) * (MAX_DIMENSIONS + 1),
            (1,) * (MAX_DIMENSIONS + 1),
            0,
            UNEQUAL,
        ),
        ((-1,), (1,), 0, BROKEN),
        ((1,), (-1,), 0, BROKEN),
        ((1,), (1,), -1, BROKEN),
        ((1.0,), (1,), 0, BROKEN),
        ((True,), (1,), 0, BROKEN),
    ],
)
def test_a_tensor_never_looks_beyond_its_storage(size, stride, offset, message) -> None:
    with pytest.raises(ValueError, match=message):
        claim(size, stride, offset)


def test_a_tensor_may_have_as_many_dimensions_as_are_allowed_and_no_number() -> None:
    assert claim((1,) * MAX_DIMENSIONS, (1,) * MAX_DIMENSIONS).storage.nbytes == 24
    assert claim((0, 100), (100, 1), offset=6).tensor().shape == (0, 100)
    halves = TensorClaim(stored(), torch.float16, 0, (0,), (1,))
    assert halves.tensor().dtype == torch.float16
    empty = Storage(torch.float32, 0, bytearray)
    assert empty.bytes().shape == (0,)
    assert empty.bytes().dtype == torch.uint8


def test_tensors_share_a_storage_that_is_read_once() -> None:
    reads: list[int] = []

    def read() -> bytearray:
        reads.append(1)
        return bytearray(SIX.tobytes())

    storage = Storage(torch.float32, 24, read)
    assert not reads
    one, other = (claim((6,), (1,), storage=storage).tensor() for _ in range(2))
    one[0] = 9
    assert other[0] == 9
    assert len(reads) == 1


def test_bytes_behind_the_last_whole_number_are_left_alone() -> None:
    assert claim((6,), (1,), storage=stored(extra=b"abc")).tensor().tolist() == SIX.tolist()
    with pytest.raises(ValueError, match="claims more than its 6"):
        claim((7,), (1,), storage=stored(extra=b"abc"))


@pytest.mark.parametrize(
    ("code", "order", "kind"),
    [
        ("f4", "=", "=f4"),
        ("f4", "<", "<f4"),
        ("i8", ">", ">i8"),
        ("u1", "|", "u1"),
        ("b1", "|", "bool"),
    ],
)
def test_types_of_numbers_are_numpys(code, order, kind) -> None:
    assert DType(code, order).resolve() == np.dtype(kind)


@pytest.mark.parametrize(
    ("code", "order"),
    [("O8", "="), ("U4", "<"), ("f4,f4", "="), ("f16", "="), ("f4", "!"), ("f4", ""), ("c8", "=")],
)
def test_other_types_are_no_tensors(code, order) -> None:
    with pytest.raises(ValueError, match=f"an array holds '{code}', which is not a type of number"):
        DType(code, order).resolve()


@pytest.mark.parametrize("version", [(), (1,)])
@pytest.mark.parametrize("text", [False, True])
def test_the_state_of_an_array_gives_its_numbers(version, text) -> None:
    content = np.arange(6, dtype="<i2").tobytes()
    array = Array()
    array.fill((*version, [2, 3], DType("i2", "<"), False, content.decode("latin-1") if text else content))
    assert array.tensor().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert array.tensor().dtype == torch.int16
    array.fill((*version, (2, 3), DType("i2", "<"), True, content))
    assert array.tensor().tolist() == [[0, 2, 4], [1, 3, 5]]
    assert array.tensor().is_contiguous()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (((2,), "f4", False, bytes(8)), "^an array holds objects, not numbers$"),
        (((2,), DType("f4"), False, [1.0, 2.0]), "^an array holds objects, not numbers$"),
    ],
)
def test_an_array_of_objects_is_refused(state, message) -> None:
    with pytest.raises(ValueError, match=message):
        Array().fill(state)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3,), r"an array of shape \[3\] claims more or less than its stored numbers"),
        ((1,), "claims more or less"),
        ((-2,), "^an array's shape is not a list of whole numbers$"),
        ((2.0,), "^an array's shape is not a list of whole numbers$"),
        ((2,) + (1,) * MAX_DIMENSIONS, "^an array's shape is not a list of whole numbers$"),
    ],
)
def test_the_shape_of_an_array_fits_its_bytes(shape, message) -> None:
    with pytest.raises(ValueError, match=message):
        Array(shape, DType("f4"), data=bytes(8)).tensor()


def test_an_array_may_have_as_many_dimensions_as_are_allowed(monkeypatch) -> None:
    monkeypatch.setattr("fer_core.weights.upstream.values.MAX_DIMENSIONS", 2)
    assert Array((1, 2), DType("f4"), data=bytes(8)).tensor().shape == (1, 2)
    with pytest.raises(ValueError, match="not a list of whole numbers"):
        Array((1, 1, 2), DType("f4"), data=bytes(8)).tensor()


def test_an_array_that_was_never_filled_is_empty() -> None:
    assert Array().tensor().shape == (0,)
    assert Array().tensor().dtype == torch.float32
