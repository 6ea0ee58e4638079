import json
import os
import shutil
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.data.table import make_fingerprint
from fer_core.diagnosis.faces import Faces, predictions_of
from fer_core.diagnosis.mistakes import (
    SMALL,
    confused_pairs,
    find_label_issues,
    find_mistakes,
    measure_slices,
    slice_columns,
)
from fer_core.errors import FerError
from fer_core.evaluation.evaluate import Evaluation
from fer_core.plugin import DatasetSpec, FERDataset
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.reports.compare import make_tables
from fer_core.reports.cross_dataset import find_evaluations
from fer_core.reports.diagnoses import Budget, Embedded, read_diagnosis
from fer_core.reports.page import render_report
from fer_core.runs.diagnosis import PARTS
from fer_core.runs.reading import collect, read_run
from fer_core.statistics import bootstrap_interval
from PIL import Image

CLASSES = ("happiness", "sadness", "neutral")
WRONG = (40, 77, 101)
"""Faces of `people` whose label is wrong: neither fold nor network is told."""


class People(FERDataset):
    """Bars again, thirty people of six faces; the last two have unknown names, and some labels are wrong."""

    name, classes = "people", CLASSES

    def __init__(self, root: Path, *, samples: int = 180, contrast: int = 100) -> None:
        self.contrast = contrast
        self.shown = np.arange(samples) % 3
        label = self.shown.copy()
        wrong = [row for row in WRONG if row < samples]
        label[wrong] = (label[wrong] + 1) % 3
        person = np.arange(samples) // 6
        ids = [f"face-{i:04d}" for i in range(samples)]
        self.table = pd.DataFrame(
            {
                "id": ids,
                "label": label,
                "split": np.repeat(["train", "test"], [samples - 60, 60]),
                "source": ids,
                "group": [f"p{number:02d}" if number < 28 else "" for number in person],
                "attribute_gender": np.where(person % 2, "female", "male"),
                "votes_happiness": label,
            }
        )

    def read(self, row: int) -> np.ndarray:
        image = np.random.default_rng(row).integers(0, 120, (16, 16, 3), dtype=np.uint8)
        at = 1 + 5 * int(self.shown[row])
        image[at : at + 4] += self.contrast
        return image

    def fingerprint(self) -> str:
        return make_fingerprint(self.table["id"], self.table["label"], self.table["id"])


PEOPLE = DatasetSpec(
    name="people",
    factory=People,
    classes=CLASSES,
    splits={"train": "train", "test": "test"},
    layouts={},
    expected_counts={},
    summary="",
    licence="",
    homepage="",
    group_key="subject",
    options={"samples": 180, "contrast": 100},
    needs_root=False,
)


@pytest.fixture
def hard(people, quick):
    """The folder of a run that makes mistakes, on faces that are hard to tell."""
    settings = {**quick, "data": {**quick["data"], "options": {"contrast": 6}}, "train": {"epochs": 4, "seed": 1}}
    return fer_core.train("tiny", "people", **settings, run={"dir": "run"})


@pytest.fixture
def people(tiny, monkeypatch):
    entry = Entry("people", PEOPLE, Plugin("tests", "fer-tests", "0"))
    monkeypatch.setitem(load_plugins().entries["datasets"], "people", [entry])
    return tiny


def fer_run(*arguments):
    done = CliRunner().invoke(main, [str(word) for word in arguments])
    assert "Traceback" not in done.output
    return done


def predictions(labels, predicted, confidence, group=None):
    """A table as runs store it, `confidence` on the predicted class and the rest shared."""
    table = pd.DataFrame({"id": [f"f{n}" for n in range(len(labels))], "label": labels, "predicted": predicted})
    for name in CLASSES:
        table[f"p_{name}"] = [c if p == name else (1 - c) / 2 for p, c in zip(predicted, confidence, strict=True)]
    return table if group is None else table.assign(group=group)


