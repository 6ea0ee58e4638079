"""The two pipelines on a trained model: the same accuracy, whichever reads the faces."""

from __future__ import annotations

import fer_core
import numpy as np
import pytest
from fer_core import registry
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.weights import checkpoint


@pytest.fixture
def faint(tiny, monkeypatch):
    """`faint`: bars that are hard to see, so that many faces lie near the border between two classes."""
    spec = registry.find("datasets", "bars")
    bars = spec.factory

    class Faint(bars):
        name = "faint"

        def read(self, row):
            rng = np.random.default_rng(row)
            image = rng.integers(0, 200, (16, 16, 3), dtype=np.uint8)
            at = 1 + 5 * int(self.table["label"].iloc[row])
            image[at : at + 4] += 12
            return image

    changed = {**{field: getattr(spec, field) for field in spec.__dataclass_fields__}, "name": "faint"}
    entry = Entry("faint", type(spec)(**{**changed, "factory": Faint}), Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["datasets"], "faint", [entry])


def test_both_pipelines_measure_the_same_accuracy(faint, quick) -> None:
    """Within 0.1 points, on 1,000 faces that are enlarged, where the pipelines round differently."""
    quick["data"] |= {"input_size": 40, "batch_size": 100, "options": {"samples": 5000}}
    quick["data"]["eval_transforms"] = [{"resize": {"interpolation": "bicubic"}}, "normalize"]
    done = fer_core.train("tiny", "faint", device="cpu", **{**quick, "train": {"epochs": 2}})
    state, header = checkpoint.load_weights(done.checkpoint)
    found = {}
    for pipeline in ("batched", "per-image"):
        preprocessing = header.preprocessing.model_copy(update={"pipeline": pipeline})
        changed = header.model_copy(update={"preprocessing": preprocessing})
        checkpoint.save_weights(done.folder / "w.safetensors", state, changed)
        found[pipeline] = fer_core.evaluate(
            done.folder / "w.safetensors",
            "faint",
            device="cpu",
            precision="fp32",
            options={"samples": 5000},
        )
    one, other = found.values()
    assert len(one.labels) == 1000
    assert 0.4 < one.metrics.accuracy < 0.98
    assert not np.array_equal(one.probabilities, other.probabilities)
    assert one.metrics.accuracy == pytest.approx(other.metrics.accuracy, abs=0.00101)
