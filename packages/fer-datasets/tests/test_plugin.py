"""What the package offers, and that offering it is light."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points

import pytest
from fer_core.types import EXPRESSIONS
from fer_datasets.plugin import fer_datasets

SPECS = {spec.name: spec for spec in fer_datasets()}


def test_names():
    own = {
        "rafdb",
        "rafdb_compound",
        "ferplus",
        "fer2013",
        "expw",
        "sfew",
        "ckplus",
        "affectnet",
        "caers",
        "jaffe",
    }
    assert set(SPECS) == own | {"folder", "synthetic"}
    assert len(SPECS) == len(list(fer_datasets()))


def test_the_plugin_is_an_entry_point():
    found = [entry.value for entry in entry_points(group="fer_core") if entry.value == "fer_datasets.plugin"]
    assert found == ["fer_datasets.plugin"]


def test_listing_imports_nothing_heavy():
    code = (
        "import sys, fer_datasets.plugin as plugin; list(plugin.fer_datasets());"
        "print([name for name in ('torch', 'numpy', 'pandas', 'PIL') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_spec(spec):
    module, _, attribute = spec.factory.partition(":")
    assert callable(getattr(import_module(module), attribute))
    assert set(spec.classes) <= set(EXPRESSIONS) or spec.name == "rafdb_compound"
    assert set(spec.splits.values()) <= {"train", "val", "test"}
    assert bool(spec.layouts) == spec.needs_root
    for split, counts in spec.expected_counts.items():
        assert split in {"", *spec.splits}
        assert tuple(counts) == spec.classes
