"""The example plugin `fer-scn` corrects wrong training labels, as many on two processes as on one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import fer_core
import numpy as np
import pytest
from fer_core.testing import build_wheel, check_processes
from PIL import Image

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugins" / "fer-scn"
SECTIONS = {
    "data": {
        "input_size": 48,
        "train_transforms": ["resize", "horizontal_flip", {"random_crop": {"padding": 1 / 12}}, "normalize"],
    },
    "loss": {"name": "scn", "relabel_from": 4},
    "train": {"epochs": 8, "precision": "fp32"},
    "callbacks": [],
}


def write_with_wrong_labels(folder: Path, share: float) -> None:
    """The synthetic set as images, with a list of labels of which a share of the training part is wrong.

    An image's file is named after its true class.
    """
    faces = fer_core.open_dataset("synthetic", size=48)
    label, split = (faces.table[column].to_numpy() for column in ("label", "split"))
    rng, training = np.random.default_rng(0), np.flatnonzero(split == "train")
    given, wrong = label.copy(), rng.choice(training, round(share * len(training)), replace=False)
    given[wrong] = (label[wrong] + rng.integers(1, len(faces.classes), len(wrong))) % len(faces.classes)
    lines = ["path,label,split"]
    for row in range(len(label)):
        name = f"{faces.classes[label[row]]}-{row:05d}.png"
        Image.fromarray(faces.read(row)).save(folder / name)
        lines.append(f"{name},{faces.classes[given[row]]},{split[row]}")
    (folder / "labels.csv").write_text("\n".join(lines))


@pytest.mark.slow
def test_scn_corrects_at_least_half_of_the_wrong_labels_on_two_processes_as_on_one(tmp_path, monkeypatch) -> None:
    with zipfile.ZipFile(build_wheel(EXAMPLE, tmp_path)) as wheel:
        wheel.extractall(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    list_ = tmp_path / "faces" / "labels.csv"
    list_.parent.mkdir()
    write_with_wrong_labels(list_.parent, 0.2)
    data = SECTIONS["data"] | {"root": str(list_)}
    state = check_processes("scn", "folder", tmp_path, **SECTIONS | {"data": data})  # equal corrections included

    table = (faces := fer_core.open_dataset("folder", list_)).table.query("split == 'train'")
    true = table["source"].str.partition("-")[0].map(faces.classes.index).to_numpy()
    given, found = table["label"].to_numpy(), state["loss.labels._extra_state"].numpy()
    final = np.where(found < 0, given, found)
    wrong = given != true
    corrected, spoiled = (final == true)[wrong].sum(), (final != true)[~wrong].sum()
    print(f"{wrong.sum()} of {len(true)} labels are wrong: {corrected} corrected, {spoiled} right ones spoiled")
    assert wrong.sum() == round(0.2 * len(true))
    assert corrected >= wrong.sum() / 2
    assert spoiled <= wrong.sum() / 10
