"""The header of the weight files of a training says what they were made of and from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fer_core import FerError, registry
from fer_core.config import Config, resolve_config
from fer_core.data.prepare import PreparedData, prepare_data
from fer_core.data.union import find_dataset
from fer_core.faces import Alignment
from fer_core.hookspecs import HOOK_API
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Component, Start
from fer_core.types import ClassChanges
from fer_core.weights.header import FORMAT, Header
from fer_core.weights.origin import component_of, list_components, make_header

START = Start(description="weights of a backbone", backbone_sha256=(64 * "d",))


def config(*overrides: str, dataset: str = "bars") -> Config:
    small = ("data.input_size=16", "data.batch_size=16", "data.workers=0", "callbacks=[]", "model.width=4")
    return resolve_config(
        registry.find("models", "tiny"), find_dataset(dataset), overrides=[*small, *overrides]
    ).config


def header(*overrides: str, dataset: str = "bars", change=lambda data: None, components=()) -> Header:
    chosen = config(*overrides, dataset=dataset)
    data = prepare_data(chosen)
    change(data)
    return make_header(chosen, data, START, components)


def test_a_header_says_what_was_trained_on_what_and_from_what(tiny) -> None:
    found = header("data.options.samples=60", "data.split=kfold:3:1", "data.split_seed=5", "data.holdout=0.2")
    assert (found.format, found.hook_api) == (FORMAT, HOOK_API)
    assert (found.model.name, found.model.options) == ("tiny", {"width": 4})
    assert found.classes == ("happiness", "sadness", "neutral")
    assert found.start == START
    assert found.dataset is not None
    assert (found.dataset.name, found.dataset.options) == ("bars", {"samples": 60})
    assert found.split is not None
    assert (found.split.protocol, found.split.seed, found.split.holdout) == ("kfold:3:1+holdout", 5, 0.2)
    assert found.split.fraction == 1.0
    assert found.preprocessing.input_size == 16
    assert found.selection is None


def test_the_digests_are_those_of_the_data(tiny) -> None:
    kept: list[PreparedData] = []
    found = header(change=kept.append)
    (data,) = kept
    assert found.dataset is not None
    assert found.dataset.fingerprint == data.fingerprint == data.dataset.fingerprint()
    assert found.split is not None
    assert found.split.digest == data.split.digest
    assert found.dataset.counts == {role: data.counts(role) for role in ("train", "val", "test")}


def test_parts_without_faces_are_not_counted(tiny) -> None:
    found = header("data.split=kfold:3:0", "train.select=last")
    assert found.dataset is not None
    assert set(found.dataset.counts) == {"train", "test"}


def test_a_part_of_the_training_data_is_recorded_as_one(tiny) -> None:
    found = header("data.fraction=0.5")
    assert found.split is not None
    assert found.split.fraction == 0.5


@pytest.mark.parametrize(
    ("classes", "kept", "renamed"),
    [
        ("[neutral, sadness]", ("neutral", "sadness"), {}),
        ("{happiness: null}", (), {"happiness": None}),
        ("null", (), {}),
    ],
)
def test_a_table_of_classes_is_kept_in_its_own_form(tiny, classes, kept, renamed) -> None:
    found = header(f"data.classes={classes}").dataset
    assert found is not None
    assert (found.kept_classes, found.renamed_classes) == (kept, renamed)
    assert found.class_table == (kept or renamed or None)
    assert set(found.label_space) == (set() if classes == "null" else {"bars"})


def test_what_was_done_to_the_classes_is_recorded_with_numbers_of_faces(tiny) -> None:
    def merge(data: PreparedData) -> None:
        data.dataset.label_space = {"bars": ClassChanges({"joy": {"happiness": 30}}, {"neutral": 12})}
        data.dataset.votes_unused = ("other",)
        data.dataset.layout = "two\nlines"

    found = header(change=merge).dataset
    assert found is not None
    assert found.label_space["bars"].plain() == {
        "renamed": {"joy": {"happiness": 30}},
        "left_out": {"neutral": 12},
    }
    assert found.votes_unused == ("other",)
    assert found.layout == "two\\nlines"


def test_the_alignment_of_the_faces_is_the_datasets(tiny) -> None:
    cut = Alignment(kind="box", margin=0.3)

    def align(data: PreparedData) -> None:
        data.dataset.alignment = cut

    assert header(change=align).preprocessing.alignment == cut
    assert header().preprocessing.alignment is None


def test_what_only_watches_a_training_is_not_in_its_weights(tiny) -> None:
    watching = Component(kind="callbacks", name="progress", distribution="fer-core", version="1")
    model = component_of("models", "tiny")
    assert header(components=(watching, model)).components == (model,)
    assert header().components == ()


def test_components_have_an_order_and_name_their_distribution(tiny) -> None:
    found = list_components(config("callbacks=[progress]"), "cpu")
    assert list(found) == sorted(found, key=lambda of: (of.kind, of.name))
    assert len({(of.kind, of.name) for of in found}) == len(found)
    by_kind = {of.kind: of for of in found}
    assert by_kind["models"].plain() == {
        "kind": "models",
        "name": "tiny",
        "distribution": "fer-tests",
        "version": "0",
    }
    assert by_kind["callbacks"].distribution == "fer-core"


def test_a_union_is_made_of_its_datasets(tiny, monkeypatch) -> None:
    beams = replace(find_dataset("bars"), name="beams")
    entry = Entry("beams", beams, Plugin("beams", "fer-beams", "2.1"))
    monkeypatch.setitem(load_plugins().entries["datasets"], "beams", [entry])
    found = [of for of in list_components(config(dataset="bars+beams"), "cpu") if of.kind == "datasets"]
    assert [(of.name, of.distribution, of.version) for of in found] == [
        ("bars", "fer-tests", "0"),
        ("beams", "fer-beams", "2.1"),
    ]


def test_an_unknown_component_is_refused(tiny) -> None:
    with pytest.raises(FerError, match="there is no loss 'cross_entropi'"):
        list_components(config("loss=cross_entropi"), "cpu")
    with pytest.raises(FerError, match="there is no model 'tony': did you mean tiny"):
        component_of("models", "tony")


def test_a_header_survives_its_file(tiny) -> None:
    found = header("data.options.samples=60")
    assert Header.parse(found.text(), "best.safetensors", "train again") == found
