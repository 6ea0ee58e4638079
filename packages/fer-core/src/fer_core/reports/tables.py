"""Tables for papers: Markdown, CSV, LaTeX, and the same as plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fer_core.metrics.record import figure_name
from fer_core.reports.compare import METRICS
from fer_core.reports.further import figure, find_further
from fer_core.runs.reading import PART

if TYPE_CHECKING:
    from fer_core.reports.claims import Reproduction
    from fer_core.reports.compare import Cell, Column, Score, Table
    from fer_core.reports.further import FurtherRow, FurtherTable

Line = dict[str, str | float | bool | None]
"""A line of the CSV file by column."""
SIGNS = {"best": "**", "alike": "", "untested": "", "": ""}
TITLES = {"accuracy": "accuracy", "mean_class_accuracy": "mean class accuracy", "macro_f1": "macro-F1"}
WARNING = "The epoch was chosen on the test part: these figures are optimistic."
KEY = "Best in its column bold; ≈ not significantly different from it (paired test, Holm, 5 %); ? not tested"


def heading(metric: str) -> str:
    """The metric's name at the beginning of a line."""
    name = TITLES[metric]
    return name[0].upper() + name[1:]


def percent(score: Score) -> str:
    """`86.14 ± 0.52`, or without the deviation for one run."""
    spread = "" if score.deviation is None else f" ± {100 * score.deviation:.2f}"
    return f"{100 * score.mean:.2f}{spread}"


def interval(score: Score) -> str:
    """`85.02 to 87.20`; empty where there is none."""
    return "" if score.interval is None else f"{100 * score.interval[0]:.2f} to {100 * score.interval[1]:.2f}"


def sign(mark: str) -> str:
    """The character behind a figure."""
    return {"alike": " ≈", "untested": " ?"}.get(mark, "")


def millions(count: int) -> str:
    """`169 M`, and small counts in full."""
    return f"{count:,}" if count < 1e5 else f"{three_digits(count / 1e6)} M"


