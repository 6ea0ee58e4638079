"""Which component and distribution an object is of, and whose code raised an exception."""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from fer_core.boundary import describe
from fer_core.errors import FerError

CORE = "fer-core"


@dataclass(frozen=True)
class Maker:
    """A component, such as `loss 'focal' of fer-tinynet 0.1.0`.

    Attributes:
        noun: Its kind in the singular.
        name: Its name.
        distribution: Which installed it; empty where it is not registered.
        version: Of the distribution.
    """

    noun: str
    name: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        home = f" of {self.distribution} {self.version}" if self.distribution else ""
        return f"{self.noun} {self.name!r}{home}"

    @property
    def advice(self) -> str:
        """What to do about its faults."""
        return f"correct or update {self.distribution or self.name}"


_makers: dict[int, tuple[weakref.ref[object], Maker]] = {}


def remember(made: object, maker: Maker) -> None:
    """Keep whose object `made` is, as long as it lives. An attribute would end up in states that are saved."""
    key = id(made)
    with suppress(TypeError):  # objects with slots cannot be watched
        _makers[key] = (weakref.ref(made, lambda _: _makers.pop(key, None)), maker)


def maker_of(made: object) -> Maker | None:
    """Whose object it is; None for what no component made."""
    found = _makers.get(id(made))
    return found[1] if found is not None and found[0]() is made else None


def culprit(error: BaseException) -> Maker | None:
    """The component whose code raised an exception; None where it is the core's, or not known."""
    found: Maker | None = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        local, code = frame.f_locals, frame.f_code
        first = local.get(code.co_varnames[0]) if code.co_argcount else None  # of a method: its object
        found = maker_of(local.get("self", first)) or _calling(local.get("maker")) or found
    return None if found is None or found.distribution == CORE else found


def _calling(value: object) -> Maker | None:
    """The component that a frame of `components.build` is calling."""
    return value if isinstance(value, Maker) else None


@contextmanager
def named_in_notes() -> Iterator[None]:
    """Exceptions of a plugin's component are raised with a note that names it, for programs that call fer."""
    try:
        yield
    except FerError:  # its message is for the user
        raise
    except Exception as error:
        maker = culprit(error)
        note = f"raised by {maker}"
        if maker is not None and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


@contextmanager
def in_one_line(maker: Maker, on: str = "", also: str = "") -> Iterator[None]:
    """Exceptions of a plugin's component, but FerError, become one line that names it; those of the core pass.

    Args:
        maker: The component that is called within.
        on: What it works on.
        also: What else to do, after the advice.
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # a plugin may raise anything, and try to end the process
        if isinstance(error, FerError) or maker.distribution == CORE:
            raise
        what = f"{maker} failed{on and f' on {on}'} ({describe(error)})"
        raise FerError(f"{what}: correct the plugin{also and f'; {also}'}") from error
