"""The report in a real browser: headless Chromium of Debian's packages, where there is one."""

import html
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from fabricated_runs import CLASSES, write_run
from fer_core.reports.page import render_report
from fer_core.runs.reading import collect
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="NO BROWSER: install one with `apt-get install chromium`"),
]
POLICY = re.compile('<meta http-equiv="Content-Security-Policy"[^>]*>')
PROBE = """<script>addEventListener("load", () => {
  const all = (what) => [...document.querySelectorAll(what)];
  all("details").forEach((each) => (each.open = true));
  const focusable = all("a[href], summary, [tabindex='0']");
  const found = {
    width: innerWidth,
    page: document.documentElement.scrollWidth,
    room: document.documentElement.clientWidth,
    pictures: all("svg.chart").length,
    empty: all("svg.chart").filter((svg) => svg.getBoundingClientRect().height < 40).length,
    images: all("img").filter((img) => !img.complete || !img.naturalWidth).length,
    unreachable: focusable.filter((each) => (each.focus(), document.activeElement !== each)).length,
    sideways: all("*").filter((each) => each.scrollWidth > each.clientWidth + 1
      && !["visible", "hidden"].includes(getComputedStyle(each).overflowX)).length,
    outside: all("body *").filter((each) => !each.closest(".scroll")
      && each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
      .map((each) => each.outerHTML.slice(0, 80)).slice(0, 5),
    small: Math.min(...all("svg.chart").map((svg) => svg.getBoundingClientRect().width)),
    hidden: all("*").filter((each) => each.scrollWidth > each.clientWidth + 1 && each.tabIndex < 0
      && getComputedStyle(each).overflowX !== "visible").length,
    unnamed: all("svg.chart").filter((svg) => !svg.querySelector("title").textContent
      || !svg.querySelector("desc").textContent).length + all("img").filter((img) => !img.alt).length,
    sheets: all("img").length,
    dark: getComputedStyle(document.documentElement).getPropertyValue("--surface"),
  };
  parent.postMessage(JSON.stringify(found), "*");
});</script>"""
FRAME = """<!doctype html><iframe src="inner.html" style="width:{width}px;height:900px;border:0"></iframe>
<pre id=found></pre>
<script>addEventListener("message", (event) => (found.textContent = event.data));</script>"""
"""A window cannot be as narrow as a telephone, a frame can."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of two runs on the drawn faces, one of them diagnosed, and evaluated on other ones."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        options = [
            "-o",
            "data.options={samples: 210, size: 32}",
            "-o",
            "data.input_size=32",
            "-o",
            "train.epochs=1",
        ]
        command = [
            "train",
            "timm",
            "synthetic",
            "--seed",
            str(seed),
            *options,
            "-o",
            f"run.dir={root / str(seed)}",
        ]
        subprocess.run([sys.executable, "-m", "fer_core", *command], check=True, capture_output=True)
    diagnosis = ["diagnose", str(root / "0"), "synthetic", "--device", "cpu"]
    subprocess.run([sys.executable, "-m", "fer_core", *diagnosis], check=True, capture_output=True)
    other = ["evaluate", str(root / "0" / "best.safetensors"), "synthetic", "--out", str(root / "0" / "other")]
    other += ["-o", "data.options.samples=140", "-o", "data.options.size=48", "--device", "cpu"]
    subprocess.run([sys.executable, "-m", "fer_core", *other], check=True, capture_output=True)
    page = render_report(collect([root]))[0]
    assert "Cross-dataset, trained on" in page
    return page


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory):
    """Pages of one run, of a run of one epoch at the level of chance, and of six models on two datasets."""
    root = tmp_path_factory.mktemp("fabricated")
    found = {
        "one run": [write_run(root / "one run" / "a", "dan", "ferplus", skill=2.2, images=3137)],
        "one epoch": [write_run(root / "one epoch" / "a", "dan", "ferplus", skill=0.35, images=800, epochs=1)],
    }
    skills = {"dan": 2.2, "adadf": 2.3, "poster_pp": 2.29, "timm": 1.2, "ddamfn_pp": 2.1, "gsdnet": 0.6}
    for dataset, images in (("ferplus", 3137), ("rafdb", 3068)):
        found[dataset] = [
            write_run(root / "six models" / f"{model}-{dataset}", model, dataset, skill=skill, images=images)
            for model, skill in skills.items()
        ]
    pages = {path.name: render_report(collect([path])).html for path in root.iterdir()}
    return pages, found, list(skills)


def browse(folder, text, *options):
    path = folder / "page.html"
    path.write_text(text)
    log = folder / "net.json"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        "--enable-logging=stderr",
        *options,
    ]
    run = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=180, check=True)
    return run.stdout, run.stderr, log.read_text()


def probe(page, folder, width, *options):
    (folder / "inner.html").write_text(POLICY.sub("", page) + PROBE)
    wait = ["--dump-dom", "--virtual-time-budget=4000", "--window-size=1500,1000"]
    dom, log, _ = browse(folder, FRAME.format(width=width), *wait, *options)
    assert "CONSOLE" not in log
    return json.loads(html.unescape(re.search('<pre id="found">(.*?)</pre>', dom).group(1)))


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["one run", "one epoch", "six models"])
def test_nothing_scrolls_sideways(fabricated, tmp_path, name, width):
    page = fabricated[0][name]
    found = probe(page, tmp_path, width)
    assert found["width"] == width
    assert found["page"] <= found["room"] <= width
    assert found["outside"] == []
    assert found["sideways"] == 0
    assert found["small"] > 330, "a chart is too small to be read"
    broken = {key: found[key] for key in ("empty", "images", "unreachable", "hidden", "unnamed")}
    assert not any(broken.values()), broken
    assert found["pictures"] == page.count('<svg class="chart"')


@pytest.mark.parametrize("name", ["one run", "one epoch", "six models"])
def test_no_page_is_half_empty(fabricated, tmp_path, name):
    """At 1,400 pixels, tables and rows of charts reach over at least two thirds of the column."""
    probing = PROBE.replace(
        "const found = {",
        """const main = document.querySelector("main");
  const room = main.clientWidth - 2 * parseFloat(getComputedStyle(main).paddingLeft);
  const reach = (each) => {
    const boxes = [...each.children].map((child) => child.getBoundingClientRect());
    return Math.min(...boxes.map((box) => Math.max(...boxes.filter((other) => other.top < box.bottom
      && box.top < other.bottom).map((other) => other.right)))) - main.getBoundingClientRect().left;
  };
  const found = {
    tables: Math.min(...all("table").map((each) => each.offsetWidth)) / room,
    rows: Math.min(...all(".grid").map(reach)) / room,""",
    )
    (tmp_path / "inner.html").write_text(POLICY.sub("", fabricated[0][name]) + probing)
    dom, *_ = browse(
        tmp_path, FRAME.format(width=1400), "--dump-dom", "--virtual-time-budget=4000", "--window-size=1500,1000"
    )
    found = json.loads(html.unescape(re.search('<pre id="found">(.*?)</pre>', dom).group(1)))
    assert found["tables"] > 0.9
    assert found["rows"] > 0.66


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_page_in_a_browser(page, tmp_path, width, dark):
    found = probe(page, tmp_path, width, *(["--blink-settings=preferredColorScheme=0"] if dark else []))
    assert found["width"] == width
    assert found["page"] <= found["room"] <= width
    assert found["pictures"] == page.count('<svg class="chart"') > 0
    assert found["sheets"] >= 2
    assert found["dark"] == ("#171e26" if dark else "#ffffff")
    broken = {name: found[name] for name in ("empty", "images", "unreachable", "hidden", "unnamed")}
    assert not any(broken.values()), broken


def test_page_says_nothing_and_asks_for_nothing(page, tmp_path):
    picture = tmp_path / "shot.png"
    _, log, net = browse(tmp_path, page, f"--screenshot={picture}", "--window-size=1400,2000")
    assert "CONSOLE" not in log
    own = (tmp_path / "page.html").as_uri()
    asked = set(re.findall(r'"(?:url|original_url)":"((?:https?|wss?|ftp|file):[^"]*)"', net))
    # Chromium itself may look for updates of its components: none of that comes from a page.
    assert {url for url in asked if "google" not in url and "gvt1" not in url} <= {own}
    assert picture.stat().st_size > 20_000


def first_sentence(page):
    """The first sentence of the page's text after its title."""
    text = html.unescape(re.search('<p class="finding">(.*?)</p>', page).group(1)).replace("\u00a0", " ")
    assert page.index("</h1>") < page.index('<p class="finding">') < page.index("<nav")
    return text


def percent(value):
    return f"{100 * value:.1f} %"


def exact_mcnemar(labels, one, other):
    first, second = one == labels, other == labels
    only = int((first & ~second).sum()), int((second & ~first).sum())
    return stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0


@pytest.mark.parametrize("name", ["one run", "one epoch"])
def test_the_first_sentence_of_one_run_is_what_it_reached(fabricated, name):
    pages, found, _ = fabricated
    ((labels, predicted),) = found[name]
    majority = np.bincount(labels).argmax()
    always = np.full_like(labels, majority)
    above = exact_mcnemar(labels, predicted, always) < 0.05
    reached, constant = (percent(accuracy_score(labels, each)) for each in (predicted, always))
    start = f"dan reaches {reached} accuracy on {len(labels):,} test images of ferplus, "
    answering = f"always answering {CLASSES[majority]} ({constant})"
    standing = {
        True: f"above chance (12.5 %) and {answering}.",
        False: f"not distinguishable from {answering}, where chance is 12.5 %.",
    }
    assert above == (name == "one run")
    assert first_sentence(pages[name]) == start + standing[above]
    assert ("no merit" in pages[name]) != above, "a low calibration error of a coin is no merit"
    assert ("no learning curves" in pages[name]) == (name == "one epoch")


def test_the_first_sentence_of_several_models_names_the_best_and_its_equals(fabricated):
    pages, found, models = fabricated
    parts = []
    for dataset in ("ferplus", "rafdb"):
        accuracy = {model: accuracy_score(*run) for model, run in zip(models, found[dataset], strict=True)}
        order = sorted(models, key=accuracy.get, reverse=True)
        of = dict(zip(models, found[dataset], strict=True))
        labels, best = of[order[0]]
        p_values = {model: exact_mcnemar(labels, best, of[model][1]) for model in order[1:]}
        adjusted = dict(zip(p_values, multipletests(list(p_values.values())), strict=True))
        alike = [f"{model} ({percent(accuracy[model])})" for model in order[1:] if adjusted[model] >= 0.05]
        beaten = [model for model in order[1:] if adjusted[model] < 0.05]
        assert alike
        assert len(beaten) in (3, 4)
        parts.append(
            f"n {dataset}, {order[0]} is best, {percent(accuracy[order[0]])}, not distinguishable from "
            f"{' and '.join(alike)}, better than {', '.join(beaten[:-1])} and {beaten[-1]}"
        )
        rows = re.findall('<tr><th scope="row">([a-z_]+)</th>', pages["six models"])
        assert "".join(order) in "".join(rows), "sorted by score"
    assert first_sentence(pages["six models"]) == f"O{parts[0]}; o{parts[1]}."


def multipletests(p_values):
    """Holm's adjustment, by its definition: the largest of the m - k + 1 fold p values up to a rank k."""
    return [
        min(
            1.0,
            max((len(p_values) - sum(q < other for q in p_values)) * other for other in p_values if other <= p),
        )
        for p in p_values
    ]


def test_baselines_stand_in_table_and_charts(fabricated):
    pages, found, _ = fabricated
    labels, _ = found["one run"][0]
    share = np.bincount(labels).max() / len(labels)
    constant = np.full_like(labels, np.bincount(labels).argmax())
    row = re.search(
        r'<tr class="baseline"><th scope="row">always neutral</th>(.*?)</tr>', pages["one run"], re.S
    ).group(1)
    figures = [float(value) for value in re.findall(r">([\d.]+)</td>", row)]
    expected = [share, balanced_accuracy_score(labels, constant), f1_score(labels, constant, average="macro")]
    assert figures == pytest.approx([100 * value for value in expected], abs=0.005)
    assert f">always neutral {100 * share:.1f}</text>" in pages["one run"]
    assert pages["six models"].count(">chance 12.5</text>") == 2 + 12
