"""Ada-DF in two processes: through the update of the class distributions, too, they are one training."""

from __future__ import annotations

import pytest
import torch
from fer_models_misc.adadf.loss import peaked_rows

OVERRIDES = ("data.input_size=48", "data.batch_size=12", "train.epochs=3", "loss.threshold=0.34", "loss.beta=2")


@pytest.mark.slow
def test_two_processes_train_as_one_that_takes_their_parts_in_turn(train_bars) -> None:
    first, second = train_bars("adadf", 2, *OVERRIDES)
    (alone,) = train_bars("adadf", 1, *OVERRIDES, "train.accumulate=2")
    assert first["equal"] == second["equal"] == [True, True]
    distributions = first["state"]["loss.class_distributions"]
    untaught = (peaked_rows(3, 0.34, rest).diagonal() for rest in (0.66, 0.4))
    assert all((distributions.diagonal() - diagonal).abs().max() > 1e-3 for diagonal in untaught)
    for name, value in alone["state"].items():
        torch.testing.assert_close(first["state"][name], value, rtol=0, atol=1e-5, msg=name)
