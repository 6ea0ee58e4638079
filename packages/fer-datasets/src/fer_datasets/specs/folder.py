"""Any set of images sorted into folders, or listed in a CSV file."""

from fer_core.plugin import DatasetSpec

SPEC = DatasetSpec(
    name="folder",
    factory="fer_datasets.folder:load",
    classes=(),
    splits={"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"},
    layouts={
        "splits": """\
DIR/
  train/                  # and any of: val (or valid, validation), test
    happy/                # one folder a class
      anything.jpg ...
    sad/ ...
  alignment.json          # optional: how the faces were cut out of photographs""",
        "classes": """\
DIR/
  happy/                  # one folder a class, no splits
    anything.jpg ...
  sad/ ...""",
        "csv": """\
DIR/
  labels.csv              # header path,label[,split][,group][,attribute_NAME]; -o data.options.csv=labels.csv
  anything/anywhere.jpg   # path in labels.csv, relative to DIR""",
    },
    expected_counts={},
    summary="Your own images: one folder a class, or a CSV file with path and label",
    licence="whatever the images' owners allow",
    homepage="your own collection",
    options={"csv": None, "classes": None},
    aliases=("csv", "imagefolder"),
)
