"""Pieces of fer in a program of one's own: datasets, transforms and trained models as torch users know them."""

from __future__ import annotations

from pathlib import Path

import fer_core
import numpy as np
import pytest
import torch
from fer_core import FerError
from fer_core.config.schema import Data
from fer_core.data.loader import Loader
from fer_core.data.random import derive_seed
from fer_core.data.samplers import shuffle
from fer_core.data.transforms import build_pipeline
from fer_core.engine.devices import Cpu
from fer_core.preprocessing import Preprocessing
from fer_core.provenance import Calibration
from fer_core.weights.checkpoint import load_weights, save_weights
from PIL import Image
from torch.utils.data import DataLoader


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def message(call, *args, **options) -> str:
    with pytest.raises(FerError) as caught:
        call(*args, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_installed_names_are_listed_by_pattern(tiny) -> None:
    assert "tiny" in fer_core.list_models()
    assert fer_core.list_models("T*y") == ["tiny"]
    assert fer_core.list_models("[s-u]iny") == ["tiny"]
    assert fer_core.list_models("no*") == []
    assert fer_core.list_datasets("bar?") == ["bars"]


def test_a_part_of_a_dataset_feeds_a_plain_loader(tiny) -> None:
    bars = fer_core.open_dataset("bars", samples=30)
    items = bars.as_torch("train", train=True, input_size=16)
    images, labels = next(iter(DataLoader(items, batch_size=5, shuffle=True)))
    assert (images.shape, images.dtype, labels.dtype) == ((5, 3, 16, 16), torch.float32, torch.int64)
    assert items.classes == bars.classes
    assert items.class_counts == (6, 6, 6)
    parts = [set(bars.as_torch(part, input_size=16).rows.tolist()) for part in ("train", "val", "test")]
    assert sorted(row for part in parts for row in part) == list(range(30))


def test_the_parts_are_those_of_a_run(tiny, quick) -> None:
    quick |= {"train": {"steps": 1}, "data": {**quick["data"], "split": "kfold:5:1"}}
    run = fer_core.train("tiny", "bars", device="cpu", **quick)
    items = fer_core.open_dataset("bars").as_torch("val", protocol="kfold:5:1")
    assert items.digest == run.result.split.digest
    assert len(items) == run.result.metrics["val"].count


@pytest.mark.parametrize("mode", ["batched", "per-image"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_augmentation_is_that_of_a_run_of_the_same_seed(tiny, mode: str, epoch: int) -> None:
    opened = fer_core.open_dataset("bars", samples=30)
    preprocessing = Preprocessing.from_config(Data(name="bars", input_size=16, pipeline=mode))
    items = ["resize", {"random_crop": {"padding": 0.2}}, "horizontal_flip", "normalize"]
    part = opened.as_torch("train", train=True, preprocessing=preprocessing, transform=items, seed=3)
    labels = opened.table["label"].to_numpy()
    loader = Loader(
        part._pack,
        part.rows,
        labels,
        pipeline=build_pipeline(preprocessing, items),
        batch_size=18,
        sampler=shuffle(labels[part.rows], 0),
        seed=derive_seed(3, 2),
        workers=0,
        device=Cpu(),
    )
    (batch,) = loader.epoch(epoch)
    expected = dict(zip(loader.rows[batch["index"]].tolist(), batch["image"], strict=True))
    for _ in range(epoch):  # visits, in worker processes, are epochs
        for _ in DataLoader(part, batch_size=4, num_workers=1):
            pass
    for row, (image, label) in zip(part.rows.tolist(), part, strict=True):
        assert torch.allclose(image, expected[row], atol=1e-5)
        assert label == labels[row]


def test_an_epoch_can_be_repeated(tiny) -> None:
    part = fer_core.open_dataset("bars", samples=30).as_torch("train", train=True, input_size=16)
    first, second = (torch.stack([image for image, _ in part]) for _ in range(2))
    assert not torch.equal(first, second)
    part.set_epoch(0)
    assert torch.equal(torch.stack([image for image, _ in part]), first)


def test_a_function_may_stand_for_the_transforms(tiny) -> None:
    seen = []

    def look(image: Image.Image) -> torch.Tensor:
        seen.append(image.mode)
        return torch.zeros(3, 2, 2)

    part = fer_core.open_dataset("bars", samples=30).as_torch("test", transform=look)
    assert part[0][0].shape == (3, 2, 2)
    assert seen == ["RGB"]


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"batch_size": 4}])
def test_a_loader_of_what_is_no_torch_dataset_is_told_what_to_take(tiny, options: dict) -> None:
    opened = fer_core.open_dataset("bars", samples=30)
    for dataset, said in ((opened, "dataset"), (opened.dataset, 'fer_core.open_dataset("bars")')):
        text = message(lambda given: next(iter(DataLoader(given, **options))), dataset)
        assert f'{said}.as_torch("train", train=True)' in text


def test_a_dataset_is_true_though_it_has_no_length(tiny) -> None:
    opened = fer_core.open_dataset("bars", samples=30)
    assert (opened.dataset or None) is opened.dataset


