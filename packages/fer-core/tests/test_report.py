import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from fer_core.cli import main
from fer_core.config import config_hash, load_config
from fer_core.errors import FerError
from fer_core.metrics import compute_metrics
from fer_core.published import Claim
from fer_core.reports.claims import find_claims
from fer_core.reports.compare import make_tables
from fer_core.reports.cross_dataset import find_evaluations
from fer_core.reports.page import render_report
from fer_core.reports.tables import duration, millions
from fer_core.runs.reading import collect, read_run, split_family
from fer_core.statistics import paired_bootstrap
from fer_core.types import ModelSpec
from scipy import stats
from sklearn import metrics as sk

CLASSES = ["anger", "happiness", "neutral"]
FACES = 240


def make_run(
    folder,
    model,
    *,
    skill=1.0,
    seed=0,
    split="official",
    select="best:val",
    fingerprint="f" * 64,
    dataset="faces",
    part=0,
    predictions=True,
    epochs=2,
    recipe="",
):
    """A run folder as fer-run train leaves it, with predictions of the given skill."""
    folder.mkdir(parents=True)
    faces = np.random.default_rng(part)
    labels = faces.integers(0, 3, FACES)
    hard = faces.normal(size=FACES)
    noise = np.random.default_rng([seed, part, sum(map(ord, model))])
    logits = noise.normal(size=(FACES, 3))
    logits[np.arange(FACES), labels] += skill + 0.5 * hard
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = np.array(CLASSES)
    table = pd.DataFrame(
        {
            "id": [f"p{part}-{n:03d}" for n in range(FACES)],
            "label": names[labels],
            "predicted": names[scores.argmax(axis=1)],
        }
    )
    for number, name in enumerate(CLASSES):
        table[f"p_{name}"] = scores[:, number]
    if predictions:
        table.to_csv(folder / "predictions-test.csv", index=False)
    measured = compute_metrics(labels, scores, CLASSES)
    counts = dict(zip(CLASSES, (int(n) for n in np.bincount(labels, minlength=3)), strict=True))
    result = {
        "format": 2,
        "model": {"name": model},
        "classes": CLASSES,
        "dataset": {
            "name": dataset,
            "fingerprint": fingerprint,
            "counts": {"train": {"neutral": 2 * FACES}, "test": counts},
        },
        "split": {"protocol": split, "holdout": 0.1, "seed": 0, "digest": sha(split, part)},
        "protocol": {
            "select": select,
            "metric": "accuracy",
            "selected_on_test": select == "best:test",
            "seed": seed,
            "epochs": epochs,
            "steps": 2 * epochs,
        },
        "preprocessing": {
            "input_size": 40,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "color": "rgb",
            "eval_transforms": ["resize", "normalize"],
            "pipeline": "batched",
        },
        "start": {"description": "random weights <&>"},
        "best": {"epoch": 2, "step": 4, "metrics": {"test": measured.plain()}},
        "last": {"epoch": 2, "step": 4, "metrics": {"test": measured.plain()}},
    }
    config = {
        "model": {"name": model},
        "data": {"name": dataset, "split": split, "input_size": 40},
        "train": {"seed": seed, "epochs": epochs, "select": select},
        "run": {"dir": str(folder)},
    }
    env = {
        "format": 2,
        "started": "2026-01-01T00:00:00+00:00",
        "command": ["/bin/fer-run", "train", model, dataset],
        "device": "cpu",
        "precision": "fp32",
        "compile": False,
        "deterministic": True,
        "threads": 1,
        "processes": 1,
        "python": "3.11",
        "platform": "Linux",
        "versions": {"torch": "2"},
        "training_seconds": [7.0],
    }
    history = [
        {
            "epoch": n,
            "step": 2 * n,
            "lr": 0.1,
            "train": {"cross_entropy": 2 - n / 2, "accuracy": n / 3},
            "val": {"accuracy": n / 4},
        }
        for n in (1, 2)
    ]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    env["config_sha256"] = result["config_sha256"] = config_hash(load_config(folder / "config.yaml"))
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "env.json").write_text(json.dumps(env))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    if recipe:
        (folder / "experiment.json").write_text(json.dumps({"format": 2, "experiment": recipe, "recipe": recipe}))
    return table


def sha(*words):
    """A digest."""
    return hashlib.sha256("-".join(map(str, words)).encode()).hexdigest()


def fer_run(*arguments):
    return CliRunner().invoke(main, [str(word) for word in arguments])


