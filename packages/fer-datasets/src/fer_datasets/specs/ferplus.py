"""FERPlus: FER2013's faces with the votes of ten annotators."""

from fer_core.types import DatasetSpec

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
"""In the order of the label files' columns."""


def _counts(*counts: int) -> dict[str, int]:
    return dict(zip(CLASSES, counts, strict=True))


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
  fer2013.csv             # emotion,pixels,Usage: row i belongs to row i of fer2013new.csv""",
    },
    expected_counts={
        "train": _counts(8733, 7284, 3136, 3022, 2098, 116, 536, 120),
        "valid": _counts(1180, 862, 411, 348, 289, 25, 60, 16),
        "test": _counts(1083, 892, 394, 382, 269, 16, 86, 15),
    },
    summary="FERPlus: the faces of FER2013, eight expressions by majority of ten annotators",
    licence="labels MIT; the images are FER2013's, without a licence to redistribute",
    homepage="https://github.com/microsoft/FERPlus",
    options={"mode": "majority"},
    aliases=("fer+",),
)
