"""The parts of a diagnosis that run the network: robustness, attention, embedding."""

import json
import re
from dataclasses import replace
from pathlib import Path

import fer_core
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from fer_core import registry
from fer_core.cli import main
from fer_core.data.packs.open import DirectReader
from fer_core.diagnosis.attention import GRAD_CAM, choose_extremes, grad_cam, look
from fer_core.diagnosis.corruptions import CORRUPTIONS, STRENGTHS, CorruptedPack, corrupt
from fer_core.diagnosis.embedding import embed, neighbour_shares, read_features
from fer_core.diagnosis.faces import Faces
from fer_core.diagnosis.robustness import measure_robustness
from fer_core.diagnosis.sample import sample_faces
from fer_core.diagnosis.trace import find_features, find_map, run_to
from fer_core.engine import Engine
from fer_core.inference.network import Network
from fer_core.plotting.faces import overlay
from fer_core.plugin import ModelSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.provenance import Model
from fer_core.reports.page import render_report
from fer_core.runs.reading import collect
from fer_core.testing import make_preprocessing
from fer_core.types import FERDataset
from fer_core.weights.header import Header
from PIL import Image
from torch import nn

SIDE = 48


class Stripes(FERDataset):
    """Stripes of four pixels, strong or faint, against plain grey."""

    name, classes = "stripes", ("happiness", "neutral")

    def __init__(self, root: Path, *, samples: int = 40) -> None:
        ids = [f"s{i}" for i in range(samples)]
        self.table = pd.DataFrame({"id": ids, "label": np.arange(samples) % 2, "split": "test", "source": ids})

    def read(self, row: int) -> np.ndarray:
        image = np.full((SIDE, SIDE, 3), 120.0)
        if row % 2 == 0:
            image += 3 * (row + 2) * np.sin(np.pi / 2 * np.arange(SIDE) + np.pi / 4)[None, :, None]
        return np.clip(image, 0, 255).astype(np.uint8)

    def fingerprint(self) -> str:
        return "stripes"


class StripeDetector(nn.Module):
    """Happy is what changes from column to column by more than a little."""

    def forward(self, images):
        change = images.diff(dim=3).abs().mean((1, 2, 3))
        return {"logits": 100 * torch.stack([change - 0.05, 0.05 - change], dim=1)}