class Page(HTMLParser):
    """What a browser without a network would need of a page."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.outside, self.headings, self.described = [], [], [], [], [], 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in of:
            self.ids.append(of["id"])
        if of.get("href", "").startswith("#"):
            self.links.append(of["href"][1:])
        self.outside += [
            of[key] for key in ("src", "href") if of.get(key) and not of[key].startswith(("#", "data:"))
        ]
        if tag == "script":
            self.outside.append("a script")
        if tag == "svg":
            assert of["role"] == "img"
            self.links += of["aria-labelledby"].split()
            self.described += 1
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if of.get("class") == "scroll":
            assert of["tabindex"] == "0"
            assert of["aria-label"]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four models, three seeds each, one test part."""
    root = tmp_path_factory.mktemp("four")
    tables = {}
    for model, skill in (("alpha", 2.0), ("beta", 1.95), ("gamma", 1.0), ("delta", 0.6)):
        tables[model] = [make_run(root / f"{model}-{s}", model, skill=skill, seed=s) for s in range(3)]
    return root, tables


def test_every_figure_of_the_table_equals_scikit_learns(four):
    root, tables = four
    run = fer_run("leaderboard", root, "--json")
    records = json.loads(run.stdout)["results"]
    assert len(records) == 4 * 3
    measures = {
        "accuracy": sk.accuracy_score,
        "mean_class_accuracy": sk.balanced_accuracy_score,
        "macro_f1": lambda label, found: sk.f1_score(label, found, average="macro"),
    }
    for record in records:
        values = [measures[record["metric"]](t["label"], t["predicted"]) for t in tables[record["model"]]]
        assert record["mean"] == pytest.approx(np.mean(values), abs=1e-12)
        assert record["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
        assert record["low"] < record["mean"] < record["high"]
        assert record["runs"] == 3


def test_interval_over_seeds_is_that_of_the_mean_over_faces(four):
    """With equal seeds on the same faces, a face is one draw: the normal interval of per-face means is near."""
    root, tables = four
    column = make_tables(collect([root]).runs)[0].columns[0]
    hits = np.mean([(t["label"] == t["predicted"]).to_numpy() for t in tables["gamma"]], axis=0)
    half = 1.96 * hits.std(ddof=1) / np.sqrt(FACES)
    low, high = column.cells["gamma"].scores["accuracy"].interval
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_intervals_and_tests_are_about_the_mean_over_seeds(tmp_path):
    """One seed takes every face for neutral, another for anger: F1 of their pooled faces is no seed's figure."""
    rows = {}
    for model, seeds in (("alpha", ["neutral", "anger"]), ("beta", ["neutral", "neutral"])):
        for seed, answer in enumerate(seeds):
            folder = tmp_path / f"{model}{seed}"
            table = make_run(folder, model, seed=seed).assign(predicted=answer)
            for name in CLASSES:
                table[f"p_{name}"] = float(name == answer)
            table.to_csv(folder / "predictions-test.csv", index=False)
            rows.setdefault(model, []).append(
                sk.f1_score(table["label"], table["predicted"], average="macro", zero_division=0)
            )
    column = make_tables(collect([tmp_path]).runs)[0].columns[0]
    for model, values in rows.items():
        score = column.cells[model].scores["macro_f1"]
        assert score.mean == pytest.approx(np.mean(values))
        assert score.interval[0] < score.mean < score.interval[1]
    (test,) = column.comparisons["macro_f1"]
    assert test.difference == pytest.approx(abs(np.mean(rows["alpha"]) - np.mean(rows["beta"])))
    assert test.p > 0.05


def test_runs_of_one_seed_with_other_holdouts_all_count_in_a_test(tmp_path):
    """Hold-outs drawn anew leave seed and test part as they are: the test takes all runs, as the mean does."""
    tables = {"alpha": [], "beta": []}
    for model, skill in (("alpha", 1.2), ("beta", 1.0)):
        for drawn in range(3):
            folder = tmp_path / f"{model}{drawn}"
            make_run(folder, model, skill=skill)
            other = make_run(tmp_path / "scratch" / f"{model}{drawn}", model, skill=skill, seed=drawn)
            other.to_csv(folder / "predictions-test.csv", index=False)
            result = json.loads((folder / "result.json").read_text())
            result["split"]["digest"] = sha("drawn", drawn)
            (folder / "result.json").write_text(json.dumps(result))
            tables[model].append(other)
    runs = [run for run in collect([tmp_path]).runs if "scratch" not in str(run.folder)]
    column = make_tables(runs)[0].columns[0]
    (test,) = column.comparisons["accuracy"]
    label = tables["alpha"][0]["label"]
    first, second = (np.stack([t["predicted"] for t in tables[row]]) for row in (test.best, test.other))
    difference, _, _, p = paired_bootstrap(label, first, second, "accuracy")
    assert test.difference == pytest.approx(difference)
    assert test.p == pytest.approx(p, abs=0.02)


def test_marks_come_from_paired_tests_with_holms_correction(tmp_path):
    tables = {
        model: make_run(tmp_path / model, model, skill=skill)
        for model, skill in (("alpha", 2.0), ("beta", 1.9), ("gamma", 0.3))
    }
    column = make_tables(collect([tmp_path]).runs)[0].columns[0]
    best = column.best("accuracy")
    right = {model: (t["label"] == t["predicted"]).to_numpy() for model, t in tables.items()}
    expected = {}
    for model in set(tables) - {best}:
        only = int((right[best] & ~right[model]).sum()), int((right[model] & ~right[best]).sum())
        expected[model] = stats.binomtest(only[0], sum(only)).pvalue
    smallest = min(expected, key=expected.get)
    for test in column.comparisons["accuracy"]:
        assert test.test == "McNemar, exact"
        assert test.p == pytest.approx(expected[test.other])
        factor = 2 if test.other == smallest else 1
        adjusted = max(factor * expected[test.other], 0 if factor == 2 else 2 * expected[smallest])
        assert test.adjusted == pytest.approx(min(1, adjusted))
    assert column.mark("accuracy", "gamma") == ""
    assert {column.mark("accuracy", model) for model in ("alpha", "beta")} == {"best", "alike"}


def test_resampled_splits_get_the_corrected_t_test(tmp_path):
    scores = {}
    for model, skill in (("alpha", 1.5), ("beta", 1.2)):
        made = [
            make_run(tmp_path / f"{model}{k}", model, skill=skill, part=k, split=f"seed-shuffle:{k}")
            for k in range(5)
        ]
        scores[model] = np.array([sk.accuracy_score(t["label"], t["predicted"]) for t in made])
    (table,) = make_tables(collect([tmp_path]).runs)
    assert table.title.startswith("seed-shuffle,")
    (test,) = table.columns[0].comparisons["accuracy"]
    gap = scores[test.best] - scores[test.other]
    t = gap.mean() / np.sqrt((1 / 5 + FACES / (2 * FACES)) * gap.var(ddof=1))
    assert test.p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    cell = table.columns[0].cells["alpha"].scores["accuracy"]
    half = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 2) * scores["alpha"].var(ddof=1))
    assert cell.interval == pytest.approx((cell.mean - half, min(1, cell.mean + half)))


