"""Layers: later ones win, every value knows its layer, every mistake is one line with key and layer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fer_core.config import load_config, resolve_config
from fer_core.errors import FerError
from fer_core.types import DatasetSpec, ModelSpec

DATASET = DatasetSpec(
    name="faces",
    factory="nowhere:Faces",
    classes=("a", "b"),
    splits={},
    layouts={},
    expected_counts={},
    summary="",
    licence="",
    homepage="",
    aliases=("my-faces",),
)


def model(**recipes):
    return ModelSpec(
        name="net", factory="nowhere:Net", recipes=recipes, summary="", paper="", licence="", upstream=""
    )


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Writes a recipe into an importable package and returns its reference."""
    folder = tmp_path / "config_recipes_of_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, folder.name, raising=False)

    def write(name, text):
        (folder / name).write_text(text, encoding="utf-8")
        return f"{folder.name}:{name}"

    return write


@pytest.fixture
def file(tmp_path):
    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def resolve(*overrides, files=(), flags=None, spec=None):
    return resolve_config(spec or model(), DATASET, files, overrides, flags)


def refusal(*overrides, **layers):
    with pytest.raises(FerError) as caught:
        resolve(*overrides, **layers)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_defaults():
    resolved = resolve()
    config = resolved.config
    assert (config.model.name, config.data.name) == ("net", "faces")
    assert (config.train.epochs, config.data.batch_size, config.data.input_size) == (40, 256, 224)
    assert (config.optimizer.name, config.optimizer.options) == ("adam", {"lr": 1e-4})
    assert (config.loss.name, config.scheduler.name, config.data.sampler.name) == (
        "cross_entropy",
        "constant",
        "shuffle",
    )
    assert config.data.train_transforms == ["resize", {"horizontal_flip": {"p": 0.5}}, "normalize"]
    assert config.data.eval_transforms == ["resize", "normalize"]
    assert [entry.name for entry in config.callbacks] == ["progress"]
    assert (config.train.select, config.train.metric) == ("best:val", "accuracy")
    assert resolved.origin["train.epochs"] == "defaults"
    assert resolved.origin["data.name"] == "command line"


def test_every_layer_wins_over_those_before(recipe, file):
    spec = model(
        default=recipe("a.yaml", "train: {epochs: 1, steps: 1, accumulate: 1, seed: 1, clip_norm: 1, ema: 0.1}"),
        faces=recipe("b.yaml", "train: {steps: 2, accumulate: 2, seed: 2, clip_norm: 2, ema: 0.2}"),
        other=recipe("c.yaml", "train: {epochs: 99}"),
    )
    files = [
        file("train: {accumulate: 3, seed: 3, clip_norm: 3, ema: 0.3}", "one.yaml"),
        file("train: {seed: 4, clip_norm: 4, ema: 0.4}", "two.yaml"),
    ]
    resolved = resolve("train.clip_norm=5", "train.ema=0.5", files=files, flags={"train.ema": 0.6}, spec=spec)
    train = resolved.config.train
    assert (train.epochs, train.steps, train.accumulate, train.seed, train.clip_norm, train.ema) == (
        40,  # the recipe `faces` does not inherit from `default`
        2,
        3,
        4,
        5,
        0.6,
    )
    assert [
        resolved.origin[f"train.{key}"] for key in ("epochs", "steps", "accumulate", "seed", "clip_norm", "ema")
    ] == [
        "defaults",
        "recipe net/faces",
        str(files[0]),
        str(files[1]),
        "-o",
        "command line",
    ]


def test_mappings_merge_and_lists_are_replaced(file):
    first = file(
        "data: {options: {size: {train: 5, test: 2}}, mean: [0, 0, 0]}\ncallbacks: [progress, {a: {b: 1}}]"
    )
    second = file("data: {options: {size: {test: 3}, kind: x}}\ncallbacks: [c]", "b.yaml")
    resolved = resolve(files=[first, second])
    assert resolved.config.data.options == {"size": {"train": 5, "test": 3}, "kind": "x"}
    assert resolved.origin["data.options.size.train"] == str(first)
    assert resolved.origin["data.options.size.test"] == str(second)
    assert "data.options" not in resolved.origin
    assert [(entry.name, entry.options) for entry in resolved.config.callbacks] == [("c", {})]


