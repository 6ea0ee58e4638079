"""AffectNet: 291,650 faces from the web with eight expressions, or seven without contempt."""

from fer_core.plugin import EXPRESSIONS, DatasetSpec

CLASSES = EXPRESSIONS
"""In the order of AffectNet's numbers, which start at 0."""


def _counts(*counts: int) -> dict[str, int]:
    return dict(zip(CLASSES, counts, strict=True))


SPEC = DatasetSpec(
    name="affectnet",
    factory="fer_datasets.affectnet:load",
    classes=CLASSES,
    splits={"train": "train", "val": "test"},
    layouts={
        "release": """\
DIR/
  train_set/
    images/               # 0.jpg ... of 224 x 224
    annotations/          # 0_exp.npy (a number as text), 0_val.npy, 0_aro.npy, 0_lnd.npy ...
  val_set/                # the same""",
        "full": """\
DIR/
  training.csv            # subDirectory_filePath,...,expression,...; or in Manually_Annotated_file_lists/
  validation.csv
  Manually_Annotated_Images/
    1/ 2/ ...             # the folders that subDirectory_filePath names""",
        "class folders": """\
DIR/
  train/                  # and val/ (or valid/)
    0/ 1/ ... 7/          # or neutral/, happy/ ...""",
        "lists": """\
DIR/
  train_set/
    images/
    train_annotations_8class.txt      # or _7class; "0.jpg 1" a line
  valid_set/                          # or val_set; valid_annotations_8class.txt""",
        "affectnet.csv": """\
DIR/
  affectnet.csv           # phase,img_path,label
  train_set/images/  val_set/images/""",
    },
    expected_counts={
        "train": _counts(74_874, 134_415, 25_459, 14_090, 6_378, 3_803, 24_882, 3_750),
        "val": _counts(500, 500, 500, 500, 500, 500, 500, 499),
    },
    summary="AffectNet: 291,650 faces from the web, eight expressions (or seven); papers report its val split",
    licence="research only, no redistribution; requested by a form on its page",
    homepage="http://mohammadmahoor.com/affectnet/",
    options={"classes": 8},
)
