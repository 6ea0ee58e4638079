"""CAER-S: frames of television series with seven expressions."""

from fer_core.plugin import DatasetSpec

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The order of the folders by name."""

SPEC = DatasetSpec(
    name="caers",
    factory="fer_datasets.caers:load",
    classes=CLASSES,
    splits={"train": "train", "test": "test"},
    layouts={
        "official": """\
DIR/                      # or DIR/CAER-S/
  train/
    Anger/ Disgust/ Fear/ Happy/ Neutral/ Sad/ Surprise/
      0001.png ...
  test/                   # the same""",
    },
    expected_counts={},
    summary="CAER-S: frames of television series, seven expressions, no validation split",
    licence="research only; the terms stand on its page",
    homepage="https://caer-dataset.github.io/",
    aliases=("caer-s",),
)
