"""Plugins with one fault each: every one costs one line that names it and its distribution, and nothing else.

All are installed at once, beside a plugin that works. Faults of what is built and called are in
`test_faulty_components.py`.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass

import pytest
from click.testing import CliRunner
from fer_core import FerError, registry
from fer_core.cli.main import main
from fer_core.plugins import load_plugins

HEALTHY = """
@hookimpl
def fer_losses():
    return {"healthy": "healthy_module:Healthy"}
"""
WHOLE = """
@hookimpl
def fer_losses():
    return {"healthy": "fer_core.losses:CrossEntropy"}

@hookimpl
def fer_models():
    return [ModelSpec(name="net", factory="healthy_parts:Net", recipes={}, summary="", paper="", licence="",
                      upstream="")]

@hookimpl
def fer_datasets():
    return [DatasetSpec(name="noise", factory="healthy_parts:Noise", classes=("a", "b"), splits={"train": "train"},
                        layouts={}, expected_counts={}, summary="", licence="", homepage="", needs_root=False)]
"""
PARTS = """
import numpy as np, pandas as pd
from fer_core.plugin import FERDataset
from torch import nn

class Net(nn.Module):
    def __init__(self, info):
        super().__init__()
        self.head = nn.Linear(3, info.num_classes)

    def forward(self, images):
        return {"logits": self.head(images.mean((2, 3)))}

class Noise(FERDataset):
    name, classes = "noise", ("a", "b")

    def __init__(self, root):
        ids = [f"{n:02}" for n in range(40)]
        self.table = pd.DataFrame({"id": ids, "label": np.arange(40) % 2, "split": "train", "source": ids})

    def read(self, row):
        return np.random.default_rng(row).integers(0, 256, (16, 16, 3), np.uint8)

    def fingerprint(self):
        return "0" * 64
"""
SPEC = """
@hookimpl
def fer_models():
    fields = dict(name="{name}", factory="m:f", recipes={{}}, summary="", paper="", licence="", upstream="")
    return [ModelSpec(**fields | {changes})]
"""
DATASET = """
@hookimpl
def fer_datasets():
    return [DatasetSpec(name="data", factory="m:f", classes=(), layouts={}, expected_counts={}, summary="",
                        licence="", homepage="", splits={"train": "training"})]
"""
METRIC = """
from fer_core.plugin import MetricSpec

@hookimpl
def fer_metrics():
    return [MetricSpec(**dict(name="{name}", measures="classes", function="m:f") | {changes})]
"""
LOSSES = "@hookimpl\ndef fer_losses(): "


@dataclass(frozen=True)
class Fault:
    """A plugin's module, and a part of the line that tells what is wrong with it."""

    source: str | None
    told: str
    metadata: str | None = "Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    entry_points: bytes = b"[fer_core]\n{name} = {module}\n"


def spec(name: str, changes: str) -> str:
    return SPEC.format(name=name, changes=changes)


def metric(name: str, changes: str) -> str:
    return METRIC.format(name=name, changes=changes)


