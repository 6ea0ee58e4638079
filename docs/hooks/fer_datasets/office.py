import hashlib

import pandas as pd
from fer_core.plugin import FERDataset, FerError, decode_image, make_fingerprint


class Office(FERDataset):
    name = "office"
    classes = ("neutral", "happiness")

    def __init__(self, root):
        self.root = root
        files = [path.relative_to(root) for path in sorted(root.glob("*/*/*.png"))]
        if not files:
            raise FerError(f"{root} is not laid out as office: give its folder", "train/neutral/*.png")
        rows = [(str(file), self.classes.index(file.parts[1]), file.parts[0], str(file)) for file in files]
        self.table = pd.DataFrame(rows, columns=["id", "label", "split", "source"])

    def read(self, row):
        return decode_image(self.root / self.table["source"][row])

    def fingerprint(self):
        files = [(self.root / file).read_bytes() for file in self.table["source"]]
        hashes = [hashlib.sha256(content).hexdigest() for content in files]
        return make_fingerprint(self.table["id"], self.table["label"], hashes)
