"""Answers keep to their images and faces, whatever else is in the batch; tables and lines of JSON say the same."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fer_core import FerError
from fer_core.engine import Engine
from fer_core.faces import Alignment, Detection
from fer_core.inference import answer as module
from fer_core.inference.answer import Answer, Classifier, Face, answer, groups
from fer_core.inference.find import Detecting, Whole
from fer_core.inference.network import Network
from fer_core.inference.rows import PLACE, cells, columns, plain, table_of
from fer_core.inference.sources import Photo
from fer_core.provenance import Model
from fer_core.testing import make_preprocessing
from fer_core.weights.header import FORMAT, Header
from torch import nn

CLASSES = ("dark", "middle", "bright")
LEVELS = {"dark": 20, "middle": 120, "bright": 220}
BROKEN = FerError("cannot read broken.png: it is empty")


class Bright(nn.Module):
    """Says how bright a face is, so that every face has an answer of its own."""

    def __init__(self, classes=CLASSES, faults: float = 0.0) -> None:
        super().__init__()
        self.levels = torch.tensor([LEVELS[name] / 255 for name in classes])
        self.faults, self.batches = faults, []

    def forward(self, images):
        self.batches.append(len(images))
        mean = images.mean((1, 2, 3))
        mean[mean == 0] += self.faults
        return {"logits": -20 * (mean[:, None] - self.levels).abs()}


def classifier(name: str = "", classes=CLASSES, alignment: Alignment | None = None, faults=0.0) -> Classifier:
    preprocessing = make_preprocessing(8, mean=[0, 0, 0], std=[1, 1, 1])
    header = Header(
        format=FORMAT,
        hook_api=1,
        model=Model(name="bright"),
        classes=classes,
        preprocessing=preprocessing.model_copy(update={"alignment": alignment or Alignment(kind="box", size=8)}),
    )
    engine = Engine.start("cpu", "fp32")
    return Classifier(Network(Path(f"{name}.safetensors"), Bright(classes, faults), header, engine), name)


def photo(name: str, *levels: int) -> Photo:
    """Faces of 10 x 10 pixels side by side, each of one level."""
    pixels = np.repeat(np.array(levels, np.uint8), 10)[None, :, None].repeat(10, axis=0).repeat(3, axis=2)
    return Photo(name, Path(name), pixels)


class Squares:
    """Finds them all, and no face in what is darker than 5; from the right."""

    def detect(self, images):
        def squares(image):
            lefts = [10 * n for n in range(image.shape[1] // 10) if image[0, 10 * n, 0] >= 5]
            return [Detection(box=(float(x), 0.0, x + 10.0, 10.0), score=0.5) for x in reversed(lefts)]

        return [squares(image) for image in images]


FINDER = Detecting(Squares(), "squares")


def broken(name: str = "broken.png") -> Photo:
    return Photo(name, Path(name), BROKEN)


def said(found: Answer) -> list[tuple[int | None, str, str]]:
    return [(face.number, face.label, face.model) for face in found.faces]


@pytest.mark.parametrize(("group", "batch"), [(64, 64), (2, 64), (64, 2), (1, 1)])
def test_every_image_has_its_own_faces_in_groups_and_batches_of_any_size(monkeypatch, group, batch) -> None:
    monkeypatch.setattr(module, "GROUP", group)
    monkeypatch.setattr(module, "BATCH", batch)
    photos = [photo("a", 220, 20), broken(), photo("b", 0, 0), photo("c", 120, 220, 20, 120), photo("d", 20)]
    made = classifier()
    found = list(answer(iter(photos), FINDER, [made]))
    assert [each.source for each in found] == ["a", "broken.png", "b", "c", "d"]
    assert [[label for _, label, _ in said(each)] for each in found] == [
        ["bright", "dark"],
        [],
        [],
        ["middle", "bright", "dark", "middle"],
        ["dark"],
    ]
    assert [number for number, *_ in said(found[3])] == [1, 2, 3, 4]
    assert [face.detection.box[0] for face in found[3].faces] == [0, 10, 20, 30]
    assert [each.error for each in found] == [None, BROKEN, None, None, None]
    assert all(face.source == each.source for each in found for face in each.faces)
    assert sum(made.network.model.batches) == 7
    assert max(made.network.model.batches) <= batch
    for face in found[0].faces:
        assert face.probability == max(face.probabilities.values()) == face.probabilities[face.label]
        assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-6)


def test_images_are_taken_together_until_they_fill_a_group_and_no_further_is_read(monkeypatch) -> None:
    monkeypatch.setattr(module, "GROUP", 3)
    monkeypatch.setattr(module, "GROUP_PIXELS", 500)
    read = []

    def photos():
        for number, faces in enumerate((1, 1, 0, 1, 4, 2, 1, 1)):
            read.append(number)
            yield photo(str(number), *[20] * faces) if faces else broken(str(number))

    seen = []
    for group in groups(photos()):
        seen.append([each.name for each in group])
        assert len(read) == int(seen[-1][-1]) + 1
    assert seen == [["0", "1", "2"], ["3", "4"], ["5", "6", "7"]]


def test_networks_take_turns_at_every_face_and_one_that_cannot_cut_it_makes_the_image_an_error() -> None:
    first, second = classifier("first"), classifier("second", classes=("bright", "dark"))
    found = list(answer(iter([photo("a", 220, 20), photo("b", 120)]), FINDER, [first, second]))
    assert said(found[0]) == [
        (1, "bright", "first"),
        (1, "bright", "second"),
        (2, "dark", "first"),
        (2, "dark", "second"),
    ]
    assert set(found[1].faces[1].probabilities) == {"bright", "dark"}
    points = classifier("points", alignment=Alignment(kind="points", template="arcface", size=8))
    photos = [photo("a", 220), photo("none", 0), photo("b", 20)]
    for networks in ([first, points], [points, first]):
        one, none, other = answer(iter(photos), FINDER, networks)
        assert (one.faces, none.faces, other.faces) == ((), (), ())
        assert none.error is None
        assert str(one.error).startswith("a: its faces have no five points, but points.safetensors was trained")
        assert str(other.error).startswith("b: ")


def test_pixels_are_kept_where_they_are_asked_for() -> None:
    photos = [photo("a", 220), broken()]
    assert [each.pixels for each in answer(iter(photos), FINDER, [classifier()])] == [None, None]
    kept, nothing = answer(iter(photos), FINDER, [classifier()], keep_pixels=True)
    assert kept.pixels is photos[0].pixels
    assert nothing.pixels is None


@pytest.mark.parametrize(("batch", "count"), [(64, "2 of 4"), (2, "1 of 2")])
def test_weights_that_diverged_name_the_first_image_and_how_many(monkeypatch, batch, count) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    photos = [photo("a", 220), photo("b", 20), photo("x", 0), photo("y", 0 if batch > 2 else 20)]
    with pytest.raises(FerError, match=rf"odd.safetensors gives no finite .* for {count} images, the first is x:"):
        list(answer(iter(photos), Whole(), [classifier("odd", faults=float("nan"))]))


def test_a_face_that_cannot_be_cut_is_an_error_of_its_image() -> None:
    class Huge:
        def detect(self, images):
            return [[Detection(box=(0.0, 0.0, 10.0 ** int(image[0, 0, 0]), 9.0), score=1.0)] for image in images]

    photos = [photo("a", 1), photo("huge", 9), photo("c", 1)]
    first, error, last = answer(iter(photos), Detecting(Huge(), "huge"), [classifier()])
    assert len(first.faces) == len(last.faces) == 1
    assert error.faces == ()
    assert str(error.error).startswith("huge: ")


@pytest.mark.parametrize("several", [False, True])
def test_rows_of_tables_and_lines_of_json_say_the_same(several) -> None:
    networks = [classifier("first"), classifier("second", classes=("bright", "dark"))][: several + 1]
    photos = [photo("a, \"b\"\n.png", 220, 20), broken(), photo("none.png", 0), photo("d.png", 120)]  # fmt: skip
    found = list(answer(iter(photos), FINDER, networks))
    points = tuple((n + 0.125, n + 0.5) for n in range(5))
    with_points = Detection(box=(-1.5, 0.0, 7.0, 9.25), score=0.254321, points=points)
    found.append(
        Answer("p", Path("p"), (Face("p", "dark", 0.75, {"dark": 0.75, "bright": 0.25}, 1, with_points),))
    )
    found += answer(iter([photo("whole.png", 120)]), Whole(), networks)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns(CLASSES, several=several))
    for each in found:
        writer.writerows(cells(each, CLASSES, several=several))
    text.seek(0)
    table = list(csv.DictReader(text))
    lines = [json.loads(json.dumps(row)) for each in found for row in plain(each, several=several)]
    assert len(table) == len(lines) == (4 + several * 4 + 3)
    for row, line in zip(table, lines, strict=True):
        for name in ("source", "error", "label"):
            assert row[name] == (line.get(name) or "")
        assert row["face"] == str(line.get("face") or "")
        assert row.get("model", "") == line.get("model", "")
        at = [*(line.get("box") or [None] * 4), line.get("score")]
        at += [number for point in line.get("points") or [(None, None)] * 5 for number in point]
        for name, number in zip(PLACE, at, strict=True):
            rounded = 1e-6 if name == "score" else 0.006
            assert row[name] == "" if number is None else float(row[name]) == pytest.approx(number, abs=rounded)
        for name in CLASSES:
            share = line.get("probabilities", {}).get(name)
            assert row[f"p_{name}"] == ("" if share is None else f"{share:.6f}")
        assert row["probability"] == ("" if line.get("label") is None else f"{line['probability']:.6f}")


def test_a_data_frame_has_the_columns_of_the_table_and_numbers_as_they_are() -> None:
    whole = [face for each in answer(iter([photo("a", 120)]), Whole(), [classifier()]) for face in each.faces]
    assert list(table_of(whole)) == ["source", "label", "probability", "p_dark", "p_middle", "p_bright"]
    cut = [face for each in answer(iter([photo("b", 220, 20)]), FINDER, [classifier()]) for face in each.faces]
    table = table_of([*cut, *whole])
    assert list(table) == columns(CLASSES, several=False)[:-1]
    assert table["face"].tolist()[:2] == [1, 2]
    assert table["left"].tolist()[:2] == [0, 10]
    assert table[["face", *PLACE]].iloc[2].isna().all()
    assert table["p_dark"].tolist() == [face.probabilities["dark"] for face in (*cut, *whole)]
    assert len(table_of([])) == 0
