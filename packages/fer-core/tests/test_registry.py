from __future__ import annotations

import json

import pytest
from fer_core import FerError, plugins, registry
from fer_core.refs import read_resource, resolve

MODELS = """
def model(name, *aliases):
    return ModelSpec(name=name, factory="{module}:make", recipes={{}}, summary="", paper="", licence="",
                     upstream="", aliases=aliases)

def make(info): ...

@hookimpl
def fer_models():
    return [{models}]
"""


def install_models(site, distribution, models):
    module = distribution.replace("-", "_") + "_module"
    site.install(distribution, MODELS.format(module=module, models=models))


def error(kind, name):
    with pytest.raises(FerError) as caught:
        registry.find(kind, name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_cores_own_names(site):
    assert registry.names("optimizers") == ("sgd", "adam", "adamw", "sam")
    assert registry.names("models") == ()
    commands = registry.names("commands")
    assert {"train", "evaluate", "calibrate", "predict", "import", "list", "info", "data", "doctor"} <= set(
        commands
    )
    assert commands[0] == "train"


@pytest.mark.parametrize("typed", ["tiny_net", "tiny-net", "TinyNet", "TINY_NET", "tiny++", "Small-Net"])
def test_aliases_case_and_dashes(site, typed):
    install_models(site, "a-plugin", "model('tiny_net', 'tiny++', 'smallnet')")
    assert registry.find("models", typed).name == "tiny_net"
    assert registry.factory("models", typed).__name__ == "make"


def test_an_unknown_name_offers_near_ones(site):
    install_models(site, "a-plugin", "model('tinynet', 'smallnet'), model('other')")
    assert error("models", "tinyent") == "there is no model 'tinyent': did you mean tinynet?"
    assert error("models", "smalnet") == "there is no model 'smalnet': did you mean smallnet?"
    assert error("models", "zzz") == "there is no model 'zzz': known: other, smallnet, tinynet"
    assert error("losses", "zzz") == "there is no loss 'zzz': known: cross_entropy, distillation, multi_head"


def test_an_unknown_name_also_suspects_what_failed(site):
    site.install("bad-plugin", "raise RuntimeError('no')", version="2.3")
    site.install("half-plugin", "@hookimpl\ndef fer_samplers(): 1 / 0")
    text = error("losses", "focal")
    assert text.endswith("(or it belongs to what failed to load, bad-plugin 2.3: run `fer-run doctor`)")
    assert "half-plugin" not in text
    assert "half-plugin" in error("samplers", "focal")


def test_an_unknown_kind(site):
    assert error("model", "dan") == "there is no kind 'model': did you mean models?"


def test_a_known_name_that_is_not_installed_names_its_distribution(site):
    assert error("models", "POSTER++") == (
        "model 'POSTER++' comes with fer-models-poster, which is not installed: pip install fer-models-poster"
    )
    assert "pip install fer-datasets" in error("datasets", "raf-db")
    assert "pip install fer-models-dan" in error("models", "dan@fer-models-dan")
    assert error("models", "dan@other").startswith("there is no model 'dan@other': did you mean dan ")


def test_a_known_name_whose_plugin_is_switched_off(site, monkeypatch):
    site.install("fer-datasets", "raise RuntimeError")
    monkeypatch.setenv("FER_DISABLE_PLUGINS", "fer-datasets")
    assert error("datasets", "rafdb") == (
        "dataset 'rafdb' comes with fer-datasets, which FER_DISABLE_PLUGINS switches off: take it out of that list"
    )


def test_a_known_name_whose_plugin_failed(site):
    site.install("fer-models-dan", "import nowhere_to_be_found", version="9")
    text = error("models", "dan")
    assert "fer-models-dan 9 failed at load: ModuleNotFoundError" in text
    assert "fer-run doctor" in text


def test_a_known_name_that_its_installed_distribution_lacks(site):
    install_models(site, "fer-models-dan", "model('dan2')")
    assert error("models", "dan") == (
        "model 'dan' is not in the installed version of fer-models-dan: pip install --upgrade fer-models-dan"
    )


@pytest.mark.parametrize(
    ("second", "qualified"),
    [("model('tiny')", "tiny"), ("model('Ti-ny')", "Ti-ny"), ("model('other', 'tiny')", "other")],
)
def test_two_claims_to_a_name_are_an_error_with_a_way_out(site, monkeypatch, second, qualified):
    install_models(site, "a-plugin", "model('tiny'), model('fine')")
    install_models(site, "b-plugin", second)
    assert error("models", "tiny") == (
        "model 'tiny' is claimed by a-plugin 1.0 (plugin a_plugin) and by b-plugin 1.0 (plugin b_plugin): "
        f"write tiny@a-plugin or {qualified}@b-plugin"
    )
    assert registry.find("models", "fine").name == "fine"
    assert registry.find("models", "TINY@A_plugin").name == "tiny@a-plugin"
    assert registry.find("models", "tiny@b-plugin").name in (f"{qualified}@b-plugin", "other")
    monkeypatch.setenv("FER_DISABLE_PLUGINS", "b-plugin")
    plugins.load_plugins.cache_clear()
    assert registry.find("models", "tiny").name == "tiny"


def test_a_plugin_cannot_replace_a_name_of_the_core(site, monkeypatch, lines):
    site.install(
        "a-plugin", "@hookimpl\ndef fer_losses(): return {'Cross-Entropy': 'mine:Mine', 'focal': 'mine:F'}"
    )
    assert registry.find("losses", "cross_entropy").__module__ == "fer_core.losses.cross_entropy"
    assert registry.names("losses") == ("cross_entropy", "distillation", "multi_head", "focal")
    assert lines == [
        "warning  plugin a_plugin of a-plugin 1.0 failed at fer_losses, name 'Cross-Entropy': "
        "fer-core has that name, and keeps it: choose another name; run `fer-run doctor`"
    ]
    assert "a-plugin" not in error("losses", "zzz")
    done = site.fer_run("doctor", "--json")
    assert done.returncode == 1
    (failure,) = json.loads(done.stdout)["failures"]
    assert (failure["distribution"], failure["stage"]) == ("a-plugin", "fer_losses, name 'Cross-Entropy'")
    monkeypatch.setenv("FER_STRICT", "1")
    plugins.load_plugins.cache_clear()
    with pytest.raises(FerError, match="fer-core has that name"):
        plugins.load_plugins()


def test_the_core_keeps_its_names_whatever_the_order_of_hooks(site):
    site.install("a-plugin", "@hookimpl(tryfirst=True)\ndef fer_losses(): return {'cross_entropy': 'mine:Mine'}")
    site.install("b-plugin", "@hookimpl(trylast=True)\ndef fer_losses(): return {'cross_entropy': 'mine:Mine'}")
    assert registry.find("losses", "cross_entropy").__module__ == "fer_core.losses.cross_entropy"
    assert [failure.plugin for failure in plugins.load_plugins().failures] == ["b_plugin", "a_plugin"]


@pytest.mark.parametrize("name", ["a@b", "a/b", "a b", "a:b", "", ".a", "a\n"])
def test_a_name_that_no_file_may_have_is_refused(site, name):
    install_models(site, "a-plugin", f"model('fine'), model({name!r}), model('other', {name!r})")
    assert registry.names("models") == ("fine",)
    assert all("cannot be a name" in failure.error for failure in plugins.load_plugins().failures)


def test_a_factory_that_cannot_be_imported_names_its_distribution(site, monkeypatch):
    site.install(
        "a-plugin", "@hookimpl\ndef fer_losses(): return {'lost': 'a_plugin_module:Lost', 'no': 'nowhere'}"
    )
    text = error("losses", "lost")
    assert text.startswith("loss 'lost' of a-plugin 1.0 cannot be imported (AttributeError: ")
    assert "loss 'no' is refused, since plugin a_plugin of a-plugin 1.0 failed" in error("losses", "no")
    assert "not an import reference" in error("losses", "no")
    monkeypatch.setenv("FER_STRICT", "1")
    with pytest.raises(AttributeError):
        registry.find("losses", "lost")


def test_objects_and_references_both_work(site):
    site.install(
        "a-plugin", "def f(): ...\n@hookimpl\ndef fer_losses(): return {'x': f, 'y': 'a_plugin_module:f'}"
    )
    assert registry.find("losses", "x") is registry.find("losses", "y")


def test_references():
    assert resolve("fer_core.types:FERDataset.read").__name__ == "read"
    assert resolve(len) is len
    assert '"rafdb": "fer-datasets"' in read_resource("fer_core:known_plugins.json")
    with pytest.raises(ImportError):
        resolve("no_reference")
    with pytest.raises(FileNotFoundError):
        read_resource("fer_core:nothing.yaml")
