"""`fer_core.plugin`, the one module that plugins import."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fer_core import plugin
from pydantic import BaseModel

FOREIGN = (
    *("Any", "Callable", "Iterable", "Iterator", "Literal", "Mapping", "None", "Path", "Self", "Sequence", "True"),
    *("AbstractContextManager", "BufferedReader", "False", "NDArray", "Tensor", "Layer", "BatchNorm", "Module"),
)
"""What annotations name besides the core's types."""


def annotations() -> list[tuple[str, str]]:
    """(exported name, annotation) of every function, method and field that the module exports, records apart."""
    found = []
    for name in plugin.__all__:
        value = getattr(plugin, name)
        if inspect.isclass(value) and issubclass(value, BaseModel):
            continue  # records and the configuration describe their fields in the reference
        members = [value, *(vars(value).values() if inspect.isclass(value) else ())]
        for member in members:
            function = getattr(member, "fget", member)
            if getattr(function, "__name__", "_").startswith("_") and function is not value:
                continue
            found += [(name, str(text)) for text in getattr(function, "__annotations__", {}).values()]
    return found


def test_importing_it_loads_nothing_heavy() -> None:
    script = "import sys, fer_core.plugin; print({'torch', 'numpy', 'pandas', 'pydantic', 'PIL'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "set()\n"


def test_every_name_is_there_and_belongs_to_where_type_checkers_find_it() -> None:
    tree = ast.parse(Path(str(plugin.__file__)).read_text(encoding="utf-8"))
    homes = {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for name in plugin.__all__:
        home = sys.modules[homes[name]] if getattr(plugin, name) is not None else None
        assert getattr(plugin, name) is getattr(home, name)
    assert list(plugin.__all__) == sorted(plugin.__all__, key=lambda name: (not name.isupper(), name))
    assert set(plugin.__all__) <= set(dir(plugin))
    with pytest.raises(AttributeError, match="nothing"):
        plugin.nothing  # noqa: B018


def test_what_it_exports_mentions_only_types_that_it_exports() -> None:
    mentioned = {
        (name, word)
        for name, annotation in annotations()
        for word in re.findall(r"(?<![\w.'\"])[A-Z]\w+", annotation)
        if word not in FOREIGN
    }
    assert {pair for pair in mentioned if pair[1] not in plugin.__all__} == set()
    assert ("Loss", "Batch") in mentioned
