"""RAF-DB, the compound set: 3,954 faces that show two expressions at once, eleven classes."""

from fer_core.plugin import DatasetSpec

CLASSES = (
    "happily_surprised",
    "happily_disgusted",
    "sadly_fearful",
    "sadly_angry",
    "sadly_surprised",
    "sadly_disgusted",
    "fearfully_angry",
    "fearfully_surprised",
    "angrily_surprised",
    "angrily_disgusted",
    "disgustedly_surprised",
)
"""In the order of the label file, which starts at 1."""

SPEC = DatasetSpec(
    name="rafdb_compound",
    factory="fer_datasets.rafdb:load_compound",
    classes=CLASSES,
    splits={"train": "train", "test": "test"},
    layouts={
        "official": """\
DIR/                                  # or DIR/compound/
  EmoLabel/
    list_patition_label.txt           # spelt so; "train_0001.jpg 5" a line, labels 1..11
  Image/
    aligned/                          # or aligned/aligned/
    original/                         # only for -o data.options.images=original
  Annotation/manual/                  # optional: gender, race and age""",
    },
    expected_counts={},
    summary="RAF-DB (compound): 3,954 real-world faces, eleven pairs of expressions",
    licence="non-commercial research only, no redistribution; requested by e-mail from an institutional address",
    homepage="http://www.whdeng.cn/RAF/model1.html",
    options={"images": "aligned"},
)