def test_mistakes_with_parts_are_one_line(tiny) -> None:
    opened = fer_core.open_dataset("bars", samples=30)
    assert "train, val, test or all" in message(opened.as_torch, "valid")
    assert "leave input_size out" in message(
        opened.as_torch, "val", preprocessing=fer_core.create_transform().preprocessing, input_size=8
    )
    assert "did you mean samples?" in message(fer_core.open_dataset, "bars", sample=30)
    with pytest.raises(IndexError):
        opened.as_torch("test")[6]


def test_transforms_take_images_in_every_form() -> None:
    transform = fer_core.create_transform(input_size=8)
    face = noise(20, 20, 3)
    tensor = torch.from_numpy(face).permute(2, 0, 1)
    expected = transform(Image.fromarray(face))
    assert expected.shape == (3, 8, 8)
    for form in (face, tensor, face.astype(np.float64) / 255, tensor.float() / 255):
        assert torch.allclose(transform(form), expected, atol=1e-6)
    for batch in (tensor[None], face[None], [face], [Image.fromarray(face)], tensor[None].float() / 255):
        assert torch.allclose(transform(batch), expected[None], atol=1e-6)
    grey = transform(face[:, :, 0])
    assert torch.equal(grey, transform(torch.from_numpy(face[:, :, 0])))
    assert grey.shape == (3, 8, 8)
    assert transform([face, noise(9, 12, 3)]).shape == (2, 3, 8, 8)


def test_transforms_follow_torch_manual_seed() -> None:
    transform = fer_core.create_transform(
        ["resize", {"gaussian_noise": {"variance": 0.2}}, "normalize"], input_size=8
    )
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(transform(noise(8, 8, 3)))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((4, 4, 3)) + 200.0, "give floats in 0..1"),
        (np.full((4, 4, 3), np.nan), "give floats in 0..1"),
        (torch.full((3, 4, 4), -1.0), "give floats in 0..1"),
        (np.zeros((4, 4, 3), np.int64), "give uint8 in 0..255"),
        (np.zeros((4, 4, 7), np.uint8), "[H, W, 3]"),
        (torch.zeros((4, 4, 3), dtype=torch.uint8), "[3, H, W]"),
        (torch.zeros(5), "[3, H, W]"),
        (np.zeros((0, 4, 3), np.uint8), "[H, W, 3]"),
        (Image.new("F", (4, 4)), "floats, whose range is unknown"),
        (7, "int, which is not an image"),
        ([], "empty"),
    ],
)
def test_what_is_not_an_image_is_refused_in_one_line(picture: object, reason: str) -> None:
    assert reason in message(fer_core.create_transform(input_size=8), picture)


@pytest.fixture
def weights(tiny, quick) -> Path:
    quick["train"] = {"steps": 2}
    return fer_core.train("tiny", "bars", device="cpu", **quick).checkpoint


def test_a_trained_model_is_a_module(weights) -> None:
    model = fer_core.load_model(weights, device="cpu")
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    assert model.classes == ("happiness", "sadness", "neutral")
    part = fer_core.open_dataset("bars").as_torch("test", preprocessing=model.preprocessing)
    with torch.no_grad():
        logits = torch.cat([model(images) for images, _ in DataLoader(part, batch_size=7)])
    found = fer_core.evaluate(weights, "bars", device="cpu", precision="fp32")
    assert torch.allclose(logits.softmax(1), torch.from_numpy(found.probabilities), atol=1e-5)
    model(torch.zeros(2, 3, 16, 16)).sum().backward()
    assert model.network.head.weight.grad is not None


def test_the_logits_of_calibrated_weights_are_calibrated(weights) -> None:
    state, header = load_weights(weights)
    calibration = Calibration(temperature=3.0, fitted_on="val", bins=15)
    save_weights(weights, state, header.model_copy(update={"calibration": calibration}))
    model = fer_core.load_model(weights, device="cpu")
    face = noise(16, 16, 3)
    with torch.no_grad():
        probabilities = model(model.transform([face])).softmax(1)
    assert model.temperature == 3
    assert torch.allclose(
        probabilities, fer_core.Predictor(weights, "cpu", "fp32").probabilities([face]), atol=1e-5
    )


def test_predictor_takes_images_in_every_form(weights, tmp_path) -> None:
    predict = fer_core.Predictor(weights, "cpu")
    face = noise(20, 24, 3)
    Image.fromarray(face).save(tmp_path / "face.png")
    tensor = torch.from_numpy(face).permute(2, 0, 1)
    forms = [str(tmp_path / "face.png"), face, Image.fromarray(face), tensor, tensor / 255, face / 255, [face]]
    faces = predict(*forms)
    assert len({tuple(round(p, 4) for p in found.probabilities.values()) for found in faces}) == 1
    assert [found.source for found in predict(tensor.repeat(2, 1, 1, 1))] == ["image 0[0]", "image 0[1]"]
    grey = Image.fromarray(face).convert("L")
    assert predict(grey)[0].probabilities == predict(np.asarray(grey), grey.convert("RGB"))[0].probabilities
    frame = faces.to_frame()
    assert list(frame.columns) == ["source", "label", "probability", "p_happiness", "p_sadness", "p_neutral"]
    assert len(frame) == len(forms)
    assert "give floats in 0..1" in message(predict, face * 1.0)
    assert "tiny, 3 classes" in repr(predict)
