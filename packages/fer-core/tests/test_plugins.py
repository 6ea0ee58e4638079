from __future__ import annotations

import inspect
import json
import re

import pytest
from fer_core import FerError
from fer_core.hookspecs import device, loss, registry, trainer
from fer_core.plugins import KINDS, load_plugins

GOOD = """
@hookimpl
def fer_losses():
    return {"good": "good_plugin_module:Good"}
"""

BROKEN = {
    "module missing": (None, "load", "ModuleNotFoundError: No module named 'bad_plugin_module'"),
    "exception at import": ("raise RuntimeError('no\\nway')", "load", "RuntimeError: no way"),
    "exit at import": ("raise SystemExit(3)", "load", "SystemExit: 3"),
    "exception in a hook": (
        "@hookimpl\ndef fer_losses(): 1 / 0",
        "hook fer_losses",
        "ZeroDivisionError: division by zero",
    ),
    "wrong return of a hook": (
        "@hookimpl\ndef fer_models(): return ['dan']",
        "hook fer_models",
        "TypeError: expected ModelSpec, got str",
    ),
    "names without a mapping": (
        "@hookimpl\ndef fer_losses(): return ['dan']",
        "hook fer_losses",
        "TypeError: expected a mapping of names, got list",
    ),
    "unknown hook": ("@hookimpl\ndef fer_loses(): return {}", "register", "unknown hook 'fer_loses'"),
    "unknown argument": ("@hookimpl\ndef fer_losses(more): return {}", "register", "{'more'}"),
}


def install_broken(site, kind):
    source, stage, cause = BROKEN[kind]
    site.install("good-plugin", GOOD)
    site.install("bad-plugin", source, version="2.3")
    return stage, cause


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_one_failure_and_the_others_work(site, kind, lines):
    stage, cause = install_broken(site, kind)
    plugins = load_plugins()
    (failure,) = plugins.failures
    assert (failure.plugin, failure.distribution, failure.version) == ("bad_plugin", "bad-plugin", "2.3")
    assert failure.stage == stage
    assert cause in failure.error
    assert set(plugins.entries["losses"]) == {"cross_entropy", "distillation", "multi_head", "good"}
    load_plugins()
    what = f"plugin bad_plugin of bad-plugin 2.3 failed at {stage}: {failure.error}"
    assert lines == [f"warning  {what}; run `fer-run doctor`"]


@pytest.mark.parametrize("kind", ["module missing", "exception at import", "exception in a hook", "unknown hook"])
def test_fer_run_works_on_beside_a_broken_plugin(site, kind):
    stage, cause = install_broken(site, kind)
    for arguments in (["--help"], ["list", "losses", "--json"]):
        done = site.fer_run(*arguments)
        assert done.returncode == 0
        (line,) = done.stderr.splitlines()
        assert all(word in line for word in ("bad_plugin", "bad-plugin", "2.3", stage, cause, "fer-run doctor"))
    names = [row["name"] for row in json.loads(done.stdout)["losses"]]
    assert names == ["cross_entropy", "distillation", "multi_head", "good"]


def test_the_other_hooks_of_a_plugin_work_when_one_fails(site):
    site.install(
        "half", "@hookimpl\ndef fer_losses(): 1 / 0\n@hookimpl\ndef fer_samplers(): return {'s': 'half:s'}"
    )
    plugins = load_plugins()
    assert "s" in plugins.entries["samplers"]
    assert [plugin.names for plugin in plugins.loaded if plugin.name == "half"] == [{"samplers": ("s",)}]


def test_one_module_named_by_two_distributions_is_loaded_once(site):
    site.install("a-plugin", GOOD, module="shared_plugin")
    site.install("b-plugin", None, module="shared_plugin")
    plugins = load_plugins()
    assert [plugin.name for plugin in plugins.loaded] == ["core", "a_plugin"]
    assert [failure.plugin for failure in plugins.failures] == ["b_plugin"]
    assert len(plugins.claims("losses", "good")) == 1


@pytest.mark.parametrize("off", ["bad_plugin", "bad-plugin", " other , BAD-PLUGIN,"])
def test_plugins_can_be_switched_off(site, monkeypatch, lines, off):
    install_broken(site, "exception at import")
    monkeypatch.setenv("FER_DISABLE_PLUGINS", off)
    plugins = load_plugins()
    assert [plugin.name for plugin in plugins.disabled] == ["bad_plugin"]
    assert plugins.failures == []
    assert "good" in plugins.entries["losses"]
    assert lines == []


def test_strict_raises_what_the_plugin_raises(site, monkeypatch):
    install_broken(site, "exception at import")
    monkeypatch.setenv("FER_STRICT", "1")
    with pytest.raises(RuntimeError, match="no\nway"):
        load_plugins()