def test_an_empty_mapping_adds_nothing():
    resolved = resolve("data.options={size: 5}", "data.options={}")
    assert resolved.config.data.options == {"size": 5}
    assert "data.options" not in resolved.origin


def test_a_component_of_another_name_forgets_the_options_of_the_one_before(file):
    sam = file("optimizer: {name: sam, base: adam, rho: 0.1}\nscheduler: {name: step, per: step, every: 3}")
    resolved = resolve("optimizer=sgd", "optimizer.momentum=0.9", "scheduler.name=constant", files=[sam])
    assert (resolved.config.optimizer.name, resolved.config.optimizer.options) == ("sgd", {"momentum": 0.9})
    assert (resolved.config.scheduler.per, resolved.config.scheduler.options) == ("epoch", {})
    assert {key: layer for key, layer in resolved.origin.items() if key.startswith(("opt", "sch"))} == {
        "optimizer.name": "-o",
        "optimizer.groups": "defaults",
        "optimizer.momentum": "-o",
        "scheduler.name": "-o",
        "scheduler.per": "defaults",
    }


@pytest.mark.parametrize("same", ["optimizer=adam", "optimizer.name=Adam", "optimizer={name: adam}"])
def test_a_component_of_the_same_name_keeps_its_options(same):
    assert resolve("optimizer.lr=0.5", same).config.optimizer.options == {"lr": 0.5}


def test_a_section_may_be_given_by_its_name_alone(file):
    config = resolve("data.sampler=balanced", files=[file("loss: focal\nmodel: net")]).config
    assert (config.data.sampler.name, config.loss.name, config.loss.options) == ("balanced", "focal", {})


def test_values_of_overrides_are_yaml():
    config = resolve(
        "optimizer.lr=1e-3",
        "run.dir=",
        "data.split=kfold:5:0",
        "loss.flag=true",
        "loss.word=on",
        "loss.pair=[1, {a: b}]",
    ).config
    assert config.optimizer.options["lr"] == 1e-3
    assert config.run.dir is None
    assert config.data.split == "kfold:5:0"
    assert config.loss.options == {"flag": True, "word": "on", "pair": [1, {"a": "b"}]}


def test_flags_take_paths_and_tuples_and_leave_out_what_was_not_given():
    resolved = resolve(
        "train.seed=4", flags={"data.root": Path("/faces"), "data.mean": (0, 0, 0), "train.seed": None}
    )
    assert resolved.config.data.root == str(Path("/faces"))
    assert resolved.config.data.mean == [0, 0, 0]
    assert resolved.config.train.seed == 4


def test_the_names_of_model_and_dataset_may_be_repeated_but_not_changed(file):
    resolved = resolve(files=[file("model: {name: NET}\ndata: {name: My_Faces}")])
    assert (resolved.config.model.name, resolved.config.data.name) == ("net", "faces")
    message = refusal(files=[file("data: {name: others}")])
    assert message.startswith("data.name is others (")
    assert "mine.yaml" in message
    assert refusal("model=dan") == (
        "model.name is dan (-o), but the command is for net: remove the key, or give its value in the command"
    )