def three_digits(value: float) -> str:
    """`1,234`, `16.9` or `0.0169`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Claimed(NamedTuple):
    """A claim as a row of text; `reproduced` are pairs of a row and what it gave."""

    model: str
    dataset: str
    metric: str
    value: str
    protocol: str
    source: str
    reproduced: tuple[tuple[str, str], ...]


def claimed(found: Reproduction) -> Claimed:
    """A claim next to what runs gave, with the difference in points."""
    claim = found.claim
    if claim is None:
        nothing = "this recipe's authors give no figure of it"
        reproduced = tuple((row, percent(score)) for row, score in found.reproduced)
        return Claimed(found.model, found.dataset, TITLES["accuracy"], "–", nothing, "–", reproduced)
    spread = "" if claim.deviation is None else f" ± {claim.deviation:.1f}"
    return Claimed(
        found.model,
        found.dataset + (f", {claim.classes} classes" if claim.classes else ""),
        TITLES.get(claim.metric, claim.metric),
        f"{claim.value:g}{spread}",
        claim.protocol,
        claim.source,
        tuple(
            (row, f"{percent(score)} ({100 * score.mean - claim.value:+.2f})") for row, score in found.reproduced
        ),
    )


def to_markdown(tables: Sequence[Table], problems: Sequence[str] = ()) -> str:
    """Every table, one for each metric."""
    blocks = []
    for table in tables:
        blocks.append(f"## {table.title}")
        if table.selected_on_test:
            blocks.append(f"**{WARNING}**")
        for metric in METRICS:
            head = ["model", *(f"{column.dataset} ({_faces(column)})" for column in table.columns)]
            lines = [head, ["---"] * len(head)]
            lines += [
                [row, *(_markdown_cell(column, metric, row) for column in table.columns)] for row in table.rows
            ]
            blocks.append(f"{heading(metric)} in per cent, mean ± standard deviation [95 % interval]:")
            blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
        for further in find_further(table):
            blocks.append(f"{further.title}, mean ± standard deviation, best bold:")
            head = ["model", "images", *map(title_of, further.metrics)]
            lines = [head, ["---"] * len(head)]
            for row in further.rows:
                lines.append([row.row, row.measured, *(_bold(each, row) for each in further.metrics)])
            blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
        blocks.append(f"{KEY}. Fingerprints: {_fingerprints(table)}.")
    if problems:
        blocks.append("Left out:")
        blocks.append("\n".join(f"- {line}" for line in problems))
    return "\n\n".join(blocks) + "\n"


def title_of(metric: str) -> str:
    """The name of a metric in a heading: that of a figure in per cent, or as it is registered."""
    return f"{TITLES[metric]}, %" if metric in TITLES else metric


def _bold(metric: str, row: FurtherRow) -> str:
    sign = "**" if metric in row.best else ""
    return f"{sign}{figure(metric, row.scores[metric])}{sign}" if metric in row.scores else "–"


def _markdown_cell(column: Column, metric: str, row: str) -> str:
    if row not in column.cells:
        return "–"
    score, mark = column.cells[row].scores[metric], column.mark(metric, row)
    between = f" [{interval(score)}]" if score.interval else ""
    return f"{SIGNS[mark]}{percent(score)}{SIGNS[mark]}{sign(mark)}{between}, {_runs(column.cells[row])}"


def to_csv(tables: Sequence[Table]) -> str:
    """One line for each table, dataset, model and metric; fractions in full precision."""
    text = io.StringIO()
    records = to_records(tables)
    writer = csv.DictWriter(text, list(records[0]) if records else ["protocol"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def to_records(tables: Sequence[Table]) -> list[Line]:
    """The lines of `to_csv` as plain values; a figure of a head has the metric `TARGET.METRIC`."""
    own = [
        _record(table, column, row, metric, cell.scores[metric], column.mark(metric, row))
        for table in tables
        for column in table.columns
        for row, cell in column.cells.items()
        for metric in METRICS
    ]
    further = [
        _record(table, each.column, row.row, metric, score, "best" if metric in row.best else "", each.target, row)
        for table in tables
        for each in find_further(table)
        for row in each.rows
        for metric, score in row.scores.items()
    ]
    return own + further


def _record(
    table: Table,
    column: Column,
    row: str,
    metric: str,
    score: Score,
    mark: str,
    target: str = "",
    further: FurtherRow | None = None,
) -> Line:
    runs = column.cells[row].runs
    return {
        "protocol": str(column.protocol),
        "selected_on_test": table.selected_on_test,
        "trained_on": column.protocol.trained or column.dataset,
        "dataset": column.dataset,
        "fingerprint": column.fingerprint,
        "model": row,
        "metric": figure_name(target, metric),
        "images": further.images[0] if further else min(run.result.metrics[PART].count for run in runs),
        "runs": len(runs),
        "mean": score.mean,
        "std": score.deviation,
        "low": (score.interval or (None, None))[0],
        "high": (score.interval or (None, None))[1],
        "mark": mark,
    }


def to_latex(tables: Sequence[Table]) -> str:
    """Every table with the lines of booktabs, one for each metric, and one for each head."""
    return "\n".join(
        text
        for table in tables
        for text in (*(_latex(table, metric) for metric in METRICS), *map(_latex_further, find_further(table)))
    )


def _latex(table: Table, metric: str) -> str:
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{heading(metric)} in per cent; {_escape(table.title)}. Best in bold; $\approx$: "
        rf"not significantly different from it (paired test, Holm, 5\,\%)."
        + (rf" \textbf{{{WARNING}}}" if table.selected_on_test else "")
        + "}",
        rf"\begin{{tabular}}{{l{'c' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["Model", *(_escape(column.dataset) for column in table.columns)]) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        cells = [_latex_cell(column, metric, row) for column in table.columns]
        lines.append(" & ".join([_escape(row), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_further(found: FurtherTable) -> str:
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(found.title)}. Best in bold.}}",
        rf"\begin{{tabular}}{{lr{'c' * len(found.metrics)}}}",
        r"\toprule",
        " & ".join(["Model", "Images", *(_escape(title_of(metric)) for metric in found.metrics)]) + r" \\",
        r"\midrule",
    ]
    for row in found.rows:
        cells = []
        for metric in found.metrics:
            text = figure(metric, row.scores[metric]).replace(" ± ", r" \pm ") if metric in row.scores else "-"
            cells.append("$" + (rf"\mathbf{{{text}}}" if metric in row.best else text) + "$")
        lines.append(" & ".join([_escape(row.row), row.measured, *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_cell(column: Column, metric: str, row: str) -> str:
    if row not in column.cells:
        return "--"
    score, mark = column.cells[row].scores[metric], column.mark(metric, row)
    figure = percent(score).replace(" ± ", r" \pm ")
    figure = rf"\mathbf{{{figure}}}" if mark == "best" else figure
    return "$" + figure + (r" \approx$" if mark == "alike" else "$")


def _escape(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "%": r"\%",
        "&": r"\&",
        "_": r"\_",
        "#": r"\#",
        "$": r"\$",
        "{": r"\{",
        "}": r"\}",
    }
    return "".join(special.get(character, character) for character in text)


def _runs(cell: Cell) -> str:
    number = len(cell.runs)
    return f"{number} run" + ("s" if number > 1 else "")


def _faces(column: Column) -> str:
    counts = {sum(cell.runs[0].result.dataset.counts["test"].values()) for cell in column.cells.values()}
    return " or ".join(f"{count:,}" for count in sorted(counts)) + " test faces"


def _fingerprints(table: Table) -> str:
    return ", ".join(f"{column.dataset} `{column.fingerprint[:16]}`" for column in table.columns)
