"""Records of evaluations and diagnoses: files stay in their folder, parts have an order, classes agree."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.metrics import compute_metrics
from fer_core.runs.diagnosis import PARTS, DiagnosisRecord
from fer_core.runs.records import EvaluationRecord

SHA = 64 * "a"
CLASSES = ["anger", "neutral"]
FIGURES: dict[str, dict[str, object]] = {
    "mistakes": {"count": 3, "accuracy": 0.5},
    "slices": {"columns": ["age"], "small": 1},
    "robustness": {"faces": 6, "clean": 0.5, "mean": {"blur": 0.25}},
    "embedding": {"faces": 6, "features": 8, "alike": 0.5, "alike_by_class": {"anger": 0.5}},
}


def part(figures: dict[str, object], file: str = "table.csv") -> dict[str, object]:
    tables = [{"file": file, "title": "Table"}]
    return {"figures": figures, "tables": tables, "pictures": [], "notes": ["few faces"]}


def diagnosis(**changes: object) -> DiagnosisRecord:
    content = {
        "format": 2,
        "dataset": "bars",
        "fingerprint": SHA,
        "split": "test",
        "faces": 6,
        "classes": CLASSES,
        "metrics": {"accuracy": 0.5, "mean_class_accuracy": 0.5, "macro_f1": 0.5},
    }
    return DiagnosisRecord.parse(json.dumps(content | changes), "diagnosis.json", "diagnose again")


def test_the_parts_that_were_made_stand_in_the_order_of_a_report() -> None:
    given = {name: part(FIGURES[name]) for name in reversed(FIGURES)}
    found = diagnosis(parts=given).parts.made()
    assert list(found) == [name for name in PARTS if name in FIGURES]
    assert found["mistakes"].figures.plain() == FIGURES["mistakes"]
    assert diagnosis().parts.made() == {}


@pytest.mark.parametrize("file", ["../secret.csv", "a/b.csv", "a\\b.csv", ".hidden", "/etc/passwd", ""])
def test_a_file_of_a_diagnosis_lies_in_its_folder(file) -> None:
    with pytest.raises(FerError, match=r"^diagnosis\.json: parts\.mistakes\.tables\[0\]\.file is ") as caught:
        diagnosis(parts={"mistakes": part(FIGURES["mistakes"], file)})
    if file:
        assert "expected the name of a file in this folder" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"faces": 0}, "faces is 0"),
        ({"runs": -1}, "runs is -1"),
        ({"sha256": "abc"}, 'sha256 is "abc"'),
        ({"metrics": {"accuracy": 1.5, "mean_class_accuracy": 0.5, "macro_f1": 0.5}}, "metrics.accuracy is 1.5"),
        ({"parts": {"guesses": {}}}, "parts.guesses is not a known field"),
        ({"parts": {"mistakes": part({"count": 1, "accuracy": -0.5})}}, "parts.mistakes.figures.accuracy is -0.5"),
    ],
)
def test_what_does_not_fit_is_named(changes, says) -> None:
    with pytest.raises(FerError) as caught:
        diagnosis(**changes)
    assert str(caught.value).startswith(f"diagnosis.json: {says}")
    assert str(caught.value).endswith(": diagnose again")


def test_the_metrics_of_an_evaluation_are_of_its_classes() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    content = {
        "format": 2,
        "weights": {"model": "dan"},
        "dataset": {"name": "bars", "fingerprint": SHA, "part": "test"},
        "classes": CLASSES,
        "metrics": compute_metrics(np.array([0, 1]), scores, tuple(CLASSES)).plain(),
    }
    found = EvaluationRecord.parse(json.dumps(content), "evaluation-test.json", "evaluate again")
    assert found.metrics.accuracy == 1
    with pytest.raises(FerError) as caught:
        EvaluationRecord.parse(json.dumps(content | {"classes": ["anger", "joy"]}), "x.json", "evaluate again")
    assert str(caught.value) == (
        "x.json: metrics.recall is a mapping of 2, expected one number for each class: evaluate again"
    )
