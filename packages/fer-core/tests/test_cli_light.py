from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from fer_core import FerError, __version__
from fer_core.cli import main, options

HEAVY = (
    "torch",
    "torchvision",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "pydantic",
    "rich",
    "timm",
    "PIL",
)

COMMANDS = """
@hookimpl
def fer_commands():
    return [
        CommandSpec(name="user-error", ref="a_plugin_module:user_error", help="Fail as users make it fail"),
        CommandSpec(name="interrupt", ref="a_plugin_module:interrupt", help="Be interrupted"),
        CommandSpec(name="lost", ref="nowhere_to_be_found:lost", help="Cannot be imported"),
    ]

import click

@click.command()
def user_error():
    raise FerError("no folder, because it is not there: make one", details="DIR/\\n  train/")

@click.command()
def interrupt():
    raise KeyboardInterrupt
"""

DATASET = """
@hookimpl
def fer_datasets():
    return [DatasetSpec(
        name="office", factory="a_plugin_module:Office", classes=("neutral", "anger"), splits={"exam": "test"},
        layouts={"folders": "DIR/\\n  exam/neutral/*.png"}, expected_counts={"exam": {"neutral": 3, "anger": 1}},
        summary="Faces from the office", licence="internal", homepage="https://example.org", aliases=("bureau",),
    )]

class Office:
    '''Read the office.'''
    def __init__(self, root, *, images: str = "aligned"): ...
"""