@pytest.mark.parametrize(
    "other",
    [
        {"select": "last"},
        {"split": "official+holdout"},
        {"fingerprint": "e" * 64},
        {"split": "kfold:10:3"},
        {"recipe": "shared"},
    ],
)
def test_runs_of_another_protocol_are_set_apart(tmp_path, other):
    make_run(tmp_path / "a", "alpha")
    make_run(tmp_path / "b", "alpha", seed=1, **other)
    tables = make_tables(collect([tmp_path]).runs)
    assert len(tables) == 2
    assert all(len(cell.runs) == 1 for t in tables for c in t.columns for cell in c.cells.values())
    assert "nothing is averaged" in render_report(collect([tmp_path]))[0]


def test_other_settings_of_a_model_are_another_row(tmp_path):
    make_run(tmp_path / "a", "alpha")
    make_run(tmp_path / "b", "alpha", seed=1)
    make_run(tmp_path / "c", "alpha", epochs=9)
    (table,) = make_tables(collect([tmp_path]).runs)
    assert {row: len(cell.runs) for row, cell in table.columns[0].cells.items()} == {
        "alpha (epochs=2)": 2,
        "alpha (epochs=9)": 1,
    }


def test_an_extended_run_repeats_no_whole_one(tmp_path):
    make_run(tmp_path / "whole", "alpha", seed=0)
    make_run(tmp_path / "longer", "alpha", seed=1)
    path = tmp_path / "longer/result.json"
    extended = {"config_sha256": "a" * 64, "epochs": 1, "epoch": 1, "step": 2}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"extended": extended}))
    column = make_tables(collect([tmp_path]).runs)[0].columns[0]
    assert set(column.cells) == {"alpha (extended=no)", "alpha (extended=after epoch 1 of 1)"}


