from fer_core.plugin import DatasetSpec, hookimpl


@hookimpl
def fer_datasets():
    return [
        DatasetSpec(
            name="office",
            factory="my_plugin.office:Office",
            classes=("neutral", "happiness"),
            splits={"train": "train", "test": "test"},
            layouts={"folders": "train/neutral/*.png"},
            expected_counts={},
            summary="Faces from our office",
            licence="internal",
            homepage="https://example.org/office",
        )
    ]
