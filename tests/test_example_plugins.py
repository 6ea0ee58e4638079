"""Each plugin in `examples/plugins/`, installed as users install it, passes its own tests and stays an example."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from fer_core.plugins import installed_versions
from fer_core.testing import build_wheel, install, isolated_environment
from test_docs_reference import imported
from test_third_party_plugin import FILE, PAGE

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "plugins"
PLUGINS = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))
SLOW = [
    name for name in PLUGINS if "mark.slow" in "".join(map(Path.read_text, EXAMPLES.glob(f"{name}/tests/*.py")))
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The core, and the plugin of the documentation, with which the examples train."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        path = folder / "fer-tinynet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [
        build_wheel(path, folder / "dist") for path in (ROOT / "packages" / "fer-core", folder / "fer-tinynet")
    ]


def missing(name):
    """What an example needs and the developer has not installed; in CI this makes its tests fail."""
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]
    return [] if "CI" in os.environ else [each for each in needed if not installed_versions([each])]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [(name, "not slow") for name in PLUGINS]
    + [pytest.param(name, "slow", marks=pytest.mark.slow) for name in SLOW],
)
def test_it_passes_its_own_tests_where_it_is_installed(name, chosen, wheels, tmp_path):
    if absent := missing(name):
        pytest.skip(f"{', '.join(absent)} is not installed: run make setup")
    python = isolated_environment(tmp_path / "env")
    install(python, *wheels, build_wheel(EXAMPLES / name, tmp_path / "dist"))
    tests = [EXAMPLES / name / "tests", f"--rootdir={tmp_path}", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-m", chosen, *tests],
        cwd=tmp_path,
        env={**os.environ, "FER_CACHE": str(tmp_path / "cache"), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("name", PLUGINS)
def test_it_is_short_and_needs_no_private_name(name):
    sources = {path: path.read_text(encoding="utf-8") for path in (EXAMPLES / name).rglob("*.py")}
    assert sum(bool(line.strip()) for text in sources.values() for line in text.splitlines()) <= 100
    for path, text in sources.items():
        names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
        assert not [each for each in names if re.match(r"_(?!_)", each)], path
        own = {"fer_core", "fer_core.testing"} if path.parent.name == "tests" else set()
        assert imported(text) <= {"fer_core.plugin", *own}, path


def test_the_table_lists_every_example():
    assert re.findall(r"^\| \[`([\w-]+)`\]", (EXAMPLES / "README.md").read_text(), re.MULTILINE) == PLUGINS
