"""LNSU-Net in two processes: through its two views of every face, too, they are one training."""

from __future__ import annotations

import pytest
import torch

OVERRIDES = ("data.options={train: 12}", "data.batch_size=8", "train.epochs=1", "model.drop_path=0.1")


@pytest.mark.slow
def test_two_processes_train_as_one_that_takes_their_parts_in_turn(train_bars) -> None:
    first, second = train_bars("lnsu", 2, *OVERRIDES)
    (alone,) = train_bars("lnsu", 1, *OVERRIDES, "train.accumulate=2")
    assert first["equal"] == second["equal"] == [True, True]
    for name, value in alone["state"].items():
        torch.testing.assert_close(first["state"][name], value, rtol=0, atol=1e-5, msg=name)
