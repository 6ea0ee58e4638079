from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fer_core.errors import FerError
from fer_core.metrics import MetricsRow
from fer_core.plotting.confusion import draw_confusion
from fer_core.plotting.cost import draw_cost
from fer_core.plotting.curves import draw_curves
from fer_core.plotting.faces import Section, Tile, save_flagged, save_gallery
from fer_core.plotting.labels import spread
from fer_core.plotting.palette import theme, variables
from fer_core.plotting.ranks import draw_ranks
from fer_core.plotting.recalls import draw_recalls
from fer_core.plotting.reliability import draw_reliability
from fer_core.plotting.robustness import draw_robustness
from fer_core.plotting.scores import draw_scores
from fer_core.plotting.throughput import draw_throughput
from fer_core.statistics import friedman_nemenyi, reliability
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

NAMES = [f"expression_{i}" for i in range(11)]


def confusion_of(number: int) -> list[list[int]]:
    counts = np.random.default_rng(0).integers(0, 3000, (number, number))
    counts[1] = 0  # a class that no image has
    return counts.tolist()


def row_of(epoch: float, **parts: dict[str, float]) -> MetricsRow:
    return MetricsRow(epoch=epoch, step=int(10 * epoch), lr=0.1, **parts)


def rows_of(epochs: int) -> list[MetricsRow]:
    return [
        row_of(
            epoch,
            train={"loss": 2 / epoch, "accuracy": 1 - 0.8 / epoch},
            val={
                "accuracy": 0.9 - 0.5 / epoch,
                "mean_class_accuracy": 0.8 - 0.5 / epoch,
                "cross_entropy": 1 / epoch,
            },
        )
        for epoch in range(1, epochs + 1)
    ]


def some_curve():
    scores = np.random.default_rng(1).dirichlet(np.ones(3), 300)
    return reliability(scores, np.random.default_rng(2).integers(0, 3, 300))


COSTS = {name: (10.0 + n, 0.5 + n / 1000, 0.45, 0.55) for n, name in enumerate(NAMES[:6])}
CHARTS = {
    "confusion": draw_confusion(confusion_of(7), NAMES[:7], "a model <on> a & dataset"),
    "cost": draw_cost(COSTS, "Accuracy against size", "million parameters", NAMES),
    "curves": draw_curves(rows_of(30), "Learning curves", 12),
    "ranks": draw_ranks(NAMES[:3], friedman_nemenyi(np.random.default_rng(10).random((3, 5))), "Mean ranks"),
    "recalls": draw_recalls({"a": {"x": (0.5, 0.4, 0.6)}, "b": {"y": (1.0, 0.9, 1.0)}}, "Recalls"),
    "reliability": draw_reliability({"": some_curve()}, "Reliability"),
    "robustness": draw_robustness(0.9, {"blur": [0.8, 0.7], "noise": [0.8, 0.69]}, "Robustness"),
    "scores": draw_scores({"a": (0.9, (0.8, 0.95)), "b": (0.5, None)}, {"chance": 0.125}, "Scores"),
    "throughput": draw_throughput({"a": {"step": 1234.5}}, {"training": ["step"]}, "Throughput"),
}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert not {"Software", "Creation Time", "date"} & set(image.info)
        return np.asarray(image.convert("RGB"), dtype=np.float64)


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_fits_in_a_page_and_is_told_to_those_who_cannot_see_it(name: str, tmp_path: Path) -> None:
    chart = CHARTS[name]
    text = chart.svg("one")
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    told = {element.get("id"): element.text for element in root.iter() if element.tag in ("title", "desc")}
    assert told == {"one-t": chart.title, "one-d": chart.description}
    assert root.get("aria-labelledby", "").split() == ["one-t", "one-d"]
    assert len(text) < 40_000
    for word in ("<style", "<metadata", "date", "DOCTYPE", "font-family:"):
        assert word not in text
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert all(name.startswith("one-") for name in ids)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert not re.findall(r"#[0-9a-f]{6}", text), "a colour that does not follow the page"
    border = pixels(_saved(chart, tmp_path / "c.png"))
    border = np.concatenate([border[0], border[-1], border[:, 0], border[:, -1]])
    assert (border == 255).all(), "something is cut off at the border"


def _saved(chart, path: Path) -> Path:
    chart.save(path)
    return path


def test_figures_of_a_chart_are_text() -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", CHARTS["confusion"].svg("c"))
    counts = np.array(confusion_of(7))
    for count in np.delete(counts, 1, axis=0).flat:
        assert f"{count:,}" in texts
    assert texts.count("–") == 7  # the class without images


def test_a_file_follows_light_and_dark_by_itself(tmp_path: Path) -> None:
    root = ElementTree.fromstring(_saved(CHARTS["scores"], tmp_path / "s.svg").read_bytes())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = next(element.text for element in root.iter() if element.tag.endswith("style"))
    assert style == theme("svg")
    assert all(variable[4:-1] in style for variable in variables().values())
    assert "Scores" in [element.text for element in root.iter() if element.tag.endswith("}text")]


@pytest.mark.parametrize("number", [2, 7, 11])
def test_a_confusion_matrix_has_readable_cells(number: int) -> None:
    chart = draw_confusion(confusion_of(number), NAMES[:number], "a model on a dataset, test")
    width, height = chart.size
    assert 400 <= width < 600
    assert 100 < height < 550


