from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoints, distributions, entry_points
from pathlib import Path
from textwrap import dedent

import pytest
from fer_core import plugins

HEADER = "from fer_core import CommandSpec, DatasetSpec, FerError, ModelSpec, hookimpl\n"


class Site:
    """A folder of fake distributions, laid out as an installer would."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def install(self, distribution: str, source: str | None, *, version: str = "1.0", module: str = "") -> None:
        """Add a distribution with one plugin; `source` is its module's text, None leaves the module out.

        The entry point is called as the distribution is, with `_`.
        """
        name = distribution.replace("-", "_")
        module = module or f"{name}_module"
        info = self.root / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[fer_core]\n{name} = {module}\n")
        if source is not None:
            (self.root / f"{module}.py").write_text(HEADER + dedent(source))

    def entry_points(self, group: str) -> EntryPoints:
        """As `importlib.metadata.entry_points`, of this folder alone."""
        found = [point for dist in distributions(path=[str(self.root)]) for point in dist.entry_points]
        return EntryPoints(point for point in found if point.group == group)

    def fer_run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `fer-run` in a fresh process that sees these distributions and no other plugin."""
        own = {point.dist.name for point in self.entry_points("fer_core")}
        others = {point.dist.name for point in entry_points(group="fer_core")} - own
        env = {**os.environ, "PYTHONPATH": str(self.root), "FER_DISABLE_PLUGINS": ",".join(others), **environment}
        return subprocess.run(
            [sys.executable, "-m", "fer_core", *arguments], env=env, capture_output=True, text=True, timeout=120
        )


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Fake distributions; in this process, too, they are the only plugins beside the core."""
    root = tmp_path / "site"
    root.mkdir()
    found = Site(root)
    monkeypatch.delenv("FER_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("FER_STRICT", raising=False)
    monkeypatch.setattr(plugins, "entry_points", found.entry_points)
    monkeypatch.syspath_prepend(str(root))
    plugins.load_plugins.cache_clear()
    yield found
    plugins.load_plugins.cache_clear()
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(root)):
            del sys.modules[name]
