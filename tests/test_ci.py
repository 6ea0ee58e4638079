"""The workflow and pre-commit run what `.ci/run` runs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    return [line.strip() for line in lines.splitlines()]


def test_the_workflow_has_every_step_of_ci() -> None:
    targets = re.findall(r"^make (\S+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert "lint" in targets
    assert job["strategy"]["matrix"]["target"] == targets
    assert job["steps"][-1]["run"] == "make ${{ matrix.target }}"
    for target in targets:
        assert recipe(target)


def test_pre_commit_checks_what_lint_checks() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for each in repositories for hook in each["hooks"]] == recipe("lint")