def test_a_copied_run_counts_once(tmp_path):
    for name in "abc":
        make_run(tmp_path / name, "alpha")
    (table,) = make_tables(collect([tmp_path]).runs)
    assert len(table.columns[0].cells["alpha"].runs) == 1
    assert table.columns[0].cells["alpha"].scores["accuracy"].deviation is None


def test_a_run_that_is_just_begun_is_left_out(tmp_path):
    half = tmp_path / "timm-synthetic" / ".run-x7f"
    half.mkdir(parents=True)
    (half / "config.yaml").write_text("model:")
    found = collect([tmp_path])
    assert (found.runs, found.problems) == ((), ())


def test_families_of_splits():
    assert split_family("kfold:10:3") == "kfold:10"
    assert split_family("kfold:10:3:sorted") == "kfold:10:sorted"
    assert split_family("seed-shuffle:7+holdout") == "seed-shuffle+holdout"
    assert split_family("file:mine.csv") == "file:mine.csv"


def test_missing_predictions_unfinished_and_damaged_runs_are_one_line_each(tmp_path):
    make_run(tmp_path / "whole", "alpha")
    make_run(tmp_path / "bare", "beta", predictions=False)
    make_run(tmp_path / "stopped", "gamma")
    (tmp_path / "stopped" / "result.json").unlink()
    make_run(tmp_path / "cut", "delta")
    (tmp_path / "cut" / "result.json").write_text('{"model": ')
    run = fer_run("report", tmp_path, "--out", tmp_path / "r.html")
    assert run.exit_code == 1, run.output
    *lines, last = run.stderr.splitlines()
    assert last == "Error: 2 inputs were left out (see the warnings above); everything else was done"
    lines = [line for line in lines if line.startswith("warning")]
    assert len(lines) == 3
    board = fer_run("leaderboard", tmp_path, "--json")
    assert board.exit_code == 1
    assert {row["model"] for row in json.loads(board.stdout)["results"]} == {"alpha", "beta"}
    for name in ("bare", "stopped", "cut"):
        assert sum(str(tmp_path / name) in line for line in lines) == 1
    page = (tmp_path / "r.html").read_text()
    assert "--resume" in page
    (table,) = make_tables(collect([tmp_path]).runs)
    assert table.columns[0].cells["beta"].scores["accuracy"].interval is None
    assert {table.columns[0].mark("accuracy", row) for row in ("alpha", "beta")} == {"best", "untested"}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("p_anger", "q"), 'column 4 is "q", expected "p_anger"'),
        (lambda text: text.replace("anger,", "rage,"), 'label is "rage"'),
        (lambda text: text.splitlines()[0] + "\n", "has no row"),
    ],
)
def test_damaged_predictions_are_one_line(tmp_path, spoil, said):
    make_run(tmp_path / "a", "alpha")
    path = tmp_path / "a" / "predictions-test.csv"
    head, *body = path.read_text().splitlines(keepends=True)
    text = head + "".join(body)
    path.write_text(spoil(text) if "rage" not in said else head + spoil("".join(body)))
    run = fer_run("report", tmp_path)
    assert run.exit_code == 2
    assert said in run.output
    assert "Traceback" not in run.output


def test_nothing_to_report_is_an_error(tmp_path):
    assert "there is no finished run" in fer_run("report", tmp_path).output
    assert "is not a folder" in fer_run("leaderboard", tmp_path / "x").output
    assert "the suffix determines the format" in fer_run("leaderboard", tmp_path, "--out", "x.doc").output
    with pytest.raises(FerError, match="is not a run folder"):
        read_run(tmp_path)


def test_the_page_is_whole_and_needs_nothing_else(four, tmp_path):
    root, tables = four
    out = tmp_path / "report.html"
    run = fer_run("report", root, "--out", out, "--charts", tmp_path / "charts")
    assert run.exit_code == 0, run.output
    text = out.read_text()
    page = Page(text)
    assert page.outside == []
    assert len(page.ids) == len(set(page.ids))
    assert set(page.links) <= set(page.ids)
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert page.described == 2 + 4 * (2 + 3)
    assert len(text) < 10e6
    assert "random weights &lt;&amp;&gt;" in text
    assert "fer-run train alpha faces" in text
    for model, found in tables.items():
        values = [sk.accuracy_score(t["label"], t["predicted"]) for t in found]
        assert f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}" in text, model
        pooled = pd.concat(found)
        recalls = sk.recall_score(pooled["label"], pooled["predicted"], average=None, labels=CLASSES)
        for recall in recalls:
            assert f'<td class="n">{100 * recall:.2f}<span' in text
        for count in sk.confusion_matrix(pooled["label"], pooled["predicted"], labels=CLASSES).flat:
            assert f">{count:,}</text>" in text
    drawn = sorted(path.suffix for path in (tmp_path / "charts").iterdir())
    assert drawn.count(".png") == drawn.count(".svg") == page.described


