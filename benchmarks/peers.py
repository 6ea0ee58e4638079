"""What other tools get on the same test faces as `benchmarks/baselines.py`, each in an environment of its own.

python benchmarks/peers.py write peers --ferplus DIR --fer2013 DIR      # faces and labels, for all of them

python -m venv env                                                      # one for both tools will do
env/bin/pip install --no-deps fer==25.10.3 facex==1.1.0                 # they ask for more than prediction needs
env/bin/pip install tensorflow-cpu opencv-contrib-python-headless==4.14.* "setuptools<81" \
    pandas requests matplotlib tqdm scikit-image
CUDA_VISIBLE_DEVICES= env/bin/python benchmarks/peers.py predict peers fer
CUDA_VISIBLE_DEVICES= env/bin/python benchmarks/peers.py predict peers facex

python benchmarks/peers.py show peers

The emotion networks get the 48 x 48 faces themselves, without the tools' detectors, which find few faces in crops.
Both know seven classes, so faces of contempt are left out. Not measured are tools that download their weights at
the first call: deepface, hsemotion, EmotiEffLib, rmn, py-feat, LibreFace, OpenFace 3.0, facetorch.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
DATASETS = ("fer2013", "ferplus")
FACES = "faces.npz"
NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness", "surprised": "surprise"}
"""A tool's name of a class where it is not ours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("write", "predict", "show"):
        steps.add_parser(name).add_argument("folder", type=Path)
    for name in DATASETS:
        steps.choices["write"].add_argument(f"--{name}", type=Path, required=True)
    steps.choices["predict"].add_argument("tool", choices=PREDICT)
    options = parser.parse_args()
    if options.step == "write":
        write(options.folder, {name: getattr(options, name) for name in DATASETS})
    elif options.step == "predict":
        predict(options.folder, options.tool)
    else:
        show(options.folder)


def write(folder: Path, data: dict[str, Path]) -> None:
    """Store every test face once, and for each dataset which are its own and what they show."""
    from baselines import grey, open_faces

    images, stored = [], {}
    for name, place in data.items():
        found = open_faces(name, place)
        test = found.split.test
        images.append(grey(found, test))
        labels = found.dataset.table["label"].to_numpy()[test]
        stored[f"{name}_labels"] = np.array(found.dataset.classes)[labels]
    faces, places = np.unique(np.concatenate(images), axis=0, return_inverse=True)
    parts = np.split(places.ravel(), np.cumsum([len(each) for each in images])[:-1])
    stored |= {f"{name}_faces": part for name, part in zip(data, parts, strict=True)}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / FACES, faces=faces, **stored)


def predict(folder: Path, tool: str) -> None:
    """Store what a tool says of every face, with its version and licence."""
    with np.load(folder / FACES) as stored:
        names = PREDICT[tool](stored["faces"])
    about = metadata.metadata(tool)
    classifiers = [each.rpartition(" :: ")[2] for each in about.get_all("Classifier", []) if "License ::" in each]
    stated = (about.get("License"), about.get("License-Expression"), *classifiers)
    licence = next(filter(None, stated), "no licence stated")
    names = [NAMES.get(name, name) for name in names]
    np.savez(folder / f"{tool}.npz", predicted=names, version=about["Version"], licence=licence)


def predict_fer(faces: Pixels) -> list[str]:
    """As `FER.detect_emotions` treats a face that it found, without the margin that it adds to boxes."""
    import cv2
    from fer.fer import FER

    tool = FER()
    sized = np.stack([cv2.resize(face, (64, 64)) for face in faces]).astype(np.float32)
    names = tool._get_labels()
    return [names[place] for place in tool._classify_emotions((sized / 255 - 0.5) * 2).argmax(axis=1)]


def predict_facex(faces: Pixels) -> list[str]:
    """As `EmotionClassifier.predict` treats a face that it found."""
    from facex import PoolManager

    worker = PoolManager(pool_size=1).get_classifier()
    scores = [worker.detect_emotion(face) for face in faces]
    return [max(each, key=each.__getitem__) for each in scores]


PREDICT: dict[str, Callable[[Pixels], list[str]]] = {"fer": predict_fer, "facex": predict_facex}


def show(folder: Path) -> None:
    """Print the table of all tools that have predicted."""
    from baselines import HEAD, row

    print(*HEAD, sep="\n")
    with np.load(folder / FACES) as stored:
        for name, tool in itertools.product(DATASETS, PREDICT):
            if not (folder / f"{tool}.npz").is_file():
                continue
            with np.load(folder / f"{tool}.npz") as found:
                title = f"{tool} {found['version']}, {found['licence']}"
                predicted = found["predicted"][stored[f"{name}_faces"]]
            labels = stored[f"{name}_labels"]
            shared = np.isin(labels, np.unique(stored["fer2013_labels"]))
            print(row(name, title, labels[shared], predicted[shared]))


if __name__ == "__main__":
    main()
