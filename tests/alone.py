"""Runs the tests of a package where fer-core and that package alone are installed.

python tests/alone.py fer-core [options of pytest]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fer_core.testing import build_wheel, install, isolated_environment

PACKAGES = Path(__file__).parents[1] / "packages"


def make_environment(package: str, folder: Path) -> Path:
    """The Python of a new environment with the wheels of fer-core and the package."""
    python = isolated_environment(folder / "env")
    install(python, *(build_wheel(PACKAGES / name, folder) for name in dict.fromkeys(("fer-core", package))))
    return python


def command(python: Path, package: str, options: Sequence[str]) -> list[str]:
    """What runs the package's tests by that Python, where its plugins are the only ones."""
    return [str(python), "-m", "pytest", "-p", "no:cacheprovider", *options, str(PACKAGES / package / "tests")]


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        made = make_environment(sys.argv[1], Path(folder))
        sys.exit(subprocess.run(command(made, sys.argv[1], sys.argv[2:]), check=False).returncode)