def test_selection_on_the_test_part_is_said(tmp_path):
    make_run(tmp_path / "a", "alpha", select="best:test")
    found = collect([tmp_path])
    assert "Chosen on the test part." in render_report(found)[0]
    for ending in (".md", ".tex"):
        out = tmp_path / f"board{ending}"
        fer_run("leaderboard", tmp_path, "--out", out)
        assert "chosen on the test part" in out.read_text()


def test_tables_for_papers_say_the_same(four, tmp_path):
    root, _ = four
    texts = {}
    for ending in (".md", ".csv", ".tex"):
        assert fer_run("leaderboard", root, "--out", tmp_path / f"t{ending}").exit_code == 0
        texts[ending] = (tmp_path / f"t{ending}").read_text()
    rows = list(csv.DictReader(texts[".csv"].splitlines()))
    for row in rows:
        figure = f"{100 * float(row['mean']):.2f} ± {100 * float(row['std']):.2f}"
        assert figure in texts[".md"]
        assert figure.replace(" ± ", r" \pm ") in texts[".tex"]
    assert texts[".tex"].count(r"\mathbf") == 3


def test_claims_stand_beside_what_fits_them(four, monkeypatch):
    root, tables = four

    def claim(dataset="faces", **other):
        return Claim(dataset=dataset, metric="accuracy", value=99.5, source="paper", protocol="theirs", **other)

    spec = ModelSpec(
        name="alpha", factory="a:b", recipes={}, summary="", paper="", licence="", upstream="",
        claims=(claim(), claim("others"), claim(classes=7)),
    )  # fmt: skip
    monkeypatch.setattr("fer_core.reports.claims.registry.find", lambda kind, name: spec)
    found = [each for each in find_claims(make_tables(collect([root]).runs)[0]) if each.model == "alpha"]
    assert [each.claim for each in found] == [spec.claims[0]]
    mean = np.mean([sk.accuracy_score(t["label"], t["predicted"]) for t in tables["alpha"]])
    assert found[0].reproduced[0][1].mean == pytest.approx(mean)
    assert f"({100 * mean - 99.5:+.2f})" in render_report(collect([root]))[0]


def test_ranks_over_datasets_are_drawn_for_models_that_are_on_all(tmp_path):
    skills = {"alpha": 2.0, "beta": 1.2, "gamma": 0.4}
    for place, dataset in enumerate(("faces", "moods", "looks")):
        for model, skill in skills.items():
            make_run(tmp_path / f"{model}-{dataset}", model, skill=skill, dataset=dataset, part=place)
    make_run(tmp_path / "delta", "delta")
    page, charts, *_ = render_report(collect([tmp_path]))
    said = charts.named["ranks-1"].description
    scores = [[cell.scores["accuracy"].mean for name, cell in sorted(column.cells.items()) if name != "delta"]
              for column in make_tables(collect([tmp_path]).runs)[0].columns]  # fmt: skip
    ranks = stats.rankdata(-np.array(scores), axis=1).mean(axis=0)
    for model, rank in zip(sorted(skills), ranks, strict=True):
        assert f"{model} {rank:.2f}" in said
    assert f"Friedman p {stats.friedmanchisquare(*np.transpose(scores)).pvalue:.2g}" in said
    assert "delta" not in said
    assert "Mean ranks over datasets" in page
    Page(page)


def test_speeds_stand_in_one_chart_only_where_machines_are_alike(tmp_path):
    for model, speed in (("dan", 800.5), ("timm", 1200.0)):
        make_run(tmp_path / model, model)
        place = tmp_path / model / "env.json"
        env = {**json.loads(place.read_text()), "evaluated_per_second": speed, "threads": 2}
        place.write_text(json.dumps(env))
    page = render_report(collect([tmp_path])).html
    assert "800.5</td>" in page
    assert "dan: 800" in page
    assert "Accuracy against images/s when evaluated" in page
    place.write_text(json.dumps({**env, "threads": 1}))
    page = render_report(collect([tmp_path])).html
    assert "800.5</td>" in page
    assert "Accuracy against images/s when evaluated" not in page


