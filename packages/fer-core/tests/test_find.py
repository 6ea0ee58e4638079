"""Which detector looks at which image, faces that a table gives, and answers as rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fer_core.errors import FerError
from fer_core.faces import Alignment, Detection
from fer_core.inference import Answer, Face
from fer_core.inference.find import POINTS, Detecting, Given, Whole, choose_detector, make_finder, named_detector
from fer_core.inference.rows import cells, columns, plain, table_of
from fer_core.inference.sources import Photo
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.testing import make_preprocessing

CPU = torch.device("cpu")
AT = Detection(box=(1.0, 2.0, 3.5, 4.0), score=0.75, points=[(float(k), 0.5) for k in range(5)])


class Found:
    """Finds one face in every image."""

    def __init__(self, *, score: float = 0.5) -> None:
        self.score = score

    def detect(self, images):
        return [[Detection(box=(0.0, 0.0, 9.0, 9.0), score=self.score)] for _ in images]


class NeedsFile(Found):
    def __init__(self, *, file: str) -> None:
        super().__init__()


@pytest.fixture
def install(monkeypatch):
    """`install(name=factory)`: these are the only detectors beside the core's."""

    def put(**factories) -> None:
        plugin = Plugin("tests", "fer-tests", "0")
        entries = {name: [Entry(name, factory, plugin)] for name, factory in factories.items()}
        whole = load_plugins().entries["detectors"]["whole"]
        monkeypatch.setitem(load_plugins().entries, "detectors", {"whole": whole, **entries})

    return put


def photo(width: int, height: int, name: str = "a.png") -> Photo:
    return Photo(name, Path(name), np.zeros((height, width, 3), np.uint8))


def finder(detect="auto", options=None, boxes=None, **contract):
    return make_finder(detect, options or {}, boxes, [make_preprocessing(**contract)], CPU)


def test_auto_takes_centerface_and_else_what_its_options_suffice_for(install) -> None:
    install(other=Found, centerface=Found)
    assert choose_detector({}) == "centerface"
    install(first=NeedsFile, second=Found)
    assert choose_detector({}) == "second"
    install(first=NeedsFile)
    assert choose_detector({}) is None
    assert choose_detector({"file": "model.onnx"}) == "first"
    install()
    assert choose_detector({}) is None
    with pytest.raises(FerError, match="fer-faces"):
        choose_detector({"score": 0.4})
    with pytest.raises(FerError, match="fer-faces"):
        named_detector("auto", {}, CPU)
    assert named_detector("whole", {}, CPU)[0] == "whole"


@pytest.mark.parametrize(
    ("contract", "side"),
    [
        ({"input_size": 48}, 256),
        ({"input_size": 384}, 384),
        ({"input_size": 112, "alignment": Alignment(kind="points", template="arcface", size=300)}, 300),
    ],
)
def test_auto_looks_at_images_that_are_larger_than_faces_of_the_network(install, contract, side) -> None:
    install(other=Found)
    found = finder(**contract).find([photo(side, 20), photo(20, side), photo(side + 1, 20), photo(20, side + 1)])
    assert [each is None for each in found] == [True, True, False, False]


def test_networks_that_learnt_whole_images_get_them(install) -> None:
    install(other=Found)
    whole = finder(alignment=Alignment(kind="none"))
    assert isinstance(whole, Whole)
    assert whole.find([photo(900, 900)]) == [None]
    assert isinstance(finder("other", alignment=Alignment(kind="none")), Detecting)


def test_a_table_gives_faces_by_the_path_of_their_image(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    head = ",".join(("source", "left", "top", "right", "bottom", "score", *POINTS))
    points = ",".join("1" for _ in POINTS)
    rows = [f"b.png,9,0,12,3,0.5,{points}", "./b.png,2,0,4,3,,", f"{tmp_path}/c.png,,,,,"]
    Path("boxes.csv").write_text("\ufeff" + "\n".join([head, *rows]))  # a spreadsheet's byte order mark
    left, none, absent = Given(Path("boxes.csv")).find([photo(9, 9, "b.png"), photo(9, 9, "c.png"), photo(9, 9)])
    assert [(face.box[0], face.score, face.points is None) for face in left] == [(2, 1, True), (9, 0.5, False)]
    assert none == []
    assert "a.png is not in boxes.csv" in str(absent)


def test_every_image_has_a_row() -> None:
    face = Face("a.png", "fear", 0.25, {"fear": 0.25, "joy": 0.125}, 2, AT)
    head = columns(["fear", "joy", "rage"], several=False)
    for found, expected in (
        (
            Answer("a.png", Path("a.png"), (face,)),
            {"face": "2", "left": "1.00", "score": "0.750000", "p_rage": ""},
        ),
        (Answer("a.png", Path("a.png")), {"face": "", "label": "", "error": ""}),
        (Answer("a.png", Path("a.png"), error=FerError("torn")), {"label": "", "error": "torn"}),
    ):
        (row,) = cells(found, ["fear", "joy", "rage"], several=False)
        given = dict(zip(head, row, strict=True))
        assert given["source"] == "a.png"
        assert expected.items() <= given.items()
        (value,) = plain(found, several=False)
        assert value["source"] == "a.png"
    frame = table_of([face, Face("b.png", "joy", 0.5, {"fear": 0.5, "joy": 0.5})])
    assert frame["left"].tolist()[0] == 1
    assert frame["face"].isna().tolist() == [False, True]
    assert "left" not in table_of([Face("b.png", "joy", 0.5, {"joy": 0.5})]).columns
