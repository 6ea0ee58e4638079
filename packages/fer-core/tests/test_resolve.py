"""Which weights? A file, a run, FOLDER/latest, FOLDER/best, an address; or one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import fer_core
import pytest
from click.testing import CliRunner
from fer_core import FerError
from fer_core.cli import main
from fer_core.runs.resolve import find_run, find_weights, resolve_weights

HOUR = "2026-11-23T{:02d}:00:00+00:00"


MADE: list[Path] = []
"""The folder of a run that is trained once for all tests."""


@pytest.fixture
def run(tiny, quick, tmp_path_factory) -> Path:
    """The folder of a run of the tiny model."""
    if not MADE:
        quick["train"] = {"steps": 2}
        quick["run"] = {"dir": str(tmp_path_factory.mktemp("made") / "run")}
        MADE.append(fer_core.train("tiny", "bars", device="cpu", **quick).folder)
    return Path(shutil.copytree(MADE[0], "one"))


@pytest.fixture
def copy(run) -> Callable[..., Path]:
    """`copy(name, hour=, val=, test=)`: another run below `runs`, begun at that hour, with these accuracies."""

    def make(name: str, *, hour: int = 1, val: float | None = None, test: float | None = None) -> Path:
        folder = Path("runs") / name
        shutil.copytree(run, folder)
        edit(folder / "env.json", lambda env: env.update(started=HOUR.format(hour)))
        for part, value in (("val", val), ("test", test)):
            if value is not None:
                edit(folder / "result.json", lambda result, p=part, v=value: set_accuracy(result, p, v))
        return folder

    return make


def edit(path: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def set_accuracy(result: dict, part: str, value: float) -> None:
    result["best"]["metrics"][part]["accuracy"] = value


def refused(place: str | Path) -> str:
    with pytest.raises(FerError) as error:
        resolve_weights(place)
    return str(error.value)


def test_a_file_and_a_run_folder(run) -> None:
    best = run / "best.safetensors"
    assert resolve_weights(best).path == best
    assert resolve_weights(str(run / "last.safetensors")).path == run / "last.safetensors"
    assert resolve_weights(run).path == best
    assert (resolve_weights(run).choice, resolve_weights(run).left_out) == ("", ())


def test_latest_is_the_run_that_began_last_whatever_the_files_say(copy) -> None:
    newest = copy("model-data/b", hour=9)
    copy("model-data/a", hour=3)
    copy("model-data/c", hour=4)
    found = resolve_weights("runs/latest")
    assert found.path == newest / "best.safetensors"
    assert (found.choice, found.left_out) == ("of the latest of 3 runs below runs", ())
    assert resolve_weights("runs/model-data/latest").path == found.path


def test_latest_leaves_out_what_does_not_say_when_it_began(copy) -> None:
    good = copy("a", hour=1)
    (copy("b", hour=2) / "env.json").unlink()
    (copy("c", hour=3) / "env.json").write_text("[" * 100_000)
    edit(copy("d", hour=4) / "env.json", lambda env: env.update(started="yesterday"))
    found = resolve_weights("runs/latest")
    assert found.path.parent == good
    assert [line.split(maxsplit=1)[0].rstrip(":") for line in found.left_out] == [
        f"runs/{name}/env.json" for name in "bcd"
    ]


def test_an_unfinished_run_is_told(copy) -> None:
    copy("a", hour=1)
    folder = copy("b", hour=2)
    (folder / "result.json").unlink()
    line = refused(folder)
    assert f"{folder} is not finished: resume it with fer-run train --resume {folder}" in line
    assert f"name {folder}/best.safetensors for the best weights so far" in line
    line = refused("runs/latest")
    assert "the latest run below runs cannot be used: runs/b is not finished" in line
    assert "the latest that is finished: runs/a" in line


def test_best_is_chosen_on_the_validation_part_never_on_test(copy) -> None:
    copy("a", val=0.7, test=0.99)
    winner = copy("b", val=0.8, test=0.1)
    copy("c", val=0.75, test=0.5)
    found = resolve_weights("runs/best")
    assert found.path == winner / "best.safetensors"
    assert found.choice == "of the best of 3 runs below runs, validation accuracy 80.00%"


def test_best_leaves_out_unfinished_and_damaged_runs_and_says_so(copy, lines) -> None:
    winner = copy("a", val=0.5)
    (copy("b", val=0.9) / "result.json").unlink()
    (copy("c", val=0.9) / "result.json").write_text("{}")
    assert find_weights("runs/best").parent == winner
    choice, *left_out = lines
    assert choice.startswith("weights  runs/a/best.safetensors, of the best of 1 run below runs")
    assert [line.split()[3].rstrip(":") for line in left_out] == ["runs/b", "runs/c/result.json"]
    assert all(line.startswith("warning  left out: ") for line in left_out)


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result["dataset"].update(fingerprint="0" * 64),
        lambda result: result["split"].update(digest="0" * 64),
    ],
)
def test_runs_that_cannot_be_compared_are_named(copy, change) -> None:
    copy("a")
    edit(copy("b") / "result.json", change)
    line = refused("runs/best")
    assert "the runs below runs are of 2 kinds, whose scores cannot be compared" in line
    assert "runs/a: bars" in line
    assert "runs/b: bars" in line


def test_runs_without_a_validation_part_have_no_best(tiny, quick) -> None:
    quick["train"] = {"steps": 2, "select": "best:test"}
    quick["data"]["split"] = "kfold:3:0"
    quick["run"] = {"dir": "runs/a"}
    fer_core.train("tiny", "bars", device="cpu", **quick)
    assert "have no validation part" in refused("runs/best")


def test_a_folder_that_is_really_called_so_wins(copy) -> None:
    copy("a", hour=9)
    folder = copy("latest", hour=1)
    assert resolve_weights("runs/latest").path == folder / "best.safetensors"


def test_what_is_not_there(copy, tiny) -> None:
    copy("dan-rafdb/a")
    assert "did you mean runs/dan-rafdb? (weights are a file" in refused("runs/dan-rafbd/latest")
    assert "did you mean runs/dan-rafdb/a/best.safetensors" in refused("runs/dan-rafdb/a/best.safetensor")
    line = refused("foo")
    assert "there are no weights foo: name others, " in line
    assert "(weights are a file, a run folder" in line
    assert "tiny is a model, not weights" in refused("tiny")
    assert "runs holds 1 run: name one, or runs/latest or runs/best" in refused("runs")
    Path("empty").mkdir()
    assert "empty is not a run folder" in refused("empty")
    assert "no run was found below empty" in refused("empty/latest")
    assert "no run below empty is finished" in refused("empty/best")
    assert "cannot look for the weights" in refused("x" * 5000)
    assert "there are no weights" in refused("a\0b")
    (Path("runs/dan-rafdb/a") / "best.safetensors").unlink()
    assert "has no best.safetensors" in refused("runs/dan-rafdb/a")


FETCH = """
from pathlib import Path