def test_a_model_without_a_figure_in_a_published_table_has_an_empty_cell(tmp_path, site):
    for model in ("alpha", "beta"):
        make_run(tmp_path / model, model, recipe="theirs")
        make_run(tmp_path / f"own-{model}", model)
    site.install(
        "their-plugin",
        "@hookimpl\ndef fer_experiments(): return [ExperimentSpec(name='theirs', file='theirs_module:e.yaml', "
        "summary='', published='theirs_figures:figures.yaml')]",
    )
    (site.root / "theirs_figures").mkdir()
    (site.root / "theirs_figures" / "figures.yaml").write_text(
        "source: s\nprotocol: p\nfigures: {alpha: {faces: {accuracy: 80, deviation: 0.5}}}\n"
    )
    claim = Claim(dataset="faces", metric="accuracy", value=80, source="s", protocol="p", deviation=0.5)
    own, theirs = make_tables(collect([tmp_path]).runs)
    assert find_claims(own) == []
    assert [(each.model, each.claim) for each in find_claims(theirs)] == [("alpha", claim), ("beta", None)]
    assert "give no figure of it" in render_report(collect([tmp_path]))[0]


def evaluate_elsewhere(run, model, *, skill, seed=0, dataset="other", part="test", label_space=None, name="there"):
    """What fer-run evaluate --out RUN/NAME leaves."""
    table = make_run(run.with_name(f"scratch-{run.name}") / name, model, skill=skill, seed=seed, part=7)
    metrics = json.loads((run.with_name(f"scratch-{run.name}") / name / "result.json").read_text())["best"][
        "metrics"
    ]["test"]
    result = json.loads((run / "result.json").read_text())
    record = {
        "weights": {
            "model": model,
            "fingerprint": result["dataset"]["fingerprint"],
            "digest": result["split"]["digest"],
        },
        "dataset": {"name": dataset, "fingerprint": "d" * 64, "part": part},
        "classes": CLASSES,
        "label_space": label_space,
        "format": 2,
        "metrics": metrics,
    }
    (run / name).mkdir()
    (run / name / f"evaluation-{part}.json").write_text(json.dumps(record))
    table.to_csv(run / name / f"predictions-{part}.csv", index=False)
    return table


SHARED = {
    "restricted": False,
    "shared": CLASSES,
    "left_out": ["contempt"],
    "without_faces": [],
    "renamed": {"dataset": {}, "checkpoint": {}},
}


