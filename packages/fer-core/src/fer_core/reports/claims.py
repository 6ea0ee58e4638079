"""What authors claim, beside what runs gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_core import registry
from fer_core.errors import FerError
from fer_core.types import bare

if TYPE_CHECKING:
    from fer_core.reports.compare import Score, Table
    from fer_core.types import Claim


@dataclass(frozen=True)
class Reproduction:
    """A claim and what stands beside it.

    Attributes:
        model: Name of the model.
        dataset: Name of the dataset.
        claim: Of its authors, or of others about it; None where the recipe's authors published figures of other
            models on this dataset, and none of this one.
        reproduced: One entry for each row of the table with that model: its name and score.
    """

    model: str
    dataset: str
    claim: Claim | None
    reproduced: tuple[tuple[str, Score], ...]


def find_claims(table: Table) -> list[Reproduction]:
    """The claims about the models and datasets of a table, in the order of its columns and rows.

    A claim that names a recipe stands only beside runs of that recipe; a model that is missing among the figures
    published for that recipe is said to be.
    """
    found = []
    for column in table.columns:
        recipe, dataset = column.protocol.recipe, column.dataset
        published = bool(recipe) and any(
            _fits(claim, dataset, recipe) and claim.recipe
            for name in registry.names("models")
            for claim in _claims(name)
        )
        models: dict[str, list[str]] = {}
        for row, cell in column.cells.items():
            models.setdefault(cell.runs[0].model, []).append(row)
        for model, rows in models.items():
            classes = len(column.cells[rows[0]].runs[0].classes)
            claims: list[Claim | None] = [
                claim
                for claim in _claims(model)
                if _fits(claim, dataset, recipe) and claim.classes in (None, classes)
            ]
            if published and not any(claim and claim.recipe for claim in claims):
                claims.append(None)
            for claim in claims:
                metric = claim.metric if claim else "accuracy"
                scores = tuple((row, column.cells[row].scores[metric]) for row in rows)
                found.append(Reproduction(model, dataset, claim, scores))
    return found


def _fits(claim: Claim, dataset: str, recipe: str) -> bool:
    return claim.dataset == bare(dataset) and claim.recipe in ("", recipe)


def _claims(model: str) -> Sequence[Claim]:
    try:
        claims: Sequence[Claim] = registry.find("models", model).claims
    except FerError:  # results of a model whose plugin is gone are shown all the same
        return ()
    return claims
