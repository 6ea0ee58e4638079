"""The eight wheels, installed into environments of their own, as users get them."""

from __future__ import annotations

import csv
import subprocess
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from alone import PACKAGES, pytest_command
from fer_core.testing import build_wheel, fer_run, install, isolated_environment, uninstall

NAMES = sorted(path.name for path in PACKAGES.iterdir() if (path / "pyproject.toml").is_file())
BYTES = {"fer-faces": 5_000_000, "fer-models-compact": 8_000_000}
"""Most bytes of a wheel that has weights; the others have no million: pictures and measurements stay outside."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Package -> wheel, built once."""
    out = tmp_path_factory.mktemp("wheels")
    built: dict[str, Path] = {}

    def wheel(name: str) -> Path:
        if name not in built:
            built[name] = build_wheel(PACKAGES / name, out)
        return built[name]

    return wheel


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_holds_its_package_and_nothing_else(name, wheels):
    module = name.replace("-", "_")
    source = PACKAGES / name / "src"
    files = {path for path in (source / module).rglob("*") if path.is_file() and path.suffix != ".pyc"}
    wheel = wheels(name)
    inside = ZipFile(wheel).namelist()
    assert {path.relative_to(source).as_posix() for path in files} == {
        path for path in inside if not path.startswith(f"{module}-")
    }
    assert f"{module}/py.typed" in inside
    assert not [path for path in inside if "test_" in path]
    assert wheel.stat().st_size < BYTES.get(name, 1_000_000)


def test_wheels_hold_what_is_no_code(wheels):
    assert "fer_core/known_plugins.json" in ZipFile(wheels("fer-core")).namelist()
    assert "fer_models_dan/recipes/rafdb.yaml" in ZipFile(wheels("fer-models-dan")).namelist()


def test_names_come_and_go_with_their_packages(wheels, tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return fer_run(python, *arguments, cwd=tmp_path)

    python = isolated_environment(tmp_path / "env")
    install(python, wheels("fer-core"))
    listed = run("list")
    assert listed.returncode == 0, listed.stderr
    assert {name for name in NAMES if name in listed.stdout} == set(NAMES)
    refused = run("train", "poster", "rafdb")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "fer-models-poster" in refused.stderr
    assert "fer-datasets" in refused.stderr

    install(python, wheels("fer-models-dan"), wheels("fer-datasets"))
    small = {
        "model.num_heads": 1,
        "data.input_size": 32,
        "data.batch_size": 16,
        "data.options": "{samples: 42, size: 32}",
        "train.steps": 2,
    }
    options = [part for key, value in small.items() for part in ("-o", f"{key}={value}")]
    trained = run("train", "dan", "synthetic", "--device", "cpu", *options)
    assert trained.returncode == 0, trained.stderr
    (folder,) = tmp_path.glob("runs/dan-synthetic/*")
    assert {"config.yaml", "result.json", "best.safetensors"} <= {path.name for path in folder.iterdir()}

    uninstall(python, "fer-models-dan", "fer-datasets")
    refused = run("train", "dan", "synthetic")
    assert refused.returncode == 2
    assert "fer-models-dan" in refused.stderr
    assert "fer-datasets" in refused.stderr


@pytest.mark.slow
def test_a_face_is_found_and_labelled_without_a_network(wheels, tmp_path):
    skimage = find_spec("skimage")
    if skimage is None or skimage.origin is None:
        pytest.skip("needs the photograph of an installed scikit-image")
    python = isolated_environment(tmp_path / "env")
    install(python, *map(wheels, ("fer-core", "fer-faces", "fer-models-compact")))
    photograph = Path(skimage.origin).parent / "data" / "astronaut.png"
    code = (
        "import socket, sys; socket.socket.connect = socket.socket.connect_ex = None;"
        "from fer_core.cli import main; main(sys.argv[1:])"
    )
    command = [python, "-c", code, "predict", photograph, "--device", "cpu", "--csv", "faces.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "faces.csv").open(newline="") as handle:
        (face,) = csv.DictReader(handle)
    assert face["label"] == "happiness"
    assert done.stderr.count("not for inferring the emotions of people at work or in schools") == 1
    edges = [float(face[edge]) for edge in ("left", "top", "right", "bottom")]
    assert edges == pytest.approx((179, 56, 272, 180), abs=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*NAMES} - {"fer-core"}))
def test_a_package_passes_its_tests_alone(name, wheels, tmp_path):
    """`make test` runs the core's alone, and nowhere else."""
    python = isolated_environment(tmp_path / "env")
    install(python, wheels("fer-core"), wheels(name))
    doctor = fer_run(python, "doctor", cwd=tmp_path)
    assert doctor.returncode == 0, doctor.stdout
    tests = subprocess.run(pytest_command(python, name, ["-q"]), capture_output=True, text=True, check=False)
    assert tests.returncode == 0, tests.stdout[-4000:]
