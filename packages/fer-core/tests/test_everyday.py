"""What people do every day takes few words: evaluating a run, trying out, starting over after a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import fer_core
import pytest
from click.testing import CliRunner, Result
from fer_core import FerError
from fer_core.cli import main
from fer_core.data.open import open_dataset
from fer_core.data.splits import make_split, thin
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.weights.checkpoint import load_weights, save_weights

OPTIONS = [
    *("-o", "data.input_size=16", "-o", "callbacks=[]", "-o", "optimizer.lr=0.01"),
    *("--device", "cpu", "--batch-size", "16"),
]


def fer_run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: str | Path) -> Result:
    result = fer_run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: str | Path) -> str:
    result = fer_run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr.splitlines()[-1]


def test_a_run_is_evaluated_and_diagnosed_as_it_was_trained(tiny) -> None:
    table = "data.classes=[neutral, happiness]"
    done("train", "tiny", "bars", *OPTIONS, "--epochs", "1", "-o", "data.options.samples=60", "-o", table)
    found = json.loads(done("evaluate", "runs/latest", "--json", "--device", "cpu").stdout)
    assert (found["dataset"], found["faces"]) == ("bars", 8)
    assert found["classes"] == ["neutral", "happiness"]
    assert fer_core.evaluate("runs/latest", device="cpu").metrics.count == 8
    diagnosis = done("diagnose", "runs/latest", "--only", "mistakes", "--device", "cpu", "--json")
    assert json.loads(diagnosis.stdout)["dataset"] == "bars"


def test_the_folder_of_the_data_is_that_of_the_run_while_it_is_there(tiny, quick, caplog) -> None:
    Path("faces").mkdir()
    data = {**quick["data"], "root": "faces"}
    run = fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"steps": 1}, "data": data})
    with caplog.at_level("INFO", "fer_core"):
        fer_core.evaluate(run.folder, device="cpu")
        assert "data     faces, as in the run" in caplog.text
        Path("faces").rmdir()
        fer_core.evaluate(run.folder, device="cpu")
    assert "no longer exists" in caplog.text


def test_weights_without_a_record_need_the_name_of_a_dataset(tiny, quick) -> None:
    run = fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"steps": 1}})
    state, header = load_weights(run.checkpoint)
    save_weights(Path("alone.safetensors"), state, header.model_copy(update={"dataset": None}))
    line = refused("evaluate", "alone.safetensors")
    assert "name a dataset, as in fer-run evaluate alone.safetensors DATASET" in line


def test_short_forms_are_overrides(tiny) -> None:
    shown = done("train", "tiny", "bars", "--epochs", "3", "--batch-size", "8", "--lr", "0.5", "--dry-run").stdout
    for key, value in (("epochs", "3"), ("batch_size", "8"), ("lr", "0.5")):
        (line,) = [line for line in shown.splitlines() if line.split(":")[0].strip() == key]
        assert line.split(":")[1].split("#")[0].strip() == value
        assert line.endswith("# -o")
    assert "train.epochs is 0 (-o)" in refused("train", "tiny", "bars", "--epochs", "0")


def test_a_number_of_epochs_is_not_lost_beside_a_number_of_steps(tiny) -> None:
    Path("steps.yaml").write_text("train: {steps: 5}\n")
    line = refused("train", "tiny", "bars", "-c", "steps.yaml", "--epochs", "2")
    assert "train.steps is 5 (steps.yaml)" in line
    done("train", "tiny", "bars", "-c", "steps.yaml", "--epochs", "2", "-o", "train.steps=null", "--dry-run")


def test_a_fraction_thins_the_training_part_of_every_class_and_says_so_everywhere(tiny, quick) -> None:
    quick |= {"train": {"steps": 1}}
    whole = fer_core.train("tiny", "bars", device="cpu", **quick).result
    quick["data"] = {**quick["data"], "fraction": 0.3}
    run = fer_core.train("tiny", "bars", device="cpu", **quick)
    result = run.result
    assert result.dataset.counts["train"] == {"happiness": 5, "sadness": 5, "neutral": 5}
    assert {part: result.dataset.counts[part] for part in ("val", "test")} == {
        part: whole.dataset.counts[part] for part in ("val", "test")
    }
    assert result.split.fraction == 0.3
    assert result.split.digest != whole.split.digest
    words = "with 0.3 of the training part"
    assert words in (run.folder / "log.txt").read_text()
    assert words in (run.folder / "report.html").read_text()
    (row,) = [line for line in done("leaderboard", run.folder).stdout.splitlines() if words in line][:1]
    assert "official" in row
    assert fer_core.evaluate(run.folder, split="train", device="cpu").metrics.count == 15


def test_shares_of_the_training_part_are_nested_and_seeded(tiny) -> None:
    spec, dataset = open_dataset("bars", None, {})
    split = make_split(dataset, spec.splits, "official", holdout=0.1, seed=0, select="best:val")
    small, large, other = (thin(dataset, split, *draw) for draw in ((0.2, 0), (0.5, 0), (0.5, 1)))
    assert set(small.train) < set(large.train) < set(split.train)
    assert set(other.train) != set(large.train)
    assert len(thin(dataset, split, 1e-6, 0).train) == 3
    assert thin(dataset, split, 1.0, 0) is split


@pytest.mark.parametrize("value", ["0", "1.5", "half"])
def test_a_fraction_is_above_0_and_at_most_1(tiny, value: str) -> None:
    line = refused("train", "tiny", "bars", "-o", f"data.fraction={value}")
    assert "expected a number above 0 and of at most 1" in line


def test_a_start_that_fails_leaves_no_folder(tiny, quick, monkeypatch) -> None:
    def broken(setup: object) -> None:
        raise FerError("the trainer is broken: mend it")

    entry = Entry("broken", broken, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["trainers"], "broken", [entry])
    with pytest.raises(FerError, match="mend it"):
        fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"trainer": "broken"}})
    assert not Path("runs").exists()
    fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"steps": 1}})
    with pytest.raises(FerError, match="mend it"):
        fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"trainer": "broken"}})
    assert len(list(Path("runs/tiny-bars").iterdir())) == 1


def test_a_training_that_fails_later_keeps_what_was_saved(tiny, quick, monkeypatch) -> None:
    def fail(self: object, *_: object) -> None:
        raise FerError("no more")

    monkeypatch.setattr("fer_core.workflows.train._evaluate_run", fail)
    with pytest.raises(FerError, match="no more"):
        fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"epochs": 1}})
    (folder,) = Path("runs/tiny-bars").iterdir()
    assert (folder / "last.state.pt").exists()


def test_latest_is_understood_where_a_run_is_resumed_or_extended(tiny, quick, caplog) -> None:
    run = fer_core.train("tiny", "bars", device="cpu", **quick | {"train": {"epochs": 1}})
    with caplog.at_level("INFO", "fer_core"):
        assert fer_core.resume("runs/latest").folder == run.folder
    assert "the latest of 1 run below runs" in caplog.text
    longer = fer_core.extend("runs/latest", epochs=2)
    assert longer.result.extended is not None
    assert "no run was found below empty" in refused("train", "--resume", _made("empty") / "latest")


def _made(name: str) -> Path:
    Path(name).mkdir()
    return Path(name)
