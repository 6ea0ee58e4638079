"""Reading a pickle of others: opcodes build plain values, and calls make descriptions or nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fer_core.weights.upstream.rebuild import call, put, storage_dtype
from fer_core.weights.upstream.unpickle import UNKNOWN, Bounded, unpickle
from fer_core.weights.upstream.values import DType, Global, Inert, Storage

SIX = np.arange(6, dtype=np.float32)


def stored() -> Storage:
    return Storage(torch.float32, 24, lambda: bytearray(SIX.tobytes()))


def test_storages_are_known_by_module_and_name() -> None:
    for module in ("torch", "torch.cuda", "torch.storage"):
        assert storage_dtype(Global(module, "HalfStorage")) == torch.float16
    with pytest.raises(ValueError, match=r"^it refers to an object outside the file$"):
        storage_dtype(Global("other", "HalfStorage"))
    with pytest.raises(ValueError, match=r"^it refers to an object outside the file$"):
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
        with pytest.raises(ValueError, match=r"^it calls something that is not a function$"):
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


SHAPE = (0, (2, 3), (3, 1), False, None)
TYPE = "a tensor of a type that is not supported"


def global_of(path: str) -> Global:
    module, _, name = path.rpartition(".")
    return Global(module, name)


def made(path: str, *arguments: object) -> object:
    return call(global_of(path), arguments)


def test_every_way_in_which_torch_pickles_a_tensor_gives_its_numbers() -> None:
    numbers = SIX.reshape(2, 3).tolist()
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        assert made(f"torch._utils.{name}", stored(), *SHAPE).tensor().tolist() == numbers
    halves = made(
        "torch._utils._rebuild_tensor_v3", stored(), 2, (1, 2), (2, 1), False, None, global_of("torch.int16")
    )
    assert halves.tensor().tolist() == [SIX.view(np.int16)[2:4].tolist()]
    claimed = made("torch._utils._rebuild_tensor_v2", stored(), *SHAPE)
    assert made("torch._utils._rebuild_parameter", claimed, True, {}) is claimed
    typed = made(
        "torch._tensor._rebuild_from_type_v2",
        global_of("torch._utils._rebuild_tensor_v2"),
        global_of("torch.nn.Buffer"),
        (stored(), *SHAPE),
        {},
    )
    assert typed.tensor().tolist() == numbers


@pytest.mark.parametrize(
    ("path", "arguments", "says"),
    [
        ("torch._utils._rebuild_tensor_v2", (3, *SHAPE), "a tensor without a storage"),
        (
            "torch._utils._rebuild_tensor_v3",
            (3, *SHAPE, global_of("torch.int16")),
            TYPE,
        ),
        (
            "torch._utils._rebuild_tensor_v3",
            (stored(), *SHAPE, "int16"),
            TYPE,
        ),
        (
            "torch._utils._rebuild_tensor_v3",
            (stored(), *SHAPE, global_of("torch.qint8")),
            TYPE,
        ),
        (
            "torch.storage._load_from_bytes",
            (b"x",),
            "its tensors were pickled one by one: read it with torch and write it with torch.save",
        ),
        ("_codecs.encode", ("a", "utf-8"), "bytes in an encoding other than latin1"),
        ("copyreg._reconstructor", ("a", None, None), "it builds an object of something that is not a class"),
        ("numpy.dtype", (3,), "an array of a type that is not supported"),
        ("numpy.core.multiarray.scalar", ("f4", bytes(4)), "a number of a type that is not supported"),
        ("numpy.core.multiarray.scalar", (DType("f4"), [1]), "a number of a type that is not supported"),
        ("numpy.core.multiarray.scalar", (DType("f4"), bytes(5)), "a number is not as long as its type"),
    ],
)
def test_a_call_with_other_arguments_is_refused(path, arguments, says) -> None:
    with pytest.raises(ValueError, match=f"^{says}$"):
        made(path, *arguments)


@pytest.mark.parametrize(
    ("path", "arguments", "expected"),
    [
        ("collections.OrderedDict", (), {}),
        ("collections.OrderedDict", ([["a", 1], ["b", 2]],), {"a": 1, "b": 2}),
        ("builtins.dict", ({"a": 1, (1, 2): 2},), {"a": 1}),
        ("collections.defaultdict", (None,), {}),
        ("builtins.list", (), []),
        ("builtins.set", ([1, 2],), [1, 2]),
        ("__builtin__.frozenset", ((1, 2),), [1, 2]),
        ("builtins.tuple", ([1, 2],), (1, 2)),
        ("torch.Size", ([1, 2],), (1, 2)),
        ("torch.device", ("cuda", 1), "cuda:1"),
        ("torch.device", ("cpu", None), "cpu"),
        ("_codecs.encode", ("caf\xe9",), b"caf\xe9"),
        ("_codecs.encode", ("caf\xe9", "latin-1"), b"caf\xe9"),
        ("numpy._core.multiarray.scalar", (DType("i2", ">"), b"\x01\x02"), 258),
        ("numpy.core.multiarray.scalar", (DType("i2", "<"), "\x01\x02"), 513),
    ],
)
def test_plain_values_are_made_of_calls(path, arguments, expected) -> None:
    assert made(path, *arguments) == expected


@pytest.mark.parametrize(
    ("code", "found"), [("f4", ("f4", "=")), ("<f4", ("f4", "<")), (">i8", ("i8", ">")), ("|u1", ("u1", "="))]
)
def test_a_numpy_type_has_a_code_and_an_order_of_bytes(code, found) -> None:
    kind = made("numpy.dtype", code, False, True)
    assert (kind.code, kind.order) == found


def test_arrays_are_made_empty_or_of_a_buffer() -> None:
    empty = made("numpy.core.multiarray._reconstruct", None, (0,), b"b")
    assert empty.tensor().shape == (0,)
    content = np.arange(6, dtype="<i2").tobytes()
    for order, expected in (("C", [[0, 1, 2], [3, 4, 5]]), ("F", [[0, 2, 4], [1, 3, 5]])):
        array = made("numpy._core.numeric._frombuffer", content, DType("i2", "<"), (2, 3), order)
        assert array.tensor().tolist() == expected
    assert made("numpy.core.numeric._frombuffer", content, DType("i2", "<"), (6,)).tensor().tolist() == [*range(6)]


def test_objects_of_classes_are_inert() -> None:
    built = made("copyreg._reconstructor", global_of("mine.Settings"), None, None)
    assert isinstance(built, Inert)
    assert str(built.kind) == "mine.Settings"
