"""RAF-DB, the basic set: 15,339 faces from the web with seven expressions."""

from fer_core.types import DatasetSpec

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""In the order of the label file, which counts from 1."""

SPEC = DatasetSpec(
    name="rafdb",
    factory="fer_datasets.rafdb:load",
    classes=CLASSES,
    splits={"train": "train", "test": "test"},
    layouts={
        "official": """\
DIR/                                  # or DIR/basic/
  EmoLabel/
    list_patition_label.txt           # spelt so; "train_00001.jpg 5" a line, labels 1..7
  Image/
    aligned/                          # or aligned/aligned/
      train_00001_aligned.jpg ...     # 100 x 100
      test_0001_aligned.jpg ...
    original/                         # only for -o data.options.images=original
      train_00001.jpg ...""",
    },
    expected_counts={
        "train": dict(zip(CLASSES, (1290, 281, 717, 4772, 1982, 705, 2524), strict=True)),
        "test": dict(zip(CLASSES, (329, 74, 160, 1185, 478, 162, 680), strict=True)),
    },
    summary="RAF-DB (basic): 15,339 real-world faces, seven expressions, no official validation split",
    licence="non-commercial research only, no redistribution; requested by e-mail from an institutional address",
    homepage="http://www.whdeng.cn/RAF/model1.html",
    options={"images": "aligned"},
    aliases=("raf",),
)
