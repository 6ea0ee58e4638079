"""Reads a pickle without running it: a stack machine of its own, in which nothing of the file is ever called.

The opcodes are those of Python's `pickletools`. A global is a name, a call goes through the short list in
`rebuild`, and everything else becomes an object that does nothing: `__reduce__`, `__setstate__` and their
like have no effect.
"""

from __future__ import annotations

import codecs
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from fer_core.weights.upstream.rebuild import call, put
from fer_core.weights.upstream.values import Array, DType, Global, Inert

Persistent = Callable[[Any], Any]
"""Turns the identity of an object stored outside the pickle into what stands for it."""


UNKNOWN = "it is neither safetensors, nor torch's format, nor a pickle of weights"


class Bounded:
    """A binary file that is never asked for more than it holds, so that a claimed length allocates nothing."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, or EOFError."""
        if count < 0 or count > self.size - self.file.tell():
            raise EOFError("it ends too early")
        return self.file.read(count)

    def readline(self) -> bytes:
        """Up to and including the next line feed."""
        return self.file.readline()


def unpickle(file: Bounded, persistent: Persistent | None = None) -> Any:
    """The next pickle of `file`, which stands behind it afterwards.

    Raises:
        ValueError, EOFError, TypeError, LookupError: The pickle is damaged, or does what weights never need.
    """
    machine = _Machine(persistent)
    while True:
        code = file.read(1).decode("latin-1")
        opcode: Any = pickletools.code2op.get(code)  # type: ignore[attr-defined]
        if opcode is None:
            raise ValueError(UNKNOWN)
        argument = None
        if opcode.name == "STRING":  # Python 2 wrote any byte here, which pickletools refuses
            argument = codecs.escape_decode(file.readline().strip()[1:-1])[0].decode("latin-1")
        elif opcode.arg is not None:
            argument = opcode.arg.reader(file)
        if opcode.name == "STOP":
            return machine.pop()
        machine.step(opcode.name, argument)


class _Machine:
    def __init__(self, persistent: Persistent | None) -> None:
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _IGNORED:
            return
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _GET:
            self.stack.append(self.memo[int(argument)])
        elif name in _PUT:
            self.memo[len(self.memo) if argument is None else int(argument)] = self.stack[-1]
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        else:
            raise ValueError(UNKNOWN)

    def pop(self) -> Any:
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def discard(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def discard_to_mark(self, _: Any) -> None:
        self.since_mark()

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def collect(self, container: Any) -> None:
        items = self.since_mark()
        if container is dict:
            made: dict[Any, Any] = {}
            _fill(made, items)
            self.stack.append(made)
        else:
            self.stack.append(container(items))

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise ValueError("it appends to something that is not a list")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict | Inert):
            raise ValueError("it sets an entry of something that is not a mapping")
        _fill(target.entries if isinstance(target, Inert) else target, items)

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def named(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Global(module, name))

    def named_on_stack(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("it names a class by something that is not text")
        self.stack.append(Global(module, name))

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.stack.append(call(function, arguments))

    def new_with_names(self, _: Any) -> None:
        self.pop()
        self.reduce(None)

    def instance(self, argument: str) -> None:
        items = self.since_mark()
        module, _, name = argument.partition(" ")
        self.stack.append(call(Global(module, name), tuple(items)))

    def object(self, _: Any) -> None:
        kind, *items = self.since_mark()
        self.stack.append(call(kind, tuple(items)))

    def build(self, _: Any) -> None:
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Array):
            target.fill(state)
        elif isinstance(target, DType) and len(state) > 1:
            target.order = str(state[1])
        elif isinstance(target, Inert):
            for part in state if isinstance(state, tuple) else (state,):
                if isinstance(part, dict):
                    target.state.update(part)

    def outside(self, _: Any) -> None:
        identity = self.pop()
        if self.persistent is None:
            raise ValueError("it refers to an object outside the file")
        self.stack.append(self.persistent(identity))

    def empty(self, kind: Callable[[], Any]) -> None:
        self.stack.append(kind())


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        put(target, key, value)


_IGNORED = frozenset(("PROTO", "FRAME"))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
# fmt: off
_LITERALS = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
))
# fmt: on
_GET = frozenset(("GET", "BINGET", "LONG_BINGET"))
_PUT = frozenset(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"))
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.discard,
    "POP_MARK": _Machine.discard_to_mark,
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "EMPTY_DICT": lambda machine, _: machine.empty(dict),
    "EMPTY_LIST": lambda machine, _: machine.empty(list),
    "EMPTY_SET": lambda machine, _: machine.empty(list),
    "TUPLE": lambda machine, _: machine.collect(tuple),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "LIST": lambda machine, _: machine.collect(list),
    "FROZENSET": lambda machine, _: machine.collect(list),
    "DICT": lambda machine, _: machine.collect(dict),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": _Machine.set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.named_on_stack,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_names,
    "INST": _Machine.instance,
    "OBJ": _Machine.object,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.outside,
}
