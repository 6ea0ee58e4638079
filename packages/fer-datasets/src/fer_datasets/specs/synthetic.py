"""Spec of the synthetic dataset."""

from __future__ import annotations

from fer_core.plugin import EXPRESSIONS, DatasetSpec

SPEC = DatasetSpec(
    name="synthetic",
    factory="fer_datasets.synthetic:create",
    classes=EXPRESSIONS[:7],
    splits={"train": "train", "val": "val", "test": "test"},
    layouts={},
    expected_counts={},
    summary="Faces drawn from facial action units, for trying things out without data; nothing to download",
    licence="Apache-2.0 (drawn by this package)",
    homepage="",
    group_key="subject",
    options={"size": 64, "samples": 6300, "classes": 7, "seed": 0},
    needs_root=False,
)
