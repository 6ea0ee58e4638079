"""The reader of the file."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from fer_core.plugin import FERDataset, FerError, decode_bytes, make_fingerprint
from numpy.typing import NDArray

OWN = {"id", "label", "split", "subject"}


class Faces(FERDataset):
    """`DIR/faces.parquet`, memory-mapped; images are decoded when they are read."""

    name = "parquet"

    def __init__(self, root: Path) -> None:
        path = root / "faces.parquet"
        if not path.is_file():
            raise FerError(f"parquet: {path} is missing: give its folder with --data")
        whole = pq.read_table(path, memory_map=True)
        if missing := {"image", "label"}.difference(whole.column_names):
            raise FerError(f"parquet: {path} lacks the column {min(missing)}: see fer-run info parquet")
        self.images, found = whole["image"], whole.drop_columns(["image"]).to_pandas()
        labels, rows = found["label"].astype("category"), [f"row-{row:06d}" for row in found.index]
        self.classes = tuple(labels.cat.categories)
        self.table = pd.DataFrame({"label": labels.cat.codes.astype("int64"), "split": found.get("split", "")})
        self.table["id"], self.table["source"] = found.get("id", rows), rows
        if "subject" in found:
            self.table["group"] = found["subject"].fillna("")
        for name in found.columns.difference(list(OWN)):
            text = not pd.api.types.is_numeric_dtype(found[name].dtype)
            self.table[f"target_{name}"] = found[name].astype("category") if text else found[name]

    def read(self, row: int) -> NDArray[np.uint8]:
        """Pixels of a face, RGB."""
        return decode_bytes(self.images[row].as_py(), self.table["source"][row])

    def fingerprint(self) -> str:
        """Of ids, labels and the bytes of the images."""
        hashes = [hashlib.sha256(image.as_py()).hexdigest() for image in self.images]
        return make_fingerprint(self.table["id"], self.table["label"], hashes)