def test_weights_on_other_data_are_compared_in_tables_of_their_own(tmp_path):
    tables = {}
    for model, skill in (("alpha", 1.5), ("beta", 0.5)):
        for seed in (0, 1):
            run = tmp_path / "runs" / f"{model}{seed}"
            make_run(run, model, seed=seed)
            found = evaluate_elsewhere(run, model, skill=skill, seed=seed, label_space=SHARED)
            tables.setdefault(model, []).append(found)
    for path in tmp_path.joinpath("runs").glob("scratch-*"):
        path.rename(tmp_path / path.name)
    run = fer_run("leaderboard", tmp_path / "runs", "--json")
    records = [row for row in json.loads(run.stdout)["results"] if row["dataset"] == "other"]
    assert {row["trained_on"] for row in records} == {"faces (ffffffff)"}
    for row in records:
        if row["metric"] == "accuracy":
            values = [sk.accuracy_score(t["label"], t["predicted"]) for t in tables[row["model"]]]
            assert (row["mean"], row["std"]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
            assert row["low"] < row["mean"] < row["high"]
    assert {row["mark"] for row in records if row["metric"] == "accuracy"} == {"best", ""}
    board = fer_run("leaderboard", tmp_path / "runs").stdout
    assert "## trained on faces (ffffffff): official" in board
    assert "; 3 shared classes" in board
    page = render_report(collect([tmp_path / "runs"]))[0]
    assert "Cross-dataset, trained on faces (ffffffff)" in page
    assert "Left out: faces of contempt" in page
    Page(page)


def test_evaluations_by_another_rule_or_of_another_part_are_set_apart(tmp_path):
    make_run(tmp_path / "a", "alpha")
    make_run(tmp_path / "b", "alpha", seed=1)
    evaluate_elsewhere(tmp_path / "a", "alpha", skill=1, label_space=SHARED)
    evaluate_elsewhere(tmp_path / "a", "alpha", skill=1, label_space={**SHARED, "restricted": True}, name="only")
    evaluate_elsewhere(tmp_path / "b", "alpha", skill=1, part="all")
    found, problems = find_evaluations([read_run(tmp_path / name) for name in "ab"])
    cells = [
        (c.dataset, len(cell.runs)) for t in make_tables(found) for c in t.columns for cell in c.cells.values()
    ]
    assert sorted(cells) == [("other", 1), ("other", 1), ("other (all)", 1)]
    assert problems == []


def test_evaluations_that_cannot_be_used_are_one_line_each(tmp_path):
    for name in "abcd":
        make_run(tmp_path / name, "alpha")
        evaluate_elsewhere(tmp_path / name, "alpha", skill=1)
    (tmp_path / "a" / "there" / "evaluation-test.json").unlink()
    (tmp_path / "b" / "there" / "predictions-test.csv").unlink()
    (tmp_path / "c" / "there" / "evaluation-test.json").write_text('{"dataset": ')
    result = json.loads((tmp_path / "d" / "result.json").read_text())
    result["split"]["digest"] = sha("another")
    (tmp_path / "d" / "result.json").write_text(json.dumps(result))
    run = fer_run("report", *(tmp_path / name for name in "abcd"), "--out", tmp_path / "r.html")
    assert run.exit_code == 1, run.output
    lines = [line for line in run.stderr.splitlines() if line.startswith("warning")]
    said = ("says what it is", "has no predictions-test.csv", "not valid JSON", "about other weights")
    assert len(lines) == 4
    for words in said:
        assert sum(words in line for line in lines) == 1
        assert words in (tmp_path / "r.html").read_text()


def test_reading_runs_loads_no_torch():
    import subprocess
    import sys

    code = "import sys; import fer_core.runs.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0


def test_calibration_error_is_the_mean_gap_over_bins(tmp_path):
    table = make_run(tmp_path / "a", "alpha")
    scores = table[[f"p_{name}" for name in CLASSES]].to_numpy()
    right = (table["label"] == table["predicted"]).to_numpy()
    place = np.ceil(scores.max(axis=1) * 15)
    gaps = [abs((right - scores.max(axis=1))[place == n].sum()) for n in np.unique(place)]
    assert f">calibration error {100 * sum(gaps) / FACES:.2f} %<" in render_report(collect([tmp_path]))[0]


def test_a_run_whose_configuration_was_edited_is_left_out_and_said(tmp_path):
    make_run(tmp_path / "good", "dan")
    make_run(tmp_path / "edited", "dan", seed=1)
    config = tmp_path / "edited/config.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    found = collect([tmp_path])
    assert [run.folder.name for run in found.runs] == ["good"]
    assert len(found.problems) == 1
    assert "edited/config.yaml is not the configuration that gave result.json" in found.problems[0]


def finding(*places):
    """The first sentence of the page, and the whole page."""
    page = render_report(collect(list(places))).html
    return re.search('<p class="finding">(.*?)</p>', page).group(1).replace("\u00a0", " "), page


def test_the_first_sentence_is_about_the_mean_of_several_runs(tmp_path):
    tables = [make_run(tmp_path / str(seed), "alpha", seed=seed, skill=1.5) for seed in range(3)]
    mean = np.mean([sk.accuracy_score(t["label"], t["predicted"]) for t in tables])
    name, count = tables[0]["label"].mode()[0], tables[0]["label"].value_counts().max()
    said, _ = finding(tmp_path)
    assert said == (
        f"alpha reaches {100 * mean:.1f} % accuracy (mean of 3 runs) on 240 test images of faces, above chance "
        f"(33.3 %) and always answering {name} ({100 * count / FACES:.1f} %)."
    )


def test_the_images_of_several_splits_are_counted_once_each(tmp_path):
    for part in range(3):
        for seed in range(2):
            folder = tmp_path / f"{part}{seed}"
            make_run(folder, "alpha", skill=2.0, part=part, seed=seed, split=f"seed-shuffle:{part}")
    assert "on 720 test images of faces, above chance" in finding(tmp_path)[0]


def test_a_best_model_that_could_not_be_tested_is_said_to_be_so(tmp_path):
    make_run(tmp_path / "a", "alpha", skill=2.0)
    make_run(tmp_path / "b", "beta", skill=0.5, predictions=False)
    said, _ = finding(tmp_path)
    assert re.fullmatch(r"alpha is best, [0-9.]+ %, not tested against beta\.", said)


def test_the_best_of_bad_models_is_not_praised(tmp_path):
    for model in ("alpha", "beta"):
        make_run(tmp_path / model, model, skill=-0.2)
    said, page = finding(tmp_path)
    assert re.search(r"not distinguishable from (alpha|beta) \([0-9.]+ %\)", said)
    assert re.search(r", (not distinguishable from|below) always answering \w+ \([0-9.]+ %\)\.$", said)
    assert page.count("no better than always answering") >= 4


def test_a_calibrated_coin_is_not_praised(tmp_path):
    """Probabilities that equal the shares of the classes are calibrated, and say nothing about a face."""
    table = make_run(tmp_path / "a", "alpha")
    for name in CLASSES:
        table[f"p_{name}"] = (table["label"] == name).mean()
    table["predicted"] = table["label"].mode()[0]
    table.to_csv(tmp_path / "a" / "predictions-test.csv", index=False)
    said, page = finding(tmp_path)
    assert "not distinguishable from always answering" in said
    assert "where chance is 33.3 %" in said
    assert ">calibration error 0.00 %<" in page
    assert "0.00 †" in page
    assert "so a low calibration error is no merit" in page


@pytest.mark.parametrize(("skill", "standing"), [(2.0, "above chance"), (0.0, "not distinguishable from chance")])
def test_balanced_classes_have_no_majority(tmp_path, skill, standing):
    table = make_run(tmp_path / "a", "alpha", skill=skill)
    kept = pd.concat(rows.head(70) for _, rows in table.groupby("label"))
    kept.to_csv(tmp_path / "a" / "predictions-test.csv", index=False)
    path = tmp_path / "a" / "result.json"
    result = json.loads(path.read_text())
    numbers = [[CLASSES.index(name) for name in kept[column]] for column in ("label", "predicted")]
    scores = kept[[f"p_{name}" for name in CLASSES]].to_numpy()
    for weights in ("best", "last"):
        result[weights]["metrics"]["test"] = compute_metrics(np.array(numbers[0]), scores, CLASSES).plain()
    path.write_text(json.dumps(result))
    accuracy = np.mean(np.equal(*numbers))
    said, _ = finding(tmp_path)
    assert (
        said == f"alpha reaches {100 * accuracy:.1f} % accuracy on 210 test images of faces, {standing} (33.3 %)."
    )


def test_rows_are_sorted_by_score_everywhere(four):
    root, _ = four
    (table,) = make_tables(collect([root]).runs)
    means = [table.columns[0].cells[row].scores["accuracy"].mean for row in table.rows]
    assert means == sorted(means, reverse=True)
    assert list(table.columns[0].cells) == list(table.rows)
    page = render_report(collect([root])).html
    assert re.findall('<tr><th scope="row">(alpha|beta|gamma|delta)</th>', page)[:4] == list(table.rows)
    others = [test.other for test in table.columns[0].comparisons["accuracy"]]
    assert others == list(table.rows[1:])


def test_several_datasets_stand_in_one_table_with_their_baselines(tmp_path):
    for part, dataset in enumerate(("faces", "moods")):
        for model, skill in (("alpha", 2.0), ("beta", 0.5)):
            make_run(tmp_path / f"{model}-{dataset}", model, skill=skill, dataset=dataset, part=part)
    said, page = finding(tmp_path)
    best = "alpha is best, [0-9.]+ %, better than beta"
    assert re.fullmatch(rf"On faces, {best}; on moods, {best}\.", said)
    assert page.count('<table class="stack results">') == 1
    assert page.count('<tr class="baseline"><th scope="row">chance</th>') == 2


def test_the_same_data_again_is_not_called_cross_dataset(tmp_path):
    make_run(tmp_path / "a", "alpha", fingerprint="d" * 64, dataset="other")
    evaluate_elsewhere(tmp_path / "a", "alpha", skill=1)
    (tmp_path / "scratch-a").rename(tmp_path.with_name(tmp_path.name + "-scratch"))
    page = render_report(collect([tmp_path])).html
    assert "Evaluated again on the data of the training, trained on other (dddddddd)" in page
    assert "Cross-dataset" not in page
    assert "On other data" not in page


@pytest.mark.parametrize(
    ("value", "text"), [(169e6, "169 M"), (4_110_000, "4.11 M"), (1234, "1,234"), (1.2e9, "1,200 M")]
)
def test_parameters_have_a_unit(value, text):
    assert millions(int(value)) == text


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (720, "12 min"), (12_240, "3.4 h")])
def test_durations_have_a_unit(seconds, text):
    assert duration(seconds) == text
