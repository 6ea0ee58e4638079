"""The callback `tensorboard`: what it writes is read back by TensorBoard itself."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import fer_core
import pytest
from click.testing import CliRunner
from fer_core import api
from fer_core.cli import main
from fer_core.training import loop

NEEDED = pytest.mark.skipif(
    find_spec("tensorboard") is None, reason="TensorBoard is not installed: fer-core[tensorboard]"
)


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def figures(folder: Path) -> dict[str, list[tuple[int, float]]]:
    expected: dict[str, list[tuple[int, float]]] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        step = row.pop("step")
        nested = {key: value for key, value in row.items() if isinstance(value, dict)}
        flat = {key: value for key, value in row.items() if key not in nested}
        flat |= {f"{role}/{name}": value for role, values in nested.items() for name, value in values.items()}
        for tag, value in flat.items():
            expected.setdefault(tag, []).append((step, pytest.approx(value, rel=1e-6)))
    return expected


@NEEDED
def test_every_figure_of_every_epoch_is_there(tiny, quick) -> None:
    quick["callbacks"] = ["tensorboard"]
    done = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/a"})
    found = points(done.folder)
    assert found == figures(done.folder)
    assert {"train/loss", "val/accuracy", "lr", "epoch"} <= found.keys()
    assert len(found["train/loss"]) == 4


@NEEDED
def test_a_run_that_goes_on_leaves_no_point_twice(tiny, quick, monkeypatch) -> None:
    quick |= {"callbacks": ["tensorboard"]}
    with monkeypatch.context() as patch:
        save = loop.Loop._save_state

        def dying(self) -> None:  # after the second evaluation was written, before its state was saved
            if self.position.epoch == 2:
                raise KeyboardInterrupt
            save(self)

        patch.setattr(loop.Loop, "_save_state", dying)
        with pytest.raises(KeyboardInterrupt):
            fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/a"})
    assert len(points(Path("runs/a"))["epoch"]) == 2
    done = api.resume("runs/a")
    assert points(done.folder) == figures(done.folder)


def test_without_the_package_it_is_said_which_extra_brings_it(tiny, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = CliRunner().invoke(main, ["train", "tiny", "bars", "--device", "cpu", "-o", "callbacks=[tensorboard]"])
    assert run.exit_code == 2
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("Error: ")]
    assert "pip install 'fer-core[tensorboard]'" in line
    assert "Traceback" not in run.output
