"""FERPlus: FER2013's faces with the votes of ten annotators."""

from fer_core.plugin import DatasetSpec

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
"""In the order of the label files' columns."""


def _counts(*counts: int) -> dict[str, int]:
    return dict(zip(CLASSES, counts, strict=True))


_MAJORITY = {
    "label.csv": {
        "train": _counts(8733, 7284, 3136, 3022, 2098, 116, 536, 120),
        "valid": _counts(1180, 862, 411, 348, 289, 25, 60, 16),
        "test": _counts(1083, 892, 394, 382, 269, 16, 86, 15),
    },
    "fer2013new.csv": {
        "train": _counts(8740, 7287, 3149, 3014, 2100, 119, 532, 119),
        "valid": _counts(1182, 865, 415, 351, 287, 24, 62, 13),
        "test": _counts(1090, 893, 396, 384, 273, 18, 83, 16),
    },
}
_COLLECTED = {
    "label.csv": _counts(10107, 7501, 3517, 3445, 2401, 170, 643, 163),
    "fer2013new.csv": _counts(10122, 7503, 3524, 3430, 2407, 169, 641, 160),
}
_TRAINING = {
    "probability": _COLLECTED,
    "cross_entropy": _COLLECTED,
    "multi_target": {
        "label.csv": _counts(10056, 7489, 3481, 3410, 2337, 150, 598, 146),
        "fer2013new.csv": _counts(10071, 7492, 3486, 3399, 2327, 153, 598, 145),
    },
    "argmax": {
        "label.csv": _counts(10295, 7526, 3557, 3530, 2463, 191, 655, 168),
        "fer2013new.csv": _counts(10309, 7528, 3562, 3515, 2467, 191, 652, 165),
    },
    "argmax_emotions": {
        "label.csv": _counts(10377, 7537, 3583, 3559, 2476, 195, 659, 170),
        "fer2013new.csv": _counts(10388, 7539, 3588, 3549, 2478, 194, 656, 167),
    },
}
"""Training images of each mode other than majority, by the most probable class; counted in the label files."""


def counts_of(source: str, mode: str) -> dict[str, dict[str, int]]:
    """Samples per split and class of a label file under a mode; empty if unknown."""
    parts = _MAJORITY.get(source, {})
    return parts if mode == "majority" or not parts else {**parts, "train": _TRAINING[mode][source]}


SPEC = DatasetSpec(
    name="ferplus",
    factory="fer_datasets.ferplus:load",
    classes=CLASSES,
    splits={"train": "train", "valid": "val", "test": "test"},
    layouts={
        "generated": """\
DIR/                      # or DIR/data/
  FER2013Train/           # label.csv (no header): name,"(x, y, w, h)",10 vote counts
    label.csv
    fer0000000.png ...    # 48 x 48 grey
  FER2013Valid/           # the same
  FER2013Test/            # the same""",
        "csv": """\
DIR/
  fer2013new.csv          # Usage,Image name,neutral,...,contempt,unknown,NF
  fer2013.csv             # emotion,pixels,Usage: row i belongs to row i of fer2013new.csv
                          # or the generated folders: joined by the images' names""",
        "class folders": """\
DIR/
  train/                  # and test/, and perhaps valid/ or val/
    neutral/              # and happiness, surprise, sadness, anger, disgust, fear, contempt
      anything.png ...""",
        "modified": """\
DIR/
  FERPlus_Label_modified.csv   # Image name,label: from 0 or from 1, no split
  FERPlus_Image/
    fer0000000.png ...""",
    },
    expected_counts=_MAJORITY["label.csv"],
    summary="FERPlus: the faces of FER2013, eight expressions by majority of ten annotators",
    licence="labels MIT; the images are FER2013's, without a licence to redistribute",
    homepage="https://github.com/microsoft/FERPlus",
    options={"mode": "majority", "labels": None, "dedup": False, "drop_constant": False},
    aliases=("fer+",),
)
