"""Helpers for testing plugins, the core's own packages and anybody's.

`check_plugin` examines what an installed distribution registers. The rest makes throw-away environments that see
the tester's third-party packages (torch is not installed again) but no plugin and no core, so that a test can
install wheels there as a user would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fer_core.plugins import Plugin
    from fer_core.preprocessing import Preprocessing
    from fer_core.types import DatasetSpec


def check_plugin(distribution: str) -> tuple[Plugin, ...]:
    """Check that an installed distribution's plugins work: they load, and all that they name is there.

    Every factory is imported, every recipe is resolved and its components are looked up, and datasets that need
    no folder are opened and their first face is read.

    Returns:
        The distribution's plugins, with the names they bring.

    Raises:
        AssertionError: No plugin of the distribution loaded, or one failed.
        FerError: A name is claimed twice or cannot be imported, or a recipe is wrong.
    """
    from fer_core import registry
    from fer_core.plugins import load_plugins, normalize
    from fer_core.workflows.check_plugins import check_component

    def own(found: Any) -> bool:
        return normalize(found.distribution) == normalize(distribution)

    failures = [str(failure) for failure in load_plugins().failures if own(failure)]
    assert not failures, "\n".join(failures)
    plugins = tuple(plugin for plugin in load_plugins().loaded if own(plugin))
    assert plugins, f"{distribution} brings no plugin: has it an entry point in the group fer_core?"
    for plugin in plugins:
        for kind, names in plugin.names.items():
            for name in names:
                check_component(kind, name)
                if kind == "datasets" and not registry.find(kind, name).needs_root:
                    _check_dataset(registry.find(kind, name))
    return plugins


def make_preprocessing(input_size: int = 224, **changes: Any) -> Preprocessing:
    """An input contract to test transforms with.

    Args:
        input_size: Height and width of the input in pixels.
        **changes: Other keys of the section `data` of a configuration, such as `mean`, `std` and `color`.
    """
    from fer_core.config.schema import Data
    from fer_core.preprocessing import Preprocessing

    return Preprocessing.from_config(Data(name="test", input_size=input_size, **changes))


def isolated_environment(folder: Path) -> Path:
    """Make a virtual environment with the tester's third-party packages, and without fer-core and its plugins.

    It has no pip of its own: use `install`.

    Args:
        folder: Where to make it; must not exist.

    Returns:
        Its Python.
    """
    import sysconfig
    import venv

    venv.create(folder, symlinks=os.name != "nt")
    shared = folder / "shared"
    shared.mkdir()
    for source in map(Path, sys.path):
        if source.name in ("site-packages", "dist-packages") and source.is_dir():
            left_out = set(_plugin_entries(source))
            for entry in source.iterdir():
                link = shared / entry.name
                if entry.name not in left_out and entry.suffix != ".pth" and not link.exists():
                    link.symlink_to(entry, target_is_directory=entry.is_dir())
    places = {"base": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", places))
    (site / "tester.pth").write_text(f"{shared}\n", encoding="utf-8")
    return Path(sysconfig.get_path("scripts", "venv", places)) / Path(sys.executable).name


def build_wheel(project: Path, out: Path) -> Path:
    """Build the wheel of the project in a folder, without network; its build backend must be installed here.

    Returns:
        The wheel, in the folder `out`.
    """
    from tempfile import TemporaryDirectory

    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out) as fresh:
        _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", fresh, str(project))
        (wheel,) = Path(fresh).glob("*.whl")
        return wheel.replace(out / wheel.name)


def install(python: Path, *wheels: Path) -> None:
    """Install wheels, and nothing else, into the environment of `python`."""
    _pip("--python", str(python), "install", "--no-deps", "--no-index", *map(str, wheels))


def uninstall(python: Path, *names: str) -> None:
    """Remove distributions from the environment of `python`."""
    _pip("--python", str(python), "uninstall", "--yes", *names)


def fer_run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `fer-run` of the environment of `python`, with a cache of its own and no `FER_` variable of the tester.

    Args:
        python: From `isolated_environment`.
        arguments: Of the command line.
        cwd: Folder to run in.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FER_", "PYTHON"))}
    environment = {**kept, "FER_CACHE": str(python.parents[1] / "cache")}
    command = [str(python.with_name("fer-run")), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def _check_dataset(spec: DatasetSpec) -> None:
    from fer_core.data.open import open_dataset

    _, dataset = open_dataset(spec, None, {})
    pixels = dataset.read(0)
    assert pixels.dtype == "uint8", f"{spec.name}: read() returns {pixels.dtype}, not uint8"
    assert pixels.ndim == 3, f"{spec.name}: read() returns the shape {pixels.shape}, not [H, W, channels]"
    assert dataset.fingerprint() == dataset.fingerprint(), f"{spec.name}: the fingerprint changes"


def _plugin_entries(site: Path) -> Iterator[str]:
    """Names directly in `site` that belong to fer-core or to a distribution with a plugin."""
    from importlib.metadata import distributions

    for dist in distributions(path=[str(site)]):
        if dist.name == "fer-core" or any(point.group == "fer_core" for point in dist.entry_points):
            yield from {file.parts[0] for file in dist.files or ()}


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
