"""`diagnosis.json`: what a folder of a diagnosis holds."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field

from fer_core.records import Classes, Count, Fraction, Name, Record, Sha256, Text

RECORD = "diagnosis.json"
FORMAT: Literal[2] = 2
PARTS = ("mistakes", "label_issues", "slices", "robustness", "attention", "embedding")
"""What a diagnosis may hold, in the order of a report."""
AtLeastOne = Annotated[Count, Field(ge=1)]


def _file_name(text: str) -> str:
    if "/" in text or "\\" in text or text.startswith("."):
        raise ValueError("the name of a file in this folder")
    return text


FileName = Annotated[Name, AfterValidator(_file_name)]


class TableFile(Record):
    """A CSV file."""

    file: FileName
    title: Text


class PictureFile(Record):
    """A PNG file, and what it shows, for readers who cannot see it."""

    file: FileName
    title: Text
    description: str


class MistakeFigures(Record):
    """Number of wrong predictions, and the accuracy."""

    count: Count
    accuracy: Fraction


class LabelIssueFigures(Record):
    """Number of labels that are probably wrong, and their share of the faces."""

    count: Count
    share: Fraction


class SliceFigures(Record):
    """Columns by which the faces are divided, and how many slices are small."""

    columns: tuple[Text, ...]
    small: Count


class RobustnessFigures(Record):
    """Accuracy of so many faces as they are, and its mean over the severities of each corruption."""

    faces: Count
    clean: Fraction
    mean: dict[Name, Fraction]


class AttentionFigures(Record):
    """Number of faces, and names of the maps that are drawn for them."""

    faces: Count
    maps: tuple[Name, ...]


class EmbeddingFigures(Record):
    """Numbers of faces and features, and the share of faces whose nearest neighbour is of their own class.

    Attributes:
        faces: Number of faces.
        features: Their dimensions.
        alike: Share over all faces.
        alike_by_class: Share over the faces of each class.
    """

    faces: Count
    features: Count
    alike: Fraction
    alike_by_class: dict[Name, Fraction]


Figures = TypeVar("Figures", bound=Record)


class Part(Record, Generic[Figures]):
    """A part of a diagnosis: figures, files, and notes that a reader has to know."""

    figures: Figures
    tables: tuple[TableFile, ...]
    pictures: tuple[PictureFile, ...]
    notes: tuple[str, ...]


class Parts(Record):
    """The parts of a diagnosis; None for one that was not made."""

    mistakes: Part[MistakeFigures] | None = None
    label_issues: Part[LabelIssueFigures] | None = None
    slices: Part[SliceFigures] | None = None
    robustness: Part[RobustnessFigures] | None = None
    attention: Part[AttentionFigures] | None = None
    embedding: Part[EmbeddingFigures] | None = None

    def made(self) -> dict[str, Part[Record]]:
        """Those that were made, by name, in the order of a report."""
        return {name: part for name in PARTS if (part := getattr(self, name)) is not None}


class Accuracies(Record):
    """Accuracies of the predictions; see `compute_metrics`."""

    accuracy: Fraction
    mean_class_accuracy: Fraction
    macro_f1: Fraction


class DiagnosisRecord(Record):
    """What a diagnosis is of, and its parts.

    Attributes:
        format: Of the record.
        dataset: Name of the dataset.
        fingerprint: Of the dataset.
        split: Which part of it, or `pooled` for the test parts of several runs.
        faces: Number of faces.
        classes: Names of the classes.
        metrics: Accuracies of the predictions.
        weights: Name of the weight file; empty where runs are pooled.
        sha256: Of the weight file; None where runs are pooled.
        runs: Number of runs that are pooled.
        models: Their models.
        parts: What was made.
    """

    format: Literal[2]
    dataset: Name
    fingerprint: Sha256
    split: Name
    faces: AtLeastOne
    classes: Classes
    metrics: Accuracies
    weights: Text = ""
    sha256: Sha256 | None = None
    runs: Count = 0
    models: tuple[Name, ...] = ()
    parts: Parts = Parts()
