"""FER2013: 35,887 grey faces of 48 x 48 pixels, seven expressions."""

from fer_core.types import DatasetSpec

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""In the order of the file's numbers, which count from 0."""


def _counts(*counts: int) -> dict[str, int]:
    return dict(zip(CLASSES, counts, strict=True))


SPEC = DatasetSpec(
    name="fer2013",
    factory="fer_datasets.fer2013:load",
    classes=CLASSES,
    splits={"Training": "train", "PublicTest": "val", "PrivateTest": "test"},
    layouts={
        "fer2013.csv": """\
DIR/                      # or DIR/fer2013/
  fer2013.csv             # emotion,pixels,Usage""",
        "icml_face_data.csv": """\
DIR/
  icml_face_data.csv      # emotion, Usage, pixels (the challenge's second release)""",
    },
    expected_counts={
        "Training": _counts(3995, 436, 4097, 7215, 4830, 3171, 4965),
        "PublicTest": _counts(467, 56, 496, 895, 653, 415, 607),
        "PrivateTest": _counts(491, 55, 528, 879, 594, 416, 626),
    },
    summary="FER2013: 35,887 grey 48 x 48 faces from the web, seven expressions",
    licence="from the ICML 2013 challenge on Kaggle (accept its rules); no licence to redistribute the images",
    homepage="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
)
