"""Headers of weight files: one line that names file and field for what does not fit, and no memory for claims."""

import json

import fer_core
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fer_core import FerError
from fer_core.cli import main
from fer_core.engine import Engine
from fer_core.inference.network import Network
from fer_core.provenance import Model
from fer_core.testing import make_preprocessing
from fer_core.weights import checkpoint
from fer_core.weights.header import Header
from PIL import Image
from safetensors.torch import save_file

CLASSES = ("happiness", "sadness", "neutral")
GOOD = Header(
    format=2, hook_api=1, model=Model(name="tiny"), classes=CLASSES, preprocessing=make_preprocessing(16)
).plain()


@pytest.fixture
def weights(tiny):
    """`write(change)` writes the weights of `tiny` with a header of which `change` gives another form."""
    state = fer_core.create_model("tiny", classes=CLASSES, input_size=16).state_dict()

    def write(change=lambda header: header, tensors=state):
        path = tiny / "w.safetensors"
        save_file(dict(tensors), path, metadata={"fer": json.dumps(change(json.loads(json.dumps(GOOD))))})
        return path

    write.state = state
    return write


def changed(*path, to):
    """A change of one value in a header."""

    def change(header):
        *above, last = path
        inner = header
        for key in above:
            inner = inner[key]
        inner[last] = to
        return header

    return change


def refused(*arguments):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 2, done.output
    assert len(done.output.splitlines()) == 1
    return done.output


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed("format", to=1), "format is 1, expected 2"),
        (changed("model", to="tiny"), 'model is "tiny", expected a mapping'),
        (changed("model", "name", to=""), "model.name is"),
        (changed("model", "options", to=[1]), "model.options is a list of 1, expected a mapping"),
        (changed("classes", to=["a"]), "classes is a list of 1"),
        (changed("classes", to=["a", "a"]), "classes is a list of 2, expected names that differ"),
        (changed("classes", 1, to="a\x1b[31m"), "classes[1] is"),
        (changed("preprocessing", "input_size", to=10**9), "preprocessing.input_size is 1000000000"),
        (changed("preprocessing", "std", to=[0.5, 0, 0.5]), "preprocessing.std[1] is 0"),
        (changed("preprocessing", "mean", to=None), "preprocessing.mean is null"),
        (changed("extra", to=1), "extra is not a known field"),
        (
            changed("calibration", to={"temperature": 0, "fitted_on": "val", "bins": 15}),
            "calibration.temperature is 0",
        ),
        (changed("digests", to={"head.bias": "abc"}), "digests.head.bias is"),
        (changed("dataset", to={"name": "bars", "fingerprint": "f"}), 'dataset.fingerprint is "f"'),
        (lambda header: {key: value for key, value in header.items() if key != "classes"}, "classes is missing"),
        (lambda header: [], "the top level is a list of 0"),
    ],
)
def test_a_header_that_does_not_fit_is_one_line(weights, change, says):
    path = weights(change)
    for command in (("evaluate", path, "bars"), ("predict", path.parent, "-m", path)):
        Image.new("RGB", (16, 16)).save(path.with_name("face.png"))
        line = refused(*command)
        assert "w.safetensors: header: " in line
        assert says in line


def test_not_a_number_is_not_json(weights):
    path = weights(changed("preprocessing", "mean", to=[float("nan"), 0, 0]))
    assert "header: not valid JSON" in refused("evaluate", path, "bars")


@pytest.mark.parametrize("width", [10**9, -3, 0, "wide"])
def test_options_of_other_sizes_take_no_memory(weights, width):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = refused("evaluate", weights(changed("model", "options", to={"width": width})), "bars")
    assert "w.safetensors" in line
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB on Linux


