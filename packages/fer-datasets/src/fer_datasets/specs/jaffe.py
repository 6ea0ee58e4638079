"""JAFFE: 213 posed faces of ten Japanese women."""

from fer_core.plugin import DatasetSpec

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The order of the codes AN, DI, FE, HA, NE, SA, SU."""
COUNTS = {"": dict(zip(CLASSES, (30, 29, 32, 31, 30, 31, 30), strict=True))}
"""There are no official splits."""

SPEC = DatasetSpec(
    name="jaffe",
    factory="fer_datasets.jaffe:load",
    classes=CLASSES,
    splits={},
    layouts={
        "official": """\
DIR/                      # or DIR/jaffe/, or with folders inside
  KA.AN1.39.tiff          # subject, expression and its repetition, number of the picture
  KA.AN2.40.tiff ...""",
    },
    expected_counts=COUNTS,
    summary="JAFFE: 213 posed grey faces of 10 subjects, seven expressions, no official splits",
    licence="non-commercial research only, no redistribution; registration",
    homepage="https://zenodo.org/records/3451524",
    group_key="subject",
)
