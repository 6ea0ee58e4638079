"""What authors claim, beside what runs gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fer_core import registry
from fer_core.config.yaml_text import parse_yaml
from fer_core.errors import FerError
from fer_core.published import Claim
from fer_core.records import Name, Record, Text
from fer_core.refs import read_resource
from fer_core.types import bare

if TYPE_CHECKING:
    from fer_core.reports.compare import Score, Table
    from fer_core.types import ExperimentSpec

Percent = Annotated[float, Field(ge=0, le=100)]


class Figures(Record):
    """What was published of one model on one dataset, in per cent."""

    accuracy: Percent
    deviation: Percent | None = None
    mean_class_accuracy: Percent | None = None


class Published(Record):
    """The figures that the authors of an experiment published.

    Attributes:
        source: Who says so, and where.
        protocol: How the data were divided and the epoch chosen.
        figures: Model -> dataset -> figures.
    """

    source: Text
    protocol: Text
    figures: dict[Name, dict[Name, Figures]]

    def claims(self, model: str, dataset: str) -> list[Claim]:
        """The figures of a model on a dataset, one claim for each metric."""
        found = self.figures.get(bare(model), {}).get(bare(dataset))
        if found is None:
            return []
        values = {"accuracy": found.accuracy, "mean_class_accuracy": found.mean_class_accuracy}
        return [
            Claim(
                dataset=dataset,
                metric=metric,
                value=value,
                source=self.source,
                protocol=self.protocol,
                deviation=found.deviation if metric == "accuracy" else None,
            )
            for metric, value in values.items()
            if value is not None
        ]


@dataclass(frozen=True)
class Reproduction:
    """A claim and what stands beside it.

    Attributes:
        model: Name of the model.
        dataset: Name of the dataset.
        claim: Of its authors, or of the experiment's; None where the experiment's authors published figures of
            other models on this dataset, and none of this one.
        reproduced: One entry for each row of the table with that model: its name and score.
    """

    model: str
    dataset: str
    claim: Claim | None
    reproduced: tuple[tuple[str, Score], ...]


def read_published(spec: ExperimentSpec) -> Published | None:
    """The published figures of an experiment, None where it has none. Raises FerError for a file that is wrong."""
    if spec.published is None:
        return None
    content = parse_yaml(read_resource(spec.published), spec.published)
    return Published.check(content, spec.published, "correct the plugin's file")


def find_claims(table: Table) -> list[Reproduction]:
    """The claims about the models and datasets of a table, in the order of its columns and rows.

    The figures of an experiment's authors stand only beside runs of its shared recipe; a model that is missing
    among those for a dataset is said to be.
    """
    found = []
    for column in table.columns:
        published, dataset = _published(column.protocol.recipe), column.dataset
        has_figures = published is not None and any(bare(dataset) in of for of in published.figures.values())
        models: dict[str, list[str]] = {}
        for row, cell in column.cells.items():
            models.setdefault(cell.runs[0].model, []).append(row)
        for model, rows in models.items():
            classes = len(column.cells[rows[0]].runs[0].classes)
            claims: list[Claim | None] = [
                claim
                for claim in _claims(model)
                if claim.dataset == bare(dataset) and claim.classes in (None, classes)
            ]
            if published is not None and has_figures:
                claims += published.claims(model, dataset) or [None]
            for claim in claims:
                metric = claim.metric if claim else "accuracy"
                scores = tuple((row, column.cells[row].scores[metric]) for row in rows)
                found.append(Reproduction(model, dataset, claim, scores))
    return found


def _published(recipe: str) -> Published | None:
    """The figures for runs of a shared recipe, whose name is the experiment's."""
    if recipe not in registry.names("experiments"):  # a file of the user's own, or one whose plugin is gone
        return None
    return read_published(registry.find("experiments", recipe))


def _claims(model: str) -> Sequence[Claim]:
    try:
        claims: Sequence[Claim] = registry.find("models", model).claims
    except FerError:  # results of a model whose plugin is gone are shown all the same
        return ()
    return claims