def test_a_tensor_that_is_not_the_one_of_its_digest(weights):
    digests = {name: checkpoint.tensor_digest(tensor) for name, tensor in weights.state.items()}
    path = weights(changed("digests", to=digests))
    assert checkpoint.load_weights(path)[1].digests == digests
    other = weights.state | {"head.bias": weights.state["head.bias"] + 1}
    with pytest.raises(FerError, match=r"the tensor head\.bias is not the one that the header describes"):
        checkpoint.load_weights(weights(changed("digests", to=digests), other))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_never_give_a_label(weights, value):
    path = weights(tensors=weights.state | {"head.weight": torch.full_like(weights.state["head.weight"], value)})
    face = path.with_name("face.png")
    Image.new("RGB", (16, 16), (10, 200, 30)).save(face)
    for command in (("evaluate", path, "bars"), ("diagnose", path, "bars"), ("predict", face, "-m", path)):
        done = CliRunner().invoke(main, [str(word) for word in command])
        assert done.exit_code == 2
        assert "w.safetensors gives no finite probabilities" in done.output
        assert "nan %" not in done.output
    assert "face.png" in done.output
    network = Network.load(path, Engine.start("cpu"), fast=True)
    assert network.classes == CLASSES
    with pytest.raises(FerError, match="image 0"):
        fer_core.Predictor(path, "cpu").probabilities([np.zeros((16, 16, 3), np.uint8)])


def parsed(**fields):
    return Header.parse(json.dumps({**GOOD, **fields}), "w.safetensors: header", "import it again")


SHA = 64 * "a"
CALIBRATION = {"temperature": 2.5, "fitted_on": "val", "bins": 15}


def test_logits_are_divided_by_one_unless_a_temperature_was_fitted():
    assert parsed().temperature == 1.0
    assert parsed(calibration=CALIBRATION).temperature == 2.5


def test_a_header_is_the_same_after_it_was_written_and_read():
    header = parsed(
        dataset={"name": "bars", "fingerprint": SHA, "counts": {"train": {"sadness": 3}}},
        calibration=CALIBRATION | {"heads": {"valence": {"temperature": 1.5}}},
        targets={"valence": [], "mood": ["calm", "tense"]},
        selection={"select": "best:val", "epoch": 2, "step": 8, "metrics": {"val": {"accuracy": 0.5}}},
        imported={"sha256": SHA, "recipe": "paper"},
    )
    assert Header.parse(header.line(), "w.safetensors", "import it again") == header


@pytest.mark.parametrize("names", [CLASSES, CLASSES[:1], ()])
def test_counts_are_of_classes_that_the_weights_know(names):
    dataset = {"name": "bars", "fingerprint": SHA, "counts": {"test": dict.fromkeys(names, 4)}}
    assert parsed(dataset=dataset).dataset.counts == {"test": dict.fromkeys(names, 4)}
    dataset["counts"] = {"train": {"sadness": 1}, "test": {"rage": 1, "sadness": 2}}
    with pytest.raises(FerError) as caught:
        parsed(dataset=dataset)
    found = "dataset.counts.test is a mapping of 2, expected numbers of the classes"
    assert str(caught.value) == f"w.safetensors: header: {found}: import it again"


def test_temperatures_are_of_targets_that_the_weights_know():
    given = CALIBRATION | {"heads": {"valence": {"temperature": 2.0}}}
    assert parsed(calibration=given, targets={"valence": []}).calibration.heads["valence"].temperature == 2.0
    assert parsed(calibration=given, targets={"valence": [], "arousal": []}).temperature == 2.5
    with pytest.raises(FerError) as caught:
        parsed(calibration=given, targets={"arousal": []})
    found = "calibration.heads is a mapping of 1, expected temperatures of the targets"
    assert str(caught.value) == f"w.safetensors: header: {found}: import it again"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hook_api": 0}, "hook_api is 0"),
        ({"targets": {"mood": ["calm", ""]}}, 'targets.mood[1] is ""'),
        ({"selection": {"select": "best:train", "epoch": 1, "step": 1}}, 'selection.select is "best:train"'),
        ({"selection": {"select": "last", "epoch": 1, "step": -1}}, "selection.step is -1"),
        ({"imported": {"sha256": "abc"}}, 'imported.sha256 is "abc"'),
    ],
)
def test_what_a_header_says_besides_is_checked_too(fields, says):
    with pytest.raises(FerError) as caught:
        parsed(**fields)
    assert f"w.safetensors: header: {says}" in str(caught.value)
