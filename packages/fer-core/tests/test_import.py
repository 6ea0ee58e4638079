"""`fer-run import`: files of a model's authors become checkpoints that evaluate, predict and start training."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fer_core import FerError
from fer_core.cli import main
from fer_core.plugin import ModelSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Model
from fer_core.published import ClassOrder
from fer_core.weights import check_state, checkpoint, unwrap
from torch import Tensor, nn

PLUGIN = Plugin("tests", "fer-tests", "0")
ORDER = ("neutral", "happiness", "sadness")
AUTHORS = ("sadness", "neutral", "happiness")


def convert(state: dict) -> dict[str, Tensor]:
    found = {name.replace("net.", "body."): tensor for name, tensor in unwrap(state).items()}
    if "head.weight" not in found:
        raise FerError("no head.weight, so it is none of this family's: give one of its files")
    number, width = len(found["head.weight"]), len(found.get("body.0.bias", ()))
    check_state(found, fer_core.create_model("theirs", number, width=width or 8).state_dict(), "no such network")
    return found


def describe(state: dict[str, Tensor]) -> tuple[int, dict]:
    return len(state["head.weight"]), {"width": len(state["body.0.bias"])}


def backbone(state: dict) -> dict[str, Tensor]:
    return {f"body.0.{name.partition('.')[2]}": value for name, value in state.items() if name.startswith("conv.")}


class Folded(nn.Module):
    """Stands for a faster form: another module with the same logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.whole = model

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.whole(images)["logits"]}


@pytest.fixture
def theirs(tiny, monkeypatch, tmp_path) -> Path:
    """`theirs` is the tiny model with a converter and an own recipe for `bars`; gives a file of its authors."""
    (tmp_path / "bars_recipe").mkdir()
    (tmp_path / "bars_recipe" / "__init__.py").write_text("")
    (tmp_path / "bars_recipe" / "bars.yaml").write_text(
        "data: {input_size: 16, mean: [0.1, 0.2, 0.3], color: bgr, eval_transforms: [resize, normalize]}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = load_plugins().entries["models"]
    spec: ModelSpec = dataclasses.replace(
        entries["tiny"][0].value,
        name="theirs",
        converter=convert,
        describe=describe,
        backbone=backbone,
        inference=Folded,
        recipes={"bars": "bars_recipe:bars.yaml"},
        class_orders=(ClassOrder(dataset="bars", classes=AUTHORS, source="the axes of their figure"),),
    )
    monkeypatch.setitem(entries, "theirs", [Entry("theirs", spec, PLUGIN)])
    path = tmp_path / "epoch21.pth"
    torch.save({"epoch": 21, "state_dict": file_of(network())}, path)
    return path


def network(classes: int = 3, width: int = 4) -> nn.Module:
    torch.manual_seed(1)
    model = fer_core.create_model("tiny", classes, width=width)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


def file_of(model: nn.Module) -> dict[str, Tensor]:
    return {f"module.{name.replace('body.', 'net.')}": tensor for name, tensor in model.state_dict().items()}


def bring(file: Path, out: str | Path = "out.safetensors", **options) -> Path:
    return fer_core.import_weights("theirs", file, out, **options)


def test_the_checkpoint_holds_the_files_weights_and_the_recipes_preprocessing(theirs) -> None:
    state, header = checkpoint.load_weights(bring(theirs, dataset="bars"))
    expected = network().state_dict()
    assert list(state) == sorted(expected)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    assert header.model == Model(name="theirs", options={"width": 4})
    assert header.classes == AUTHORS  # and not in the order of the dataset
    found = header.preprocessing
    assert (found.input_size, found.mean, found.color) == (16, (0.1, 0.2, 0.3), "bgr")
    assert str(theirs.parent) not in header.text()
    first = Path("out.safetensors").read_bytes()
    assert bring(theirs, "again.safetensors", dataset="bars").read_bytes() == first


def test_without_a_dataset_the_defaults_hold_and_the_classes_are_given(theirs) -> None:
    header = checkpoint.read_header(bring(theirs, classes=ORDER))
    assert (header.preprocessing.input_size, header.preprocessing.color, header.classes) == (224, "rgb", ORDER)


def test_predictions_use_the_networks_inference_form_and_agree(theirs) -> None:
    predictor = fer_core.Predictor(bring(theirs, dataset="bars"), device="cpu", precision="fp32")
    assert isinstance(predictor.network.model, Folded)
    face = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    pixels = torch.from_numpy(np.ascontiguousarray(face[:, :, ::-1])).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.1, 0.2, 0.3], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        expected = network().eval()((pixels - mean) / std)["logits"].softmax(1)
    assert torch.allclose(predictor.probabilities([face]), expected, atol=1e-5)


def test_a_model_without_such_a_form_is_its_own(tiny) -> None:
    model = fer_core.create_model("tiny", 3)
    assert fer_core.inference_form(model, "tiny") is model
    assert not model.training


