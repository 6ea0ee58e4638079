"""`fer-run predict`: images are the arguments, weights an option; what cannot be read does not stop the rest."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import fer_core
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fer_core import FerError
from fer_core.cli import main
from fer_core.plugins import load_plugins
from PIL import Image


def fer_run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments: str | Path) -> str:
    """The one line of a refusal, which comes before any output."""
    result = fer_run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line


MADE: list[Path] = []
"""The folder of a run that is trained once for all tests."""


@pytest.fixture
def run(tiny, quick, tmp_path_factory) -> Path:
    """The folder of a run of the tiny model."""
    if not MADE:
        quick["train"] = {"steps": 2}
        quick["run"] = {"dir": str(tmp_path_factory.mktemp("made") / "run")}
        MADE.append(fer_core.train("tiny", "bars", device="cpu", **quick).folder)
    return Path(shutil.copytree(MADE[0], "runs/tiny"))


@pytest.fixture
def photos(run) -> Path:
    """Four images in the order of their names; the second is empty, the third cut off."""
    folder = Path("photos")
    folder.mkdir()
    for number, name in enumerate(("a", "c", "d")):
        noise = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    (folder / "b.png").touch()
    (folder / "c.png").write_bytes((folder / "c.png").read_bytes()[:600])
    return folder


def test_a_damaged_image_is_one_line_and_the_rest_goes_on(run, photos) -> None:
    result = fer_run("predict", photos, "-m", run)
    assert result.exit_code == 1
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == ["photos/a.png", "photos/d.png"]
    first, second, last = result.stderr.splitlines()
    assert first.startswith("warning  cannot read photos/b.png")
    assert second.startswith("warning  cannot read photos/c.png")
    assert last == "Error: 2 of 4 images could not be read (see the lines above)"


def test_the_table_and_json_hold_a_row_for_every_image(run, photos) -> None:
    result = fer_run("predict", photos, "-m", run, "--csv", "-")
    assert result.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    head = ["source", "face", "left", "top", "right", "bottom", "score"]
    assert list(rows[0])[:7] == head
    assert list(rows[0])[-6:] == ["label", "probability", "p_happiness", "p_sadness", "p_neutral", "error"]
    assert {rows[0][name] for name in head[1:]} == {""}
    assert [(Path(row["source"]).stem, bool(row["label"]), bool(row["error"])) for row in rows] == [
        ("a", True, False),
        ("b", False, True),
        ("c", False, True),
        ("d", True, False),
    ]
    assert fer_run("predict", photos, "-m", run, "--csv", "table.csv").exit_code == 1
    assert Path("table.csv").read_text() == result.stdout
    plain = json.loads(fer_run("predict", photos, "-m", run, "--json").stdout)
    assert [set(row) for row in plain[:2]] == [
        {"source", "face", "box", "score", "points", "label", "probability", "probabilities"},
        {"source", "error"},
    ]


def test_strict_stops_at_the_first(run, photos) -> None:
    Path("table.csv").write_text("earlier")
    result = fer_run("predict", photos, "-m", run, "--strict")
    assert result.exit_code == 2
    assert result.stdout.startswith("photos/a.png  ")
    assert result.stdout.count("\n") == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: cannot read photos/b.png")
    assert fer_run("predict", photos, "-m", run, "--strict", "--csv", "table.csv").exit_code == 2
    assert Path("table.csv").read_text() == "earlier"


def test_several_weights_say_which_they_are(run, photos) -> None:
    last = run / "last.safetensors"
    result = fer_run("predict", photos / "a.png", photos / "b.png", "-m", run, "-m", last, "--csv", "-")
    assert result.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["model"], Path(row["source"]).stem) for row in rows] == [
        (str(run), "a"),
        (str(last), "a"),
        ("", "b"),
    ]
    assert result.stderr.count("warning") == 1
    lines = fer_run("predict", photos / "a.png", "-m", run, "-m", last).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [str(run), str(last)]


def test_what_is_not_an_image_is_refused_before_anything_is_predicted(run, photos) -> None:
    Path("nothing").mkdir()
    whole = photos / "a.png"
    assert "absent.png does not exist" in refused("predict", whole, "absent.png", "-m", run)
    assert "nothing holds no image" in refused("predict", whole, "nothing", "-m", run)
    weights = run / "best.safetensors"
    assert f"{weights} is a weight file" in refused("predict", weights, whole)
    assert f"{run} is a run folder, not an image: name it with -m {run}" in refused("predict", run, whole)


def test_without_weights_the_latest_run_is_offered(run, photos, monkeypatch) -> None:
    monkeypatch.setitem(load_plugins().entries, "weights", {})
    assert "-m runs/latest (runs/tiny)" in refused("predict", photos)
    run.rename("elsewhere")
    assert "name yours with -m; weights are a file" in refused("predict", photos)


def test_the_way_to_the_weights_is_told(run, photos) -> None:
    result = fer_run("predict", photos / "a.png", "-m", "runs/latest")
    assert result.exit_code == 0
    assert result.stderr.startswith("weights  runs/tiny/best.safetensors, of the latest of 1 run below runs")


def test_in_python_the_first_failure_raises_or_stands_in_its_place(run, photos) -> None:
    predictor = fer_core.Predictor("runs/latest", device="cpu")
    with pytest.raises(FerError, match=r"photos/b\.png"):
        predictor("photos")
    results = list(predictor.attempt(["photos"]))
    assert [len(result.faces) for result in results] == [1, 0, 0, 1]
    assert results[0].faces == tuple(predictor("photos/a.png"))
    assert results[1].source == "photos/b.png"
    assert "photos/b.png" in str(results[1].error)