def test_the_surest_mistake_comes_first_and_pairs_are_counted():
    labels = ["happiness", "sadness", "sadness", "neutral", "sadness"]
    found = ["sadness", "sadness", "neutral", "neutral", "neutral"]
    table = predictions(labels, found, [0.5, 0.9, 0.8, 0.7, 0.9])
    mistakes = find_mistakes(table, CLASSES)
    assert mistakes["id"].tolist() == ["f4", "f2", "f0"]
    assert mistakes["p_label"].tolist() == pytest.approx([0.05, 0.1, 0.25])
    pairs = confused_pairs(table, CLASSES)
    first = pairs.iloc[0]
    assert (first["label"], first["predicted"], first["count"]) == ("sadness", "neutral", 2)
    assert first["share"] == pytest.approx(2 / 3)
    assert first["low"] < 2 / 3 < first["high"]
    assert first["confidence"] == pytest.approx(0.85)
    assert len(confused_pairs(table[table["label"] == table["predicted"]], CLASSES)) == 0


def test_slices_count_measure_and_mark_what_is_small():
    rng = np.random.default_rng(0)
    labels = rng.choice(CLASSES, 200)
    right = rng.random(200) < np.where(np.arange(200) < 120, 0.9, 0.5)
    found = np.where(right, labels, np.where(labels == "neutral", "sadness", "neutral"))
    group = [f"p{n // 5}" for n in range(200)]
    table = predictions(labels, found, [0.8] * 200, group)
    place = np.where(np.arange(200) < 120, "indoors", np.where(np.arange(200) < 190, "outdoors", "unclear"))
    slices = measure_slices(table, {"place": pd.Series(place), "subject": pd.Series(group)})
    assert slices["column"].drop_duplicates().tolist() == ["class", "place", "subject"]
    by_place = slices[slices["column"] == "place"].set_index("value")
    for name in ("indoors", "outdoors", "unclear"):
        part = table[place == name]
        line = by_place.loc[name]
        assert line["count"] == len(part)
        assert line["accuracy"] == pytest.approx(right[place == name].mean())
        assert bool(line["small"]) == (len(part) < SMALL)
    indoors = table[place == "indoors"]
    hits = (indoors["label"] == indoors["predicted"]).to_numpy()
    clustered = bootstrap_interval(hits, np.ones(120, bool), "accuracy", groups=indoors["group"])
    assert (by_place.loc["indoors", "low"], by_place.loc["indoors", "high"]) == pytest.approx(clustered)
    assert by_place.loc["indoors", "interval"] == "groups"
    assert by_place.loc["unclear", "interval"] != "groups"  # two people are too few to draw from
    of_people = slices[slices["column"] == "subject"]
    assert len(of_people) == 40
    assert of_people["small"].all()
    assert set(of_people[of_people["accuracy"] == 1]["interval"]) == {"wilson"}
    assert (of_people["low"] < of_people["high"]).all()


def test_columns_that_divide_faces_are_the_slices():
    table = People(Path()).table
    found = slice_columns(table, "subject")
    assert list(found) == ["split", "subject", "gender"]
    assert set(found["subject"]) > {"p00", "unknown"}
    assert list(slice_columns(table, None)) == ["split", "group", "gender"]
    assert list(slice_columns(table[table["split"] == "test"], "subject")) == ["subject", "gender"]


def test_label_issues_carry_their_probabilities():
    labels = ["happiness"] * 10 + ["sadness"] * 10 + ["neutral"] * 10
    found = labels.copy()
    found[3] = "neutral"
    issues = find_label_issues(predictions(labels, found, [0.9] * 30), CLASSES)
    assert issues["id"].tolist() == ["f3"]
    assert issues.loc[0, ["label", "likely"]].tolist() == ["happiness", "neutral"]
    assert issues.loc[0, ["p_label", "p_likely", "margin"]].tolist() == pytest.approx([0.05, 0.9, -0.85])


def test_a_run_stores_groups_and_its_intervals_are_drawn_over_them(hard, quick):
    run = hard
    table = pd.read_csv(run.folder / "predictions-test.csv", dtype=str, keep_default_na=False)
    of = People(Path()).table.set_index("id")["group"]
    assert table["group"].tolist() == of[table["id"]].tolist()
    assert (table["group"] == "").sum() == 12
    assert list(table.columns)[-1] == "group"
    (column,) = make_tables(collect([run.folder]).runs)[0].columns
    (cell,) = column.cells.values()
    own = table["group"].where(table["group"] != "", table["id"])
    expected = bootstrap_interval(table["label"], table["predicted"], "accuracy", groups=own)
    assert cell.scores["accuracy"].interval == pytest.approx(expected)
    assert fer_run("calibrate", run.folder).exit_code == 0  # it reads these columns, too
    # A dataset without groups stores none.
    bars = fer_core.train("tiny", "bars", **quick, run={"dir": "bars-run"})
    assert "group" not in pd.read_csv(bars.folder / "predictions-test.csv").columns


