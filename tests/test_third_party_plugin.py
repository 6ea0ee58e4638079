"""The plugin on the page `docs/how-to/write-a-plugin.md`, taken from it word by word and installed and run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fer_core.testing import build_wheel, fer_run, install, isolated_environment, uninstall
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "write-a-plugin.md"
FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = {"models": "tinynet", "datasets": "shapes", "losses": "tiny_focal"}
CHANCE = 1 / 4


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The files of the page; a code block is a file where its name stands above it."""
    folder = tmp_path_factory.mktemp("author") / "fer-tinynet"
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def names_listed(python, cwd):
    listed = json.loads(fer_run(python, "list", "--json", cwd=cwd).stdout)
    return [kind for kind, name in NAMES.items() if name in [row["name"] for row in listed[kind]]]


def test_the_page_is_a_whole_plugin_of_less_than_100_lines(project):
    found = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    tree = re.findall(r"^  (\S+)", PAGE.read_text(encoding="utf-8").split("```")[1], re.MULTILINE)
    assert found == set(tree)
    lines = [line for path in project.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    assert sum(bool(line.strip()) for line in lines) < 100


HOOK = """
from fer_core.plugin import WeightsSpec, hookimpl

@hookimpl
def fer_weights():
    return [WeightsSpec(name="tinynet-shapes", model="tinynet", file="fer_tinyweights:shapes.safetensors",
                        card="fer_tinyweights:shapes.json", summary="Drawn shapes")]
"""
CARD = {
    "notice": "drawn shapes, nothing else",
    "licence": "Apache-2.0",
    "inputs": [{"kind": "data", "name": "shapes", "licence": "Apache-2.0"}],
    "protocol": "the dataset's own parts",
    "figures": [],
    "intended_use": "tests",
    "limits": ["faces"],
    "commands": ["fer-run train tinynet shapes"],
}


def check_shipped_weights(python, run, folder):
    """The weights of a run as a wheel of their own: found by name or without one, and gone with the package."""
    project, package = folder / "fer-tinyweights", folder / "fer-tinyweights" / "src" / "fer_tinyweights"
    package.mkdir(parents=True)
    text = PAGE.read_text(encoding="utf-8").split("```toml\n")[1].partition("```")[0]
    renamed = text.replace("tinynet", "tinyweights")
    (project / "pyproject.toml").write_text(renamed, encoding="utf-8")
    (package / "__init__.py").write_text(HOOK, encoding="utf-8")
    (package / "shapes.json").write_text(json.dumps(CARD), encoding="utf-8")
    shutil.copy(run / "best.safetensors", package / "shapes.safetensors")
    install(python, build_wheel(project, folder / "dist"))
    doctor = fer_run(python, "doctor", "--deep", cwd=folder)
    assert doctor.returncode == 0, doctor.stdout
    Image.new("RGB", (32, 32), (200, 40, 40)).save(folder / "shape.png")
    named = fer_run(python, "predict", "shape.png", "-m", "tinynet-shapes", cwd=folder)
    assert named.returncode == 0, named.stderr
    assert named.stderr.count("weights  tinynet-shapes: drawn shapes, nothing else") == 1
    assert fer_run(python, "predict", "shape.png", cwd=folder).stdout == named.stdout
    by_file = fer_run(python, "predict", "shape.png", "-m", str(run / "best.safetensors"), cwd=folder)
    assert by_file.stdout == named.stdout
    uninstall(python, "fer-tinyweights")
    gone = fer_run(python, "predict", "shape.png", cwd=folder)
    assert gone.returncode == 2
    assert "no weights are named, and none are installed" in gone.stderr


def test_the_plugin_installs_trains_and_goes_away(project, tmp_path):
    python = isolated_environment(tmp_path / "env")
    install(python, *(build_wheel(path, tmp_path / "dist") for path in (ROOT / "packages" / "fer-core", project)))

    assert names_listed(python, tmp_path) == list(NAMES)
    doctor = fer_run(python, "doctor", "--deep", cwd=tmp_path)
    assert doctor.returncode == 0, doctor.stdout
    tests = subprocess.run([python, "-m", "pytest", "-q", project / "tests"], cwd=project, capture_output=True)
    assert tests.returncode == 0, tests.stdout.decode()

    trained = fer_run(python, "train", "tinynet", "shapes", "--device", "cpu", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    (result,) = tmp_path.glob("runs/tinynet-shapes/*/result.json")
    assert json.loads(result.read_text())["best"]["metrics"]["test"]["accuracy"] > 3 * CHANCE

    check_shipped_weights(python, result.parent, tmp_path)

    uninstall(python, "fer-tinynet")
    assert names_listed(python, tmp_path) == []
    gone = fer_run(python, "train", "tinynet", "shapes", cwd=tmp_path)
    assert gone.returncode == 2
    assert "tinynet" in gone.stderr
    assert "Traceback" not in gone.stderr
    weights = fer_run(python, "evaluate", "runs/tinynet-shapes/latest", cwd=tmp_path)
    assert "comes with fer-tinynet 0.1.0, which is not installed: pip install fer-tinynet" in weights.stderr
