"""`NAME@DISTRIBUTION`: wherever a name is, and two plugins that claim one name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fer_core
import pytest
import torch
from click.testing import CliRunner
from fer_core import FerError, registry
from fer_core.checks import check_components
from fer_core.cli.main import main
from fer_core.components import check
from fer_core.config import config_hash, resolve_config
from fer_core.data.open import open_dataset
from fer_core.data.union import find_dataset
from fer_core.losses import CrossEntropy
from fer_core.plugin import ModelSpec, TaskInfo
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.refs import resolve
from fer_core.training.callbacks import CSVLog
from fer_core.training.loop import Loop
from fer_core.types import DatasetSpec

RECIPE = """
loss: {name: own, scale: 3.0}
optimizer: {name: sam, base: climber}
data:
  sampler: [not, a, name]
  train_transforms: [resize, one_of: {transforms: [blur]}, normalize]
callbacks: [chime, chime: {every: 2}]
"""


class Loss(CrossEntropy):
    def __init__(self, info: TaskInfo, *, scale: float = 1.0) -> None:
        super().__init__(info)
        self.scale = scale


@pytest.fixture
def claim(tiny, monkeypatch) -> Callable[..., None]:
    """`claim(distribution, kind, name, value)`: one more plugin has the name."""
    plugins = load_plugins()
    monkeypatch.setattr(plugins, "entries", {kind: dict(names) for kind, names in plugins.entries.items()})

    def put(distribution: str, kind: str, name: str, value: Any) -> None:
        entry = Entry(name, value, Plugin(distribution.replace("-", "_"), distribution, "1.0"))
        plugins.entries[kind][name] = [*plugins.entries[kind].get(name, []), entry]

    return put


@pytest.fixture
def both(claim, tmp_path, monkeypatch) -> None:
    """Two distributions that claim the model `net` and the names in its recipe."""
    folder = tmp_path / "fer_recipes_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "default.yaml").write_text(RECIPE.replace("  sampler: [not, a, name]\n", ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    tiny_spec: ModelSpec = registry.find("models", "tiny")
    spec = replace(tiny_spec, name="net", recipes={"default": "fer_recipes_of_a_test:default.yaml"})
    for home in ("a-plugin", "b-plugin"):
        claim(home, "models", "net", spec)
        claim(home, "losses", "own", Loss)
        claim(home, "optimizers", "climber", registry.factory("optimizers", "adam"))
        claim(home, "transforms", "blur", registry.factory("transforms", "horizontal_flip"))
        claim(home, "callbacks", "chime", registry.factory("callbacks", "early_stopping"))


def test_a_qualified_name_means_one_component(both):
    assert registry.entry("losses", "own@A_Plugin").plugin.distribution == "a-plugin"
    assert registry.factory("losses", "OWN@b-plugin") is Loss
    assert registry.factory("optimizers", "adam@fer-core") is registry.factory("optimizers", "adam")
    assert registry.names("losses")[-2:] == ("own@a-plugin", "own@b-plugin")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            "losses",
            "own",
            "claimed by a-plugin 1.0 (plugin a_plugin) and by b-plugin 1.0 (plugin b_plugin): write",
        ),
        ("losses", "own", "write own@a-plugin or own@b-plugin"),
        ("losses", "own@c-plugin", "there is no loss 'own@c-plugin': did you mean own@a-plugin or own@b-plugin?"),
        ("losses", "cross_entropy@fer-cor", "did you mean cross_entropy@fer-core?"),
        ("losses", "own@", "did you mean own@a-plugin or own@b-plugin?"),
        ("losses", "won@a-plugin", "there is no loss 'won@a-plugin': did you mean own?"),
    ],
)
def test_names_that_mean_nothing_or_two_things(both, kind, name, message):
    with pytest.raises(FerError) as caught:
        registry.factory(kind, name)
    assert message in str(caught.value)


def test_a_name_that_is_claimed_once_stays_short(tiny):
    assert registry.find("models", "tiny@fer-tests").name == "tiny"
    assert find_dataset("bars@fer-tests").name == "bars"
    short = resolve_config(registry.find("models", "tiny"), registry.find("datasets", "bars"))
    overrides = ["loss=Cross-Entropy@fer-core", "callbacks=[progress@fer-core]", "train.trainer=standard@FER_core"]
    long = resolve_config(
        registry.find("models", "tiny@fer-tests"), registry.find("datasets", "bars@fer-tests"), overrides=overrides
    )
    assert long.config == short.config
    assert config_hash(long.config) == config_hash(short.config)


def test_the_names_of_a_recipe_are_those_of_its_distribution(both):
    resolved = resolve_config(registry.find("models", "net@b-plugin"), registry.find("datasets", "bars"))
    config = resolved.config
    assert config.model.name == "net@b-plugin"
    assert (config.loss.name, config.loss.options) == ("own@b-plugin", {"scale": 3.0})
    assert config.optimizer.options["base"] == "climber@b-plugin"
    assert config.data.train_transforms[1] == {"one_of": {"transforms": ["blur@b-plugin"]}}
    assert [(entry.name, entry.options) for entry in config.callbacks] == [
        ("chime@b-plugin", {}),
        ("chime@b-plugin", {"every": 2}),
    ]
    assert resolved.origin["loss.name"] == "recipe net@b-plugin/default"


def test_a_user_who_names_what_two_claim_is_asked_which(both):
    model, data = registry.find("models", "net@a-plugin"), registry.find("datasets", "bars")
    config = resolve_config(model, data, overrides=["loss=own@b-plugin", "callbacks=[]"]).config
    assert (config.loss.name, config.loss.options) == ("own@b-plugin", {})
    kept = resolve_config(model, data, overrides=["loss=own@a-plugin", "callbacks=[]"]).config
    assert (kept.loss.name, kept.loss.options) == ("own@a-plugin", {"scale": 3.0})
    resolved = resolve_config(model, data, overrides=["loss=own", "callbacks=[]"])
    with pytest.raises(FerError, match=r"write own@a-plugin or own@b-plugin \(-o\)$"):
        check_components(resolved.config, resolved.origin)


@pytest.mark.parametrize("name", ["net", "net@a-plugin", "NET@A_PLUGIN"])
def test_a_layer_may_repeat_the_models_name_in_any_form(both, name):
    model, data = registry.find("models", "net@a-plugin"), registry.find("datasets", "bars")
    assert resolve_config(model, data, overrides=[f"model.name={name}"]).config.model.name == "net@a-plugin"
    with pytest.raises(FerError, match="the command is for net@a-plugin"):
        resolve_config(model, data, overrides=["model.name=net@b-plugin"])


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


QUICK = ["data.input_size=16", "data.batch_size=16", "train.steps=3", "callbacks=[]"]


def test_a_run_of_a_qualified_model_from_training_to_prediction(both, tmp_path):
    options = [word for item in QUICK for word in ("-o", item)]
    done = run("train", "net@a-plugin", "bars", "--device", "cpu", *options)
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "runs" / "net@a-plugin-bars").iterdir()
    assert "name: own@a-plugin" in (folder / "config.yaml").read_text()
    assert json.loads((folder / "result.json").read_text())["model"]["name"] == "net@a-plugin"
    components = json.loads((folder / "env.json").read_text())["components"]
    homes = {(of["kind"], of["name"]): of["distribution"] for of in components}
    assert homes["transforms", "blur"] == homes["optimizers", "climber"] == homes["models", "net"] == "a-plugin"
    assert homes["transforms", "resize"] == homes["trainers", "standard"] == "fer-core"
    weights = str(folder / "best.safetensors")
    done = run("evaluate", weights, "bars", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert run("train", "--resume", str(folder)).exit_code == 0
    done = run("train", "net", "bars", *options)
    assert done.exit_code == 2
    assert "write net@a-plugin or net@b-plugin" in done.stderr


def test_a_run_keeps_its_meaning_when_others_claim_its_names(claim, quick, monkeypatch, lines):
    """The model, the loss and the dataset of a run are claimed once more, while it is interrupted and after it."""
    settings = {**quick, "run": {"dir": "whole"}}
    whole = fer_core.train("tiny", "bars", device="cpu", **settings)
    original = Loop.step
    with monkeypatch.context() as patch:
        left = iter(range(8))
        patch.setattr(Loop, "step", lambda *given: original(*given) if next(left) < 7 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fer_core.train("tiny", "bars", **{**settings, "run": {"dir": "killed"}})
    claim("b-plugin", "models", "tiny", replace(registry.find("models", "tiny"), factory="nothing:here"))
    claim("b-plugin", "datasets", "bars", replace(registry.find("datasets", "bars"), factory="nothing:here"))
    with pytest.raises(FerError, match="write tiny@fer-tests or tiny@b-plugin"):
        registry.find("models", "tiny")
    resumed = fer_core.resume("killed")
    assert resumed.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert (resumed.folder / "result.json").read_bytes() == (whole.folder / "result.json").read_bytes()
    lines.clear()
    found = fer_core.evaluate(whole.checkpoint, "bars@fer-tests", device="cpu")
    assert found.metrics == whole.result.metrics["test"]
    assert not any("warning" in line for line in lines)
    assert fer_core.Predictor(whole.checkpoint, device="cpu").classes == whole.result.classes
    with pytest.raises(FerError, match="write tiny@fer-tests or tiny@b-plugin"):
        fer_core.create_model("tiny")


def test_an_experiment_over_two_models_of_one_name(both, tmp_path):
    options = ["--models", "net@a-plugin,net@b-plugin", "--datasets", "bars@fer-tests"]
    done = run("experiment", *options, "-o", "train.steps=3", "-o", "callbacks=[]", "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["model"] for row in rows] == ["net@a-plugin", "net@b-plugin"]
    assert [Path(row["folder"]).parent.name for row in rows] == ["net@a-plugin-bars", "net@b-plugin-bars"]
    assert rows[0]["command"][1:4] == ["train", "net@a-plugin", "bars"]


def test_the_python_interface_takes_qualified_names(both):
    assert fer_core.create_model("net@b-plugin", 3, width=4).head.out_features == 3
    assert fer_core.create_loss("own@a-plugin", classes=("a", "b"), scale=2.0).scale == 2.0
    with pytest.raises(FerError, match=r"write own@a-plugin or own@b-plugin"):
        fer_core.create_loss("own", classes=("a", "b"))
    with pytest.raises(FerError, match=r"loss\.scal: unknown option of own@a-plugin, did you mean scale\?"):
        check("losses", "own@a-plugin", {"scal": 1})


def test_list_and_info_show_both(both):
    lines = [line.split(maxsplit=2) for line in run("list", "losses").stdout.splitlines()]
    assert lines[-2:] == [
        ["own@a-plugin", "a-plugin", "(clash: b-plugin has this name too)"],
        ["own@b-plugin", "b-plugin", "(clash: a-plugin has this name too)"],
    ]
    rows = json.loads(run("list", "losses", "--json").stdout)["losses"]
    assert [(row["qualified"], row["clashes_with"]) for row in rows if row["name"] == "own"] == [
        ("own@a-plugin", ["b-plugin"]),
        ("own@b-plugin", ["a-plugin"]),
    ]
    assert all(not row["clashes_with"] for row in rows if row["name"] != "own")
    heads = [line for line in run("info", "own").stdout.splitlines() if line.startswith("loss ")]
    assert heads == ["loss own@a-plugin", "loss own@b-plugin"]
    assert run("info", "own@b-plugin").stdout.startswith("loss own@b-plugin\n")
    assert run("info", "cross_entropy@fer-core").stdout.startswith("loss cross_entropy\n")


def test_two_datasets_of_one_name_as_one(claim):
    bars: DatasetSpec = registry.find("datasets", "bars")
    claim("b-plugin", "datasets", "bars", bars)
    claim("b-plugin", "datasets", "bars+", replace(bars, name="bars+"))
    spec, both = open_dataset("bars@fer-tests+bars@b-plugin", None, {"bars@b-plugin": {"samples": 30}})
    assert spec.name == both.name == "bars@fer-tests+bars@b-plugin"
    assert both.table["id"].is_unique
    assert both.shares(range(len(both.table))) == {"bars@fer-tests": 90, "bars@b-plugin": 30}
    assert set(both.table["split"]) <= set(spec.splits)
    assert find_dataset("bars+@b-plugin+bars@b-plugin").name == "bars++bars@b-plugin"
    with pytest.raises(FerError, match="bars@b-plugin\\+bars@b_plugin names one dataset twice"):
        find_dataset("bars@b-plugin+bars@b_plugin")
    with pytest.raises(FerError, match="write bars@fer-tests or bars@b-plugin"):
        find_dataset("bars")


def test_a_datasets_folder_has_the_plain_name(claim, tmp_path, monkeypatch):
    bars: DatasetSpec = registry.find("datasets", "bars")
    roots: list[Path] = []
    spec = replace(bars, needs_root=True, factory=lambda root: roots.append(root) or resolve(bars.factory)(root))
    claim("b-plugin", "datasets", "bars", spec)
    (tmp_path / "bars").mkdir()
    monkeypatch.setenv("FER_DATA", str(tmp_path))
    assert open_dataset("bars@b-plugin", None, {})[1].name == "bars@b-plugin"
    assert roots == [tmp_path / "bars"]


def test_plugins_are_switched_off_by_a_qualified_name_too(site, monkeypatch):
    from fer_core import plugins

    site.install("a-plugin", "@hookimpl\ndef fer_losses(): return {'own': 'a:A'}")
    site.install("b-plugin", "@hookimpl\ndef fer_losses(): return {'own': 'b:B'}")
    monkeypatch.setenv("FER_DISABLE_PLUGINS", "a_plugin@b-plugin, b_plugin@b-plugin")
    plugins.load_plugins.cache_clear()
    assert [plugin.distribution for plugin in load_plugins().disabled] == ["b-plugin"]
    assert registry.names("losses") == ("cross_entropy", "distillation", "multi_head", "own")


# --- two callbacks of one kind


def test_two_callbacks_of_one_kind_work_and_resume(tiny, quick, monkeypatch):
    calls = [{"csv_log": {"file": "a.csv"}}, {"csv_log": {"file": "b.csv"}}]
    stops = [{"early_stopping": {"patience": 50}}, {"early_stopping": {"patience": 60, "min_delta": -1.0}}]
    settings = {**quick, "callbacks": [*calls, *stops]}

    def train(folder: str) -> None:
        fer_core.train("tiny", "bars", device="cpu", run={"dir": folder}, **settings)

    train("whole")
    original = Loop.step
    with monkeypatch.context() as patch:
        left = iter(range(8))
        patch.setattr(Loop, "step", lambda *given: original(*given) if next(left) < 7 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train("killed")
    fer_core.resume("killed")
    states = [torch.load(f"{run}/last.state.pt", weights_only=True)["callbacks"] for run in ("whole", "killed")]
    assert states[0] == states[1]
    assert list(states[0]) == ["0:csv_log", "1:csv_log", "2:early_stopping", "3:early_stopping"]
    assert states[0]["2:early_stopping"]["waited"] > states[0]["3:early_stopping"]["waited"] == 0
    tables = [Path(run, name).read_bytes() for run in ("whole", "killed") for name in ("a.csv", "b.csv")]
    assert len(set(tables)) == 1
    assert not Path("whole/metrics.csv").exists()


@pytest.mark.parametrize("file", ["../a.csv", "a.txt", "predictions-test.csv", ""])
def test_a_csv_log_writes_no_file_of_the_run(file):
    with pytest.raises(FerError, match=r"csv_log\.file is .*: give a name such as metrics\.csv"):
        CSVLog(file=file)
