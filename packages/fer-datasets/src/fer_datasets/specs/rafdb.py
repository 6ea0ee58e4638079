"""RAF-DB, the basic set: 15,339 faces from the web with seven expressions."""

from fer_core.plugin import DatasetSpec

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""In the order of the label file, which starts at 1."""
CUSTOM = {"train": "custom-train", "val": "custom-val", "test": "custom-test"}
"""Split names of a copy with other splits."""

SPEC = DatasetSpec(
    name="rafdb",
    factory="fer_datasets.rafdb:load",
    classes=CLASSES,
    splits={
        "train": "train",
        "valid": "val",
        "test": "test",
        "custom-train": "train",
        "custom-val": "val",
        "custom-test": "test",
    },
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
      train_00001.jpg ...
  Annotation/manual/                  # optional: gender, race and age""",
        "plain names": """\
DIR/
  EmoLabel/list_patition_label.txt    # or DIR/list_patition_label.txt
  RAF/
    train_00001.jpg ...               # an alignment of one's own""",
        "class folders": """\
DIR/                                  # or DIR/DATASET/
  train/                              # and test/, valid/ or val/
    1/                                # 1 to 7, 0 to 6, or surprise, fear, disgust...
      train_00002_aligned.jpg ...
  train_labels.csv, test_labels.csv   # optional: image,label""",
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
