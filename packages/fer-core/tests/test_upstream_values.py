"""What a pickle of others becomes: numbers only, and never more of them than are stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fer_core.weights.upstream.rebuild import call, put, storage_dtype
from fer_core.weights.upstream.unpickle import UNKNOWN, Bounded, unpickle
from fer_core.weights.upstream.values import MAX_DIMENSIONS, Array, DType, Global, Inert, Storage, TensorClaim

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


def test_storages_are_known_by_module_and_name() -> None:
    for module in ("torch", "torch.cuda", "torch.storage"):
        assert storage_dtype(Global(module, "HalfStorage")) == torch.float16
    with pytest.raises(ValueError, match="outside the file"):
        storage_dtype(Global("other", "HalfStorage"))
    with pytest.raises(ValueError, match="outside the file"):
        storage_dtype("torch.HalfStorage")
    with pytest.raises(ValueError, match="it holds a QInt8Storage, whose numbers are not supported"):
        storage_dtype(Global("torch", "QInt8Storage"))


@pytest.mark.parametrize("key", [None, "a", 1, 0.5, b"a", True])
def test_plain_keys_are_kept(key) -> None:
    mapping: dict = {}
    put(mapping, key, 3)
    assert mapping == {key: 3}


def test_other_keys_are_left_out() -> None:
    mapping: dict = {}
    put(mapping, (1, 2), 3)
    put(mapping, Inert(Global("a", "b")), 3)
    assert mapping == {}


@pytest.mark.parametrize("module", ["os", "os.path", "posix", "subprocess", "importlib._bootstrap"])
def test_functions_of_modules_that_run_commands_are_attacks(module) -> None:
    with pytest.raises(ValueError, match=rf"it would call {module}\.anything .*, which is an attack"):
        call(Global(module, "anything"), ())


@pytest.mark.parametrize("name", ["eval", "exec", "open", "__import__"])
def test_builtins_that_run_code_are_attacks_and_others_are_inert(name) -> None:
    for module in ("builtins", "__builtin__"):
        with pytest.raises(ValueError, match="attack"):
            call(Global(module, name), ("1",))
    made = call(Global("mine", name), ("1",))
    assert isinstance(made, Inert)
    assert str(made.kind) == f"mine.{name}"


def test_only_functions_are_called() -> None:
    again = call(Inert(Global("a", "b")), ())
    assert (again.kind.module, again.kind.name) == ("a", "b")
    for function, arguments in (("print", ()), (Global("a", "b"), [1]), (None, ())):
        with pytest.raises(ValueError, match="calls something that is not a function"):
            call(function, arguments)


class Claims:
    """Bytes that note how many of them were asked for."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at, self.asked = content, 0, 0

    def tell(self) -> int:
        return self.at

    def read(self, count: int) -> bytes:
        self.asked = max(self.asked, count)
        self.at += count
        return self.content[self.at - count : self.at]

    def readline(self) -> bytes:
        return self.read(self.content.index(b"\n", self.at) + 1 - self.at)


def test_a_claimed_length_is_never_asked_for() -> None:
    file = Claims(b"\x80\x02X\xff\xff\xff\x7fabc.")
    with pytest.raises(EOFError, match="ends too early"):
        unpickle(Bounded(file, 11))
    assert file.asked <= 11
    with pytest.raises(EOFError):
        Bounded(Claims(b"abc"), 3).read(-1)
    assert Bounded(Claims(b"abc"), 3).read(3) == b"abc"
    with pytest.raises(EOFError):
        Bounded(Claims(b"abc"), 3).read(4)


def read(content: bytes) -> object:
    return unpickle(Bounded(Claims(content), len(content)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"I1\nI2\nI3\n0.", 2),  # POP takes the last
        (b"I1\n(I2\nI3\n1.", 1),  # POP_MARK takes what follows the mark
        (b"I1\n(0.", 1),  # POP takes a mark where nothing follows it
        (b"I1\n2\x86.", (1, 1)),  # DUP
        (b"I1\nI2\nI3\n\x87.", (1, 2, 3)),
        (b"(I1\nI2\nl.", [1, 2]),
        (b"(S'a'\nI1\nd.", {"a": 1}),
        (b"]I1\na.", [1]),
        (b"](I1\nI2\ne.", [1, 2]),
        (b"}S'a'\nI1\ns.", {"a": 1}),
        (b"}(S'a'\nI1\nS'b'\nI2\nu.", {"a": 1, "b": 2}),
        (b"\x8f(I1\nI2\n\x90.", [1, 2]),
        (b"(I1\nI2\n\x91.", [1, 2]),
        (b"I7\np5\n0I8\ng5\n\x86.", (8, 7)),  # PUT and GET
        (b"I7\n\x940I8\nh\x00\x86.", (8, 7)),  # MEMOIZE numbers from 0
        (b"N\x88\x89\x87.", (None, True, False)),
    ],
)
def test_opcodes_build_plain_values(content, expected) -> None:
    assert read(content) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff.", UNKNOWN),
        (b"I1\nI2\na.", "it appends to something that is not a list"),
        (b"]S'a'\nI1\ns.", "it sets an entry of something that is not a mapping"),
        (b"I1\nI2\n\x93.", "it names a class by something that is not text"),
        (b"S'a'\nI2\n\x93.", "it names a class by something that is not text"),
        (b"I1\nQ.", "it refers to an object outside the file"),
    ],
)
def test_what_weights_never_need_is_refused(content, message) -> None:
    with pytest.raises((ValueError, EOFError), match=message):
        read(content)


def test_what_stands_outside_is_asked_for_by_its_identity() -> None:
    content = b"S'key'\nQ."
    assert unpickle(Bounded(Claims(content), len(content)), lambda identity: f"<{identity}>") == "<key>"


def test_objects_of_a_class_keep_state_and_entries_and_do_nothing() -> None:
    made = read(b"c__main__\nSettings\n)\x81}S'lr'\nI1\nsbS'a'\nI2\ns.")
    assert isinstance(made, Inert)
    assert str(made.kind) == "__main__.Settings"
    assert (made.state, made.entries) == ({"lr": 1}, {"a": 2})
    slots = read(b"c__main__\nSlots\n)\x81}S'a'\nI1\ns}S'b'\nI2\ns\x86b.")
    assert slots.state == {"a": 1, "b": 2}
    old = read(b"(I1\ni__main__\nOld\n.")
    assert str(old.kind) == "__main__.Old"
    assert str(read(b"(c__main__\nOld\nI1\no.").kind) == "__main__.Old"
