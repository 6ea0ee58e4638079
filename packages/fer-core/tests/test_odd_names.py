"""Ids that are file names of any bytes go through a whole run."""

import csv
import os

import fer_core
from fer_core import registry


def test_a_run_on_names_that_are_not_utf_8(tiny, quick, monkeypatch):
    dataset = registry.find("datasets", "bars").factory
    original = dataset.__init__
    odd = os.fsdecode(b"caf\xe9.png")

    def renamed(self, root, **options):
        original(self, root, **options)
        self.table["id"] = self.table["id"].astype(object)
        self.table.loc[len(self.table) - 1, "id"] = odd

    monkeypatch.setattr(dataset, "__init__", renamed)
    quick["train"] = {"steps": 2}
    run = fer_core.train("tiny", "bars", device="cpu", **quick)
    with (run.checkpoint.parent / "predictions-test.csv").open(encoding="utf-8") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert ids[-1] == r"caf\udce9.png"
