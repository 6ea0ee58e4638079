"""What a report found, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_core.reports.baselines import Baselines
    from fer_core.reports.compare import Column, Table

NAMED = 3
"""Models that a sentence names before it counts them."""


def state_finding(table: Table, baselines: Mapping[str, Baselines]) -> str:
    """Which model is best on each dataset, and which ones are not distinguishable from it.

    Args:
        table: What was compared.
        baselines: Dataset -> chance and majority class of its column.
    """
    several = len(table.columns) > 1
    parts = [_of_column(column, baselines[column.dataset], named=several) for column in table.columns]
    return _sentence("; ".join(parts))


def state_facts(table: Table, baselines: Mapping[str, Baselines]) -> str:
    """On how many images, and what an answer without a model reaches; a single row's finding says it already."""
    return " ".join(
        _sentence(
            f"{column.dataset} has {baselines[column.dataset].images:,} test images of "
            f"{len(next(iter(column.cells.values())).runs[0].classes)} classes: chance is "
            f"{_percent(baselines[column.dataset].chance.accuracy)}, always answering "
            f"{baselines[column.dataset].name} {_percent(baselines[column.dataset].majority.accuracy)}"
        )
        for column in table.columns
        if len(column.cells) > 1
    )


def _of_column(column: Column, baselines: Baselines, *, named: bool) -> str:
    best = column.best("accuracy")
    reached = _percent(column.cells[best].scores["accuracy"].mean)
    verdict = baselines.verdicts[best]
    if len(column.cells) == 1:
        runs = len(column.cells[best].runs)
        mean = f" (mean of {runs} runs)" if runs > 1 else ""
        images = f"{baselines.images:,} test images of {column.dataset}"
        balanced = _percent(baselines.chance.accuracy) == _percent(baselines.majority.accuracy)
        known = verdict == "above" or balanced
        chance = "" if known else f", where chance is {_percent(baselines.chance.accuracy)}"
        standing = _against_baselines(verdict, baselines) + chance
        return f"{best} reaches {reached} accuracy{mean} on {images}, {standing}"
    where = f"on {column.dataset}, " if named else ""
    against = "" if verdict == "above" else f", {_against_baselines(verdict, baselines)}"
    return f"{where}{best} is best, {reached}, {_against_others(column)}{against}"


def _against_others(column: Column) -> str:
    rows = list(column.cells)
    of = {
        mark: [row for row in rows if column.mark("accuracy", row) == mark] for mark in ("alike", "untested", "")
    }
    said = []
    if of["alike"]:
        named = [f"{row} ({_percent(column.cells[row].scores['accuracy'].mean)})" for row in of["alike"]]
        said.append(f"not distinguishable from {_listed(named)}")
    if of["untested"]:
        said.append(f"not tested against {_listed(of['untested'])}")
    if of[""]:
        beaten = "all others" if len(of[""]) == len(rows) - 1 > 1 else _listed(of[""])
        said.append(f"better than {beaten}")
    return ", ".join(said)


def _against_baselines(verdict: str, baselines: Baselines) -> str:
    chance, share = _percent(baselines.chance.accuracy), _percent(baselines.majority.accuracy)
    # Where all classes are equally frequent, there is nothing to say of a majority.
    majority = f"chance ({chance})" if chance == share else f"always answering {baselines.name} ({share})"
    return {
        "above": f"above {majority}" if chance == share else f"above chance ({chance}) and {majority}",
        "alike": f"not distinguishable from {majority}",
        "below": f"below {majority}",
        "": f"not tested against {majority}",
    }[verdict]


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _sentence(text: str) -> str:
    """Ended by a full stop; a model's name keeps its small letter."""
    return (text[0].upper() + text[1:] if text.startswith("on ") else text) + "."