def test_what_is_drawn_depends_on_the_numbers() -> None:
    one, other = (draw_confusion([[9, 1], [n, 10 - n]], NAMES[:2], "same") for n in (2, 3))
    assert one.svg("a") != other.svg("a")
    assert "expression_1 predicted as expression_0 (20.0%)" in one.description
    assert "Recall: expression_0 90.0%, expression_1 80.0%" in one.description


@pytest.mark.parametrize(
    "rows",
    [
        rows_of(30),
        rows_of(1),
        [row_of(1, train={"loss": 1.5}), row_of(2)],
        [row_of(0.5, test={"accuracy": 0.5}), row_of(1, test={"accuracy": 0.5})],
    ],
)
def test_curves_are_drawn_from_whatever_was_measured(tmp_path: Path, rows: list[MetricsRow]) -> None:
    image = pixels(_saved(draw_curves(rows, "Learning curves"), tmp_path / "curves.png"))
    assert (image < 250).any(axis=2).mean() > 0.01


def test_the_chosen_epoch_is_marked(tmp_path: Path) -> None:
    fifth, second = (
        pixels(_saved(draw_curves(rows_of(5), "t", epoch), tmp_path / f"{epoch}.png")) for epoch in (5, 2)
    )
    darker = (fifth - second).sum(axis=(0, 2))
    assert darker.argmin() > darker.argmax() + 200, "the mark of epoch 5 stands right of that of epoch 2"
    assert "chosen epoch, 5" in draw_curves(rows_of(5), "t", 5).description


def test_a_line_from_first_to_last_is_told_in_figures() -> None:
    said = draw_curves(rows_of(4), "t").description
    assert "Over 4 evaluations: train loss from 2 to 0.5" in said
    assert "val accuracy from 40 to 77.5" in said


@given(st.lists(st.floats(-50, 150), min_size=1, max_size=9), st.floats(0.1, 12))
def test_labels_are_moved_apart_in_their_order(places: list[float], gap: float) -> None:
    found = spread(places, gap, 0, 100)
    order = np.argsort(places, kind="stable")
    moved = np.array(found)[order]
    assert (np.diff(moved) >= gap - 1e-6).all()
    assert moved[0] >= -1e-6 or moved[-1] >= 100 - 1e-6
    assert moved[-1] <= 100 + 1e-6


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread([30, 10, 20], 5, 0, 100) == [30, 10, 20]
    assert spread([10, 11], 5, 0, 100) == [8, 13]


def test_sheets_of_faces_have_a_place_for_every_face(tmp_path: Path) -> None:
    grey, colour = np.zeros((8, 8, 1), np.uint8), np.full((9, 7, 3), 200, np.uint8)
    tiles = [Tile(grey, "a $name$ that is too long to fit below", "x", wrong=True), Tile(colour, "b")]
    save_gallery(tmp_path / "g.png", tiles * 3, columns=3, title="Title", note="one\ntwo")
    image = pixels(tmp_path / "g.png")
    assert (image == 0).all(axis=2).sum() >= 3 * 150**2, "three black faces of about 176 pixels"
    save_flagged(tmp_path / "f.png", [Section("equal", tiles), Section("near", tiles * 8)], "Flagged")
    assert pixels(tmp_path / "f.png").shape[0] > 3 * 188


DRAW = """
import sys
from pathlib import Path
from fer_core.metrics import MetricsRow
from fer_core.plotting.confusion import draw_confusion
from fer_core.plotting.curves import draw_curves
assert not any(name.startswith("matplotlib") for name in sys.modules)
folder = Path(sys.argv[1])
for ending in ("png", "svg"):
    draw_confusion([[9, 1], [2, 8]], ["a", "b"], "title").save(folder / f"c.{ending}")
    rows = [MetricsRow(epoch=n, step=n, lr=0.1, train={"loss": 1 / n}) for n in (1, 2)]
    draw_curves(rows, "title").save(folder / f"k.{ending}")
assert "matplotlib.pyplot" not in sys.modules
"""


def test_bytes_are_the_same_in_another_process_with_other_settings(tmp_path: Path) -> None:
    written = []
    for name, settings in (("one", ""), ("two", "font.size: 20\naxes.facecolor: red\nsavefig.dpi: 50\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "matplotlibrc").write_text(settings)
        environment = {**os.environ, "MATPLOTLIBRC": str(folder / "matplotlibrc")}
        subprocess.run([sys.executable, "-c", DRAW, str(folder)], check=True, env=environment)
        written.append([(folder / name).read_bytes() for name in ("c.png", "k.png", "c.svg", "k.svg")])
    assert written[0] == written[1]


def test_wrong_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit 3 classes"):
        draw_confusion([[1, 0], [0, 1]], NAMES[:3], "title")
    with pytest.raises(ValueError, match="do not fit 3 ranks"):
        draw_ranks(NAMES[:2], friedman_nemenyi(np.random.default_rng(0).random((3, 2))), "title")
    with pytest.raises(FerError, match="no epoch has ended"):
        draw_curves([], "title")
    with pytest.raises(FerError, match=r"cannot write .*no/c\.png"):
        CHARTS["scores"].save(tmp_path / "no" / "c.png")
