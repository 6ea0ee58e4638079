"""A run is resumed under the configuration that it began with, or not at all; a longer one is a run of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import fer_core
import pytest
import yaml
from fer_core import FerError, api
from fer_core.config import json_schema, load_config, settings
from fer_core.config.identity import WITHOUT_EFFECT
from fer_core.config.keys import schema_keys
from fer_core.config.schema import Config
from fer_core.runs.reading import read_history
from fer_core.runs.state import read_state, save_state
from fer_core.training import loop
from fer_core.weights.checkpoint import load_weights, save_weights

PRODUCTS = ("best.safetensors", "last.safetensors", "result.json", "predictions-test.csv", "metrics.jsonl")
NAMES = {"model.name": "other", "data.name": "other", "train.trainer.name": "other"}


class Killed(BaseException):
    """Stands for a SIGKILL: nothing in the code under test catches it."""


@pytest.fixture
def killed(tiny, quick, monkeypatch) -> Path:
    """A run that was killed in its third epoch, and the whole one beside it."""
    original = loop.Loop.step

    def dying(self, batch):
        if self.position.step == 9:
            raise Killed
        original(self, batch)

    fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/whole"})
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "step", dying)
        with pytest.raises(Killed):
            fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/killed"})
    return Path("runs/killed")


def variants(schema: dict, value: object):
    """Values of a JSON schema that are not `value`, the simple ones first."""
    definitions = json_schema()["$defs"]
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for option in schema.get("anyOf", ()):
        yield from variants(option, value)
    if schema.get("properties"):
        yield {"kind": "none"}  # of data.alignment
    candidates = [*schema.get("enum", ()), schema.get("const")]
    kind = schema.get("type")
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        candidates += [low + 1, low + 2] if kind == "integer" else [low + 0.25, low + 0.5]
    candidates += {"boolean": [True, False], "string": ["other", "a" * 64], "object": [{"a": "b"}]}.get(kind, [])
    if kind == "array":
        candidates += [[0.25] * schema.get("minItems", 3), ["other"], [{"match": "*", "lr_factor": 0.5}]]
    yield from (candidate for candidate in candidates if candidate is not None and candidate != value)


def edited(content: dict, key: str, value: object) -> str:
    """The configuration with one value changed, as YAML."""
    *sections, leaf = key.split(".")
    place = content
    for section in sections:
        place = place[section]
    place[leaf] = value
    return yaml.safe_dump(content)


def field_schema(key: str) -> dict:
    """JSON schema of a key; of an option, which has none, anything goes."""
    schema = json_schema()
    definitions = schema["$defs"]
    place = schema
    for part in key.split("."):
        if "$ref" in place:
            place = definitions[place["$ref"].rpartition("/")[2]]
        for option in place.get("anyOf", ()):
            place = option if "properties" in option else place
        if part not in place.get("properties", {}):
            return {"anyOf": [{"type": "number"}, {"type": "string"}]}
        place = place["properties"][part]
    return place


def test_every_key_but_those_without_effect_is_compared() -> None:
    config = load_config_of({"model": {"name": "m"}, "data": {"name": "d"}})
    compared = settings(config)
    for key in schema_keys():
        without = any(key == name or key.startswith(f"{name}.") for name in WITHOUT_EFFECT)
        assert (key in compared) is not without, key


def load_config_of(content: dict) -> Config:
    return Config.model_validate(content)


def test_an_edited_configuration_is_refused_whatever_was_edited(killed) -> None:
    stored = killed / "config.yaml"
    text = stored.read_text()
    keys = list(settings(load_config(stored)))
    assert len(keys) > 40
    for key in keys:
        content = yaml.safe_load(text)
        for value in variants(field_schema(key), settings(load_config(stored))[key]):
            stored.write_text(edited(content, key, value))
            try:
                load_config(stored)
            except FerError:
                continue  # not a value of this key; the next one
            break
        else:
            raise AssertionError(f"no other value for {key}")
        with pytest.raises(FerError, match="was edited") as raised:
            api.resume(killed)
        assert key in str(raised.value)
        assert str(stored) in str(raised.value)
        stored.write_text(text)
    assert not (killed / "result.json").exists()
    api.resume(killed)
    for name in PRODUCTS:
        assert (killed / name).read_bytes() == Path("runs/whole", name).read_bytes(), name


def test_an_edited_configuration_is_refused_before_anything_was_saved(killed) -> None:
    stored = killed / "config.yaml"
    text = stored.read_text()
    (killed / "last.state.pt").unlink()
    content = yaml.safe_load(text)
    content["train"]["seed"] += 1
    stored.write_text(yaml.safe_dump(content))
    with pytest.raises(FerError, match=r"config\.yaml was edited after the run began, and nothing was saved"):
        api.resume(killed)
    stored.write_text(text)
    api.resume(killed)
    for name in PRODUCTS:
        assert (killed / name).read_bytes() == Path("runs/whole", name).read_bytes(), name


def test_what_cannot_change_a_result_may_be_edited(killed) -> None:
    stored = killed / "config.yaml"
    content = yaml.safe_load(stored.read_text())
    content["data"] |= {"root": "elsewhere", "workers": 0}
    content["train"]["save_every"] = 2
    content["run"] |= {"root": "elsewhere", "device": "cpu"}
    stored.write_text(yaml.safe_dump(content))
    api.resume(killed)
    for name in PRODUCTS:
        assert (killed / name).read_bytes() == Path("runs/whole", name).read_bytes(), name


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("device", "cudda", "the run was trained on device cudda, which cannot be used here (there is no device"),
        ("precision", "fp8", "train.precision fp8 is not supported"),
    ],
)
def test_a_device_or_precision_that_is_recorded_wrongly_names_the_file(killed, field, value, says) -> None:
    path = killed / "env.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(FerError) as caught:
        api.resume(killed)
    assert str(caught.value).startswith(f"{path}: {says}")


def test_other_versions_are_said(killed, monkeypatch, lines) -> None:
    from fer_core.runs import versions

    def others(names):
        return {name: "0.0.1" if name == "torch" else "1" for name in names}

    monkeypatch.setattr(versions, "installed_versions", others)
    began = read_state(killed / "last.state.pt").envelope.identity.versions
    api.resume(killed)
    assert any(line.startswith("warning  torch was ") and "is 0.0.1" in line for line in lines)
    assert read_state(killed / "last.state.pt").envelope.identity.versions == began


def test_an_extended_run_is_the_long_run_where_the_schedule_does_not_depend_on_the_length(tiny, quick) -> None:
    short = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/short"})
    before = {path.name: path.read_bytes() for path in short.folder.iterdir()}
    longer = quick | {"train": {"epochs": 6}}
    long = fer_core.train("tiny", "bars", device="cpu", **longer, run={"dir": "runs/long"})
    extended = api.extend(short.folder, epochs=6)
    assert extended.folder != short.folder
    assert {path.name: path.read_bytes() for path in short.folder.iterdir()} == before
    for name in ("predictions-test.csv", "metrics.jsonl"):
        assert (extended.folder / name).read_bytes() == (long.folder / name).read_bytes()
    assert load_config(extended.folder / "config.yaml").train.epochs == 6
    record = extended.result.extended
    assert (record.epochs, record.epoch, record.step) == (4, 4, 16)
    assert record.config_sha256 == short.result.config_sha256
    assert long.result.extended is None
    assert extended.result.config_sha256 == long.result.config_sha256


def test_an_extended_run_follows_the_schedule_of_its_own_length(tiny, quick) -> None:
    quick["scheduler"] = {"name": "cosine", "per": "step"}
    short = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/short"})
    longer = quick | {"train": {"epochs": 8}}
    long = fer_core.train("tiny", "bars", device="cpu", **longer, run={"dir": "runs/long"})
    extended = api.extend(short.folder, epochs=8)
    rates = [[row.lr for row in read_history(run.folder)] for run in (short, long, extended)]
    assert rates[2] == rates[0] + rates[1][4:]


def test_an_extended_run_that_is_killed_resumes_to_the_same_bytes(tiny, quick, monkeypatch) -> None:
    short = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/short"})
    whole = api.extend(short.folder, epochs=6, run={"dir": "runs/whole"})
    original = loop.Loop.step

    def dying(self, batch):
        if self.position.step in (16, 21):
            raise Killed
        original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "step", dying)
        with pytest.raises(Killed):
            api.extend(short.folder, epochs=6, run={"dir": "runs/killed"})
    shutil.rmtree(short.folder)
    resumed = api.resume("runs/killed")
    for name in PRODUCTS:
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("sections", "epochs", "says"),
    [
        ({}, 4, "4 epochs are planned and 4 done: give more"),
        ({"train": {"epochs": 4, "steps": 6}}, 8, "train.steps"),
    ],
)
def test_what_cannot_be_extended_says_why(tiny, quick, sections, epochs, says) -> None:
    run = fer_core.train("tiny", "bars", device="cpu", **quick | sections, run={"dir": "runs/a"})
    with pytest.raises(FerError, match=says):
        api.extend(run.folder, epochs=epochs)
    assert [path.name for path in Path("runs").iterdir()] == ["a"]


def test_a_run_whose_data_changed_is_not_extended(tiny, quick) -> None:
    run = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/a"})
    state = read_state(run.folder / "last.state.pt")
    data = state.envelope.identity.data.model_copy(update={"fingerprint": "0" * 64})
    identity = state.envelope.identity.model_copy(update={"data": data})
    envelope = state.envelope.model_copy(update={"identity": identity})
    save_state(run.folder / "last.state.pt", replace(state, envelope=envelope))
    with pytest.raises(FerError, match="the data or their split are not those"):
        api.extend(run.folder, epochs=8)
    assert [path.name for path in Path("runs").iterdir()] == ["a"]


def test_best_weights_that_are_newer_than_the_state_are_not_extended(tiny, quick) -> None:
    """As a kill between saving the two leaves them; resuming repairs it."""
    run = fer_core.train("tiny", "bars", device="cpu", **quick, run={"dir": "runs/a"})
    weights, header = load_weights(run.checkpoint)
    selection = header.selection.model_copy(update={"step": 99})
    save_weights(run.checkpoint, weights, header.model_copy(update={"selection": selection}))
    with pytest.raises(FerError, match="resume it first"):
        api.extend(run.folder, epochs=8)
    assert [path.name for path in Path("runs").iterdir()] == ["a"]
