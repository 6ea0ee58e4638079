"""CK+: posed sequences from neutral to the peak of an expression, 327 of 593 labelled."""

from __future__ import annotations

from collections.abc import Mapping

from fer_core.plugin import DatasetSpec

NUMBERED = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""In the order of the official label files, which use 1 to 7."""
SEQUENCES = dict(zip(NUMBERED[1:], (45, 18, 59, 25, 69, 28, 83), strict=True))
"""Labelled sequences of each class."""
ALL_SEQUENCES = 593


def expected(peaks: int, neutral: int, classes: tuple[str, ...]) -> Mapping[str, Mapping[str, int]]:
    """Counts of a set of frames: `peaks` frames of every labelled sequence, and `neutral` first frames."""
    return {"": {name: neutral if name == "neutral" else peaks * SEQUENCES[name] for name in classes}}


SPEC = DatasetSpec(
    name="ckplus",
    factory="fer_datasets.ckplus:load",
    classes=NUMBERED[1:],
    splits={"Training": "train", "PublicTest": "val", "PrivateTest": "test"},
    layouts={
        "official": """\
DIR/
  cohn-kanade-images/             # or extended-cohn-kanade-images/cohn-kanade-images/
    S005/001/
      S005_001_00000001.png ... S005_001_00000011.png
  Emotion/                        # or Emotion_labels/Emotion/
    S005/001/
      S005_001_00000011_emotion.txt""",
        "CK+48": """\
DIR/                              # or DIR/CK+48/
  anger/ contempt/ disgust/ fear/ happy/ sadness/ surprise/
    S010_004_00000017.png ...     # 48 x 48, three frames a sequence""",
        "ckextended.csv": """\
DIR/
  ckextended.csv                  # emotion,pixels,Usage; subjects unknown""",
        "csv": """\
DIR/
  ckplus_labels.csv               # image_name,label,emotion; subjects unknown
  ckplus_images/
    image_000000.png ...""",
    },
    expected_counts=expected(3, 0, NUMBERED[1:]),
    summary="CK+: 327 labelled sequences of 118 subjects, posed, seven expressions, no official split",
    licence="signed user agreement, no redistribution; only some subjects may be printed",
    homepage="https://www.jeffcohn.net/Resources/",
    group_key="subject",
    options={"frames": None, "contempt": True},
    aliases=("ck+", "ck_plus", "ck+48"),
)