FAULTS = {
    # --- import
    "no-module": Fault(None, "failed at load: ModuleNotFoundError"),
    "no-dependency": Fault("import a_package_that_is_missing", "No module named 'a_package_that_is_missing'"),
    "bad-syntax": Fault("def", "failed at load: SyntaxError"),
    "raises": Fault("raise RuntimeError('no\\nway')", "failed at load: RuntimeError: no way"),
    "exits": Fault("import sys; sys.exit(0)", "failed at load: SystemExit: 0"),
    "ends": Fault("class End(BaseException): pass\nraise End('here')", "failed at load: End: here"),
    "group": Fault("raise BaseExceptionGroup('two', [SystemExit(1)])", "failed at load: BaseExceptionGroup: two"),
    "mute": Fault(
        "class Mute(Exception):\n    def __str__(self): raise SystemExit\nraise Mute", "message cannot be shown"
    ),
    "recurses": Fault("def f(): f()\nf()", "failed at load: RecursionError"),
    "prints": Fault(
        "import sys\nprint('hello')\nsys.stdout.buffer.write(b'more')\n" + HEALTHY.replace("healthy", "prints"),
        "works, but it printed 'hello more' on standard output",
    ),
    "replaces-output": Fault(
        "import sys\nsys.stdout = None\n" + LOSSES + "1 / 0", "hook fer_losses: ZeroDivisionError"
    ),
    # --- hooks
    "hook-raises": Fault(LOSSES + "1 / 0", "failed at hook fer_losses: ZeroDivisionError: division by zero"),
    "hook-exits": Fault(LOSSES + "raise SystemExit(3)", "failed at hook fer_losses: SystemExit: 3"),
    "hook-ends": Fault(LOSSES + "raise BaseException('end')", "failed at hook fer_losses: BaseException: end"),
    "hook-prints": Fault(LOSSES + "print('now'); return {}", "works, but it printed 'now' on standard output"),
    "hook-breaks-off": Fault("@hookimpl\ndef fer_models():\n    yield 1 / 0", "failed at hook fer_models: Zero"),
    "hook-none": Fault("@hookimpl\ndef fer_models(): pass", "expected a list of ModelSpec, got None"),
    "hook-names": Fault("@hookimpl\ndef fer_models(): return ['dan']", "expected ModelSpec, got str"),
    "hook-list": Fault(LOSSES + "return ['own']", "expected a mapping of names, got list"),
    "hook-unknown": Fault("@hookimpl\ndef fer_loses(): return {}", "unknown hook 'fer_loses': did you mean fer_l"),
    "hook-argument": Fault("@hookimpl\ndef fer_losses(more): return {}", "failed at register: PluginValidation"),
    "no-hook": Fault("def fer_losses(): return {}", "it implements no hook"),
    # --- names, and what they stand for
    "name-number": Fault(LOSSES + "return {5: 'm:f'}", "fer_losses, name 5: TypeError: expected a name, got 5"),
    "name-space": Fault(LOSSES + "return {'a b': 'm:f'}", "'a b' cannot be a name"),
    "name-core": Fault(LOSSES + "return {'Cross-Entropy': 'm:f'}", "fer-core has that name, and keeps it"),
    "command-core": Fault(
        "@hookimpl\ndef fer_commands(): return [CommandSpec(name='train', ref='m:f', help='')]",
        "fer_commands, name 'train': fer-core has that name, and keeps it",
    ),
    "alias-core": Fault(
        "@hookimpl\ndef fer_devices(): return {'cpu': object()}", "fer_devices, name 'cpu': fer-core has that name"
    ),
    "value-none": Fault(LOSSES + "return {'x': None}", "name 'x': TypeError: expected an object that can"),
    "value-number": Fault(LOSSES + "return {'y': 5}", "name 'y': TypeError: expected an object that can"),
    "value-word": Fault(LOSSES + "return {'z': 'nowhere'}", "'nowhere' is not an import reference"),
    # --- fields of specs
    "field-missing": Fault("@hookimpl\ndef fer_models(): return [ModelSpec(name='x')]", "missing 6 required"),
    "field-unknown": Fault(spec("u", "dict(alias=())"), "ModelSpec has no field 'alias': did you mean aliases?"),
    "field-type": Fault(spec("t", "dict(summary=None)"), "ModelSpec.summary is None, expected str"),
    "field-letters": Fault(spec("l", "dict(aliases='abc')"), "ModelSpec.aliases is 'abc', expected tuple[str"),
    "field-inner": Fault(spec("i", "dict(weights=('w.pth',))"), "ModelSpec.weights is ('w.pth',), expected tuple"),
    "field-role": Fault(DATASET, "DatasetSpec.splits is {'train': 'training'}, expected Mapping[str, Role]"),
    "field-name": Fault(spec("n", "dict(name=7)"), "fer_models, name 7: TypeError: expected a name, got 7"),
    "metric-kind": Fault(metric("k", "dict(measures='ranks')"), "MetricSpec.measures is 'ranks', expected Measur"),
    "metric-function": Fault(metric("f", "dict(function=5)"), "MetricSpec.function is 5, expected Ref"),
    "metric-way": Fault(metric("w", "dict(higher_is_better='no')"), "higher_is_better is 'no', expected bool"),
    "metric-core": Fault(metric("RMSE", "{}"), "fer_metrics, name 'RMSE': fer-core has that name, and keeps it"),
    "metric-names": Fault("@hookimpl\ndef fer_metrics(): return {'a': 'm:f'}", "expected MetricSpec, got str"),
    # --- versions of the hooks
    "api-word": Fault("requires_hook_api = 'two'", "requires_hook_api is 'two', expected a whole number"),
    "api-newer": Fault(
        "requires_hook_api = 99\n@hookimpl\ndef fer_dreams(): return {}\n" + spec("newer", "dict(colour='red')"),
        "needs version 99 of the hooks, and fer-core has 1, so it is used without the hook fer_dreams, "
        "the field ModelSpec.colour: upgrade fer-core",
    ),
    # --- metadata
    "point-word": Fault("", "its metadata cannot be read (", entry_points=b"[fer_core]\nword\n"),
    "point-value": Fault("", "expected NAME = package.module", entry_points=b"[fer_core]\n{name} = ../x y\n"),
    "point-attribute": Fault("", "AttributeError", entry_points=b"[fer_core]\n{name} = {module}:nothing\n"),
    "point-bytes": Fault("", "UnicodeDecodeError", entry_points=b"[fer_core]\n{name} = \xff\xfe\n"),
    "meta-empty": Fault("", "have no name or version: reinstall meta_empty", metadata="Metadata-Version: 2.1\n"),
    "meta-version": Fault("", "have no name or version", metadata="Metadata-Version: 2.1\nName: {distribution}\n"),
    "meta-missing": Fault("", "its metadata", metadata=None),
}


