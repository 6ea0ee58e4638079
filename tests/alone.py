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


def pytest_command(python: Path, package: str, options: Sequence[str]) -> list[str]:
    """What runs the package's tests by that Python, where its plugins are the only ones."""
    return [str(python), "-m", "pytest", "-p", "no:cacheprovider", *options, str(PACKAGES / package / "tests")]


if __name__ == "__main__":
    package, *options = sys.argv[1:]
    with TemporaryDirectory() as folder:
        python = isolated_environment(Path(folder) / "env")
        names = dict.fromkeys(("fer-core", package))
        install(python, *(build_wheel(PACKAGES / name, Path(folder)) for name in names))
        sys.exit(subprocess.run(pytest_command(python, package, options), check=False).returncode)
