"""The report in a real browser: headless Chromium of Debian's packages, where there is one."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from fer_core.reports.page import render_report
from fer_core.runs.reading import collect

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
    pictures: all("svg.chart").length,
    empty: all("svg.chart").filter((svg) => svg.getBoundingClientRect().height < 40).length,
    images: all("img").filter((img) => !img.complete || !img.naturalWidth).length,
    unreachable: focusable.filter((each) => (each.focus(), document.activeElement !== each)).length,
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
    assert "On other data" in page
    return page


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


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_page_in_a_browser(page, tmp_path, width, dark):
    style = ["--blink-settings=preferredColorScheme=0"] if dark else []
    (tmp_path / "inner.html").write_text(POLICY.sub("", page) + PROBE)
    wait = ["--dump-dom", "--virtual-time-budget=4000", "--window-size=1500,1000"]
    dom, *_ = browse(tmp_path, FRAME.format(width=width), *wait, *style)
    found = json.loads(re.search('<pre id="found">(.*?)</pre>', dom).group(1))
    assert found["width"] == width
    assert found["page"] <= width
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