@hookimpl
def fer_fetch(uri, cache):
    return Path(uri.removeprefix("shelf://")) if uri.startswith("shelf://") else None
"""


def test_an_address_is_fetched(site, tmp_path, monkeypatch) -> None:
    site.install("a-plugin", FETCH)
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    assert resolve_weights("shelf://here.safetensors").path == Path("here.safetensors")
    assert "no plugin fetches attic:// addresses" in refused("attic://x")


def test_every_command_asks_here(copy) -> None:
    copy("a", val=0.1)
    copy("b", val=0.9)

    for command in (
        ("evaluate", "runs/best", "bars", "--device", "cpu"),
        ("calibrate", "runs/best"),
        ("diagnose", "runs/best", "bars", "--only", "mistakes", "--device", "cpu"),
    ):
        output = CliRunner().invoke(main, command).output
        assert "weights  runs/b/best.safetensors, of the best of 2 runs below runs" in output
    assert Path("runs/b/diagnosis-bars-test").is_dir()
    assert fer_core.evaluate("runs/best", "bars", device="cpu").metrics
    assert fer_core.Predictor("runs/best", device="cpu").classes


FORMS = "weights are a file, a run folder, FOLDER/latest, FOLDER/best, an address or an installed name"


def test_a_folder_that_is_not_a_run_says_what_it_holds(tiny) -> None:
    folder = Path("some")
    folder.mkdir()
    assert refused(folder) == f"some is not a run folder, and no run was found below it: {FORMS}"
    for name in ("b.safetensors", "a.safetensors"):
        (folder / name).write_text("")
    assert refused(folder) == (
        "some is not a run folder, and no run was found below it: name a file in it, such as some/a.safetensors"
    )
    (folder / "deep").mkdir()
    (folder / "deep" / "face.png").write_text("")
    assert refused(folder) == (
        "some holds images, not weights: name weights, which fer-run train MODEL DATASET makes"
    )
    Path("runs/a").mkdir(parents=True)
    (Path("runs/a") / "result.json").write_text("")
    assert refused(folder).endswith("name weights, such as runs/latest")


def test_a_name_that_is_nearly_right_is_offered(tiny) -> None:
    for name in ("model-a.pth", "model-b.pth", ".model-c.pth"):
        Path(name).write_text("")
    line = refused("model-.pth")
    start, end = "there are no weights model-.pth: did you mean ", f"? ({FORMS})"
    assert line.startswith(start)
    assert line.endswith(end)
    assert sorted(line[len(start) : -len(end)].split(" or ")) == ["model-a.pth", "model-b.pth"]
    assert refused("else") == (
        f"there are no weights else: name others, which fer-run train MODEL DATASET makes ({FORMS})"
    )


def test_a_run_without_best_weights_yet_is_resumed(copy) -> None:
    folder = copy("a")
    for name in ("result.json", "best.safetensors"):
        (folder / name).unlink()
    assert refused(folder) == f"{folder} is not finished: resume it with fer-run train --resume {folder}"
    assert refused("runs/latest") == (
        f"the latest run below runs cannot be used: {folder} is not finished: "
        f"resume it with fer-run train --resume {folder}"
    )
    assert refused("runs/best").startswith(f"no run below runs is finished ({folder} is not finished: ")


def test_a_damaged_time_or_record_names_the_file_and_what_to_do(copy) -> None:
    folder = copy("a")
    edit(folder / "env.json", lambda env: env.update(threads=0))
    line = refused("runs/latest")
    assert line.startswith("no run was found below runs (runs/a/env.json: threads is 0")
    assert line.endswith(": the run is damaged, train it again): train one, or name another folder")


def test_times_without_a_zone_are_utc(copy) -> None:
    copy("a", hour=3)
    edit(copy("b") / "env.json", lambda env: env.update(started="2026-11-23T04:00:00"))
    edit(copy("c") / "env.json", lambda env: env.update(started="2026-11-23T06:30:00+03:00"))
    assert resolve_weights("runs/latest").path.parent == Path("runs/b")


def test_of_runs_that_began_at_once_the_last_by_path_and_of_equal_scores_the_first(copy) -> None:
    for name in ("b", "a", "c"):
        copy(name, hour=2, val=0.5)
    assert resolve_weights("runs/latest").path.parent == Path("runs/c")
    assert resolve_weights("runs/best").path.parent == Path("runs/a")


def test_the_best_is_told_by_the_metric_of_the_selection(copy) -> None:
    def change(result: dict) -> None:
        result["protocol"]["metric"] = "mean_class_accuracy"
        result["best"]["metrics"]["val"]["mean_class_accuracy"] = 0.625

    edit(copy("a", val=0.1) / "result.json", change)
    assert resolve_weights("runs/best").choice == (
        "of the best of 1 run below runs, validation mean class accuracy 62.50%"
    )


def test_what_runs_must_agree_in_is_told_in_words(copy) -> None:
    result = json.loads((copy("a") / "result.json").read_text())
    edit(copy("b") / "result.json", lambda other: other["protocol"].update(metric="macro_f1"))
    edit(copy("c") / "result.json", lambda other: other["best"]["metrics"].pop("val"))
    data, split = result["dataset"], result["split"]
    divided = f"split {split['protocol']} {split['digest'][:8]}"
    terms = f"bars {data['fingerprint'][:8]} in 3 classes, {divided}, best:val by"
    assert refused("runs/best") == (
        "the runs below runs are of 3 kinds, whose scores cannot be compared "
        f"(runs/a: {terms} accuracy; runs/b: {terms} macro_f1; runs/c: {terms} accuracy, no validation part): "
        "name a folder of one kind, or a run"
    )
    for name in "ab":
        shutil.rmtree(Path("runs") / name)
    assert refused("runs/best") == (
        "the runs below runs have no validation part, which the best is chosen on: name a run"
    )


def test_the_latest_run_is_found_finished_or_not_and_logged(copy, lines) -> None:
    (copy("a", hour=5) / "result.json").unlink()
    copy("b", hour=4)
    (copy("c", hour=9) / "env.json").unlink()
    assert find_run("runs/latest") == Path("runs/a")
    chosen, left_out = lines
    assert chosen == "run      runs/a, the latest of 2 runs below runs"
    assert left_out.startswith("warning  left out: ")
    assert "runs/c/env.json" in left_out
