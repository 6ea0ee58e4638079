"""docs/explanation/design.md draws the core as it is: floors, ways and places."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "packages" / "fer-core" / "src" / "fer_core"
TEXT = (ROOT / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")


def figure(heading: str) -> list[str]:
    """Lines of the figure below a heading."""
    found = re.search(rf"^#+ {heading}\n.*?```text\n(.*?)```", TEXT, flags=re.MULTILINE | re.DOTALL)
    return found[1].splitlines()


def contract() -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser["importlinter:contract:floors"]["layers"].split("\n")[1:]


def drawn() -> list[str]:
    return [re.split(r"\s{2,}", line)[0] for line in figure("Floors")]


def floor(module: str) -> int:
    """Number of a module's floor, 0 for the ground."""
    (found,) = [at for at, line in enumerate(drawn()[::-1]) if module.split(".")[0] in line.split(" | ")]
    return found


def imports(module: str) -> set[str]:
    """Modules of the core that a module imports, also for type checkers and within functions."""
    path = CORE.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fer_core":
            base = node.module.partition(".")[2]
            found |= {base, *(f"{base}.{name.name}".strip(".") for name in node.names)}
    return found


def test_the_floors_that_are_drawn_are_those_of_the_contract() -> None:
    assert drawn() == contract()


def way_of_the_configuration() -> list[tuple[str, str]]:
    """(caller, called) of the drawing."""
    above: dict[int, str] = {}
    pairs = []
    for line in figure("The way of the configuration"):
        branch, module = re.match(r"([ │├└─]*)([\w.]+)", line).groups()
        depth = len(branch) // 3
        above[depth] = module
        if depth:
            pairs.append((above[depth - 1], module))
    return pairs


@pytest.mark.parametrize(("caller", "called"), way_of_the_configuration())
def test_the_configuration_goes_down(caller: str, called: str) -> None:
    ways = {called, called.rpartition(".")[0]} - {""}
    assert ways & imports(caller), f"{caller} does not import {called}"
    assert floor(called) <= floor(caller)


def test_a_batch_goes_up() -> None:
    rooms = [line.split()[0] for line in figure("The way of a batch")]
    for room in rooms:
        others = {other for other in rooms if other != room}
        assert others & imports(room) or any(room in imports(other) for other in others), room
    assert [floor(room) for room in rooms] == sorted(map(floor, rooms))


def test_the_places_to_change_are_there() -> None:
    table = re.search(r"### Where to change what\n(.*?)\n\n[^|]", TEXT, flags=re.DOTALL)[1]
    places = re.findall(r"`([\w/]+(?:\.py)?)`", " ".join(row.split("|")[2] for row in table.splitlines()[3:]))
    missing = [place for place in places if place != "TrainingView" and not (CORE / place).exists()]
    assert len(table.splitlines()) > 12
    assert missing == []
