"""A configuration as text: round trip, origins shown by --dry-run, the hash, the JSON schema."""

from __future__ import annotations

import json

import yaml
from fer_core.config import (
    Config,
    config_hash,
    describe,
    dump_config,
    json_schema,
    load_config,
    resolve_config,
)
from fer_core.config.keys import schema_keys
from fer_core.types import DatasetSpec, ModelSpec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MODEL = ModelSpec(name="net", factory="x:y", recipes={}, summary="", paper="", licence="", upstream="")
DATASET = DatasetSpec(
    name="faces",
    factory="x:y",
    classes=(),
    splits={},
    layouts={},
    expected_counts={},
    summary="",
    licence="",
    homepage="",
)

NAMES = st.text("abc_", min_size=1, max_size=4)
TEXTS = st.text(max_size=12) | st.sampled_from(["1e-4", "on", "null", "best:val", "# x", "a\nb", "/data/faces é"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=3,
)
OPTIONS = st.dictionaries(NAMES, PLAIN, max_size=2)
ITEMS = st.lists(NAMES | st.dictionaries(NAMES, OPTIONS, min_size=1, max_size=1), max_size=3)


@st.composite
def configurations(draw):
    return Config.model_validate(
        {
            "model": {"name": draw(NAMES), **draw(OPTIONS)},
            "data": {
                "name": draw(NAMES),
                "root": draw(st.none() | NAMES),
                "options": draw(OPTIONS),
                "holdout": draw(st.floats(0, 0.99)),
                "workers": draw(st.just("auto") | st.integers(0, 9)),
                "train_transforms": draw(ITEMS),
                "mean": draw(st.lists(FLOATS, min_size=3, max_size=3)),
                "sampler": {"name": draw(NAMES), **draw(OPTIONS)},
            },
            "optimizer": {"name": draw(NAMES), **draw(OPTIONS)},
            "train": {"seed": draw(st.integers(0, 2**63 - 1)), "ema": draw(st.none() | st.just(0.999))},
            "callbacks": draw(ITEMS),
        }
    )


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(configurations())
def test_what_is_dumped_is_loaded_equal(tmp_path, config):
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    loaded = load_config(path)
    assert loaded == config
    assert dump_config(loaded) == dump_config(config)
    assert config_hash(loaded) == config_hash(config)


def resolve(*overrides):
    return resolve_config(MODEL, DATASET, overrides=overrides)


def test_a_dump_has_every_key_in_the_order_of_the_schema():
    text = dump_config(resolve("loss.b=1", "loss.a=2").config)
    assert list(yaml.safe_load(text)) == [
        "model",
        "data",
        "loss",
        "optimizer",
        "scheduler",
        "train",
        "run",
        "metrics",
        "callbacks",
    ]
    assert text.index("epochs: 40") < text.index("steps: null") < text.index("deterministic: auto")
    assert "loss:\n  name: cross_entropy\n  a: 2\n  b: 1\n" in text
    assert "train_transforms: [resize, {horizontal_flip: {p: 0.5}}, normalize]\n" in text
    assert "  select: best:val\n" in text


def test_equal_configurations_give_equal_text_however_they_were_written():
    one = resolve("loss.b=1", "loss.a={x: 1, y: 2}", "train.clip_norm=5").config
    two = resolve("train.clip_norm=5.0", "loss.a={y: 2, x: 1}", "loss.b=1").config
    assert one == two
    assert dump_config(one) == dump_config(two)


def test_origin_has_exactly_the_values_of_the_configuration():
    resolved = resolve("data.options={size: {a: 1}, x: [1]}", "optimizer=sgd", "model.depth=3", "callbacks=[a]")

    def leaves(value, above):
        if isinstance(value, dict) and value:
            return {leaf for key, item in value.items() for leaf in leaves(item, [*above, key])}
        return {".".join(above)}

    assert set(resolved.origin) == leaves(yaml.safe_load(dump_config(resolved.config)), [])
    assert resolved.origin["data.options.size.a"] == "-o"


def test_describe_is_yaml_with_the_layer_of_every_value(tmp_path):
    resolved = resolve("train.epochs=3", "data.root='a # b'", "callbacks=[]")
    text = describe(resolved)
    path = tmp_path / "described.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_config(path) == resolved.config
    lines = {line.split(":")[0].strip(): line for line in text.splitlines()}
    assert lines["epochs"].endswith("# -o")
    assert lines["root"].endswith("# defaults")  # of run; that of data is shadowed in this mapping
    assert lines["callbacks"].split() == ["callbacks:", "[]", "#", "-o"]
    assert all("  # " in line for line in text.splitlines() if not line.endswith(":"))
    columns = {line.rindex("# ") for line in text.splitlines() if "  # " in line and len(line) < 80}
    assert len(columns) == 1


def test_the_hash_is_over_what_determines_the_result():
    base = config_hash(resolve().config)
    assert len(base) == 64
    for same in (
        "run.dir=x",
        "run.root=y",
        "run.device=cpu",
        "data.root=/z",
        "data.workers=3",
        "train.save_every=7",
    ):
        assert config_hash(resolve(same).config) == base
    others = [
        "train.seed=1",
        "data.options.x=1",
        "optimizer.lr=1e-3",
        "model.depth=1",
        "callbacks=[]",
        "data.color=bgr",
        "data.classes=[a, b]",
        "data.classes={a: b}",
        "data.classes={a: null}",
    ]
    assert len({base, *(config_hash(resolve(other).config) for other in others)}) == len(others) + 1


def test_the_hash_does_not_change_between_platforms_and_releases():
    """Folders of experiments bear it: a changed default or key has to be a decision."""
    assert config_hash(resolve().config) == "b20f0327524214b60ea775f754249c89a84d679debf6124e548f55a32eedb59d"


def test_json_schema_describes_every_key_and_requires_none():
    schema = json_schema()
    json.dumps(schema, allow_nan=False)
    assert '"required"' not in json.dumps(schema)
    assert set(schema["properties"]) == {key.split(".")[0] for key in schema_keys()}
    train = schema["$defs"]["Train"]
    assert train["additionalProperties"] is False
    assert train["properties"]["epochs"]["default"] == 40
    assert train["properties"]["epochs"]["minimum"] == 1
    assert all("description" in part for part in train["properties"].values())
    short, full = schema["$defs"]["Component"]["anyOf"]
    assert short["type"] == "string"
    assert full["additionalProperties"] is True
    assert [part["type"] for part in schema["$defs"]["CallbackItem"]["anyOf"]] == ["string", "object"]
