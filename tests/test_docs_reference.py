from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fer_core import plugin

ROOT = Path(__file__).resolve().parents[1]


def test_the_generated_reference_is_current():
    command = [sys.executable, str(ROOT / "docs" / "build_reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_plugins_may_import_has_an_entry():
    page = (ROOT / "docs" / "reference" / "plugin.md").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", page, flags=re.MULTILINE | re.DOTALL))
    assert sorted(entries) == sorted(plugin.__all__)
    short = [name for name, text in entries.items() if len(text.split("`\n", 1)[-1].strip()) < 20]
    assert short == []


@pytest.mark.parametrize("place", ["how-to/write-a-plugin.md", "how-to/loggers.md", "reference/hooks.md"])
def test_plugins_of_the_documentation_import_nothing_else_of_the_core(place):
    text = (ROOT / "docs" / place).read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^`([\w./-]+)`\n\n)?^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for file, block in blocks:
        allowed = {"fer_core.plugin", *(("fer_core", "fer_core.testing") if file.startswith("tests/") else ())}
        assert imported(block) <= allowed, block


def imported(source: str) -> set[str]:
    """Modules of the core that a source imports."""
    nodes = list(ast.walk(ast.parse(source)))
    found = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    found |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {module for module in found if module.split(".")[0] == "fer_core"}