def test_ids_of_any_bytes_are_found_again():
    odd = os.fsdecode(b"caf\xe9.png")
    dataset = People(Path())
    dataset.table["id"] = dataset.table["id"].astype(object)
    dataset.table.loc[7, "id"] = odd
    faces = Faces(dataset, None, pd.DataFrame(), CLASSES)
    assert faces.rows([r"caf\udce9.png", "face-0002"]).tolist() == [7, 2]
    labels = np.array([1])
    scores = np.array([[0.1, 0.8, 0.1]])
    table = predictions_of(Evaluation(CLASSES, [odd], labels, scores, {}))
    assert table["id"].tolist() == [r"caf\udce9.png"]
    with pytest.raises(FerError, match="has no face 'x'"):
        faces.rows(["x"])


def test_one_person_alone_is_measured_by_faces():
    from fer_core.reports.compare import groups_of

    table = predictions(["sadness"] * 3, ["sadness"] * 3, [0.9] * 3, ["p1"] * 3)
    assert groups_of(table) is None
    assert groups_of(table.assign(group=["p1", "", ""])).tolist() == ["p1", "face f1", "face f2"]


def test_diagnose_writes_a_folder_that_the_report_shows(hard):
    run = hard
    done = fer_run("diagnose", run.folder, "people", "--device", "cpu")
    assert done.exit_code == 0, done.output
    folder = run.folder / "diagnosis-people-test"
    record = json.loads((folder / "diagnosis.json").read_text())
    table = pd.read_csv(run.folder / "predictions-test.csv")
    wrong = table[table["label"] != table["predicted"]]
    assert record["parts"]["mistakes"]["figures"]["count"] == len(wrong)
    assert sorted(pd.read_csv(folder / "mistakes.csv")["id"]) == sorted(wrong["id"])
    assert set(pd.read_csv(folder / "slices.csv")["column"]) == {"class", "subject", "gender"}
    assert set(record["parts"]) == set(PARTS)
    for part in record["parts"].values():
        for entry in (*part["tables"], *part["pictures"]):
            assert (folder / entry["file"]).is_file()
        for picture in part["pictures"]:
            assert len(picture["description"]) > 20
            with Image.open(folder / picture["file"]) as image:
                assert np.asarray(image.convert("L")).std() > 5
    assert find_evaluations([read_run(run.folder)]) == ((), [])
    page = render_report(collect([run.folder])).html
    assert 'id="diagnosis"' in page
    assert page.count("data:image/webp") == sum(len(part["pictures"]) for part in record["parts"].values())
    assert "small" in page
    assert len(page) < 3_000_000
    # A part may be made anew: the others stay; of other weights they do not.
    before = (folder / "mistakes.csv").stat().st_mtime_ns
    assert fer_run("diagnose", run.checkpoint, "people", "--only", "slices", "--device", "cpu").exit_code == 0
    assert (folder / "mistakes.csv").stat().st_mtime_ns == before
    assert set(json.loads((folder / "diagnosis.json").read_text())["parts"]) == set(record["parts"])
    fer_run("calibrate", run.folder)
    printed = fer_run("diagnose", run.folder, "people", "--only", "slices", "--device", "cpu", "--json")
    assert set(json.loads(printed.stdout)["parts"]) == {"slices"}
    (folder / "diagnosis.json").write_text("{}")
    assert "diagnosis.json: format is missing" in render_report(collect([run.folder])).html


def test_label_issues_of_the_training_faces_are_refused_or_left_out(hard):
    run = hard
    refused = fer_run("diagnose", run.folder, "people", "--split", "train", "--only", "label_issues")
    assert refused.exit_code == 2
    assert "trained on faces of 'train'" in refused.output
    some = "mistakes,slices"
    done = fer_run("diagnose", run.folder, "people", "--split", "all", "--only", some, "--device", "cpu", "--json")
    content = json.loads(done.stdout)
    assert list(content["parts"]) == ["mistakes", "slices"]
    assert content["faces"] == 180


