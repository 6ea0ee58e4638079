"""Memory that is refused, by the allocators themselves: one line that says what would fit."""

from __future__ import annotations

import fer_core
import pytest
import torch
from fer_core.plugin import ModelSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from torch import nn


class Greedy(nn.Module):
    """Asks the computer for more memory than there is where it gets more than `most` images at once."""

    def __init__(self, info, *, training: int = 99, evaluating: int = 99) -> None:
        super().__init__()
        self.most = {True: training, False: evaluating}
        self.head = nn.Linear(3, len(info.classes))

    def forward(self, images):
        if len(images) > self.most[self.training]:
            torch.empty(1 << 50)
        return {"logits": self.head(images.mean((2, 3)))}


@pytest.mark.parametrize(
    ("most", "message"),
    [
        (
            {"training": 4},
            "out of memory with 16 images at once; 4 fit: use train.accumulate=4, .*data.batch_size=4$",
        ),
        ({"training": 0}, "out of memory with 16 images at once; two do not fit either: use train.recompute"),
        ({"evaluating": 5}, "out of memory when evaluating 16 images at once; 4 fit: use data.eval_batch_size=4"),
        ({"evaluating": 0}, "out of memory when evaluating 16 images at once; one does not fit either"),
    ],
)
def test_memory_that_is_refused_says_how_many_images_fit(tiny, quick, monkeypatch, most, message) -> None:
    spec = ModelSpec(name="greedy", factory=Greedy, recipes={}, summary="", paper="", licence="", upstream="")
    entry = Entry("greedy", spec, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["models"], "greedy", [entry])
    with pytest.raises(fer_core.FerError, match=message):
        fer_core.train("greedy", "bars", device="cpu", model=most, **quick)


@pytest.mark.gpu
def test_out_of_memory_says_what_would_fit(tiny, quick) -> None:
    quick["data"] = {**quick["data"], "input_size": 2048, "batch_size": 54, "options": {"samples": 90}}
    torch.cuda.set_per_process_memory_fraction(0.03)
    try:
        with pytest.raises(fer_core.FerError, match=r"out of memory with 54 .* fit: use train.accumulate="):
            fer_core.train("tiny", "bars", device="cuda", model={"width": 128}, **quick)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
