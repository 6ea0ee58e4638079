"""Backbone weights without a training: what they fill, what the log and the record say, and what does not fit."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import fer_core
import pytest
import torch
from fer_core.errors import FerError
from fer_core.files import sha256
from fer_core.plugin import ModelSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Start
from fer_core.weights.backbone import check_backbones, check_part, load_backbones
from torch import Tensor, nn

BODY = {"body.0.weight": torch.full((8, 3, 3, 3), 0.25), "body.0.bias": torch.full((8,), 0.5)}
NORM = {"body.1.weight": torch.full((8,), 2.0)}


@pytest.fixture
def family(tiny, monkeypatch):
    """`family(**changes)`: the tiny model under the name `based`, whose backbone files are its own state dicts."""

    def register(**changes: object) -> nn.Module:
        entries = load_plugins().entries["models"]
        spec: ModelSpec = dataclasses.replace(
            entries["tiny"][0].value, **{"name": "based", "backbone": dict, **changes}
        )
        monkeypatch.setitem(entries, "based", [Entry("based", spec, Plugin("tests", "fer-tests", "0"))])
        return fer_core.create_model("based", 3)

    return register


def write(path: Path, state: dict[str, Tensor]) -> str:
    torch.save(state, path)
    return str(path)


def refusal(model: nn.Module, *places: str) -> str:
    with pytest.raises(FerError) as caught:
        load_backbones(model, "based", places)
    return str(caught.value)


def test_every_file_fills_its_part_and_the_rest_stays(family, tmp_path, lines) -> None:
    model = family(pretrained="faces")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one, other = write(tmp_path / "a.pth", BODY), write(tmp_path / "b.pth", NORM)
    start = load_backbones(model, "based", [one, other])
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, (BODY | NORM).get(name, before[name])), name
    assert lines == [f"start    2 tensors from {one}, 1 tensors from {other}; 6 of 9 stay at their initial values"]
    assert start == Start(
        description="backbone weights for 3 of 9 tensors, the others random",
        backbone_sha256=tuple(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in (one, other)),
    )
    assert sha256(Path(one)) == start.backbone_sha256[0]


def test_two_files_of_the_same_tensors_are_refused(family, tmp_path) -> None:
    model = family()
    one, norm = write(tmp_path / "a.pth", BODY), write(tmp_path / "b.pth", NORM)
    other = write(tmp_path / "c.pth", {"body.0.bias": torch.ones(8)})
    assert refusal(model, one, norm, other) == (
        f"model.backbone_weights: {other} fills 1 tensors that {one} fills too (body.0.bias): give one of the two"
    )
    whole = write(tmp_path / "d.pth", model.state_dict())
    assert refusal(model, whole, whole) == (
        f"model.backbone_weights: {whole} fills 9 tensors that {whole} fills too "
        f"({', '.join(list(model.state_dict())[:3])}): give one of the two"
    )


def test_random_weights_are_random(family, lines) -> None:
    assert load_backbones(family(), "based", []) == Start(description="random weights")
    assert lines == []


@pytest.mark.parametrize("reads", [True, False])
def test_random_weights_are_told_where_the_paper_had_others(family, lines, reads) -> None:
    model = family(pretrained="a network of faces", backbone=dict if reads else None)
    assert (
        load_backbones(model, "based", []).description
        == "random weights; the paper starts from a network of faces"
    )
    way = "; give -o model.backbone_weights=FILE (`fer-run info based` says where it is)" if reads else ""
    assert lines == [
        f"warning  based starts from random weights, while the paper starts from a network of faces{way}"
    ]


def test_a_model_without_a_backbone_takes_none(family, tmp_path) -> None:
    family(backbone=None)
    check_backbones("based", [])
    with pytest.raises(FerError) as caught:
        check_backbones("based", [str(tmp_path / "a.pth")])
    assert str(caught.value) == "based does not accept backbone weights: leave model.backbone_weights out"


def test_a_file_that_is_not_there_is_named_at_once(family, tmp_path) -> None:
    family()
    with pytest.raises(FerError) as caught:
        check_backbones("based", [str(tmp_path / "a.pth")])
    assert str(caught.value) == (
        f"model.backbone_weights: {tmp_path / 'a.pth'} is not a file: correct the path, or leave the option out "
        "to start from random weights"
    )


OWN = {name: torch.zeros(2, 3) for name in "abcdef"}


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({}, "of 0 backbone tensors none of the model's: "),
        ({"a": torch.zeros(3, 2)}, "of 1 backbone tensors 1 of another shape (a [3, 2] instead of [2, 3]): "),
        (
            {name: torch.zeros(2, 3) for name in "avwxy"},
            "of 5 backbone tensors 4 not part of the model (v, w, x): ",
        ),
        (
            {"x": torch.zeros(1), "a": torch.zeros(1), "b": torch.zeros(2, 3)},
            "of 3 backbone tensors 1 not part of the model (x); 1 of another shape (a [1] instead of [2, 3]): ",
        ),
    ],
)
def test_what_does_not_fit_is_counted_and_named(part, says) -> None:
    with pytest.raises(FerError) as caught:
        check_part(part, OWN, Path("a.pth"))
    assert str(caught.value) == (
        f"a.pth: {says}give the weights of that very backbone, "
        "or the options of the model that they were made with"
    )


def test_a_part_that_fits_passes() -> None:
    check_part({"a": torch.ones(2, 3)}, OWN, Path("a.pth"))
    check_part(OWN, OWN, Path("a.pth"))
