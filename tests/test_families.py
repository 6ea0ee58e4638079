"""Every model of the house trains on the drawn faces by its own recipe, made small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fer_core
import pandas as pd
import pytest
import torch
from fer_core import registry
from fer_core.diagnosis.trace import find_features, find_map, run_to
from fer_core.nn.meta import without_content
from fer_core.plugins import load_plugins, normalize
from fer_core.refs import resolve

MODELS = (
    "poster",
    "poster_pp",
    "dan",
    "ddamfn",
    "ddamfn_pp",
    "adadf",
    "lnsu",
    "mfer",
    "gsdnet",
    "timm",
    "compact",
)
ALIASES = {"POSTER++": "poster_pp", "ddamfn++": "ddamfn_pp", "Ada-DF": "adadf", "lnsu-net": "lnsu"}


def test_the_house_is_complete_and_known_by_the_names_that_people_type() -> None:
    assert set(MODELS) <= set(registry.names("models"))
    assert {name: registry.find("models", name).name for name in ALIASES} == ALIASES


@pytest.mark.parametrize("kind", ["models", "weights", "datasets"])
def test_every_name_of_the_house_tells_its_package_where_that_is_not_installed(kind) -> None:
    known = {normalize(name): home for name, home in registry.known().get(kind, {}).items()}
    brought = {
        normalize(name): entry.plugin.distribution
        for entries in load_plugins().entries[kind].values()
        for entry in entries
        for name in (entry.name, *entry.value.aliases)
        if entry.plugin.distribution.startswith("fer-")
    }
    assert known == brought


def test_the_core_knows_no_family() -> None:
    """Word-bounded, in every Python file of the core; `timm` is a family as well as a library."""
    words = re.compile(
        r"\b(poster|poster_pp|poster\+\+|dan|ddamfn|ddamfn_pp|ada-?df|lnsu(-?net)?|mfer|gsd-?net|timm)\b",
        re.IGNORECASE,
    )
    core = Path(fer_core.__file__).parent
    found = [
        f"{path.relative_to(core)}:{number}: {line.strip()}"
        for path in core.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if words.search(line)
    ]
    assert not found, "\n".join(found)


COMPARABLE = {"adadf": {"alpha": 0.5}}
"""Options of losses whose weights otherwise change with the epoch."""


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_few_steps_lower_the_loss(model, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    run = fer_core.train(
        model,
        "synthetic",
        data={"options": {"samples": 84, "size": 48}, "batch_size": 8, "eval_batch_size": 8},
        train={"epochs": 3},
        scheduler={"name": "constant"},
        loss=COMPARABLE.get(model, {}),
        callbacks=[],
    )
    lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["train"]["loss"] for line in lines]
    assert losses[-1] < losses[0]
    assert run.result.model.name == model
    assert 0 <= run.result.metrics["test"].accuracy <= 1


@pytest.mark.parametrize("name", MODELS)
def test_the_inference_form_is_made_where_the_model_is(name: str) -> None:
    with without_content():
        model = fer_core.create_model(name, num_classes=7)
    form = fer_core.inference_form(model, name)
    assert form is not model
    assert {tensor.device.type for tensor in (*form.parameters(), *form.buffers())} == {"meta"}


@pytest.mark.parametrize("name", ["dan", "timm"])
def test_validation_measures_what_the_saved_weights_score(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    run = fer_core.train(
        name,
        "synthetic",
        data={"options": {"samples": 70, "size": 32}, "batch_size": 8, "eval_batch_size": 8, "input_size": 64},
        train={"steps": 2, "ema": 0.5},
        callbacks=[],
    )
    found = fer_core.evaluate(run.checkpoint, split="val", batch_size=8)
    assert found.metrics == run.result.metrics["val"]
    stored = pd.read_csv(run.folder / "predictions-val.csv")
    assert found.to_frame()["predicted"].tolist() == stored["predicted"].tolist()


OWN_MAPS = {
    "dan": ["head 1", "head 2", "head 3", "head 4"],
    "ddamfn": ["head 1", "head 2"],
    "lnsu": ["class map"],
    "mfer": ["stage 3", "stage 4"],
    "poster_pp": ["large scale", "medium scale", "small scale"],
}
MAPS = {
    "dan": "features",
    "ddamfn": "features",
    "adadf": "branch_2_feature.2",
    "mfer": "stages.3",
    "gsdnet": "resnet.layer4",
    "timm": "network.layer4",
    "compact": "body",
    "poster": "",
    "poster_pp": "",
    "lnsu": "",
}


@pytest.mark.parametrize("name", MAPS)
def test_where_a_model_looks(name: str) -> None:
    """Grad-CAM's map is the last one that the whole decision passes through; own maps have places."""
    torch.manual_seed(0)
    model = fer_core.create_model(name, num_classes=7).eval()
    images = torch.randn(2, 3, 112, 112)
    site = find_map(model, images)
    assert site is None or site.module is model.get_submodule(MAPS[name])
    assert (site is None) == (MAPS[name] == "")
    features = find_features(model, images, 7)
    assert features is not None
    spec = registry.find("models", name)
    assert (spec.attention is not None) == (name in OWN_MAPS)
    with torch.no_grad():
        vectors, logits = run_to(model, images, features)
        maps = {} if spec.attention is None else resolve(spec.attention)(model, images)
    assert vectors.shape[0] == 2
    assert vectors.shape[1] > logits.shape[1] == 7
    assert list(maps) == OWN_MAPS.get(name, [])
    for each in maps.values():
        assert each.dim() == 3
        assert len(each) == 2
        assert each.shape[1] == each.shape[2] > 1
        assert torch.isfinite(each).all()
        assert (each.amax((1, 2)) > each.amin((1, 2))).all()
    if name == "poster_pp":  # shares of one attention, of which the class token keeps some
        assert 0.5 < sum(each.sum((1, 2)) for each in maps.values())[0] < 1
    elif name == "mfer":  # each sums to 1 over its places
        assert torch.allclose(maps["stage 4"].sum((1, 2)), torch.ones(2), atol=1e-4)
    elif name == "lnsu":  # the mean over places and the bias are the logit
        wanted = logits.amax(1) - model.head.bias[logits.argmax(1)]
        assert torch.allclose(maps["class map"].mean((1, 2)), wanted, atol=1e-4)
    elif name == "ddamfn":  # means of gates
        assert all(((each > 0) & (each < 1)).all() for each in maps.values())
