"""What authors claim, beside what runs gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.errors import FerError

if TYPE_CHECKING:
    from fer_core.reports.compare import Score, Table
    from fer_core.types import Claim


@dataclass(frozen=True)
class Reproduction:
    """A claim and what stands beside it.

    Attributes:
        model: Name of the model.
        claim: Of its authors, or of others about it.
        reproduced: One entry for each row of the table with that model: its name and score.
    """

    model: str
    claim: Claim
    reproduced: tuple[tuple[str, Score], ...]


def find_claims(table: Table) -> list[Reproduction]:
    """The claims about the models and datasets of a table, in the order of its columns and rows.

    A claim that names a recipe stands only beside runs of that recipe.
    """
    found = []
    for column in table.columns:
        models: dict[str, list[str]] = {}
        for row, cell in column.cells.items():
            models.setdefault(cell.runs[0].model, []).append(row)
        for model, rows in models.items():
            run = column.cells[rows[0]].runs[0]
            for claim in _claims(model):
                same = claim.dataset == column.dataset and claim.classes in (None, len(run.classes))
                if not same or claim.recipe not in ("", column.protocol.recipe):
                    continue
                scores = tuple(
                    (row, column.cells[row].scores[claim.metric])
                    for row in rows
                    if claim.metric in column.cells[row].scores
                )
                found.append(Reproduction(model, claim, scores))
    return found


def _claims(model: str) -> Sequence[Claim]:
    try:
        claims: Sequence[Claim] = registry.find("models", model).claims
    except FerError:  # results of a model whose plugin is gone are shown all the same
        return ()
    return claims
