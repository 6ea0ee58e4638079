"""Commands on altered files: done, or refused in one line; after little work, in little memory.

Every pair of a kind of file and a command runs a few cases always, 50 with `-m slow`, and as many as `FER_HOSTILE`
says when it is set: half of them drawn by hypothesis, half from the table of all alterations of all fields.
"""

from __future__ import annotations

import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("children are measured as Linux does it", allow_module_level=True)

import stored
from altered import CYCLES, PLAIN_WAYS, altered, altered_at, sweep
from bench import KINDS, Bench, Kind
from fer_core import FerError
from forked import fork, frozen
from hypothesis import HealthCheck, Phase, given, settings

FEW, MANY = 4, int(os.environ.get("FER_HOSTILE", "50"))
SETTINGS = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
PAIRS = [(kind, command) for kind, found in KINDS.items() for command in found.commands]


@pytest.fixture(scope="module")
def bench(tiny_everywhere: Path) -> Iterator[Bench]:
    made = Bench(tiny_everywhere, render_every=1 if MANY <= 50 else 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_CACHE", "cache")
        patch.setattr(sys, "argv", sys.argv)
        made.prepare()
    with frozen():
        yield made


def pairs(test):
    """The test for every pair, twice: with few examples, and slowly with many."""
    test = pytest.mark.parametrize(("kind", "command"), PAIRS)(test)
    return pytest.mark.parametrize("examples", [FEW // 2, pytest.param(MANY // 2, marks=pytest.mark.slow)])(test)


@pairs
def test_fields_altered_by_chance(bench: Bench, kind: str, command: str, examples: int) -> None:
    found = KINDS[kind]

    @settings(SETTINGS, max_examples=examples)
    @given(altered(bench.tree(found), found.schema))
    def check(tree: Any) -> None:
        wrong = bench.fault(found, command, lambda path: found.file.write(path, tree))
        assert not wrong, wrong

    check()


@pairs
def test_fields_altered_by_the_table(bench: Bench, kind: str, command: str, examples: int) -> None:
    found = KINDS[kind]
    tree = bench.tree(found)
    cases = _cases(found, tree)
    random.Random(f"{kind} {command}").shuffle(cases)
    faults = []
    for place, name in cases[:examples]:
        wrong = bench.fault(found, command, _alteration(found, tree, place, name))
        if wrong:
            faults.append(f"{_title(place)}, {name}: {wrong}")
    _fail(faults, min(examples, len(cases)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_at_the_door(bench: Bench, kind: str) -> None:
    """What reads a file within the commands returns, or raises its one line, for all plain alterations."""
    found = KINDS[kind]
    tree = bench.tree(found)
    cases = [(place, name) for place, name in _cases(found, tree) if name in PLAIN_WAYS]
    path = bench.copy(found)

    def work() -> int:
        for place, name in cases:
            _alteration(found, tree, place, name)(path)
            try:
                found.door(path)
            except FerError:
                continue
            except Exception:
                print(f"{_title(place)}, {name}: {traceback.format_exc().splitlines()[-1][:200]}")
        return 0

    outcome = fork(work, bench.box, seconds=300)
    assert outcome.status == 0, outcome.err
    _fail(outcome.out.splitlines(), len(cases))


def _cases(kind: Kind, tree: Any) -> list[tuple[Any, str]]:
    """Every alteration of every field, and of the file, whose place is None."""
    found: list[tuple[Any, str]] = [(at, how) for at, how in sweep(tree, kind.schema)]
    return [case for case in found if kind.cyclic or case[1] not in CYCLES] + [(None, how) for how in stored.WHOLE]


def _alteration(kind: Kind, tree: Any, place: Any, name: str) -> Callable[[Path], None]:
    if place is None:
        return lambda path: stored.replace(path, name)
    return lambda path: kind.file.write(path, altered_at(tree, place, name))


def _title(place: Any) -> str:
    return "the file" if place is None else ".".join(map(str, place)) or "all"


def _fail(faults: list[str], cases: int) -> None:
    if faults:
        pytest.fail(f"{len(faults)} of {cases} cases\n" + "\n".join(faults), pytrace=False)
