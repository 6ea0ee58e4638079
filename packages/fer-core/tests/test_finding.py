"""Where faces are: tables of boxes line by line, what a detector looks at, and the order of what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fer_core import FerError
from fer_core.faces import Alignment, Detection
from fer_core.inference.answer import find_in
from fer_core.inference.find import POINTS, Detecting, Given, Whole, make_finder, named_detector
from fer_core.inference.rows import place_of
from fer_core.inference.sources import Photo
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.testing import make_preprocessing

CPU = torch.device("cpu")
HEAD = "source,left,top,right,bottom"


def photo(name: str, height: int = 30, width: int = 40, channels: int = 3) -> Photo:
    return Photo(name, Path(name), np.zeros((height, width, channels), np.uint8))


def face(left: float, top: float = 0.0, score: float = 1.0) -> Detection:
    return Detection(box=(left, top, left + 10, top + 10), score=score)


def given(folder: Path, *lines: str, encoding: str = "utf-8") -> Given:
    path = folder / "boxes.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return Given(path)


def test_rows_of_an_image_need_not_stand_together_and_come_from_the_left(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = given(
        tmp_path,
        HEAD,
        "a.png,50,1,60,9",
        "b.png,5,1,6,9",
        f"{tmp_path}/in/../a.png,-4,1,900,9",
        "./a.png,20,1.5,30,9",
        "empty.png,,,,",
    )
    found = table.find([photo("b.png"), photo("in/../a.png"), photo(str(tmp_path / "empty.png")), photo("a.png")])
    assert [[each.box[0] for each in faces] for faces in found] == [[5], [-4, 20, 50], [], [-4, 20, 50]]
    assert found[1][0].box == (-4, 1, 900, 9)  # it may reach beyond the image
    (absent,) = table.find([photo("c.png")])
    assert str(absent).startswith(f"c.png is not in {tmp_path}/boxes.csv: give it a row")


def test_columns_stand_in_any_order_beside_others_and_a_table_of_excel_is_read(tmp_path) -> None:
    table = given(
        tmp_path, "bottom,note,score,right,top,left,source", "9,x,0.25,6,1,5,/a.png", "9,,,6,1,5,/a.png",
        encoding="utf-8-sig",
    )  # fmt: skip
    ((first, second),) = table.find([photo("/a.png")])
    assert first.box == second.box == (5, 1, 6, 9)
    assert (first.score, second.score) == (0.25, 1.0)
    assert first.points is None


def test_the_columns_of_a_face_give_the_face_again(tmp_path) -> None:
    points = tuple((float(x), x + 0.5) for x in range(5))
    whole = Detection(box=(0.0, 1.0, 9.0, 8.0), score=0.5, points=points)
    cells = place_of(whole)
    assert list(cells)[5:] == list(POINTS)
    header, row = ",".join(["source", *cells]), ",".join(["/a.png", *map(str, cells.values())])
    assert given(tmp_path, header, row).find([photo("/a.png")]) == [[whole]]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "has no column source: it needs source, left, top, right, bottom"),
        (["source,left,right,bottom", "a,1,3,4"], "has no column top"),
        ([HEAD, "a,1,2,3,4", "a,1,,3,4"], "line 3: left, top, right, bottom are not all numbers"),
        ([HEAD, "a,1,2,3"], "line 2: left, top, right, bottom are not all numbers"),
        ([HEAD, "a,1,2,inf,4"], "line 2: box[2] is inf, expected a finite number"),
        ([HEAD, "a,3,2,1,4"], "left < right and top < bottom"),
        ([f"{HEAD},score", "a,1,2,3,4,2"], "line 2: score is 2.0"),
        ([f"{HEAD},score", "a,1,2,3,4,high"], "line 2: score are not all numbers"),
        ([f"{HEAD},left_eye_x", "a,1,2,3,4,5"], "line 2: left_eye_x, left_eye_y, "),
        ([f"{HEAD},{','.join(POINTS)}", "a,1,2,3,4,,6,7,8,9,10,11,12,13,14"], "line 2: left_eye_x, left_eye_y, "),
    ],
)
def test_a_row_that_is_not_a_face_is_named_with_its_line(tmp_path, lines, says) -> None:
    with pytest.raises(FerError) as error:
        given(tmp_path, *lines)
    assert f"{tmp_path}/boxes.csv" in str(error.value)
    assert says in str(error.value)


def test_a_table_in_another_encoding_is_refused(tmp_path) -> None:
    with pytest.raises(FerError, match=r"boxes\.csv: .*: name a CSV file with boxes of faces"):
        given(tmp_path, HEAD, "/ä.png,1,2,3,4", encoding="latin-1")


class Counting:
    """Finds as many faces as the image has tens of columns, the rightmost first, and notes what it looked at."""

    def __init__(self, *, score: float = 1.0) -> None:
        self.looked_at: list[tuple[int, ...]] = []
        self.score = score

    def detect(self, images):
        self.looked_at += [image.shape for image in images]
        return [[face(10.0 * n) for n in reversed(range(image.shape[1] // 10))] for image in images]


def test_a_detector_looks_at_large_images_only_and_sees_them_in_colour(lines) -> None:
    detector = Counting()
    finder = Detecting(detector, "counting", side=40)
    same = photo("twice", 50, 20)
    photos = [photo("small", 40, 40), photo("grey", 20, 50, 1), same, photo("small too", 10, 10), same]
    found = finder.find(photos)
    assert [faces and [each.box[0] for each in faces] for faces in found] == [
        None,
        [0, 10, 20, 30, 40],
        [0, 10],
        None,
        [0, 10],
    ]
    assert detector.looked_at == [(20, 50, 3), (50, 20, 3), (50, 20, 3)]
    finder.find([photo("small", 40, 40)])
    finder.find([same])
    assert len(detector.looked_at) == 4
    (line,) = lines  # said once
    assert "found by counting in images of more than 40 pixels" in line


def test_an_image_that_cannot_be_read_is_not_looked_at_and_keeps_its_place() -> None:
    error, detector = FerError("cannot read b.png"), Counting()
    group = [photo("a", 10, 20), Photo("b", Path("b"), error), photo("c", 10, 30)]
    first, second, third = find_in(group, Detecting(detector, "counting"))
    assert second is error
    assert (len(first), len(third)) == (2, 3)
    assert find_in(group[1:2], Whole()) == [error]


@pytest.mark.parametrize("answer", [[[]], [[face(1, score=0.1), face(2)], []], ([], []), [[(1, 2, 3, 4)], []]])
def test_a_detector_that_breaks_its_contract_is_named(answer) -> None:
    detector = type("Broken", (), {"detect": lambda self, images: answer})()
    with pytest.raises(FerError, match=r"Broken.*2 lists of Detection, the highest score first"):
        Detecting(detector, "broken").find([photo("a"), photo("b")])


@pytest.fixture
def detectors(monkeypatch):
    """`detectors(name=factory, ...)`: those that are installed, besides `whole`."""

    def install(**factories: object) -> None:
        plugin = Plugin("tests", "fer-tests", "0")
        own = load_plugins().entries["detectors"]["whole"]
        entries = {name: [Entry(name, factory, plugin)] for name, factory in factories.items()}
        monkeypatch.setitem(load_plugins().entries, "detectors", {"whole": own, **entries})

    return install


def test_a_detector_that_is_named_gets_its_options(detectors) -> None:
    detectors(a=Counting, centerface=Counting)
    name, detector = named_detector("a", {"score": 0.5}, CPU)
    assert (name, detector.score) == ("a", 0.5)
    assert named_detector("auto", {}, CPU)[0] == "centerface"


def test_what_networks_read_decides_which_images_are_faces_already(detectors) -> None:
    detectors(counting=Counting)
    small, large = make_preprocessing(64), make_preprocessing(384)
    whole = small.model_copy(update={"alignment": Alignment(kind="none")})
    cut = small.model_copy(update={"alignment": Alignment(kind="box", size=512)})

    def finder(*networks, detect: object = "auto", **options):
        return make_finder(detect, options, None, networks, CPU)

    sides = [finder(*each).side for each in ([small], [small, large], [large, cut], [whole, small])]
    assert sides == [256, 384, 512, 256]
    assert (type(finder(whole)), finder(whole).expected) == (Whole, "")
    assert finder(whole, score=0.5).detector.score == 0.5  # options ask for a detector
    assert finder(small, detect="counting").side == 0  # it is named, so it looks at every image
    none = finder(cut, detect="none")
    assert (type(none), none.expected, none.side) == (Whole, "box + 0%, 512 x 512 pixels", 512)
    detectors()
    assert finder(small).advice.startswith("pip install fer-faces")
