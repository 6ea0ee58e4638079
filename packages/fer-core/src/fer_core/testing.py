"""Helpers for testing plugins, the core's own packages and anybody's.

`check_plugin` examines what an installed distribution registers. `check_resume` and `check_processes` train with
it: once interrupted and once not, and on one and on two processes. The rest makes throw-away environments that see
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
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from fer_core.plugins import Plugin
    from fer_core.preprocessing import Preprocessing
    from fer_core.types import DatasetSpec

RUNNING = ("running_mean", "running_var", "num_batches_tracked")
"""Buffers of BatchNorm."""


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


def check_resume(model: str, dataset: str, folder: Path, /, **sections: Any) -> dict[str, Tensor]:
    """Check that a training which is interrupted halfway and resumed ends with the bytes of an undisturbed one.

    State is saved after every other step, and the step after the last of them is lost. Compared are weights,
    metrics, result, all tables, and the state of model, loss and all that a trainer adds.

    Args:
        model: Name of a model.
        dataset: Name of a dataset.
        folder: For both runs, `whole` and `interrupted`.
        **sections: As of `fer_core.train`; without `run={"device": ...}` on the CPU.

    Returns:
        What is trained in the end: `model.NAME`, `loss.NAME` and, of modules that a trainer adds,
        `extra.MODULE.NAME`. The values of a `SampleBuffer` are its `_extra_state`.

    Raises:
        AssertionError: The runs differ, or there are fewer than four steps.
    """
    from unittest.mock import patch

    from fer_core import api
    from fer_core.engine import Engine
    from fer_core.runs.folder import BEST, LAST, METRICS, RESULT

    backward, calls, last_call = Engine.backward, 0, 0

    def counted(engine: Engine, loss: Tensor) -> None:
        nonlocal calls
        calls += 1
        if calls == last_call:
            raise KeyboardInterrupt
        backward(engine, loss)

    def train(name: str) -> api.Run:
        saves = {"save_every": 2, **sections.get("train", {})}
        return api.train(model, dataset, **{**sections, "train": saves, "run": _place(sections, folder / name)})

    with patch.object(Engine, "backward", counted):
        steps = train("whole").result.protocol.steps
        assert steps > 3, "the training has fewer than four steps: give it more samples or epochs"
        calls, last_call = 0, calls // steps * max(steps // 2 | 1, 3) + 1
        try:
            train("interrupted")
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("the second training made fewer steps than the first")
    api.resume(folder / "interrupted")
    for name in (LAST, BEST, METRICS, RESULT, *(path.name for path in folder.glob("whole/*.csv"))):
        same = (folder / "whole" / name).read_bytes() == (folder / "interrupted" / name).read_bytes()
        assert same, f"{name} of the resumed run differs"
    whole, resumed = (_trained(folder / name) for name in ("whole", "interrupted"))
    _check_equal(whole, resumed, "when it is resumed")
    return whole


def check_processes(model: str, dataset: str, folder: Path, /, **sections: Any) -> dict[str, Tensor]:
    """Check that two processes train as one that takes their shares of every batch in turn (`train.accumulate`).

    Equal are the bytes of every parameter and buffer of model, loss and all that a trainer adds, and the values of
    every `SampleBuffer`. BatchNorm's running statistics are left out: they are those of the main process's shares.

    Args:
        model: Name of a model.
        dataset: Name of a dataset.
        folder: For both runs, `one` and `two`.
        **sections: As of `fer_core.train`; without `run={"device": ...}` on the CPU.

    Returns:
        What is trained in the end, as `check_resume`.

    Raises:
        AssertionError: A training failed, or they differ.
    """
    from fer_core.config.yaml_text import flow

    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, parts, launcher in (("one", 2, []), ("two", 1, torchrun)):
        train = {"accumulate": parts, **sections.get("train", {})}
        file = folder / f"{name}.yaml"
        file.write_text(
            flow({**sections, "train": train, "run": _place(sections, folder / name)}), encoding="utf-8"
        )
        command = [sys.executable, *launcher, "-m", "fer_core", "train", model, dataset, "-c", str(file)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    one, two = (_trained(folder / name) for name in ("one", "two"))
    _check_equal(
        {name: value for name, value in one.items() if not name.endswith(RUNNING)}, two, "on two processes"
    )
    return two


def _place(sections: Any, folder: Path) -> Any:
    return {"device": "cpu", **sections.get("run", {}), "dir": str(folder)}


def _trained(folder: Path) -> dict[str, Tensor]:
    from fer_core.runs.folder import STATE
    from fer_core.runs.state import read_state

    return read_state(folder / STATE).task


def _check_equal(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], when: str) -> None:
    for name, value in expected.items():
        off = (value.double() - found[name].double()).abs().max() if value.numel() else 0
        assert value.equal(found[name]), f"{name} differs {when}, by up to {off:g}"


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