class Quadrant(nn.Module):
    """Two features of each place, red and green, of which only the upper left quadrant is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 2, 1, bias=False)
        self.see.weight.data = torch.tensor([[1.0, -1, 0], [-1, 1, 0]])[:, :, None, None]
        self.keep = _Keep()
        self.fc = nn.Linear(2, 3)
        self.fc.weight.data = torch.tensor([[1.0, 0], [0, 1], [-1, -1]])

    def forward(self, images):
        return {"logits": self.fc(self.keep(self.see(images).relu()).mean((2, 3)))}


class _Keep(nn.Module):
    def forward(self, maps):
        kept = torch.zeros_like(maps)
        kept[:, :, : maps.shape[2] // 2, : maps.shape[3] // 2] = 1
        return maps * kept


class Gated(nn.Module):
    """A stem, a gate on its map that is made by a branch, and a classifier of two layers."""

    def __init__(self, *, channels_last: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3, 2, 1))
        self.turn = _Turn() if channels_last else nn.Identity()
        self.gate = nn.Sequential(nn.LazyLinear(6) if channels_last else nn.Conv2d(6, 1, 1), nn.Sigmoid())
        self.hidden = nn.Linear(6, 5)
        self.fc = nn.Linear(5, 3)
        self.unused = nn.Linear(6, 2)
        self.sides = (1, 2) if channels_last else (2, 3)

    def forward(self, images):
        maps = self.turn(self.stem(images))
        vector = (maps * self.gate(maps)).mean(self.sides)
        hidden = self.hidden(vector).relu()
        return {"logits": self.fc(hidden), "other": self.unused(vector)}


class _Turn(nn.Module):
    def forward(self, maps):
        return maps.permute(0, 2, 3, 1) + 0


class Patches(nn.Module):
    """Patches, then mixing of their tokens, so that a place is no place any more."""

    def __init__(self, info=None) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, 8, 4, 4)
        self.mix = nn.ModuleList(nn.Linear(8, 8) for _ in range(8))
        self.fc = nn.Linear(8, 3)

    def forward(self, images):
        tokens = self.proj(images).flatten(2).transpose(1, 2)
        for layer in self.mix:
            tokens = tokens + layer(tokens).tanh() + tokens.mean(1, keepdim=True)
        return {"logits": self.fc(tokens.mean(1))}


def network(model, classes, **changes):
    preprocessing = make_preprocessing(SIDE, **{"mean": [0.5] * 3, "std": [0.25] * 3, **changes})
    header = Header(
        format=2, hook_api=1, model=Model(name="tiny"), classes=tuple(classes), preprocessing=preprocessing
    )
    return Network(Path("x.safetensors"), model.eval(), header, Engine.start("cpu", "fp32"))


def faces_of(dataset):
    names = np.asarray(dataset.classes, dtype=object)[dataset.table["label"]]
    table = pd.DataFrame({"id": dataset.table["id"], "label": names, "predicted": names})
    return Faces(dataset, DirectReader(dataset), table, dataset.classes)


def fer_run(*arguments):
    done = CliRunner().invoke(main, [str(word) for word in arguments])
    assert "Traceback" not in done.output
    return done


def drawn_face(side):
    """The same smooth picture at any size."""
    y, x = np.mgrid[:side, :side] / side
    planes = [np.sin(40 * x + 9 * y), np.cos(35 * y), np.sin(50 * x * y + 1)]
    return np.rint(127 + 90 * np.stack(planes, axis=2)).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_grow_with_their_strength_and_leave_kind_and_face_alone(name):
    face = drawn_face(64)
    before = face.copy()
    made = [corrupt(face, name, strength, seed=0, row=3) for strength in (0, *STRENGTHS)]
    assert np.array_equal(made[0], face)
    assert all((each.shape, each.dtype) == (face.shape, np.uint8) for each in made)
    change = [np.abs(each.astype(float) - face).mean() for each in made]
    assert np.all(np.diff(change) > 0) or name == "occlusion"  # where the square lies differs
    assert change[-1] > 2 * change[1]
    assert np.array_equal(face, before)
    grey = corrupt(face[..., :1], name, 4, seed=0, row=3)
    assert grey.shape == (64, 64, 1)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_strength_takes_as_much_from_a_small_face_as_from_a_large_one(name):
    def shrink(pixels):
        return np.asarray(Image.fromarray(pixels).resize((48, 48), Image.Resampling.BOX)).astype(float)

    for strength in (2, 5):
        small, large = (corrupt(drawn_face(side), name, strength, seed=0, row=1) for side in (48, 240))
        changes = [np.abs(shrink(made) - shrink(drawn_face(len(made)))).mean() for made in (small, large)]
        assert changes[0] == pytest.approx(changes[1], rel=0.15, abs=0.3)


def test_corruption_of_a_face_depends_on_seed_face_and_strength_alone():
    pack = DirectReader(Stripes(Path()))
    for name in ("noise", "occlusion", "brightness"):
        made = CorruptedPack(pack, name, 3, seed=1)
        together, alone = made.images(np.arange(8)), made.images(np.array([5]))
        assert np.array_equal(together[5], alone[0])
        others = [CorruptedPack(pack, name, 3, seed=seed).images(np.arange(8)) for seed in (1, 2)]
        assert np.array_equal(others[0], together)
        assert not np.array_equal(others[1], together)


def test_clean_faces_are_evaluated_as_ever_and_blur_hurts_what_sees_stripes():
    dataset = Stripes(Path())
    detector = network(StripeDetector(), dataset.classes)
    found = measure_robustness(detector, faces_of(dataset), np.arange(40), batch_size=16)
    assert found.columns.tolist() == ["corruption", "strength", "accuracy", "mean_class_accuracy"]
    assert found.iloc[0].tolist() == ["clean", 0, 1, 1]
    assert found["corruption"].value_counts().to_dict() == {"clean": 1, **dict.fromkeys(CORRUPTIONS, 5)}
    of = {name: found.loc[found["corruption"] == name, "accuracy"].tolist() for name in CORRUPTIONS}
    assert of["blur"] == sorted(of["blur"], reverse=True)
    assert of["blur"][0] > of["blur"][2] > of["blur"][4] == 0.5
    assert of["low_resolution"][-1] == 0.5  # four pixels of stripes become less than one
    assert of["noise"][-1] == 0.5  # all is striped now
    assert of["brightness"][0] == 1 > of["brightness"][-1]


def test_grad_cam_lies_where_the_logit_comes_from():
    model = Quadrant().eval()
    images = torch.zeros(3, 3, 16, 16)
    images[0, 0] = images[1, 1] = images[2, 0] = 1  # red, green, red everywhere
    images[2, :, :4] = 0  # but not at the top
    site = find_map(model, images[:2])
    assert site.module is model.keep
    maps = grad_cam(model, images, torch.tensor([0, 1, 0]), site)
    assert maps.shape == (3, 16, 16)
    quadrant = maps[:, :8, :8]
    assert torch.allclose(quadrant.sum((1, 2)), maps.sum((1, 2)))
    assert (quadrant[:2] > 0).all()
    assert (quadrant[2, :4] == 0).all()
    assert (quadrant[2, 4:] > 0).all()
    assert not grad_cam(model, images, torch.tensor([2, 2, 2]), site).any()  # nothing speaks for it


def test_the_map_is_what_the_whole_decision_passes_through():
    images = torch.rand(2, 3, 32, 32)
    model = Gated().eval()
    site = find_map(model, images)
    assert (site.module, site.channels_last) == (model.turn, False)  # neither the gate nor a rectified half
    last = Gated(channels_last=True).eval()
    last(images)
    site = find_map(last, images)
    assert (site.module, site.channels_last) == (last.turn, True)
    assert grad_cam(last, images, torch.tensor([0, 1]), site).shape == (2, 8, 8)
    assert find_map(Patches().eval(), images) is None
    # The classifier's input, and neither the vector before it nor what goes elsewhere.
    for each in (model, last):
        features = find_features(each, images, 3)
        assert (features.module, features.taken) == (each.fc, True)
        vector, logits = run_to(each, images, features)
        assert torch.equal(each.fc(vector), logits)


def test_maps_are_drawn_on_what_the_network_sees(tiny, monkeypatch):
    tell = {"ramp": lambda size: torch.linspace(-3, 5, size).expand(size, size)}

    def own(model, images):
        return {name: make(4)[None].repeat(len(images), 1, 1) for name, make in tell.items()}

    spec = replace(registry.find("models", "tiny"), attention=own)
    monkeypatch.setitem(
        load_plugins().entries["models"], "tiny", [Entry("tiny", spec, Plugin("tests", "tests", "0"))]
    )
    face = np.zeros((20, 20, 3), dtype=np.uint8)
    face[:10, :10, 0] = 200
    faces = [face] * 9 + [face[::-1, :, :1].copy()]
    for color in ("rgb", "bgr"):
        model = Quadrant()
        if color == "bgr":
            model.see.weight.data = model.see.weight.data.flip(1)
        found = look(network(model, "abc", color=color, std=[1.0] * 3, mean=[0.0] * 3), faces, [0] * 10)
        assert found.pixels.shape == (10, SIDE, SIDE, 3)
        assert np.abs(found.pixels[0, 2, 2] - np.array([200, 0, 0])).max() <= 1
        assert list(found.maps) == [GRAD_CAM, "ramp"]
        assert found.maps[GRAD_CAM][0].argmax() // SIDE < SIDE // 2
        assert found.maps["ramp"][:, 0, 0] == pytest.approx(np.zeros(10))
        assert found.maps["ramp"][:, 0, -1] == pytest.approx(np.ones(10))
    drawn = overlay(found.pixels[0], found.maps["ramp"][0])
    assert drawn[:, -1].mean() > 3 * drawn[:, 0].mean()


def test_the_surest_of_every_class_are_shown():
    table = pd.DataFrame(
        {
            "label": ["a", "a", "a", "b", "b"],
            "predicted": ["a", "a", "b", "b", "b"],
            "p_a": [0.6, 0.9, 0.2, 0.1, 0.3],
            "p_b": [0.4, 0.1, 0.8, 0.9, 0.7],
            "p_c": [0.0] * 5,
        }
    )
    assert choose_extremes(table, ["a", "b", "c"]) == [1, 2, 3, None]


def test_embedding_separates_planted_clusters_and_repeats_itself():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 30)
    centres = {name: 6 * rng.standard_normal(20) for name in "abc"}
    features = np.stack([centres[name] for name in labels]) + rng.standard_normal((90, 20))
    mapped, how = embed(features.astype(np.float32))
    assert "t-SNE" in how
    assert np.array_equal(mapped, embed(features.astype(np.float32))[0])
    assert neighbour_shares(mapped, labels) == {"a": 1, "b": 1, "c": 1}
    few, how = embed(features[::4].astype(np.float32))
    assert (few.shape, how) == ((23, 2), "the first two principal components")
    assert neighbour_shares(few, labels[::4]) == {"a": 1, "b": 1, "c": 1}
    assert embed(np.arange(5, dtype=np.float32)[:, None])[0][:, 1].tolist() == [0] * 5  # one feature is a line
    assert np.isfinite(embed(np.ones((40, 3), dtype=np.float32))[0]).all()


def test_features_are_what_the_classifier_takes_and_the_mean_over_views():
    dataset = Stripes(Path())
    model = Gated()
    for transforms in (["resize", "normalize"], [{"ten_crop": {"resize": 56}}, "normalize"]):
        seen = network(model, "abc", eval_transforms=transforms)
        rows = np.array([3, 0, 7, 2, 9])
        features = read_features(seen, faces_of(dataset), rows, batch_size=2)
        (batch,) = seen.loader(DirectReader(dataset), rows, dataset.table["label"], batch_size=5).epoch(0)
        images = batch["image"]
        with torch.no_grad():
            logits = model(images.flatten(0, -4))["logits"].view(5, -1, 3).mean(1)
            assert torch.allclose(model.fc(torch.from_numpy(features)), logits, atol=1e-5)


def test_the_faces_that_stand_for_all_keep_the_shares_of_classes():
    labels = np.repeat(["a", "b", "c"], [700, 250, 50])
    chosen = sample_faces(labels, 100)
    assert np.array_equal(chosen, sample_faces(labels, 100))
    assert np.unique(labels[chosen], return_counts=True)[1].tolist() == [70, 25, 5]
    assert len(np.unique(chosen)) == 100
    assert not np.array_equal(chosen, sample_faces(labels, 100, seed=1))
    assert sample_faces(labels[:60], 100).tolist() == list(range(60))


def test_parts_of_a_run_are_written_shown_and_repeatable(tiny, quick):
    run = fer_core.train("tiny", "bars", **quick, run={"dir": "run"})
    parts = ["robustness", "attention", "embedding"]
    found = fer_core.diagnose("run", "bars", only=parts, device="cpu")
    assert list(found.record.parts.made()) == parts
    robustness = pd.read_csv(found.folder / "robustness.csv")
    accuracy = run.result.metrics["test"].accuracy
    assert robustness.loc[0, "accuracy"] == pytest.approx(accuracy)
    assert found.record.parts.robustness.figures.clean == pytest.approx(accuracy)
    embedding = pd.read_csv(found.folder / "embedding.csv")
    stored = pd.read_csv(run.folder / "predictions-test.csv")
    assert embedding.columns.tolist() == ["id", "label", "predicted", "x", "y"]
    assert embedding["id"].tolist() == stored["id"].tolist()
    (picture,) = found.record.parts.attention.pictures
    assert "Grad-CAM" in picture.description
    files = sorted(path.name for path in found.folder.iterdir())
    assert files == sorted(
        ["diagnosis.json", "attention.png"]
        + [f"{name}.{end}" for name in ("robustness", "embedding") for end in ("csv", "png")]
    )
    page = render_report(collect([run.folder])).html
    for part in found.record.parts.made().values():
        for picture in part.pictures:
            assert f'alt="{picture.description}"' in page.replace("&gt;", ">")
            with Image.open(found.folder / picture.file) as image:
                assert np.asarray(image.convert("L")).std() > 5
    assert len(re.findall(r'<img [^>]* width="\d+" height="\d+"', page)) == 3
    assert "low resolution" in page.replace("low_resolution", "low resolution")
    again = fer_core.diagnose("run", "bars", out="again", only=parts, device="cpu")
    for name in files:
        assert (again.folder / name).read_bytes() == (found.folder / name).read_bytes()


def test_what_is_not_possible_is_one_line(tiny, quick, monkeypatch):
    fer_core.train("tiny", "bars", **quick, run={"dir": "some/a"})
    for name in ("robustness", "attention", "embedding"):
        refused = fer_run("diagnose", "some", "bars", "--only", f"mistakes,{name}")
        assert refused.exit_code == 2
        assert refused.output.strip().count("\n") == 0
        assert f"{name} cannot be computed from the stored predictions" in refused.output
    done = fer_run("diagnose", "some", "bars")
    assert done.exit_code == 0, done.output
    assert "robustness, attention, embedding  left out: they need a network" in done.output

    spec = ModelSpec(name="patches", factory=Patches, recipes={}, summary="", paper="", licence="", upstream="")
    entry = Entry("patches", spec, Plugin("tests", "tests", "0"))
    monkeypatch.setitem(load_plugins().entries["models"], "patches", [entry])
    settings = {**quick, "train": {"epochs": 1}}
    fer_core.train("patches", "bars", **settings, run={"dir": "tokens"})
    refused = fer_run("diagnose", "tokens", "bars", "--only", "attention", "--device", "cpu")
    assert refused.exit_code == 2
    assert refused.output.strip().count("\n") == 0
    assert "no spatial feature map" in refused.output
    done = fer_run("diagnose", "tokens", "bars", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "attention     left out: this network has no spatial feature map" in done.output
    parts = json.loads((Path("tokens") / "diagnosis-bars-test" / "diagnosis.json").read_text())["parts"]
    assert "attention" not in parts
    assert {"robustness", "embedding"} <= set(parts)
