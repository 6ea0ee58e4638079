"""The parts of a diagnosis that need predictions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_core.diagnosis.faces import read_faces
from fer_core.diagnosis.folder import Folder
from fer_core.diagnosis.mistakes import (
    CLASS,
    MOST_VALUES,
    SMALL,
    confused_pairs,
    find_label_issues,
    find_mistakes,
    measure_slices,
    slice_columns,
)
from fer_core.plotting.faces import Tile, save_gallery
from fer_core.runs.diagnosis import LabelIssueFigures, MistakeFigures, SliceFigures

if TYPE_CHECKING:
    import pandas as pd

    from fer_core.diagnosis.faces import Faces

SHOWN, COLUMNS = 24, 8
"""Faces of a gallery, and how many stand side by side."""


def diagnose_mistakes(faces: Faces, folder: Folder) -> None:
    """`mistakes.csv`, `confused.csv` and the gallery of the most confident errors."""
    mistakes = find_mistakes(faces.table, faces.classes)
    pairs = confused_pairs(faces.table, faces.classes)
    folder.table("mistakes", mistakes, "Wrong predictions, the most confident first")
    folder.table("confused", pairs, "Pairs of confused classes")
    worst = mistakes.head(SHOWN)
    lines = [
        (f"{of.label} → {of.predicted}", f"{of.confidence:.1%}, own {of.p_label:.1%}") for of in worst.itertuples()
    ]
    note = "given class → predicted class; probability of the predicted class, and of the given one"
    what = "given → predicted class"
    _draw(faces, folder, "mistakes", "Most confident errors", worst, lines, what=what, note=note)
    accuracy = 1 - len(mistakes) / len(faces.table)
    folder.add("mistakes", MistakeFigures(count=len(mistakes), accuracy=accuracy))


def diagnose_label_issues(faces: Faces, folder: Folder, note: str) -> None:
    """`label_issues.csv` and the gallery of the first ones; `note` says why the faces are out of sample."""
    issues = find_label_issues(faces.table, faces.classes)
    folder.table("label_issues", issues, "Label issues, the most suspicious first")
    agrees = float((faces.table["label"] == faces.table["predicted"]).mean())
    caution = (
        f"{agrees:.1%} of the labels are predicted. The lower that is, the more of the label issues are right "
        "labels of faces that are hard to tell."
    )
    first = issues.head(SHOWN)
    lines = [
        (f"{of.label}: {of.likely}?", f"{of.p_label:.1%} against {of.p_likely:.1%}") for of in first.itertuples()
    ]
    below = "given class: likely class? The probabilities of both. Candidates for human review."
    what = "given: likely class"
    _draw(faces, folder, "label_issues", "Label issues", first, lines, what=what, note=below)
    figures = LabelIssueFigures(count=len(issues), share=len(issues) / len(faces.table))
    folder.add("label_issues", figures, [note, caution])


def diagnose_slices(faces: Faces, folder: Folder) -> None:
    """`slices.csv`: accuracy by class, split, group and every attribute of the faces."""
    rows = faces.dataset.table.iloc[faces.rows(faces.table["id"])]
    columns = slice_columns(rows, faces.group_key)
    found = measure_slices(faces.table, columns)
    folder.table("slices", found, "Accuracy in parts of the faces")
    notes = [
        f"Slices of fewer than {SMALL} faces are marked small. Columns with more than {MOST_VALUES} values are "
        "left out.",
        "Where many slices are compared, some look bad by chance: an interval that leaves out the overall "
        "accuracy is a hint, not a finding.",
    ]
    figures = SliceFigures(columns=(CLASS, *columns), small=int(found["small"].sum()))
    folder.add("slices", figures, notes)


def _draw(
    faces: Faces,
    folder: Folder,
    part: str,
    title: str,
    shown: pd.DataFrame,
    lines: list[tuple[str, str]],
    *,
    what: str,
    note: str,
) -> None:
    """The gallery of a part: the faces of `shown`, each above its two lines; nothing where there is no face."""
    if not len(shown):
        return
    listed = (f"{name}: {first} {second}" for name, (first, second) in zip(shown["id"], lines, strict=True))
    path = folder.picture(part, title, f"{len(shown)} faces ({what}). {'; '.join(listed)}.")
    pictures = read_faces(faces.pack, faces.rows(shown["id"]))
    tiles = [Tile(pixels, *texts, wrong=True) for pixels, texts in zip(pictures, lines, strict=True)]
    heading = f"{title}: {faces.dataset.name}, {len(faces.table):,} faces"
    save_gallery(path, tiles, columns=COLUMNS, title=heading, note=note)
