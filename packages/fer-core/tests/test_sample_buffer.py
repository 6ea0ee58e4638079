"""Values that a loss keeps for every training sample."""

from __future__ import annotations

import pytest
import torch
from fer_core import FerError
from fer_core.losses import SampleBuffer
from fer_core.plugin import Loss, TaskInfo
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.runs.state import describe
from fer_core.testing import check_resume


def test_what_is_written_is_read_and_the_last_of_several_values_counts() -> None:
    buffer = SampleBuffer(6, (2,), fill=-1)
    buffer[torch.tensor([4, 1, 4])] = torch.tensor([[1.0, 2], [3, 4], [5, 6]], requires_grad=True)
    assert buffer[torch.tensor([1, 4, 0])].tolist() == [[3, 4], [5, 6], [-1, -1]]
    assert not buffer.values.requires_grad
    many = torch.arange(40_000) % 2
    buffer[many] = torch.arange(40_000.0)[:, None]
    assert buffer.values[:2].tolist() == [[39_998] * 2, [39_999] * 2]
    buffer[torch.tensor([], dtype=torch.int64)] = 7
    buffer[torch.tensor([5])] = 7
    assert buffer.values[2:, 0].tolist() == [-1, -1, 5, 7]


def test_a_copy_is_read_so_that_gradients_and_later_writes_do_not_meet() -> None:
    buffer = SampleBuffer(3)
    index = torch.tensor([0, 2])
    scale = torch.ones(2, requires_grad=True)
    product = (scale * buffer[index]).sum()
    buffer[index] = 5
    product.backward()
    assert scale.grad is not None
    assert scale.grad.tolist() == [0, 0]


def test_a_million_samples_are_one_tensor_in_a_state_and_move_with_the_loss() -> None:
    class Million(Loss):
        def __init__(self) -> None:
            super().__init__()
            self.labels = SampleBuffer(1_000_000, dtype=torch.int8)

    loss = Million()
    loss.labels[torch.arange(0, 1_000_000, 1000)] = 3
    state = loss.state_dict()
    assert dict(describe(state)) == {"": "mapping", "labels._extra_state": "int8[1000000]"}
    assert sum(value.nbytes for value in state.values()) == 1_000_000
    assert list(loss.buffers()) == []  # torch would send buffers to all processes before every step
    other = Million()
    other.load_state_dict(state)
    assert other.labels.values.sum() == 3000
    assert loss.to("meta").labels.values.is_meta
    assert repr(other.labels) == "SampleBuffer(1000000 samples, 1 x int8 each)"


@pytest.mark.parametrize(
    "other", [SampleBuffer(5), SampleBuffer(4, (1,)), SampleBuffer(4, dtype=torch.int64)], ids=repr
)
def test_values_of_other_data_or_of_another_loss_are_refused(other: SampleBuffer) -> None:
    with pytest.raises(FerError, match="do not fit a SampleBuffer of 4, 1 x float32 each"):
        SampleBuffer(4).load_state_dict(other.state_dict())


class Averaging(Loss):
    """Targets are the average of a sample's predictions so far."""

    def __init__(self, info: TaskInfo) -> None:
        super().__init__()
        self.targets = SampleBuffer(info.samples, (info.num_classes,), fill=1 / info.num_classes)
        self.visits = SampleBuffer(info.samples, dtype=torch.int64)
        self.confidence = SampleBuffer(info.samples)

    def from_output(self, output, batch, progress):
        logits, index = output["logits"], batch["index"]
        self.targets[index] = 0.5 * self.targets[index] + 0.5 * logits.detach().softmax(1)
        self.visits[index] = self.visits[index] + 1
        self.confidence[index] = self.targets[index].amax(1)
        given = torch.nn.functional.cross_entropy(logits, batch["label"])
        return {"loss": given + torch.nn.functional.cross_entropy(logits, self.targets[index])}


def test_a_run_resumes_with_the_values_of_its_samples_and_lists_them(tiny, quick, monkeypatch) -> None:
    entry = Entry("averaging", Averaging, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["losses"], "averaging", [entry])
    targets = check_resume("tiny", "bars", tiny, **quick, loss="averaging")["loss.targets._extra_state"]
    assert targets.shape == (54, 3)
    header, *lines = (tiny / "whole" / "samples.csv").read_text().splitlines()
    assert header == "id,label,loss.visits,loss.confidence"
    known = [f"{target.max():.9g}" for target in targets]
    classes = ("happiness", "sadness", "neutral")
    assert lines == [f"bar-{i:04d},{classes[i % 3]},4,{known[i]}" for i in range(54)]
