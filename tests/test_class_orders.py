"""Files as the authors of each family save them are imported in the authors' order of the classes, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import fer_core
import pytest
import torch
from fer_core import FerError, registry
from fer_core.weights.checkpoint import read_header

ROOT = Path(__file__).parents[1]
RAFDB = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
AFFECTNET = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"]
FOLDERS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
ORDERS = {
    "dan": RAFDB,
    "ddamfn": AFFECTNET,
    "ddamfn_pp": AFFECTNET,
    "poster": RAFDB,
    "poster_pp": RAFDB,
    "adadf": RAFDB,
    "lnsu": RAFDB,
    "mfer": FOLDERS,
    "gsdnet": None,
}
"""By family, the order of its RAF-DB files; None where the authors state none."""
KEYS = {
    "dan": "fer-models-dan/tests/data",
    "ddamfn": "fer-models-ddamfn/tests/data",
    "ddamfn_pp": "fer-models-ddamfn/tests/data",
    "poster": "fer-models-poster/tests/data/poster",
    "poster_pp": "fer-models-poster/tests/data/poster_pp",
    **{name: f"fer-models-misc/tests/data/{name}" for name in ("adadf", "lnsu", "mfer", "gsdnet")},
}


def make_state(name):
    """Zeros under the names and in the shapes of the authors' own state dict, for 7 classes."""
    keys = json.loads((ROOT / "packages" / KEYS[name] / "keys.json").read_text(encoding="utf-8"))
    state = {
        key: torch.zeros(shape, dtype=torch.int64 if key.endswith(("_batches_tracked", "_index")) else None)
        for key, shape in keys["shapes"].items()
    }
    return state | {alias: state[key] for alias, key in keys.get("aliases", {}).items()}


def parallel(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


SAVED = {
    "dan": lambda state: {"iter": 21, "model_state_dict": state, "optimizer_state_dict": {}},
    "ddamfn": lambda state: {"iter": 20, "model_state_dict": state, "optimizer_state_dict": {}},
    "ddamfn_pp": lambda state: {"iter": 20, "model_state_dict": state, "optimizer_state_dict": {}},
    "poster": lambda state: {"iter": 216, "model_state_dict": parallel(state), "optimizer_state_dict": {}},
    "poster_pp": lambda state: {"epoch": 9, "state_dict": parallel(state), "best_acc": torch.zeros(1)},
    "adadf": lambda state: {"epoch": 9, "state_dict": state, "class_distributions": torch.eye(7)},
    "lnsu": lambda state: {"epoch": 1, "global_step": 59_999, "state_dict_model": state, "state_optimizer": {}},
    "mfer": lambda state: {"iter": 9, "model_state_dict": state, "optimizer_state_dict": {}},
    "gsdnet": lambda state: state,
}
"""What the authors' training script puts around its state dict."""


def test_every_family_that_reads_files_of_others_is_here():
    reading = {name for name in registry.names("models") if registry.find("models", name).converter}
    assert set(ORDERS) == reading - {"timm"}  # whose files are anyone's


@pytest.mark.parametrize("name", ORDERS)
def test_a_file_for_rafdb_has_the_order_of_its_authors(name, tmp_path):
    file, out = tmp_path / "theirs.pth", tmp_path / "ours.safetensors"
    torch.save(SAVED[name](make_state(name)), file)
    if ORDERS[name] is None:
        unknown = f"the authors of {name} state none for rafdb: give --classes a,b,... in the file's order"
        with pytest.raises(FerError, match=unknown):
            fer_core.import_weights(name, file, out, dataset="rafdb")
        assert not out.exists()
        return
    fer_core.import_weights(name, file, out, dataset="rafdb")
    assert list(read_header(out).classes) == list(ORDERS[name])


@pytest.mark.parametrize("name", ORDERS)
def test_the_page_of_a_model_states_every_order_and_its_source(name):
    page = " ".join((ROOT / "docs" / "models" / f"{name}.md").read_text(encoding="utf-8").split())
    for order in registry.find("models", name).class_orders:
        assert ", ".join(order.classes) in page
        assert order.source in page
        assert set(order.classes) <= set(registry.find("datasets", order.dataset).classes)
