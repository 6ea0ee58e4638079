"""Every model of the house trains on the drawn faces by its own recipe, made small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fer_core
import pytest
from fer_core import registry
from fer_core.plugins import load_plugins, normalize

MODELS = ("poster", "poster_pp", "dan", "ddamfn", "ddamfn_pp", "adadf", "lnsu", "mfer", "gsdnet", "timm")
ALIASES = {"POSTER++": "poster_pp", "ddamfn++": "ddamfn_pp", "Ada-DF": "adadf", "lnsu-net": "lnsu"}


def test_the_house_is_complete_and_known_by_the_names_that_people_type() -> None:
    assert set(MODELS) <= set(registry.names("models"))
    assert {name: registry.find("models", name).name for name in ALIASES} == ALIASES


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_every_name_of_the_house_tells_its_package_where_that_is_not_installed(kind) -> None:
    known = {normalize(name): home for name, home in registry.known()[kind].items()}
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
        callbacks=[],
        show=lambda line: None,
    )
    lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["train"]["loss"] for line in lines]
    assert losses[-1] < losses[0]
    assert run.result["model"]["name"] == model
    assert 0 <= run.result["metrics"]["test"]["accuracy"] <= 1