def test_classes_are_matched_by_name_when_the_orders_differ(theirs) -> None:
    ours = fer_core.evaluate(bring(theirs, dataset="bars"), "bars", device="cpu")
    shuffled = network()
    order = [ours.classes.index(name) for name in ORDER]
    with torch.no_grad():
        shuffled.head.weight.copy_(network().head.weight[order])
        shuffled.head.bias.copy_(network().head.bias[order])
    torch.save(file_of(shuffled), "shuffled.pth")
    header_of_bars = checkpoint.read_header(Path("out.safetensors"))
    other = bring(Path("shuffled.pth"), "other.safetensors", classes=ORDER)
    state, header = checkpoint.load_weights(other)
    header = header.model_copy(update={"preprocessing": header_of_bars.preprocessing})
    checkpoint.save_weights(Path("same.safetensors"), state, header)
    found = fer_core.evaluate("same.safetensors", "bars", device="cpu")
    assert found.classes == ORDER
    assert [found.classes[i] for i in found.labels] == [ours.classes[i] for i in ours.labels]
    assert found.metrics.accuracy == ours.metrics.accuracy
    assert np.allclose(found.probabilities, ours.probabilities[:, order], atol=1e-6)


def test_a_backbone_can_start_a_training_and_nothing_else(theirs, quick) -> None:
    torch.save({"conv.weight": torch.full((8, 3, 3, 3), 0.5), "fc.weight": torch.ones(2)}, "resnet.pth")
    path = bring(Path("resnet.pth"), part="backbone")
    quick |= {"train": {"steps": 1}, "optimizer": {"name": "sgd", "lr": 1e-9}}
    quick["model"] = {"backbone_weights": str(path)}
    done = fer_core.train("theirs", "bars", device="cpu", **quick)
    weights, _ = checkpoint.load_weights(done.checkpoint)
    assert torch.allclose(weights["body.0.weight"], torch.tensor(0.5))
    with pytest.raises(FerError, match="holds a backbone only"):
        fer_core.evaluate(path, "bars", device="cpu")


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["import", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().split("\n")
    assert line.startswith("Error: ")
    assert not Path("out.safetensors").exists()
    return line


OUT = ("--out", "out.safetensors")


def test_the_command_says_what_it_wrote(theirs) -> None:
    result = CliRunner().invoke(main, ["import", "theirs", str(theirs), "--classes", "a, b,c", *OUT])
    assert result.exit_code == 0, result.output
    assert "classes  a, b, c" in result.output
    assert "written  out.safetensors" in result.output
    assert checkpoint.read_header(Path("out.safetensors")).classes == ("a", "b", "c")


def test_unknown_or_wrong_classes_are_refused(theirs) -> None:
    assert "order of its 3 classes is unknown" in refused("theirs", theirs, *OUT)
    assert "the file has 3 classes, but --classes has 2" in refused("theirs", theirs, "--classes", "a,b", *OUT)
    assert "has a repeated or empty class name" in refused("theirs", theirs, "--classes", "a,a,b", *OUT)
    torch.save(file_of(network(classes=4)), "four.pth")
    line = refused("theirs", "four.pth", "--dataset", "bars", *OUT)
    assert "the authors' order for bars has 3 classes, but the file has 4: give --classes a,b,..." in line
    assert "there is no dataset" in refused("theirs", theirs, "--dataset", "barz", *OUT)


def test_files_that_are_none_of_the_models_are_refused(theirs) -> None:
    torch.save({"encoder.weight": torch.ones(3)}, "other.pth")
    assert "none of this family's" in refused("theirs", "other.pth", "--dataset", "bars", *OUT)
    torch.save(file_of(network()) | {"extra.bias": torch.ones(3)}, "extra.pth")
    assert "1 not part of it (extra.bias)" in refused("theirs", "extra.pth", "--dataset", "bars", *OUT)
    assert "is not a file" in refused("theirs", "absent.pth", "--dataset", "bars", *OUT)
    assert "tiny cannot import weights" in refused("tiny", theirs, "--dataset", "bars", *OUT)
    assert "tiny does not accept backbone weights" in refused("tiny", theirs, "--as", "backbone", *OUT)
    assert "no dataset" not in refused("nothing", theirs, *OUT)


def test_an_order_that_the_authors_do_not_state_is_never_the_datasets(theirs, monkeypatch) -> None:
    entries = load_plugins().entries["models"]
    silent = dataclasses.replace(entries["theirs"][0].value, class_orders=())
    monkeypatch.setitem(entries, "theirs", [Entry("theirs", silent, PLUGIN)])
    line = refused("theirs", theirs, "--dataset", "bars", *OUT)
    assert "the authors of theirs state none for bars: give --classes a,b,... in the file's order" in line
    header = checkpoint.read_header(bring(theirs, dataset="bars", classes=ORDER))
    assert header.classes == ORDER
    assert header.preprocessing.color == "bgr"  # of the recipe for bars


class Command:
    def __reduce__(self):
        return os.system, ("touch canary",)


def test_a_file_with_a_command_in_it_is_refused_and_does_not_run_it(theirs) -> None:
    torch.save({"state_dict": file_of(network()), "hook": Command()}, "attack.pth")
    assert "which is an attack" in refused("theirs", "attack.pth", "--dataset", "bars", *OUT)
    assert not Path("canary").exists()


def test_an_existing_file_is_not_overwritten(theirs) -> None:
    Path("kept.safetensors").write_text("mine")
    line = refused("theirs", theirs, "--dataset", "bars", "--out", "kept.safetensors")
    assert "exists and is not overwritten" in line
    assert Path("kept.safetensors").read_text() == "mine"
    assert "does not end in .safetensors" in refused("theirs", theirs, "--out", "a.pth")
    assert "is not a folder" in refused("theirs", theirs, "--out", "absent/out.safetensors")
