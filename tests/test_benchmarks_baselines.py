"""`benchmarks/baselines.py` and `benchmarks/peers.py` on made-up faces."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from fer_datasets.specs.ferplus import CLASSES

FACES = {"Training": 160, "PublicTest": 40, "PrivateTest": 80}


def write_faces(folder: Path) -> None:
    """Both label files; the class of FERPlus is the place of a bright band, that of FER2013 is another one."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows, votes = ["emotion,pixels,Usage"], [f"Usage,Image name,{','.join(CLASSES)},unknown,NF"]
    for number, usage in enumerate(usage for usage, count in FACES.items() for _ in range(count)):
        image, shown = rng.integers(0, 80, (48, 48)), number % 8
        image[6 * shown : 6 * shown + 6] += 150
        rows.append(f"{number % 7},{' '.join(map(str, image.ravel()))},{usage}")
        votes.append(f"{usage},fer{number:07d}.png,{','.join(str(10 * (place == shown)) for place in range(10))}")
    (folder / "fer2013.csv").write_text("\n".join(rows) + "\n")
    (folder / "fer2013new.csv").write_text("\n".join(votes) + "\n")


@pytest.fixture
def scripts(monkeypatch, tmp_path):
    """Both modules, and a folder that is FERPlus and FER2013 alike."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    write_faces(tmp_path / "data")
    return importlib.import_module("baselines"), importlib.import_module("peers"), tmp_path / "data"


def test_probes_learn_from_the_training_part_and_answer_for_the_test_part(scripts):
    baselines, _, folder = scripts
    data = baselines.open_faces("ferplus", folder)
    labels = data.dataset.table["label"].to_numpy()[data.split.test]
    found = baselines.baselines(data, lambda images: images.reshape(len(images), 48, 48).mean(axis=2))
    titles = [title for title, _ in found]
    assert titles[0] == "always neutral"
    assert [title.partition(" (C = ")[0] for title in titles[1:]] == [
        "linear probe on histograms of gradients",
        "linear probe on ImageNet features",
    ]
    accuracies = [(predicted == labels).mean() for _, predicted in found]
    assert accuracies[0] == 1 / 8
    assert accuracies[2] == 1.0
    line = baselines.row("ferplus", titles[2], labels, found[2][1])
    assert line.startswith(f"| ferplus | 80 | {titles[2]} | 100.0 [95.4 to 100.0] | 100.0 [")


def test_gradients_tell_directions_apart_and_ignore_brightness(scripts):
    baselines, _, _ = scripts
    stripes = np.tile(np.arange(48) // 4 % 2 * 100, (48, 1)).astype(np.uint8)
    across, down, brighter, flat = baselines.gradients(np.stack([stripes, stripes.T, stripes + 90, stripes * 0]))
    assert across.shape == (5 * 5 * 4 * 9,)
    assert across.reshape(-1, 9).argmax(axis=1).tolist() == [0] * 100
    assert set(down.reshape(-1, 9).argmax(axis=1).tolist()) <= {4, 5}  # 90 degrees lie between them
    assert np.allclose(across, brighter)
    assert not flat.any()


def test_stored_features_are_not_computed_again(scripts, monkeypatch, tmp_path):
    baselines, _, _ = scripts
    calls = []

    def features(images):
        calls.append(len(images))
        return images.reshape(len(images), -1)[:, :3].astype(np.float32)

    monkeypatch.setattr(baselines, "network_features", features)
    images = np.random.default_rng(0).integers(0, 255, (6, 48, 48), dtype=np.uint8)
    images[5] = images[0]
    for rows in ([0, 1, 2], [5, 3, 1], [0, 1, 2, 3, 5]):
        found = baselines.embed(images[rows], tmp_path / "features.npz")
        assert np.array_equal(found, images[rows].reshape(len(rows), -1)[:, :3])
    assert calls == [3, 1]


def test_a_tool_is_measured_on_the_faces_of_the_classes_that_it_knows(scripts, monkeypatch, tmp_path, capsys):
    _, peers, folder = scripts
    monkeypatch.setattr(peers, "PREDICT", {"numpy": lambda faces: ["happy"] * len(faces)})
    for words in (["write", "--ferplus", str(folder), "--fer2013", str(folder)], ["predict"], ["show"]):
        step, *others = words
        tool = ["numpy"] if step == "predict" else []
        monkeypatch.setattr(sys, "argv", ["peers.py", step, str(tmp_path / "peers"), *tool, *others])
        peers.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    with np.load(tmp_path / "peers" / "faces.npz") as stored:
        right = stored["fer2013_labels"] == "happiness"
        assert set(stored["ferplus_labels"]) == set(CLASSES)
    assert lines[0].startswith(f"| fer2013 | 80 | numpy {np.__version__}, ")
    assert f"| {100 * right.mean():.1f} [" in lines[0]
    assert lines[1].startswith("| ferplus | 70 | numpy")
    assert f"| {100 / 7:.1f} [" in lines[1]
