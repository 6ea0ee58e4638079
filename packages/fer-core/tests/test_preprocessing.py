"""The input contract: one record from the configuration to the header and back, and the order of the channels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from fer_core.config.schema import Data
from fer_core.data.random import SampleRandom
from fer_core.data.transforms import build_pipeline
from fer_core.errors import FerError
from fer_core.faces import MAX_SIDE, Alignment
from fer_core.preprocessing import Preprocessing
from fer_core.testing import make_preprocessing
from PIL import Image

MEAN, STD = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
RESIZE = {"resize": {"size": 12}}
GIVEN = make_preprocessing(12, mean=MEAN, std=STD, color="bgr", eval_transforms=[RESIZE, "normalize"])
ADVICE = "import it again"


def random(count=1):
    return SampleRandom(0, 0, np.arange(count))


def test_a_file_holds_every_value_and_gives_the_same_record_back():
    section = Data(name="any")
    record = Preprocessing.from_config(section)
    assert {"input_size", "mean", "std", "color", "eval_transforms", "pipeline"} == record.plain().keys()
    for each in (record, GIVEN):
        assert Preprocessing.parse(each.text(), "x", ADVICE) == each
        assert Preprocessing.check(each.plain(), "x", ADVICE) == each


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"std": [0.5, 0.0, 0.5]}, r"std\[1\] is 0\.0"),
        ({"mean": [0.5]}, r"mean.* is missing|mean is a list of 1"),
        ({"mean": [0.5, float("nan"), 0.5]}, "finite number"),
        ({"mean": "0.5"}, 'mean is "0.5", expected a list'),
        ({"color": "grey"}, "color is \"grey\", expected 'rgb' or 'bgr'"),
        ({"input_size": 0}, "input_size is 0"),
        ({"input_size": 10**9}, "input_size is 1000000000"),
        ({"input_size": 12.5}, "input_size is 12.5, expected a whole number"),
        ({"eval_transforms": []}, "eval_transforms is a list of 0"),
        ({"eval_transforms": [3]}, r"eval_transforms\[0\] is 3, expected a name or {name: {option: value}}"),
        (
            {"eval_transforms": ["resize", {"crop": 3}]},
            r"eval_transforms\[1\] is a mapping of 1, expected a name or",
        ),
        ({"pipeline": "fast"}, "pipeline is"),
        ({"extra": 1}, "extra is not a known field"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_it(change, words):
    with pytest.raises(FerError, match=words) as error:
        Preprocessing.check({**GIVEN.plain(), **change}, "w.safetensors", ADVICE)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("w.safetensors: ")


@pytest.mark.parametrize("key", ["input_size", "mean", "std", "color", "eval_transforms", "pipeline"])
def test_no_value_of_a_file_is_guessed(key):
    rest = {name: value for name, value in GIVEN.plain().items() if name != key}
    with pytest.raises(FerError, match=f"{key} is missing"):
        Preprocessing.check(rest, "w.safetensors", ADVICE)


def test_the_record_needs_no_torch():
    code = "import sys, fer_core.preprocessing, fer_core.faces; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_every_form_of_a_face_reaches_the_model_in_its_order_of_channels(color):
    pipeline = build_pipeline(make_preprocessing(12, mean=MEAN, std=STD, color=color))
    face = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    given = face.copy()
    ordered = face[..., ::-1].copy() if color == "bgr" else face
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    expected = (torch.from_numpy(ordered).permute(2, 0, 1) / 255 - mean) / std
    stacked = torch.from_numpy(face).permute(2, 0, 1)[None]
    forms = {
        "batch": pipeline.batch(stacked, random())[0],
        "list": pipeline.batch([face], random())[0],
        "tensors": pipeline.batch([torch.from_numpy(face)], random())[0],
        "image": pipeline.image(Image.fromarray(face), random()),
    }
    for name, found in forms.items():
        assert torch.allclose(found, expected, atol=1e-5), name
    assert np.array_equal(face, given)
    shown = pipeline.show(forms["batch"][None])[0].permute(1, 2, 0)
    assert np.abs(shown.numpy() * 255 - face).max() < 0.01
    grey = face[..., :1].copy()
    one, three = (pipeline.batch([pixels], random()) for pixels in (grey, grey.repeat(3, 2)))
    assert torch.allclose(one, three, atol=1e-5)


def test_what_is_not_normalised_is_shown_as_it_is():
    pipeline = build_pipeline(GIVEN, ["resize"])
    face = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    shown = pipeline.show(pipeline.batch([face], random()))[0].permute(1, 2, 0)
    assert np.abs(shown.numpy() * 255 - face).max() < 0.01


def test_training_transforms_stand_in_the_place_of_the_evaluation_ones():
    erased = build_pipeline(GIVEN, ["resize", "normalize", {"random_erasing": {"p": 1}}])
    face = np.full((12, 12, 3), 200, dtype=np.uint8)
    assert not torch.equal(erased.batch([face], random()), build_pipeline(GIVEN).batch([face], random()))


CUT = Alignment(kind="box", margin=0.3)


def test_a_section_brings_every_value_into_the_contract():
    section = Data(
        name="any",
        input_size=40,
        mean=[0.1, 0.2, 0.3],
        std=[0.4, 0.5, 0.6],
        color="bgr",
        eval_transforms=["resize", {"center_crop": {"size": 40}}, "normalize"],
        pipeline="per-image",
    )
    assert Preprocessing.from_config(section) == Preprocessing(
        input_size=40,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        color="bgr",
        eval_transforms=("resize", {"center_crop": {"size": 40}}, "normalize"),
        pipeline="per-image",
    )


def test_the_alignment_is_the_sections_or_else_the_datasets():
    own = Alignment(kind="points", template="arcface", size=112)
    section = Data(name="any")
    assert Preprocessing.from_config(section).alignment is None
    assert Preprocessing.from_config(section, CUT).alignment == CUT
    chosen = section.model_copy(update={"alignment": own})
    assert Preprocessing.from_config(chosen).alignment == own
    assert Preprocessing.from_config(chosen, CUT).alignment == own


def test_the_alignment_is_kept_in_a_file():
    record = make_preprocessing(12).model_copy(update={"alignment": CUT})
    assert record.plain()["alignment"] == {"kind": "box", "margin": 0.3}
    assert Preprocessing.parse(record.text(), "x", ADVICE) == record


@pytest.mark.parametrize(("size", "fits"), [(1, True), (MAX_SIDE, True), (0, False), (MAX_SIDE + 1, False)])
def test_sizes_from_one_pixel_to_the_largest_are_taken(size, fits):
    values = {**GIVEN.plain(), "input_size": size}
    if fits:
        assert Preprocessing.check(values, "x", ADVICE).input_size == size
    else:
        with pytest.raises(FerError, match=f"x: input_size is {size}, expected"):
            Preprocessing.check(values, "x", ADVICE)