def test_model_options_survive_a_change_of_spelling():
    assert resolve("model.depth=3", "model=Net").config.model.options == {"depth": 3}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batchsize=3", "data.batchsize: unknown key, did you mean data.batch_size? (-o)"),
        ("train.epoch=3", "train.epoch: unknown key, did you mean train.epochs? (-o)"),
        ("epochs=3", "epochs: unknown key, did you mean train.epochs? (-o)"),
        ("lr=3", "lr: unknown key, did you mean optimizer.lr? (-o)"),
        ("optimiser.lr=3", "optimiser: unknown key, did you mean optimizer? (-o)"),
        ("run.zzz=3", "run.zzz: unknown key, known: device, dir, report, root (-o)"),
        ("train.epochs=abc", "train.epochs is abc (-o): expected a whole number of at least 1"),
        ("train.epochs='3'", "train.epochs is '3' (-o): expected a whole number of at least 1"),
        ("train.epochs=true", "train.epochs is true (-o): expected a whole number of at least 1"),
        ("train.epochs=2.5", "train.epochs is 2.5 (-o): expected a whole number of at least 1"),
        ("train.epochs.x=3", "train.epochs is {x: 3} (-o): expected a whole number of at least 1"),
        ("train.epochs=", "train.epochs is null (-o): expected a whole number of at least 1"),
        ("train=3", "train is 3 (-o): expected a mapping"),
        ("train=", "train is null (-o): expected a mapping"),
        ("optimizer=", "optimizer is null (-o): expected a name or a mapping with a name"),
        ("optimizer=[sgd]", "optimizer is [sgd] (-o): expected a name or a mapping with a name"),
        ("loss.name=3", "loss.name is 3 (-o): expected a name"),
        ("loss=''", "loss.name is '' (-o): expected a name"),
        ("data.sampler=3", "data.sampler is 3 (-o): expected a name or a mapping with a name"),
        ("data.mean=[1, 2]", "data.mean is [1, 2] (-o): expected a list of 3 numbers"),
        ("data.std=[1, 1, 0]", "data.std is [1, 1, 0] (-o): expected a list of 3 numbers above 0"),
        ("data.mean=[1, 2, .inf]", "data.mean is inf (-o): expected a finite number"),
        ("optimizer.lr=.nan", "optimizer.lr is nan (-o): expected a finite number"),
        ("train.clip_norm=1e999", "train.clip_norm is inf (-o): expected a finite number"),
        ("callbacks={a: {}}", "callbacks is {a: {}} (-o): expected a list of names or {name: {options}}"),
        ("callbacks=[{a: 1}]", "callbacks is [{a: 1}] (-o): expected a list of names or {name: {options}}"),
        (
            "callbacks=[{name: progress}]",
            "callbacks is [{name: progress}] (-o): expected a list of names or {name: {options}}",
        ),
        (
            "callbacks=[{a: {}, b: {}}]",
            "callbacks is [{a: {}, b: {}}] (-o): expected a list of names or {name: {options}}",
        ),
        (
            "data.train_transforms=[{}]",
            "data.train_transforms is [{}] (-o): expected a list of names or {name: {options}}",
        ),
        (
            "data.eval_transforms=[3]",
            "data.eval_transforms is [3] (-o): expected a list of names or {name: {options}}",
        ),
        ("data.options=[3]", "data.options is [3] (-o): expected a mapping"),
        ("train.epochs", "-o train.epochs: has no value: write KEY=VALUE, for example -o train.epochs=40"),
        ("=3", "an empty key: not a key (-o): write SECTION.KEY, for example train.epochs"),
        ("train..epochs=3", "train..epochs: not a key (-o): write SECTION.KEY, for example train.epochs"),
        (
            "loss.w=[1",
            "-o loss.w, line 1: not valid YAML: expected ',' or ']', but got '<stream end>': correct it",
        ),
    ],
)
def test_mistakes_are_one_line_with_key_value_and_layer(override, message):
    assert refusal(override) == message


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("data.holdout", "0", "1"),
        ("data.holdout", "0.99", "-0.1"),
        ("data.batch_size", "1", "0"),
        ("data.eval_batch_size", "null", "0"),
        ("data.input_size", "48", "0"),
        ("data.workers", "0", "-1"),
        ("data.workers", "auto", "all"),
        ("data.pipeline", "per-image", "image"),
        ("data.color", "bgr", "grey"),
        ("data.split_seed", "4294967295", "4294967296"),
        ("scheduler.per", "step", "batch"),
        ("train.steps", "null", "0"),
        ("train.eval_every", "epoch", "never"),
        ("train.eval_every", "100", "0"),
        ("train.save_every", "100", "1.5"),
        ("train.precision", "bf16", "fp8"),
        ("train.compile", "max-autotune", "true"),
        ("train.accumulate", "2", "0"),
        ("train.clip_norm", "5", "0"),
        ("train.ema", "0.999", "1"),
        ("train.ema", "null", "0"),
        ("train.select", "best:test", "best"),
        ("train.metric", "macro_f1", "''"),
        ("train.seed", "9223372036854775807", "9223372036854775808"),
        ("train.seed", "0", "-1"),
        ("train.deterministic", "false", "on"),
        ("run.device", "cuda:1", "''"),
    ],
)
def test_ranges(key, good, bad):
    assert resolve(f"{key}={good}").origin[key] == "-o"
    message = refusal(f"{key}={bad}")
    assert message.startswith(f"{key} is ")
    assert " (-o): expected " in message


