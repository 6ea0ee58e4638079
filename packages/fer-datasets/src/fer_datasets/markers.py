"""Files and folders that identify a dataset, for the error about a wrong folder."""

from __future__ import annotations

from pathlib import Path

MARKERS = {
    "rafdb": ("EmoLabel/list_patition_label.txt", "basic/EmoLabel/list_patition_label.txt"),
    "ferplus": ("fer2013new.csv", "FER2013Train", "data/FER2013Train"),
    "fer2013": ("fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv"),
    "expw": ("label/label.lst",),
    "sfew": ("Train/Train_Aligned_Faces", "Train_Aligned_Faces", "sfew_2.0_labels.csv"),
    "ckplus": (
        "cohn-kanade-images",
        "extended-cohn-kanade-images",
        "CK+48",
        "ckextended.csv",
        "ckplus_labels.csv",
    ),
    "affectnet": ("train_set/annotations", "train_set/images", "Manually_Annotated_Images", "affectnet.csv"),
    "caers": ("CAER-S",),
    "jaffe": ("KA.AN1.39.tiff", "jaffe/KA.AN1.39.tiff"),
}
"""Paths below the root; one is enough. More particular datasets come first: FERPlus has a `fer2013.csv`, too."""


def recognise(root: Path) -> str | None:
    """Name of the dataset that lies in `root`, as far as a look at a few names tells."""
    for name, paths in MARKERS.items():
        if any((root / path).exists() for path in paths):
            return name
    return None
