"""Faces in a parquet file, with subjects and extra targets."""

from fer_core.plugin import DatasetSpec, hookimpl

LAYOUT = """\
DIR/faces.parquet    image (bytes of a file), label (text), and if known: id, split (train, val, test), subject;
                     every other column is an extra target: numbers, or text for classes
"""


@hookimpl
def fer_datasets() -> list[DatasetSpec]:
    """The dataset."""
    return [
        DatasetSpec(
            name="parquet",
            factory="fer_dataset_parquet.faces:Faces",
            classes=(),
            splits={"train": "train", "val": "val", "test": "test"},
            layouts={"parquet": LAYOUT},
            expected_counts={},
            summary="Faces in a parquet file, with subjects and extra targets",
            licence="that of the data",
            homepage="https://example.org/fer-dataset-parquet",
            group_key="subject",
        )
    ]
