"""Runs as reports read them: what they are called, which belong together, and what is not a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fer_core.config import Config, config_hash, dump_config
from fer_core.errors import FerError
from fer_core.metrics import MetricsRow, compute_metrics
from fer_core.provenance import Dataset, Extension, Model, Split, Start
from fer_core.runs.predictions import write_predictions
from fer_core.runs.reading import (
    Protocol,
    RunRecord,
    collect,
    find_files,
    read_history,
    read_part,
    read_run,
    split_family,
)
from fer_core.runs.records import Membership, Result, ScoredWeights, Training
from fer_core.runs.resolve import find_run, is_run
from fer_core.testing import make_preprocessing

CLASSES = ("anger", "neutral")
SHA = 64 * "a"
LABELS = np.array([0, 1, 1, 0])
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]], dtype=np.float32)
COUNTS = {"anger": 2, "neutral": 2}


def config_of(**sections: dict[str, object]) -> Config:
    values: dict[str, dict[str, object]] = {
        "model": {"name": "dan"},
        "data": {"name": "bars", "input_size": 32},
        "train": {"epochs": 2},
    }
    return Config.model_validate({key: {**value, **sections.get(key, {})} for key, value in values.items()})


def result_of(config: Config, **changes: object) -> Result:
    weights = ScoredWeights(epoch=2, step=8, metrics={"test": compute_metrics(LABELS, SCORES, CLASSES)})
    result = Result(
        format=2,
        model=Model(name="dan", options=config.model.options),
        classes=CLASSES,
        dataset=Dataset(name="bars", fingerprint=SHA, counts={"train": COUNTS, "test": COUNTS}),
        split=Split(protocol="official", holdout=0.1, seed=0, digest=64 * "b"),
        start=Start(description="random weights"),
        preprocessing=make_preprocessing(32),
        protocol=Training(
            select=config.train.select,
            metric=config.train.metric,
            selected_on_test=config.train.select == "best:test",
            seed=config.train.seed,
            epochs=2,
            steps=8,
        ),
        config_sha256=config_hash(config),
        best=weights,
        last=weights,
    )
    return result.model_copy(update=changes)


def record(config: Config | None = None, recipe: str = "", **changes: object) -> RunRecord:
    config = config or config_of()
    return RunRecord(Path("run"), result_of(config, **changes), config, (), None, recipe)


def write(folder: Path, config: Config | None = None, **changes: object) -> Path:
    config = config or config_of()
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(config))
    (folder / "result.json").write_text(result_of(config, **changes).text())
    return folder


def split(protocol: str, **changes: float) -> Split:
    return Split(protocol=protocol, seed=0, digest=64 * "b", **{"holdout": 0.1, **changes})


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (Protocol("official", 0.0, "last", ""), "official, last epoch"),
        (
            Protocol("official+holdout", 0.1, "best:val", "macro_f1"),
            "official+holdout of 10%, epoch with the best macro f1 on val",
        ),
        (
            Protocol("kfold:5", 0.0, "best:test", "accuracy", recipe="shared"),
            "kfold:5, epoch with the best accuracy on test, recipe shared",
        ),
        (
            Protocol("official", 0.0, "last", "", trained="rafdb", classes="7 shared classes"),
            "trained on rafdb: official, last epoch; 7 shared classes",
        ),
    ],
)
def test_a_protocol_in_words(protocol, words) -> None:
    assert str(protocol) == words


@pytest.mark.parametrize(
    ("protocol", "family"),
    [
        ("official", "official"),
        ("official+holdout", "official+holdout"),
        ("kfold:10:3", "kfold:10"),
        ("kfold:10:3:sorted", "kfold:10:sorted"),
        ("stratified-shuffle:0.2:4", "stratified-shuffle"),
        ("seed-shuffle:7+holdout", "seed-shuffle+holdout"),
        ("subject:3", "subject:3"),
        ("file:a+b:c.csv", "file:a+b:c.csv"),
    ],
)
def test_the_family_of_a_split_has_no_number_of_a_repetition(protocol, family) -> None:
    assert split_family(protocol) == family


def test_the_protocol_of_a_run_is_what_was_done() -> None:
    best = config_of(train={"select": "best:test", "metric": "macro_f1"})
    assert record(best, "shared", split=split("kfold:5:2+holdout", holdout=0.25)).protocol == Protocol(
        "kfold:5+holdout", 0.25, "best:test", "macro_f1", "shared"
    )
    last = config_of(train={"select": "last"})
    assert record(last).protocol == Protocol("official", 0.0, "last", "")
    part = record(last, split=split("official", fraction=0.25)).protocol
    assert part.split == "official with 0.25 of the training part"


def test_what_a_run_is_called() -> None:
    run = record(config_of(train={"seed": 7}))
    assert (run.model, run.dataset, run.fingerprint, run.digest) == ("dan", "bars", SHA, 64 * "b")
    assert (run.classes, run.seed) == (CLASSES, 7)


@pytest.mark.parametrize(
    "change",
    [
        {"train": {"seed": 9}},
        {"train": {"save_every": 7}},
        {"data": {"split_seed": 4}},
        {"data": {"split": "kfold:3:1"}},
        {"data": {"root": "/elsewhere", "workers": 3}},
    ],
)
def test_repetitions_differ_in_seed_split_and_place(change) -> None:
    assert record(config_of(**change)).variant == record().variant
    assert record(config_of(**change)).settings == record().settings


@pytest.mark.parametrize(
    "change",
    [{"train": {"epochs": 3}}, {"data": {"input_size": 40}}, {"model": {"width": 4}}, {"data": {"batch_size": 7}}],
)
def test_other_settings_are_no_repetition(change) -> None:
    assert record(config_of(**change)).variant != record().variant


def test_options_in_another_order_are_a_repetition() -> None:
    one, other = ({"width": 4, "depth": 2}, {"depth": 2, "width": 4})
    assert record(config_of(model=one)).variant == record(config_of(model=other)).variant


def test_an_extended_run_repeats_only_what_was_extended_alike() -> None:
    def extended(epoch: int, epochs: int = 2) -> RunRecord:
        return record(extended=Extension(config_sha256=SHA, epochs=epochs, epoch=epoch, step=4 * epoch))

    assert record().settings["extended"] == "no"
    assert extended(1).settings["extended"] == "after epoch 1 of 2"
    assert extended(1).variant == extended(1).variant
    assert len({run.variant for run in (record(), extended(1), extended(2), extended(1, 3))}) == 4
    assert len(record().variant) == 12


def test_a_bare_run_has_no_history_no_predictions_and_no_environment(tmp_path) -> None:
    run = read_run(write(tmp_path / "run"))
    assert (run.history, run.env, run.recipe, run.predictions) == ((), None, "", None)
    assert run.folder == tmp_path / "run"


def test_the_recipe_is_that_of_the_experiment(tmp_path) -> None:
    folder = write(tmp_path / "run")
    (folder / "experiment.json").write_text(Membership(format=2, experiment="e", recipe="shared").text())
    assert read_run(folder).recipe == "shared"


def refusal(folder: Path) -> str:
    with pytest.raises(FerError) as caught:
        read_run(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": {"name": "poster"}}, "model.name"),
        ({"model": {"width": 4}}, "model.options"),
        ({"data": {"name": "rafdb"}}, "dataset.name"),
        ({"data": {"input_size": 40}}, "preprocessing.input_size"),
        ({"train": {"seed": 3}}, "protocol.seed"),
        ({"train": {"select": "last"}}, "protocol.select"),
        ({"train": {"metric": "macro_f1"}}, "protocol.metric"),
    ],
)
def test_a_result_of_another_configuration_is_named_by_field(tmp_path, change, field) -> None:
    folder = write(tmp_path / "run")
    (folder / "config.yaml").write_text(dump_config(config_of(**change)))
    assert refusal(folder) == (
        f"{folder / 'result.json'}: {field} is not what config.yaml says: the run is damaged, train it again"
    )


def test_a_configuration_that_was_edited_elsewhere_is_named(tmp_path) -> None:
    folder = write(tmp_path / "run")
    (folder / "config.yaml").write_text(dump_config(config_of(data={"batch_size": 7})))
    assert refusal(folder) == (
        f"{folder / 'config.yaml'} is not the configuration that gave result.json (its hash differs from "
        "config_sha256), so one of them was edited: restore it, or train the run again"
    )
    (folder / "config.yaml").write_text(dump_config(config_of(data={"workers": 7, "root": "/elsewhere"})))
    assert read_run(folder).config.data.workers == 7


def test_what_is_not_a_finished_run_says_why(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty").startswith(
        f"{tmp_path / 'empty'} is not a run folder (it has no config.yaml)"
    )
    begun = write(tmp_path / "begun")
    (begun / "result.json").unlink()
    assert refusal(begun) == f"{begun} is not finished: resume it with fer-run train --resume {begun}"
    bare = write(tmp_path / "bare")
    (bare / "config.yaml").unlink()
    assert str(bare / "config.yaml") in refusal(bare)


@pytest.mark.parametrize("name", ["result.json", "env.json", "experiment.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", ["{}\n", None])
def test_a_damaged_file_of_a_run_says_what_to_do(tmp_path, name, content) -> None:
    path = write(tmp_path / "run") / name
    path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_text(content)
    line = refusal(tmp_path / "run")
    assert line.startswith(str(path))
    assert line.endswith(": the run is damaged, train it again")


def test_predictions_on_a_part_that_was_not_measured_are_refused(tmp_path) -> None:
    folder = write(tmp_path / "run")
    (folder / "predictions-val.csv").write_text(write_predictions(CLASSES, ["a"], LABELS[:1], SCORES[:1], []))
    with pytest.raises(FerError, match=r"predictions-val\.csv has 1 rows, expected 0: evaluate the run again$"):
        read_part(folder, "val", result_of(config_of()))
    assert read_part(folder, "train", result_of(config_of())) is None


@pytest.mark.parametrize("part", ["test", "val"])
def test_predictions_are_as_many_as_the_result_says(tmp_path, part) -> None:
    folder = write(tmp_path / "run")
    text = write_predictions(CLASSES, list("abcd"), LABELS, SCORES, [])
    (folder / f"predictions-{part}.csv").write_text(text)
    assert (read_run(folder).predictions is not None) == (part == "test")
    (folder / "predictions-test.csv").write_text("".join(text.splitlines(keepends=True)[:-1]))
    assert refusal(folder).endswith("predictions-test.csv has 3 rows, expected 4: evaluate the run again")


def row(step: int) -> str:
    return MetricsRow(epoch=step / 4, step=step, lr=0.1).line()


def test_a_history_ascends(tmp_path) -> None:
    assert read_history(tmp_path) == ()
    path = tmp_path / "metrics.jsonl"
    path.write_text(row(2) + row(4) + row(5))
    assert [line.step for line in read_history(tmp_path)] == [2, 4, 5]
    path.write_text(row(2) + row(4) + row(4))
    with pytest.raises(FerError) as caught:
        read_history(tmp_path)
    assert str(caught.value) == (
        f"{path}, line 3: step is 4, expected more than before: the run is damaged, train it again"
    )
    path.write_text(row(2) + "{\n")
    with pytest.raises(FerError, match=r"metrics\.jsonl, line 2: not valid JSON"):
        read_history(tmp_path)


def test_every_run_is_collected_once_in_the_order_of_paths(tmp_path) -> None:
    for name in ("b", "a/deep", "c"):
        write(tmp_path / "runs" / name)
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    found = collect([tmp_path / "runs", tmp_path / "runs/b", tmp_path / "link"])
    assert sorted(run.folder.resolve().name for run in found.runs) == ["b", "c", "deep"]
    assert found.problems == ()
    assert found.places == (tmp_path / "runs", tmp_path / "runs/b", tmp_path / "link")
    apart = collect([tmp_path / "runs/b", tmp_path / "runs/a"])
    assert [run.folder.name for run in apart.runs] == ["b", "deep"]
    alone = collect([tmp_path / "runs"])
    assert [run.folder.name for run in alone.runs] == ["deep", "b", "c"]
    with pytest.raises(
        FerError, match=f"^{tmp_path / 'nowhere'} is not a folder: name a run, or a folder with runs"
    ):
        collect([tmp_path / "nowhere"])


def test_a_run_without_its_configuration_is_named(tmp_path) -> None:
    (write(tmp_path / "bare") / "config.yaml").unlink()
    (line,) = collect([tmp_path]).problems
    assert str(tmp_path / "bare" / "config.yaml") in line


def test_runs_that_say_nothing_about_their_test_part_are_named(tmp_path) -> None:
    dataset = Dataset(name="bars", fingerprint=SHA, counts={"train": COUNTS})
    untested = ScoredWeights(epoch=2, step=8, metrics={"val": compute_metrics(LABELS, SCORES, CLASSES)})
    write(tmp_path / "a", dataset=dataset)
    write(tmp_path / "b", dataset=dataset.model_copy(update={"counts": {"train": {}, "test": COUNTS}}))
    write(tmp_path / "c", best=untested)
    write(tmp_path / "d")
    found = collect([tmp_path])
    assert [run.folder.name for run in found.runs] == ["d"]
    assert found.problems == (
        f"{tmp_path / 'a'} has no faces in its test part, so it cannot be compared",
        f"{tmp_path / 'b'} has no faces in its train part, so it cannot be compared",
        f"{tmp_path / 'c'} has no figures on its test part: the run is damaged, train it again",
    )


def test_hidden_folders_are_not_searched(tmp_path) -> None:
    for name in ("a", "a/.half", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x.json").write_text("")
    (tmp_path / ".hidden.json").write_text("")
    assert sorted(find_files(tmp_path, "x.json", ".hidden.json", "y")) == [
        tmp_path / name for name in (".hidden.json", "a/x.json", "b/c/x.json")
    ]


def test_a_folder_with_a_configuration_or_a_result_is_a_run(tmp_path) -> None:
    assert not is_run(tmp_path)
    (tmp_path / "config.yaml").mkdir()
    assert not is_run(tmp_path)
    (tmp_path / "result.json").write_text("")
    assert is_run(tmp_path)
    assert is_run(write(tmp_path / "run"))


def test_a_run_is_found_by_path_whether_it_exists_or_not(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_run("~/runs/a") == tmp_path / "runs/a"
    assert find_run("nowhere/latest") == Path("nowhere/latest")
    (tmp_path / "latest").mkdir()
    assert find_run(tmp_path / "latest") == tmp_path / "latest"
    (tmp_path / "latest").rmdir()
    with pytest.raises(FerError, match=f"^no run was found below {tmp_path}: train one, or name another folder$"):
        find_run(tmp_path / "latest")


def changed(*path: str, to: object) -> str:
    """The text of a result with another value at a place."""
    tree = json.loads(result_of(config_of()).text())
    *above, last = path
    inner = tree
    for key in above:
        inner = inner[key]
    inner[last] = to
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            ("protocol", "selected_on_test"),
            True,
            "protocol.selected_on_test is true, expected what select=best:val says",
        ),
        (
            ("dataset", "counts", "train"),
            {"rage": 3},
            "dataset.counts.train is a mapping of 1, expected numbers of the",
        ),
        (
            ("best", "metrics", "test", "recall"),
            {"anger": 1, "rage": 1},
            "best.metrics.test.recall is a mapping of 2",
        ),
        (
            ("last", "metrics", "test", "recall"),
            {"anger": 1, "rage": 1},
            "last.metrics.test.recall is a mapping of 2",
        ),
        (("protocol", "steps"), 0, "protocol.steps is 0"),
        (("protocol", "seed"), 1 << 63, "protocol.seed is 9223372036854775808"),
        (("config_sha256",), "A" * 64, "config_sha256 is"),
    ],
)
def test_a_result_that_contradicts_itself_is_named_by_field(path, value, says) -> None:
    with pytest.raises(FerError) as caught:
        Result.parse(changed(*path, to=value), "result.json", "train it again")
    assert str(caught.value).startswith(f"result.json: {says}")
    assert str(caught.value).endswith(": train it again")


@pytest.mark.parametrize("counts", [{}, {"anger": 3}, COUNTS])
def test_counts_of_some_of_the_classes_are_taken(counts) -> None:
    text = changed("dataset", "counts", "val", to=counts)
    assert Result.parse(text, "result.json", "train it again").dataset.counts["val"] == counts