def run(*arguments):
    return CliRunner().invoke(main, list(arguments), prog_name="fer-run")


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "models", "--json"]])
def test_help_and_list_import_nothing_heavy(arguments):
    script = f"""
import sys
from fer_core.cli import main
try:
    main({arguments!r}, prog_name="fer-run")
except SystemExit as end:
    assert end.code == 0, end.code
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    # Every installed plugin takes part: none may be heavy.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_script_and_the_module_are_the_same(site):
    assert site.fer_run("--version").stdout == f"fer-run, version {__version__}\n"
    text = site.fer_run("--help").stdout
    assert text.startswith("Usage: fer-run ")
    assert "evaluate Evaluate a checkpoint on a dataset" in " ".join(text.split())


def test_an_unknown_command_offers_the_near_one(site):
    done = site.fer_run("docter")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: there is no command 'docter': did you mean doctor?")


def test_a_user_error_is_one_line_and_its_details(site, monkeypatch):
    site.install("a-plugin", COMMANDS)
    result = run("user-error")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "Error: no folder, because it is not there: make one\nDIR/\n  train/\n"
    monkeypatch.setenv("FER_DEBUG", "1")
    assert "Traceback (most recent call last)" in run("user-error").stderr


def test_an_interrupt_ends_with_130(site):
    site.install("a-plugin", COMMANDS)
    result = run("interrupt")
    assert (result.exit_code, result.stderr) == (130, "Interrupted\n")


def test_a_command_that_cannot_be_imported_breaks_no_other(site):
    site.install("a-plugin", COMMANDS)
    assert "Cannot be imported" in run("--help").stdout
    result = run("lost")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "Error: command 'lost' of a-plugin 1.0 cannot be imported (ModuleNotFoundError"
    )
    assert run("list").exit_code == 0


def test_two_plugins_that_claim_a_command(site):
    site.install("a-plugin", COMMANDS)
    site.install(
        "b-plugin", "@hookimpl\ndef fer_commands(): return [CommandSpec(name='lost', ref='b:c', help='b')]"
    )
    page = run("--help").stdout
    assert "lost@a-plugin" in page
    assert "lost@b-plugin" in page
    assert "write lost@a-plugin or lost@b-plugin" in run("lost").stderr


def test_a_reader_that_leaves_is_no_error(site):
    command = f"{sys.executable} -m fer_core list | head -n 1"
    env = {**os.environ, "FER_DISABLE_PLUGINS": "fer-datasets"}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout == "models\n"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_list_shows_names_summaries_and_homes(site):
    site.install("a-plugin", DATASET, version="3")
    assert run("list", "datasets").stdout == "office  a-plugin  Faces from the office\n"
    row = json.loads(run("list", "datasets", "--json").stdout)["datasets"][0]
    assert (row["name"], row["aliases"], row["distribution"], row["version"]) == (
        "office",
        ["bureau"],
        "a-plugin",
        "3",
    )
    everything = run("list").stdout
    assert "\noptimizers\n  sgd    fer-core\n" in everything


def test_list_without_models_says_which_packages_bring_some(site):
    text = run("list", "models").stdout
    assert text.startswith("none installed; these packages bring some: ")
    assert "fer-models-dan (dan)" in text
    core = "whole  fer-core\n"
    assert run("list", "detectors").stdout == f"{core}these packages bring some: fer-faces (centerface, yunet)\n"


def test_list_knows_its_kinds(site):
    result = run("list", "modles")
    assert (result.exit_code, result.stderr) == (2, "Error: there is no kind 'modles': did you mean models?\n")


def test_info_describes_a_dataset(site):
    site.install("a-plugin", DATASET.replace("summary=", "options={'limit': float('inf')}, summary="))
    facts = json.loads(run("info", "bureau", "--json").stdout)["dataset"]
    assert facts["name"] == "office"
    assert facts["options"] == {"limit": "inf"}  # JSON knows no such number
    assert facts["expected_counts"] == {"exam": {"neutral": 3, "anger": 1}}
    assert facts["signature"] == "office(root, *, images='aligned')"
    assert facts["documentation"] == "Read the office."
    text = run("info", "office").stdout
    for line in (
        "dataset office",
        "internal",
        "https://example.org",
        "exam  neutral 3, anger 1",
        "exam/neutral/*.png",
    ):
        assert line in text


def test_info_describes_a_component(site):
    text = run("info", "cross-entropy").stdout
    assert "loss cross_entropy" in text
    assert "cross_entropy(info, *, label_smoothing=0.0, target='label')" in text
    assert "Weight of the uniform distribution" in text


def test_info_of_a_factory_that_cannot_be_imported_shows_the_rest(site):
    site.install("a-plugin", DATASET.replace("a_plugin_module:Office", "nowhere_to_be_found:Office"))
    text = run("info", "office").stdout
    assert "Faces from the office" in text
    assert "cannot be imported (ModuleNotFoundError" in text


def test_info_of_an_unknown_name(site):
    assert "pip install fer-datasets" in run("info", "rafdb").stderr
    assert run("info", "cosin").stderr == "Error: unknown name 'cosin': did you mean cosine?\n"
    assert run("info", "cosin").exit_code == 2


def test_doctor_of_a_healthy_installation(site, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    result = run("doctor")
    assert result.exit_code == 0
    assert result.stdout.endswith("no problems\n")
    report = json.loads(run("doctor", "--json").stdout)
    assert report["hook_api"] == 1
    assert report["cache"] == str(tmp_path)
    assert report["packages"]["fer-core"] == __version__
    assert report["packages"]["torch"]
    assert report["devices"]["cpu"] == "ready"
    assert report["failures"] == report["clashes"] == []


def test_doctor_shows_failures_and_clashes_and_exits_1(site):
    site.install("bad-plugin", "raise RuntimeError('worn out')", version="2.3")
    result = run("doctor")
    assert result.exit_code == 1
    assert "plugin bad_plugin of bad-plugin 2.3 failed at load: RuntimeError: worn out" in result.stdout
    report = json.loads(run("doctor", "--json").stdout)
    assert report["failures"][0]["error"] == "RuntimeError: worn out"


def test_doctor_shows_clashes_and_what_is_off(site, monkeypatch):
    site.install("a-plugin", DATASET)
    site.install("b-plugin", DATASET.replace("a_plugin", "b_plugin"))
    site.install("c-plugin", DATASET)
    monkeypatch.setenv("FER_DISABLE_PLUGINS", "c-plugin")
    result = run("doctor")
    assert result.exit_code == 1
    assert "dataset 'office' is claimed by a-plugin 1.0 and by b-plugin 1.0" in result.stdout
    assert "c_plugin (c-plugin 1.0): switched off" in result.stdout


def test_a_device_that_cannot_be_asked_is_a_finding(site):
    site.install("a-plugin", "@hookimpl\ndef fer_devices(): return {'xpu': 'nowhere_to_be_found:xpu'}")
    assert "xpu: device 'xpu' of a-plugin 1.0 cannot be imported" in run("doctor").stdout


def test_the_shared_options(tmp_path):
    @click.command()
    @options.data_option
    @options.device_option
    @options.override_option
    @options.config_option
    @options.json_option
    def command(**values):
        print([values[name] for name in ("data", "device", "overrides", "configs", "as_json")])

    file = tmp_path / "more.yaml"
    file.touch()
    result = CliRunner().invoke(command, ["-o", "a=1", "-o", "b=2", "-c", str(file), "--data", "faces", "--json"])
    expected = [Path("faces"), "auto", ("a=1", "b=2"), (file,), True]
    assert result.output == f"{expected}\n"
    assert CliRunner().invoke(command, ["-c", str(tmp_path / "missing.yaml")]).exit_code == 2


def test_public_names_are_lazy_and_complete():
    import fer_core

    assert all(hasattr(fer_core, name) for name in fer_core.__all__)
    assert set(fer_core.__all__) <= set(dir(fer_core))
    with pytest.raises(AttributeError, match="nothing"):
        fer_core.nothing  # noqa: B018
    assert issubclass(FerError, Exception)
