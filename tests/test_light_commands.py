"""Commands that read or predict import neither torch's compiler nor what they do not use."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import fer_core
import numpy as np
import pytest
from fabricated_runs import write_run
from fer_core import registry
from fer_core.cli.described import describe
from fer_core.plugins import load_plugins
from fer_core.provenance import Model
from fer_core.testing import make_preprocessing
from fer_core.weights.checkpoint import save_weights
from fer_core.weights.header import FORMAT, Header
from fer_datasets.synthetic import SPEC
from PIL import Image

COMPILER = ("torch._dynamo", "torch._inductor", "sympy", "torchvision")
UNUSED = (*COMPILER, "scipy.stats", "sklearn", "matplotlib", "fer_core.reports", "fer_core.training")
COMMANDS = {
    "predict": ("predict face.png -m dan.safetensors --device cpu", UNUSED),
    "evaluate": ("evaluate dan.safetensors synthetic --device cpu -o data.options.samples=70", UNUSED),
    "report": ("report run --out report.html", ("torch", "sklearn", "fer_core.training")),
    "info": ("info dan", ("torch", "numpy", *UNUSED)),
    "list": ("list", ("torch", "numpy", *UNUSED)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of DAN, a face and a finished run."""
    made = tmp_path_factory.mktemp("light")
    header = Header(
        format=FORMAT,
        hook_api=1,
        model=Model(name="dan"),
        classes=SPEC.classes,
        preprocessing=make_preprocessing(64),
    )
    network = fer_core.create_model("dan", classes=SPEC.classes)
    save_weights(made / "dan.safetensors", network.state_dict(), header)
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(made / "face.png")
    write_run(made / "run", "elsewhere", "rafdb", skill=3.0, images=60)  # the cost of a known one is measured
    return made


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_what_it_uses(folder: Path, name: str) -> None:
    words, heavy = COMMANDS[name]
    script = f"""
import sys
from fer_core.cli import main
try:
    main({words.split()!r}, prog_name="fer-run")
except SystemExit as end:
    assert end.code == 0, end.code
print([name for name in {heavy!r} if name in sys.modules])
"""
    environment = {**os.environ, "FER_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_sources_say_what_the_imported_factories_say() -> None:
    entries = [
        (kind, entry)
        for kind in registry.KINDS
        if kind not in ("commands", "experiments", "templates")
        for claims in load_plugins().entries[kind].values()
        for entry in claims
        if isinstance(registry.reference(kind, entry), str)
    ]
    computed = []  # defaults that are no literals
    for kind, entry in entries:
        factory, read = registry.factory(kind, entry.qualified), describe(registry.reference(kind, entry))
        if read is None:
            computed.append(entry.name)
            continue
        signature = inspect.signature(factory)
        bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
        assert read.signature == str(inspect.Signature(bare)), entry
        assert read.documentation == (inspect.getdoc(factory) or ""), entry
    assert computed == ["random_resized_crop"]


@pytest.mark.parametrize("ref", ["math:sqrt", "nowhere:x", "fer_core.faces:ARCFACE", "fer_core.types:Progress"])
def test_what_no_source_says_is_left_to_an_import(ref: str) -> None:
    assert describe(ref) is None