def test_clashes_are_recorded_and_nothing_is_overridden(site):
    site.install("a-plugin", GOOD)
    site.install("b-plugin", "@hookimpl\ndef fer_losses(): return {'GOOD': 'b:B', 'own': 'b:C'}")
    plugins = load_plugins()
    assert plugins.failures == []
    ((kind, name, claims),) = plugins.clashes()
    assert (kind, name) == ("losses", "good")
    assert [entry.plugin.distribution for entry in claims] == ["a-plugin", "b-plugin"]
    assert "own" in plugins.entries["losses"]
    done = site.fer_run("doctor")
    assert done.returncode == 1
    assert (
        "  loss 'good' is claimed by a-plugin 1.0 and by b-plugin 1.0: write good@a-plugin or GOOD@b-plugin"
        in (done.stdout.splitlines())
    )


# --- fetch: the first plugin that knows the scheme wins, later implementations first, as pluggy orders them

FETCH = """
@hookimpl
def fer_fetch(uri, cache):
    return cache / "{name}" if uri.startswith("{scheme}://") else None
"""


def test_the_plugin_that_knows_the_scheme_fetches(site, tmp_path):
    site.install("a-plugin", FETCH.format(name="a", scheme="shelf"))
    site.install("b-plugin", FETCH.format(name="b", scheme="drawer"))
    plugins = load_plugins()
    assert plugins.fetch("shelf://x", tmp_path) == tmp_path / "a"
    assert plugins.fetch("drawer://x", tmp_path) == tmp_path / "b"
    assert plugins.fetch("attic://x", tmp_path) is None


def test_a_failing_fetch_does_not_stop_the_others(site, tmp_path):
    site.install("a-plugin", FETCH.format(name="a", scheme="shelf"))
    site.install("b-plugin", "@hookimpl\ndef fer_fetch(uri): raise OSError('unplugged')")
    plugins = load_plugins()
    assert plugins.fetch("shelf://x", tmp_path) == tmp_path / "a"
    assert [failure.stage for failure in plugins.failures] == ["hook fer_fetch"]


def test_a_fetch_may_say_what_the_user_can_correct(site, tmp_path):
    site.install("a-plugin", "@hookimpl\ndef fer_fetch(uri): raise FerError('log in first')")
    with pytest.raises(FerError, match="log in first"):
        load_plugins().fetch("shelf://x", tmp_path)


# --- every hook is documented and works

HOOKS = {
    name: function
    for module in (registry, trainer, loss, device)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if name.startswith("fer_")
}

EVERY_HOOK = """
@hookimpl
def fer_models():
    return [ModelSpec(name="all_models", factory="m:f", recipes={}, summary="", paper="", licence="", upstream="")]

@hookimpl
def fer_weights():
    return [WeightsSpec(name="all_weights", model="all_models", file="m:f", card="m:c", summary="")]

@hookimpl
def fer_datasets():
    yield DatasetSpec(name="all_datasets", factory="m:f", classes=(), splits={}, layouts={}, expected_counts={},
                      summary="", licence="", homepage="")

@hookimpl
def fer_experiments():
    return [ExperimentSpec(name="all_experiments", file="m:f.yaml", summary="")]

@hookimpl
def fer_commands():
    return [CommandSpec(name="all_commands", ref="m:f", help="All")]

@hookimpl
def fer_splits():
    return [SplitSpec(name="all_splits", divide="m:f", summary="")]

@hookimpl
def fer_metrics():
    return [MetricSpec(name="all_metrics", measures="numbers", function="m:f")]

@hookimpl
def fer_fetch(uri, cache):
    return cache / uri
"""


def test_there_is_one_hook_for_each_kind_and_one_to_fetch():
    assert set(HOOKS) == {f"fer_{kind}" for kind in KINDS} | {"fer_fetch"}


@pytest.mark.parametrize("name", HOOKS)
def test_the_hook_is_documented(name):
    text = inspect.getdoc(HOOKS[name])
    sections = re.findall(r"^(\w+):$", text, flags=re.MULTILINE)
    expected = ["Returns", "Factory", "Called"]
    assert [section for section in sections if section != "Args"] == expected
    assert ("Args" in sections) == bool(inspect.signature(HOOKS[name]).parameters)


def test_a_plugin_that_implements_every_hook(site, tmp_path):
    mappings = [kind for kind in KINDS if f"def fer_{kind}(" not in EVERY_HOOK]
    source = EVERY_HOOK + "".join(
        f"\n@hookimpl\ndef fer_{kind}():\n    return {{'all_{kind}': 'all_module:spec'}}\n" for kind in mappings
    )
    site.install("all", source)
    assert all(f"def {name}(" in source for name in HOOKS)
    plugins = load_plugins()
    assert plugins.failures == []
    for kind in KINDS:
        (entry,) = plugins.claims(kind, f"all_{kind}")
        assert entry.plugin.distribution == "all"
    assert plugins.loaded[-1].names == {kind: (f"all_{kind}",) for kind in KINDS}
    assert plugins.fetch("file", tmp_path) == tmp_path / "file"