def test_mistakes_in_recipes_files_and_flags_name_them(recipe, file):
    bad_default = model(default=recipe("a.yaml", "train: {epochs: many}"))
    assert refusal(spec=bad_default).startswith("train.epochs is many (recipe net/default): expected")
    bad_special = model(faces=recipe("b.yaml", "train: {epochz: 1}"))
    assert refusal(spec=bad_special) == "train.epochz: unknown key, did you mean train.epochs? (recipe net/faces)"
    path = file("optimizer: {lr: .inf}")
    assert refusal(files=[path]) == f"optimizer.lr is inf ({path}): expected a finite number"
    assert refusal(flags={"train.seed": -1}).startswith("train.seed is -1 (command line): expected")
    assert refusal(flags={"train.seed": {1, 2}}).startswith("train.seed is a set (command line): expected")


def test_a_recipe_that_is_missing_is_a_fault_of_its_plugin():
    message = refusal(spec=model(default="fer_core:no_such_recipe.yaml"))
    assert message.startswith("recipe net/default: cannot read fer_core:no_such_recipe.yaml (")
    assert refusal(spec=model(faces="no_such_package:a.yaml")).startswith("recipe net/faces: cannot read")


@pytest.mark.parametrize("text", ["", "# only a comment", "- a", "train", "3"])
def test_the_top_level_is_a_mapping(file, text):
    path = file(text)
    message = refusal(files=[path])
    assert message.startswith(f"{path}: the top level is ")


def test_keys_with_dots_belong_to_overrides(file):
    path = file("optimizer.lr: 3")
    assert refusal(files=[path]) == (
        f"optimizer.lr: a key has no dots in {path}: write optimizer: {{lr: ...}}, or use -o optimizer.lr=..."
    )


def test_odd_names_of_files_and_keys_stay_on_one_line(file):
    assert "two\\nlines.yaml" in refusal(files=[file("a: 1", "two\nlines.yaml")])
    assert refusal('loss={"a\\nb": 1}').startswith("'a\\nb' in loss: not a valid key (-o)")


def test_long_values_are_shortened():
    message = refusal(f"train.epochs={'x' * 500}")
    assert len(message) < 150


def test_very_deep_keys_are_refused():
    assert "nested deeper than 32 levels in -o" in refusal("loss." + "a." * 5000 + "b=1")


def test_load_config_fills_in_defaults_and_wants_both_names(file):
    config = load_config(file("model: {name: net, depth: 3}\ndata: {name: faces}\noptimizer: sgd"))
    assert config.model.options == {"depth": 3}
    assert config.optimizer.options == {}
    assert config.train.epochs == 40
    for text, key in [("model: net", "data.name"), ("data: {name: faces}", "model.name")]:
        path = file(text)
        with pytest.raises(FerError) as caught:
            load_config(path)
        assert str(caught.value) == f"{key}: missing in {path}, which must be a complete configuration: add it"
    path = file("model: net\ndata: {name: faces}\ntrain: {epochs: 0}")
    with pytest.raises(FerError, match=r"train\.epochs is 0 \(.*mine\.yaml\): expected"):
        load_config(path)


def test_a_configuration_cannot_be_changed_in_place():
    config = resolve().config
    with pytest.raises(ValueError, match="frozen"):
        config.train.epochs = 3


def test_resolving_twice_shares_nothing():
    first, second = resolve().config, resolve().config
    first.data.train_transforms.append("extra")
    first.data.options["x"] = 1
    assert second.data.train_transforms[-1] == "normalize"
    assert second.data.options == {}
    assert resolve().config == second
