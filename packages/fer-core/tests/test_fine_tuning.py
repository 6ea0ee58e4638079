"""Training from trained weights: what comes over, what is frozen, which learning rates hold, the record of it."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from pathlib import Path

import fer_core
import pytest
import torch
from click.testing import CliRunner
from fer_core import FerError, api
from fer_core.cli import main
from fer_core.config import config_hash, load_config
from fer_core.config.schema import RateGroup
from fer_core.nn.freeze import freeze
from fer_core.optim.factories import adam, sam, sgd
from fer_core.optim.groups import rate_factors, scale_rates
from fer_core.plugin import Trainer
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Model
from fer_core.runs.state import read_state
from fer_core.testing import check_resume, make_preprocessing
from fer_core.types import TaskInfo
from fer_core.weights.checkpoint import load_weights, save_weights
from fer_core.weights.header import Header
from fer_core.weights.transfer import carry_over
from torch import Tensor, nn

CLASSES = ("happiness", "sadness", "neutral")
STILL = {"name": "sgd", "lr": 1e-12}


def weights(path: Path, model: str = "tiny", classes=CLASSES, targets=None, size: int = 16, **options) -> Path:
    """A weight file of a network whose values are all different."""
    torch.manual_seed(7)
    network = fer_core.create_model(model, classes=classes, targets=targets, input_size=size, **options)
    state = {name: torch.randn(value.shape).to(value.dtype).abs() for name, value in network.state_dict().items()}
    header = Header(
        format=2,
        hook_api=1,
        model=Model(name=model, options=options),
        classes=classes,
        preprocessing=make_preprocessing(size, mean=[0.1, 0.2, 0.3], color="bgr"),
        targets={name: tuple(names) for name, names in (targets or {}).items()},
    )
    save_weights(path, state, header)
    return path


def begun(path: Path, classes=CLASSES, model: str = "tiny", targets=None, **options) -> tuple[dict, dict, api.Any]:
    """The state dicts of a new network before and after it is filled from a file, and what is recorded."""
    info = TaskInfo(tuple(classes), input_size=16, targets=targets or {})
    network = fer_core.create_model(model, classes=classes, targets=targets, input_size=16, **options)
    before = copy.deepcopy(network.state_dict())
    found = carry_over(network, model, options, info, path)
    return before, network.state_dict(), found


def train(quick, folder: str = "runs/a", **sections) -> api.Run:
    sections = {"train": {"epochs": 2}, **sections}
    return fer_core.train("tiny", "bars", device="cpu", **{**quick, **sections}, run={"dir": folder})


def test_everything_comes_over_where_the_classes_are_the_same(tiny, tmp_path, lines) -> None:
    path = weights(tmp_path / "a.safetensors")
    _, after, found = begun(path)
    expected, _ = load_weights(path)
    assert all(torch.equal(after[name], value) for name, value in expected.items())
    assert lines == [f"start    9 of 9 tensors from {path}"]
    assert found.start.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_rows_of_a_head_are_taken_by_the_names_of_its_classes(tiny, tmp_path, lines) -> None:
    path = weights(tmp_path / "a.safetensors", classes=(*CLASSES, "fear"))
    _, after, _ = begun(path, ("fear", "neutral", "happiness"))
    theirs, _ = load_weights(path)
    for name in ("head.weight", "head.bias"):
        assert torch.equal(after[name], theirs[name][[3, 2, 0]])
    assert torch.equal(after["body.0.weight"], theirs["body.0.weight"])
    assert lines == [f"start    9 of 9 tensors from {path}; by the names of the classes: head.weight, head.bias"]


def test_the_same_number_of_other_classes_is_another_head(tiny, tmp_path, lines) -> None:
    path = weights(tmp_path / "a.safetensors")
    before, after, found = begun(path, ("happiness", "sadness", "contempt"))
    theirs, _ = load_weights(path)
    for name in ("head.weight", "head.bias"):
        assert torch.equal(after[name], before[name])
    assert torch.equal(after["body.1.running_var"], theirs["body.1.running_var"])
    assert lines == [f"start    7 of 9 tensors from {path}; anew: head.weight, head.bias"]
    assert found.start.description == "trained weights for 7 of 9 tensors; anew: head.weight, head.bias"
    assert "head.weight" not in found.carried


def test_a_head_with_several_rows_for_a_class_begins_anew_for_another_order(tiny, tmp_path, monkeypatch) -> None:
    class Doubled(nn.Module):
        def __init__(self, info: TaskInfo) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 2 * len(info.classes))

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"logits": self.head(self.body(images.mean((2, 3)))).unflatten(1, (2, -1)).sum(1)}

    (entry,) = load_plugins().entries["models"]["tiny"]
    spec = replace(entry.value, name="doubled", factory=Doubled)
    monkeypatch.setitem(load_plugins().entries["models"], "doubled", [Entry("doubled", spec, entry.plugin)])
    path = weights(tmp_path / "a.safetensors", "doubled")
    before, after, _ = begun(path, CLASSES[::-1], "doubled")
    assert torch.equal(after["head.weight"], before["head.weight"])
    assert torch.equal(begun(path, CLASSES, "doubled")[1]["head.weight"], load_weights(path)[0]["head.weight"])


def test_heads_of_extra_targets_come_over_by_their_own_classes(two_heads, tmp_path, lines) -> None:
    theirs = {"mood": ("calm", "tense"), "age": ("young", "old"), "pain": ()}
    path = weights(tmp_path / "a.safetensors", "two_heads", targets=theirs)
    ours = {"mood": ("tense", "calm"), "age": ("young", "older"), "tension": ()}
    before, after, _ = begun(path, model="two_heads", targets=ours)
    state, _ = load_weights(path)
    assert torch.equal(after["heads.mood.weight"], state["heads.mood.weight"][[1, 0]])
    for head in ("age", "tension"):
        assert torch.equal(after[f"heads.{head}.weight"], before[f"heads.{head}.weight"])
    assert torch.equal(after["label.weight"], state["label.weight"])
    (line,) = lines
    assert "anew: heads.age.weight, heads.age.bias, heads.tension.weight, heads.tension.bias" in line
    assert "not used: heads.pain.weight, heads.pain.bias" in line


def test_options_and_preprocessing_of_the_weights_hold_and_the_commands_own_win(tiny, quick) -> None:
    path = weights(Path("a.safetensors"), size=24, width=4)
    plain = {"data": {"batch_size": 16}, "train": {"steps": 1}, "callbacks": []}
    done = fer_core.train("tiny", "bars", device="cpu", weights=path, **plain)
    config = load_config(done.folder / "config.yaml")
    assert (config.model.options, config.data.input_size, config.data.color) == ({"width": 4}, 24, "bgr")
    assert config.data.mean == [0.1, 0.2, 0.3]
    other = fer_core.train("tiny", "bars", device="cpu", weights=path, **quick | {"train": {"steps": 1}})
    assert load_config(other.folder / "config.yaml").data.input_size == 16


def test_the_record_names_the_weights_by_their_content(tiny, quick, tmp_path) -> None:
    path = weights(tmp_path / "a.safetensors")
    one = train(quick, model={"weights": str(path)}, optimizer=STILL)
    state, header = load_weights(one.checkpoint)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    for start in (header.start, one.result.start, read_state(one.folder / "last.state.pt").envelope.start):
        assert start.weights_sha256 == found
    assert load_config(one.folder / "config.yaml").model.weights_sha256 == found
    assert torch.allclose(state["head.weight"], load_weights(path)[0]["head.weight"])
    moved = path.rename(tmp_path / "b.safetensors")
    two = train(quick, "runs/b", model={"weights": str(moved)}, optimizer=STILL)
    assert (two.folder / "result.json").read_bytes() == (one.folder / "result.json").read_bytes()
    weights(tmp_path / "a.safetensors", classes=CLASSES[::-1])
    three = train(quick, "runs/c", model={"weights": str(path)}, optimizer=STILL)
    hashes = [config_hash(load_config(run.folder / "config.yaml")) for run in (one, two, three)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_resuming_needs_the_weights_no_more_and_ends_alike(tiny, quick, tmp_path, monkeypatch) -> None:
    path = weights(tmp_path / "a.safetensors")
    resume = api.resume

    def without_the_file(folder: Path) -> api.Run:
        path.unlink()
        return resume(folder)

    monkeypatch.setattr(api, "resume", without_the_file)
    frozen = {"weights": str(path), "freeze": ["body.*"]}
    groups = [{"match": "head.bias", "lr_factor": 0.5}]
    quick |= {"model": frozen, "optimizer": {"name": "adamw", "lr": 0.01, "groups": groups}}
    before, _ = load_weights(path)
    trained = check_resume("tiny", "bars", tmp_path, **quick)
    assert not path.exists()
    for name in ("body.0.weight", "body.1.running_mean", "body.1.num_batches_tracked"):
        assert torch.equal(trained[f"model.{name}"], before[name])


def test_frozen_parameters_and_their_statistics_stay(tiny, quick, tmp_path, lines) -> None:
    path = weights(tmp_path / "a.safetensors")
    done = train(quick, model={"weights": str(path), "freeze": ["body.*"]})
    before, after = load_weights(path)[0], load_weights(done.checkpoint)[0]
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["head.bias", "head.weight"]
    assert any(line.startswith("frozen   240 of 627 parameters, in 4 tensors") for line in lines)
    free = train(quick, "runs/b", model={"weights": str(path)})
    assert not torch.equal(load_weights(free.checkpoint)[0]["body.1.running_mean"], before["body.1.running_mean"])


def test_a_frozen_norm_normalises_with_its_statistics_in_training_and_in_copies() -> None:
    network = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False)
    )
    assert freeze(network, ["1.*", "3.weight"]) == ["1.weight", "1.bias", "3.weight"]
    for model in (network, copy.deepcopy(network)):
        model.train()
        assert [module.training for module in model] == [True, False, True, True, True]
        model.eval()
    copied = copy.deepcopy(network).train()
    copied(torch.randn(8, 3))
    assert torch.equal(copied[1].running_mean, torch.zeros(4))
    assert not torch.equal(copied[3].running_mean, torch.zeros(4))
    assert torch.equal(network[3].running_mean, torch.zeros(4))


@pytest.mark.parametrize("make", [sgd, adam, sam])
def test_learning_rates_follow_the_first_pattern_that_matches(make) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = make(network.parameters(), lr=0.1, weight_decay=0.1, decay_vectors=False)
    groups = [RateGroup(match="0.weight", lr_factor=2.0), RateGroup(match="[01].*", lr_factor=0.1)]
    scale_rates(optimizer, rate_factors([network], groups))
    names = {parameter: name for name, parameter in network.named_parameters()}
    found = {
        names[p]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    assert found == {
        "0.weight": (0.2, 0.1),
        "0.bias": (pytest.approx(0.01), 0.0),
        "1.weight": (pytest.approx(0.01), 0.0),
        "1.bias": (pytest.approx(0.01), 0.0),
        "2.weight": (0.1, 0.1),
        "2.bias": (0.1, 0.0),
    }
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_step_of_a_group_is_its_factor_times_as_long(tiny, quick, tmp_path) -> None:
    path = weights(tmp_path / "a.safetensors")
    moves: list[dict[str, Tensor]] = []
    for number, groups in enumerate(([], [{"match": "head.*", "lr_factor": 0.25}])):
        optimizer = {"name": "sgd", "lr": 0.01, "groups": groups}
        done = train(
            quick, f"runs/{number}", model={"weights": str(path)}, optimizer=optimizer, train={"steps": 1}
        )
        after = load_weights(done.checkpoint)[0]
        moves.append({name: after[name] - value for name, value in load_weights(path)[0].items()})
    assert torch.allclose(moves[1]["head.weight"], 0.25 * moves[0]["head.weight"], rtol=1e-2, atol=1e-6)
    assert torch.equal(moves[1]["body.0.weight"], moves[0]["body.0.weight"])


def test_a_second_network_starts_from_the_weights_too(tiny, quick, tmp_path, monkeypatch) -> None:
    seen: list[dict[str, Tensor]] = []

    class Pair(Trainer):
        def __init__(self, *given) -> None:
            super().__init__(*given)
            self.other = self.add_model("other")
            seen.extend(copy.deepcopy(model.state_dict()) for model in self.models)

        def training_step(self, batch, progress):
            losses = super().training_step(batch, progress)
            return losses | {"loss": losses["loss"] + self.other(batch["image"])["logits"].square().mean()}

    plugin = Plugin("tests", "fer-tests", "0")
    monkeypatch.setitem(load_plugins().entries["trainers"], "pair", [Entry("pair", Pair, plugin)])
    path = weights(tmp_path / "a.safetensors", classes=("fear", "disgust", "anger"))
    groups = [{"match": "head.*", "lr_factor": 0.5}]
    done = train(
        quick,
        model={"weights": str(path), "freeze": ["body.*"]},
        optimizer={"name": "sgd", "lr": 0.1, "groups": groups},
        train={"trainer": "pair", "epochs": 1},
    )
    first, other = seen
    assert torch.equal(first["body.0.weight"], other["body.0.weight"])
    assert not torch.equal(first["head.weight"], other["head.weight"])
    state = read_state(done.folder / "last.state.pt")
    assert torch.equal(state.task["extra.other.body.1.running_mean"], other["body.1.running_mean"])
    assert not torch.equal(state.task["extra.other.head.weight"], other["head.weight"])
    assert [group["lr"] for group in state.optimizers[0]["param_groups"]] == [0.05]


def test_the_command_says_each_mistake_in_one_line_and_writes_nothing(tiny, quick, tmp_path) -> None:
    path = weights(tmp_path / "a.safetensors")
    altered = tmp_path / "altered.safetensors"
    altered.write_bytes(path.read_bytes()[:-40])
    wide = weights(tmp_path / "wide.safetensors", width=4)
    cases = {
        f"--from {tmp_path / 'absent.safetensors'}": "there are no weights",
        f"--from {altered}": "is not a complete safetensors file",
        f"--from {wide} -o model.width=8": "does not fit model tiny: of 7 tensors",
        f"--from {path} -o model.weights_sha256={'f' * 64}": "it was altered or is another file",
        f"-o model.weights_sha256={'f' * 64}": "given without model.weights",
        f"--from {path} -o model.backbone_weights=a.pth": "exclude each other",
        f"--from {path} -o model.freeze=[trunk.*]": "model.freeze: 'trunk.*' matches no parameter of the model",
        f"--from {path} -o model.freeze=['*']": "every parameter is frozen",
        f"--from {path} -o optimizer.groups=[{{match:_trunk,lr_factor:_2.0}}]": "groups: 'trunk' matches no",
        f"--from {path} -o optimizer.groups=[{{match:_head,lr_factor:_0.0}}]": "expected a list of {match:",
    }
    for words, message in cases.items():
        arguments = [word.replace(":_", ": ") for word in words.split()]
        result = CliRunner().invoke(main, ["train", "tiny", "bars", "--epochs", "1", *arguments])
        assert (result.exit_code, result.stderr.count("Error: ")) == (2, 1), (words, result.stderr)
        assert message in result.stderr, result.stderr
    assert not Path("runs").exists()


def test_weights_of_another_model_are_named(two_heads, quick, tmp_path) -> None:
    path = weights(tmp_path / "a.safetensors", "two_heads")
    with pytest.raises(FerError, match="holds weights of two_heads, not of tiny: train two_heads, or"):
        train(quick, model={"weights": str(path)})


def test_a_run_is_a_start_too(tiny, quick, lines) -> None:
    first = train(quick)
    result = CliRunner().invoke(main, ["train", "tiny", "bars", "--from", "runs/a", "--dry-run"])
    assert "# weights runs/a" in result.stdout
    second = train(quick, "runs/b", model={"weights": "runs/latest"}, optimizer=STILL)
    assert f"start    9 of 9 tensors from {first.checkpoint}" in lines
    assert second.result.start.description == "trained weights of bars for 9 of 9 tensors"
