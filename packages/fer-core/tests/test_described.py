"""What `fer-run info` reads from sources is what an import would say; where it may differ, it imports."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.cli.described import describe
from fer_core.plugins import Entry, Plugin, load_plugins

INIT = """
from .deep.parts import Above as Renamed, function
from .deep import parts
"""
PARTS = '''
import functools
from typing import NamedTuple
from .. import base
from ..base import Far, Documented
from .nearby import Near
from odd_sources.base import Far as Further

STEP = 3

def function(info, /, first, second: int = 1_000, *rest: str, name: str = "it's", rate=-1e-3, **more) -> int:
    """Text.

        Indented.
    """

def many(sizes=(1, 2), empty=(), none=None, table={"a": [True, b"x"]}): ...

class Above:
    """Of Above."""
    def __init__(self, size: int, *, depth: int = 2) -> None:
        """Not this."""

class Below(Above): ...
class Named(Above):
    """Of Named."""
class Own(Far):
    def __init__(self, /, one): ...
class FromFar(Far): ...
class FromNear(Near): ...
class FromFurther(Further): ...
class Said(Documented): ...
class Bare:
    size: int = 3
    def method(self): ...

def computed(step=STEP): ...
def keyword(*, step=2 * 3): ...
class Computed(Above):
    def __init__(self, at=len("abc")): ...

def give(function):
    return functools.partial(function, 3)

@give
def decorated(given, left=1): ...
class Wrapped:
    @give
    def __init__(self, one): ...
class Silent: ...
class Mixed(Silent, Above): ...
class Row(NamedTuple):
    size: int = 1
class Made:
    def __new__(cls, size): ...
class New(Above):
    def __new__(cls, other): ...
class Meta(Above, metaclass=type): ...
class Dotted(base.Far): ...
class Failure(ValueError): ...
class Stars:
    def __init__(*all): ...
alias = function
'''
BASE = '''
class Far:
    def __init__(self, far=0.1, **more): ...
class Root:
    """Of Root."""
class Documented(Root): ...
'''


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory):
    """`odd_sources` can be imported, but has not been."""
    folder = tmp_path_factory.mktemp("sources")
    sources = {
        "__init__": INIT,
        "base": BASE,
        "deep/__init__": "",
        "deep/parts": PARTS,
        "deep/nearby": BASE.replace("Far", "Near"),
    }
    for name, text in sources.items():
        path = folder / "odd_sources" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield Path(folder)


def imported(ref: str) -> tuple[str, str]:
    name, _, attribute = ref.partition(":")
    factory = getattr(importlib.import_module(name), attribute)
    parameters = inspect.signature(factory).parameters.values()
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(inspect.Signature(bare)), inspect.getdoc(factory) or ""


@pytest.mark.parametrize(
    "name", ["function", "many", "Above", "Below", "Named", "FromFar", "FromFurther", "FromNear", "Said", "Stars"]
)
def test_functions_and_inherited_constructors_are_described_as_after_an_import(odd, name) -> None:
    ref = f"odd_sources.deep.parts:{name}"
    read = describe(ref)
    assert read is not None
    assert (read.signature, read.documentation) == imported(ref)


def test_names_are_followed_to_where_they_are_defined(odd) -> None:
    for name in ("Renamed", "function"):
        read = describe(f"odd_sources:{name}")
        assert read is not None
        assert (read.signature, read.documentation) == imported(f"odd_sources:{name}")


def test_a_class_without_a_constructor_takes_nothing(odd) -> None:
    read = describe("odd_sources.deep.parts:Bare")
    assert read is not None
    assert read.signature == imported("odd_sources.deep.parts:Bare")[0] == "()"


@pytest.mark.parametrize(
    "name",
    [
        *("computed", "keyword", "Computed", "decorated", "Wrapped", "Mixed", "Row", "New", "Meta", "Dotted"),
        *("Failure", "Own", "alias", "STEP", "absent"),
    ],
)
def test_what_a_source_alone_does_not_settle_is_left_to_an_import(odd, name) -> None:
    assert describe(f"odd_sources.deep.parts:{name}") is None


@pytest.mark.parametrize("ref", ["odd_sources.nothing:x", "odd_sources.base.deeper:x", "odd_sources:parts"])
def test_a_module_that_is_not_there_is_left_to_an_import(odd, ref) -> None:
    assert describe(ref) is None


def test_info_shows_what_an_import_says_where_the_source_would_mislead(odd, monkeypatch) -> None:
    losses, plugin = load_plugins().entries["losses"], Plugin("odd", "odd-losses", "1.0")
    for name, attribute in (("plain", "function"), ("given", "decorated"), ("mixed", "Mixed"), ("lost", "absent")):
        monkeypatch.setitem(losses, name, [Entry(name, f"odd_sources.deep.parts:{attribute}", plugin)])
    shown = {name: CliRunner().invoke(main, ["info", name]).output for name in ("plain", "given", "mixed", "lost")}
    assert 'plain(info, /, first, second=1000, *rest, name="it\'s", rate=-0.001, **more)' in shown["plain"]
    assert "given(left=1)" in shown["given"]
    assert "mixed(size, *, depth=2)" in shown["mixed"]
    assert "unknown: " in shown["lost"]
    assert "odd-losses" in shown["lost"]