def told(lines: list[str], distribution: str) -> list[str]:
    """The lines that name a plugin's distribution; where its metadata are damaged, by its folder."""
    names = (distribution, distribution.replace("-", "_"))
    return [line for line in lines if any(f" of {name} " in line for name in names)]


@pytest.fixture(scope="module")
def everything(shared_site):
    """All faulty plugins and a healthy one, for processes of their own."""
    shared_site.install("healthy", WHOLE)
    (shared_site.root / "healthy_parts.py").write_text(PARTS)
    for name, fault in FAULTS.items():
        shared_site.install(name, fault.source, metadata=fault.metadata, entry_points=fault.entry_points)
    return shared_site


@pytest.fixture(scope="module")
def listing(everything):
    """What `fer-run list --json` gives beside them."""
    return everything.fer_run("list", "--json")


def test_list_goes_on_and_its_json_stays_whole(listing):
    assert listing.returncode == 0
    names = {row["name"]: row for row in json.loads(listing.stdout)["losses"]}
    assert set(names) == {"cross_entropy", "distillation", "multi_head", "healthy", "prints"}
    assert names["cross_entropy"]["distribution"] == "fer-core"
    models = [row["name"] for row in json.loads(listing.stdout)["models"]]
    assert models == ["newer", "net"]  # the first without what only a newer core knows
    assert len(listing.stderr.splitlines()) == len(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_told_in_one_line(listing, name):
    (line,) = told(listing.stderr.splitlines(), name)
    assert f"plugin {name.replace('-', '_')} of " in line or "plugin ? of " in line
    assert FAULTS[name].told in line


def test_help_goes_on(everything):
    done = everything.fer_run("--help")
    assert done.returncode == 0
    assert "evaluate" in done.stdout
    assert "Traceback" not in done.stderr


def test_doctor_shows_every_fault_and_how_long_each_plugin_took(everything):
    done = everything.fer_run("doctor", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert len(found["failures"]) == len(FAULTS)
    assert {"healthy:healthy", "raises:raises", "fer-core:core"} <= set(found["seconds"])


def test_doctor_deep_names_what_is_declared_and_missing(site):
    site.install("healthy", WHOLE)
    (site.root / "healthy_parts.py").write_text(PARTS)
    metadata = "Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    metadata += "Requires-Dist: numpy>=1\nRequires-Dist: fer-absent>=2\nRequires-Dist: odd; extra == 'more'\n"
    losses = (
        "return {'gone': 'a_package_that_is_gone:Loss', 'lost': 'a_plugin_module:Lost', 'exits': 'quits:Loss'}"
    )
    changes = {"factory": "healthy_parts:Net", "recipes": {"default": "some_recipes:absent.yaml"}}
    site.install("a-plugin", LOSSES + losses + spec("bare", str(changes)), metadata=metadata)
    (site.root / "quits.py").write_text("raise SystemExit")
    (site.root / "some_recipes").mkdir()
    done = CliRunner().invoke(main, ["doctor", "--deep", "--json"])
    assert done.exit_code == 1
    needs, model, *lost = json.loads(done.stdout)["broken"]
    assert needs == "a-plugin needs fer-absent, which is not installed: pip install fer-absent"
    assert model.startswith("model 'bare' of a-plugin 1.0: ")
    assert "absent.yaml" in model
    names = ("gone", "lost", "exits")
    assert all(line.startswith(f"loss '{name}' of a-plugin 1.0") for name, line in zip(names, lost, strict=True))
    assert CliRunner().invoke(main, ["doctor", "--json"]).exit_code == 0  # what works is not imported to look


def test_a_model_is_trained_and_evaluated_beside_them(everything, tmp_path):
    small = [
        "data.input_size=16",
        "data.split=stratified-shuffle:0",
        "train.epochs=1",
        f"run.dir={tmp_path / 'run'}",
    ]
    chosen = [word for override in small for word in ("-o", override)]
    done = everything.fer_run("train", "net", "noise", *chosen, FER_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "result.json").is_file()


def test_doctor_names_a_plugin_that_is_slow_to_load(site, monkeypatch):
    site.install("slow", "import time; time.sleep(0.3)\n" + HEALTHY)
    monkeypatch.setattr("fer_core.cli.doctor.SLOW", 0.2)
    found = CliRunner().invoke(main, ["doctor"]).stdout
    assert re.search(r"^  slow \(slow 1.0\), loaded in \d+\.\d\d s, which is slow: import", found, re.MULTILINE)


def test_what_a_plugin_keeps_of_its_output_is_not_lost(site, capsys):
    site.install("keeps", "import sys\nhandler = sys.stdout\n" + HEALTHY)
    load_plugins()
    print("later", file=sys.modules["keeps_module"].handler)
    assert capsys.readouterr() == ("", "later\n")


def test_an_interrupt_while_plugins_are_loaded_passes(site):
    site.install("stops", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_a_name_that_was_refused_says_so_where_it_is_used(site):
    site.install("value-number", FAULTS["value-number"].source)
    with pytest.raises(FerError, match=r"loss 'y' is refused, since plugin value_number of value-number 1.0 fa"):
        registry.find("losses", "y")


def test_json_stays_whole_whatever_a_command_prints(site):
    site.install(
        "loud",
        """
        import click
        from fer_core.cli.options import json_option, print_json

        @click.command()
        @json_option
        def loud(as_json):
            print("noise")
            print_json({"answer": 42}) if as_json else click.echo("42")

        @hookimpl
        def fer_commands():
            return [CommandSpec(name="loud", ref="loud_module:loud", help="")]
        """,
    )
    result = CliRunner().invoke(main, ["loud", "--json"])
    assert json.loads(result.stdout) == {"answer": 42}
    assert result.stderr == "noise\n"
    assert CliRunner().invoke(main, ["loud"]).stdout == "noise\n42\n"
