"""Generated label files: every one is read, or refused in one line.

Each file gets a few examples always, hundreds with `-m slow`, and as many as `FER_HOSTILE` says when it is set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fer_core import FerError
from fer_datasets import affectnet, ckplus, expw, fer2013, ferplus, folder, rafdb, sfew
from fer_datasets.npy_labels import read_npy_labels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW, MANY = 25, int(os.environ.get("FER_HOSTILE", "500"))
PIXELS = b" ".join([b"7"] * 2304)
VOTES = b"Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
NPY = (
    b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (), }".ljust(127)
    + b"\n"
    + b"\3"
    + bytes(7)
)
FILES: dict[str, tuple[str, Callable[[Path], object], bytes]] = {
    "rafdb": ("EmoLabel/list_patition_label.txt", rafdb.load, b"train_00001.jpg 5\ntest_0001.jpg 1\n"),
    "fer2013": (
        "fer2013.csv",
        fer2013.load,
        b"emotion,pixels,Usage\n0," + PIXELS + b",Training\n3," + PIXELS + b",PublicTest\n",
    ),
    "ferplus": (
        "fer2013new.csv",
        ferplus.load,
        VOTES + b"Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0\nPublicTest,fer0000001.png,0,9,0,0,0,0,0,0,1,0\n",
    ),
    "folder": (
        "labels.csv",
        lambda root: folder.load(root, csv="labels.csv"),
        b"path,label,split\na.jpg,happy,train\nb/c.jpg,sad,test\n",
    ),
    "expw": ("label/label.lst", expw.load, b"a.jpg 0 10 20 60 70 12.5 3\nb.jpg 1 1 2 6 7 2.5 6\n"),
    "label.csv": (
        "FER2013Train/label.csv",
        ferplus.load,
        b'fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0\n'
        b'fer0000001.png,"(0, 0, 48, 48)",0,9,0,0,0,0,0,0,1,0\n',
    ),
    "modified": ("FERPlus_Label_modified.csv", ferplus.load, b"Image name,label\na.png,0\nb.png,7\n"),
    "sfew": (
        "sfew_2.0_labels.csv",
        sfew.load,
        b"image_name,label,emotion,original_split\nimage_000000.png,0,Angry,Train\nimage_000001.png,3,Happy,Val\n",
    ),
    "ckplus": ("ckplus_labels.csv", ckplus.load, b"image_name,label,emotion\nimage_000000.png,0,anger\n"),
    "ckextended": ("ckextended.csv", ckplus.load, b"emotion,pixels,Usage\n0," + PIXELS + b",Training\n"),
    "affectnet full": (
        "training.csv",
        affectnet.load,
        b"subDirectory_filePath,expression,valence\n1/a.jpg,0,0.1\n2/b.jpg,8,-2\n",
    ),
    "affectnet lists": ("train_set/train_annotations_8class.txt", affectnet.load, b"0.jpg 1\n1.jpg 7\n"),
    "affectnet cache": (
        "affectnet.csv",
        affectnet.load,
        b"phase,img_path,label\ntrain,x/train_set/images/0.jpg,1\nval,x/val_set/images/1.jpg,7\n",
    ),
    "npy": ("0_exp.npy", lambda root: read_npy_labels(root, ["0_exp.npy"]), NPY),
}
BESIDE = {
    "rafdb": "Image/aligned",
    "expw": "image/origin",
    "modified": "FERPlus_Image",
    "sfew": "sfew2.0_images",
    "ckplus": "ckplus_images",
}
PIECES = [
    b"\n",
    b"\r",
    b",",
    b" ",
    b'"',
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"-1",
    b"1e9",
    b"9" * 5000,
    b"9" * 400,  # infinite, but not refused for its length
    b"../x",
]
PIECES += [b"nan", b"inf", b"label", b"\xc3\xa9", b"1.5", b"", b",,,,,,,,,,,,", b"'''", b"(((((((("]


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    content = whole
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        end = draw(st.integers(at, min(at + 12, len(content))))
        content = content[:at] + draw(st.sampled_from(PIECES) | st.binary(max_size=6)) + content[end:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


def tree(name: str, root: Path) -> Path:
    """The folders that `name` expects beside its label file."""
    if name in BESIDE:
        (root / BESIDE[name]).mkdir(parents=True)
    if name == "ferplus":
        rows = b"".join(b"0," + PIXELS + b"," + usage + b"\n" for usage in (b"Training", b"PublicTest"))
        (root / "fer2013.csv").write_bytes(b"emotion,pixels,Usage\n" + rows)
    if name == "label.csv":
        for part in ("Train", "Valid", "Test"):
            (root / f"FER2013{part}").mkdir()
            (root / f"FER2013{part}/fer0000000.png").touch()
            line = f'fer-{part}.png,"(0, 0, 48, 48)",9,0,0,0,0,0,0,0,1,0\n'
            (root / f"FER2013{part}/label.csv").write_text(line)
    path = root / FILES[name][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("name", FILES)
def test_the_file_that_is_damaged_is_one_that_is_read(tmp_path: Path, name: str) -> None:
    tree(name, tmp_path).write_bytes(FILES[name][2])
    FILES[name][1](tmp_path)


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_damaged_label_files(tmp_path: Path, name: str, examples: int) -> None:
    path = tree(name, tmp_path)
    _, load, whole = FILES[name]

    @settings(deadline=60_000, suppress_health_check=list(HealthCheck), database=None, max_examples=examples)
    @given(damaged(whole))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        before = time.process_time()
        try:
            load(tmp_path)
        except FerError as error:
            assert "\n" not in str(error)  # noqa: PT017 - that there is an error is not the point
        assert time.process_time() - before < 5

    check()
