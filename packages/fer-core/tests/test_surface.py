"""The public surface answers silly values with one line, and shows what it returns in few words."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import fer_core
import numpy as np
import pytest
import torch
from fer_core import FerError, api

SILLY = (
    None,
    0,
    -1,
    3.5,
    True,
    "",
    "nonsense",
    b"bytes",
    [],
    ["x", 3],
    {},
    {"a": object()},
    object(),
    int,
    np.int64(3),
)
GOOD = {
    "create_model": {"name": "tiny"},
    "create_loss": {"name": "cross_entropy", "classes": ["a", "b"]},
    "create_transform": {},
    "list_models": {},
    "list_datasets": {},
    "open_dataset": {"name": "bars"},
    "load_model": {"weights": "w.safetensors"},
    "evaluate": {"checkpoint": "w.safetensors"},
    "diagnose": {"place": "w.safetensors"},
    "calibrate": {"run": "runs"},
    "resume": {"folder": "runs/none"},
    "extend": {"folder": "runs/none", "epochs": 3},
    "convert_upstream": {"name": "tiny", "state": {}},
    "inference_form": {"model": torch.nn.Identity(), "name": "tiny"},
    "import_weights": {"model": "tiny", "file": "w.pth", "out": "o.safetensors"},
    "Predictor": {"checkpoint": "w.safetensors"},
}
"""Arguments that are right, or whose mistake is found last."""


def cases() -> list[tuple[str, str]]:
    return [
        (name, parameter)
        for name in GOOD
        for parameter, kind in inspect.signature(getattr(api, name)).parameters.items()
        if kind.kind is not kind.VAR_KEYWORD
    ]


def answer(call: Callable[..., object], *args: object, **options: object) -> str:
    """The one line of a refusal; empty where the call works."""
    try:
        call(*args, **options)
    except FerError as error:
        return str(error)
    return ""


def test_every_public_name_is_covered() -> None:
    assert set(api.__all__) - {"Run", "train"} == set(GOOD)
    assert all(getattr(fer_core, name) is getattr(api, name) for name in api.__all__ if name != "Run")


@pytest.mark.parametrize(("name", "parameter"), cases())
def test_silly_values_are_answered_in_one_line(tiny, name: str, parameter: str) -> None:
    call, parameters = getattr(api, name), inspect.signature(getattr(api, name)).parameters
    for value in SILLY:
        given = {**GOOD[name], parameter: value}
        first = [given.pop(key) for key, of in parameters.items() if of.kind is of.POSITIONAL_ONLY]
        answer(call, *first, **given)


@pytest.mark.parametrize("value", SILLY)
def test_training_with_silly_values_is_answered_in_one_line(tiny, value: object) -> None:
    """None of them begins a run: what would be a valid value meets an epoch number of 0."""
    stop = {"train": {"epochs": 0}}
    for model, dataset in ((value, "bars"), ("tiny", value)):
        assert answer(fer_core.train, model, dataset, **stop)
    for key in ("data", "device", "seed", "config", "model", "loss", "run", "callbacks", "nonsense"):
        assert answer(fer_core.train, "tiny", "bars", **stop, **{key: value})
    for section, key in (("train", "epochs"), ("data", "batch_size"), ("optimizer", "lr"), ("data", "options")):
        assert answer(fer_core.train, "tiny", "bars", **{"train": {"select": 0}, section: {key: value, "x": 0}})


@pytest.mark.parametrize("value", SILLY)
def test_parts_and_images_that_are_none_are_answered_in_one_line(tiny, value: object) -> None:
    opened = fer_core.open_dataset("bars")
    transform = fer_core.create_transform()
    assert answer(opened.as_torch, value)
    for key in ("protocol", "holdout", "split_seed", "seed", "input_size", "preprocessing", "transform", "train"):
        answer(opened.as_torch, "val", **{key: value})
    assert answer(transform, value)
    assert answer(transform, [value])


def test_an_argument_of_another_type_is_named_with_what_is_expected(tiny) -> None:
    assert answer(fer_core.create_model, "tiny", "three") == (
        "create_model: num_classes is three: expected a whole number"
    )
    assert answer(fer_core.evaluate, "w.safetensors", batchsize=3) == (
        "evaluate has no argument 'batchsize': did you mean batch_size?"
    )
    assert "expected a Preprocessing or None" in answer(fer_core.create_transform, preprocessing={"mean": 1})
    assert "train.epochs is three (argument): expected a whole number" in answer(
        fer_core.train, "tiny", "bars", train={"epochs": "three"}
    )
    assert "train.epochs is a object (argument)" in answer(
        fer_core.train, "tiny", "bars", train={"epochs": object()}
    )
    fer_core.create_model("tiny", np.int64(3))
    with pytest.raises(TypeError):
        fer_core.create_model()


def test_results_show_what_they_are(tiny, quick) -> None:
    run = fer_core.train(
        "tiny", "bars", device="cpu", **quick | {"train": {"steps": 2}, "run": {"dir": "runs/<a>"}}
    )
    accuracy = run.result.metrics["test"].accuracy
    assert repr(run).startswith("<run runs/<a>: tiny on bars, val accuracy ")
    assert f"test accuracy {accuracy:.2%}" in repr(run)
    html = run._repr_html_()
    assert "runs/&lt;a&gt;" in html
    assert f"{accuracy:.4g}" in html
    frame = run.to_frame()
    row = frame[(frame["weights"] == "best") & (frame["part"] == "test")].iloc[0]
    assert (row["accuracy"], row["count"]) == (accuracy, 18)
    found = fer_core.evaluate(run.folder, device="cpu")
    assert repr(found) == f"<evaluation of tiny on bars test: 18 faces, accuracy {found.metrics.accuracy:.2%}>"
    assert f"{found.metrics.accuracy:.4f}" in found._repr_html_()
    faces = found.to_frame()
    assert list(faces.columns) == ["id", "label", "predicted", "p_happiness", "p_sadness", "p_neutral"]
    assert (faces["label"] == faces["predicted"]).mean() == pytest.approx(found.metrics.accuracy)
    assert repr(fer_core.open_dataset("bars")) == "<dataset bars: 90 samples, 3 classes>"
