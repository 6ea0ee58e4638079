"""FER2013: 35,887 grey faces of 48 x 48 pixels, seven expressions."""

from fer_core.plugin import DatasetSpec

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""In the order of the file's numbers, which start at 0."""
CUSTOM = {"train": "custom-train", "val": "custom-val", "test": "custom-test"}
"""Split names of a copy with other splits."""


def _counts(*counts: int) -> dict[str, int]:
    return dict(zip(CLASSES, counts, strict=True))


SPEC = DatasetSpec(
    name="fer2013",
    factory="fer_datasets.fer2013:load",
    classes=CLASSES,
    splits={
        "Training": "train",
        "PublicTest": "val",
        "PrivateTest": "test",
        "custom-train": "train",
        "custom-val": "val",
        "custom-test": "test",
    },
    layouts={
        "fer2013.csv": """\
DIR/                      # or DIR/fer2013/
  fer2013.csv             # emotion,pixels,Usage""",
        "icml_face_data.csv": """\
DIR/
  icml_face_data.csv      # emotion, Usage, pixels (the challenge's second release)""",
        "folders": """\
DIR/
  train/                  # test/ holds PublicTest and PrivateTest together: the files' names tell them apart
    angry/                # and disgust, fear, happy, neutral, sad, surprise
      Training_10118481.jpg ...
  test/ ...""",
        "custom folders": """\
DIR/                      # or DIR/images/
  train/                  # any other names of files: a split of its own, reported as custom
    angry/ ...
  validation/ ...         # or test/, or both""",
        "fer2013_modified.csv": """\
DIR/
  fer2013_modified.csv    # emotion,pixels: split by the order of the rows""",
        "train.csv": """\
DIR/
  train.csv               # emotion,pixels of the second release: Training alone""",
    },
    expected_counts={
        "Training": _counts(3995, 436, 4097, 7215, 4830, 3171, 4965),
        "PublicTest": _counts(467, 56, 496, 895, 653, 415, 607),
        "PrivateTest": _counts(491, 55, 528, 879, 594, 416, 626),
    },
    summary="FER2013: 35,887 grey 48 x 48 faces from the web, seven expressions",
    licence="from the ICML 2013 challenge on Kaggle (accept its rules); no licence to redistribute the images",
    homepage="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
    options={"dedup": False, "drop_constant": False},
)