def test_a_damaged_run_of_several_is_left_out_with_a_warning_and_status_1(hard):
    shutil.copytree(hard.folder, "several/a")
    shutil.copytree(hard.folder, "several/b")
    Path("several/b/result.json").write_text("{}")
    done = fer_run("diagnose", "several", "people", "--only", "mistakes")
    assert done.exit_code == 1
    assert "warning  several/b/result.json" in done.output
    assert "pooled      1 runs of tiny" in done.output
    assert done.output.endswith("Error: 1 input was left out (see the warnings above); everything else was done\n")


@pytest.mark.slow
def test_label_issues_over_the_folds_of_kfold_hold_the_wrong_labels(people, quick):
    for fold in range(3):
        data = {**quick["data"], "split": f"kfold:3:{fold}"}
        settings = {**quick, "data": data, "train": {"epochs": 5}, "run": {"dir": f"folds/{fold}"}}
        fer_core.train("tiny", "people", **settings)
    done = fer_run("diagnose", "folds", "people")
    assert done.exit_code == 0, done.output
    assert "180 of 180 faces" in done.output
    folder = Path("folds/diagnosis-people-pooled")
    issues = pd.read_csv(folder / "label_issues.csv")
    assert set(issues["id"].head(3)) == {f"face-{number:04d}" for number in WRONG}
    record = json.loads((folder / "diagnosis.json").read_text())
    assert set(record["parts"]) == {"mistakes", "label_issues", "slices"}
    assert "no network was trained on a face" in record["parts"]["label_issues"]["notes"][0]
    page = render_report(collect([Path("folds")])).html
    assert "3 runs of tiny on people pooled" in page
    again = Path("twice/0")
    shutil.copytree("folds/0", again)
    shutil.copytree("folds/0", "twice/1")  # twice the same probabilities: their mean
    assert fer_run("diagnose", "twice", "people", "--only", "mistakes").exit_code == 0
    one = pd.read_csv(again / "predictions-test.csv")
    two = pd.read_csv("twice/diagnosis-people-pooled/mistakes.csv")
    assert len(two) == (one["label"] != one["predicted"]).sum()
    for arguments, said in (
        (["--split", "val"], "does not apply to several runs"),
        (["-o", "data.options.samples=60"], "has no face"),
    ):
        refused = fer_run("diagnose", "folds", "people", *arguments)
        assert refused.exit_code == 2
        assert said in refused.output


def test_bad_input_is_one_line(people, tmp_path):
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (["absent.safetensors", "people"], "there are no weights"),
        ([tmp_path / "empty", "people"], "there is no finished run on people"),
        (["absent", "people", "--only", "mistake"], "did you mean mistakes?"),
        (["absent", "peopel"], "peopel"),
    ):
        done = fer_run("diagnose", *arguments)
        assert done.exit_code == 2
        assert said in done.output
        assert done.output.strip().count("\n") == 0
    with pytest.raises(FerError, match="no part"):
        fer_core.diagnose("absent", "people", only=["x"])


def test_pictures_beyond_the_budget_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "mistakes.png")
    picture = {"file": "mistakes.png", "title": "Sheet", "description": "Noise."}
    part = {"figures": {"count": 1, "accuracy": 0.5}, "tables": [], "pictures": [picture] * 2, "notes": []}
    metrics = {"accuracy": 0.5, "mean_class_accuracy": 0.5, "macro_f1": 0.5}
    record = {"format": 2, "dataset": "people", "split": "test", "faces": 2, "metrics": metrics}
    record |= {"fingerprint": "f" * 64, "classes": ["happiness", "sadness"], "parts": {"mistakes": part}}
    (tmp_path / "diagnosis.json").write_text(json.dumps(record))
    whole = [embedded for _, embedded in read_diagnosis(tmp_path, Budget()).parts[0].pictures]
    assert all(each.data.startswith("data:image/webp;base64,") for each in whole)
    (_, first), (file, second) = read_diagnosis(tmp_path, Budget(len(whole[0].data))).parts[0].pictures
    assert first.data
    assert second.data == ""
    assert file.file == "mistakes.png"
    (tmp_path / "mistakes.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    assert Budget().embed(tmp_path / "mistakes.png") == Embedded()
