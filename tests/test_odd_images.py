"""Odd image files meet one decoder: same pixels, or the same line, from `predict`, `data check` and `train`."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from fer_core import Predictor
from fer_core.cache import cache_root
from fer_core.cli import main
from fer_core.data.images import decode_image
from fer_core.data.open import open_dataset
from fer_core.data.packs.open import open_pack
from fer_core.plugin import ModelSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from PIL import Image
from torch import nn

NOISE = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
FACE = Image.fromarray(NOISE).resize((20, 24))


class Tiny(nn.Module):
    def __init__(self, info) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, info.num_classes)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.head(images.flatten(1))}


def fer_run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def train(folder: Path, name: str = "run") -> Result:
    options = ("data.input_size=16", "data.eval_transforms=[resize, normalize]", "train.epochs=1", "callbacks=[]")
    words = [word for option in (*options, f"run.dir={folder.parent / name}") for word in ("-o", option)]
    return fer_run("train", "tiny", "folder", "--data", folder, "--device", "cpu", "--quiet", *words)


@pytest.fixture
def faces(tmp_path, monkeypatch) -> Path:
    """A folder of ten faces of each of two classes, where a model `tiny` can be trained."""
    spec = ModelSpec(name="tiny", factory=Tiny, recipes={}, summary="", paper="", licence="", upstream="")
    monkeypatch.setitem(load_plugins().entries["models"], "tiny", [Entry("tiny", spec, Plugin("t", "t", "0"))])
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    for name in ("happiness", "sadness"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 256, (24, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "faces" / name / f"{number}.png")
    return tmp_path / "faces"


def save_odd_images(folder: Path) -> list[Path]:
    """Images of every unusual kind that can be read."""
    grey = FACE.convert("L")
    transparent = FACE.copy()
    transparent.putalpha(grey)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(folder / "deep.png")
    FACE.convert("CMYK").save(folder / "cmyk.jpg")
    FACE.quantize(16).save(folder / "palette.png", transparency=3)
    transparent.save(folder / "alpha.webp", lossless=True)
    FACE.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", FACE.size)])
    FACE.save(folder / "rotated.jpg", exif=turned)
    grey.convert("1").save(folder / "bits.tiff", compression="group4")
    names = ("deep.png", "cmyk.jpg", "palette.png", "alpha.webp", "animated.gif", "rotated.jpg", "bits.tiff")
    return [folder / name for name in names]


def test_odd_images_have_the_same_pixels_everywhere(faces) -> None:
    odd = save_odd_images(faces / "sadness")
    for number, path in enumerate(odd):  # what `data check` reads equals what the decoder reads
        Image.fromarray(decode_image(path, keep_grey=True).squeeze()).save(
            faces / "sadness" / f"twin-{number}.png"
        )
    report = json.loads(fer_run("data", "check", "folder", "--data", faces, "--json").stdout)
    assert report["unreadable"] == {}
    twins = [[f"sadness/{path.name}", f"sadness/twin-{number}.png"] for number, path in enumerate(odd)]
    assert sorted(map(sorted, report["duplicates_within"])) == sorted(twins)

    result = train(faces)
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    dataset = open_dataset("folder", faces, {})[1]
    pack = open_pack(dataset, cache_root(), progress=False)
    rows = {source: row for row, source in enumerate(dataset.table["source"])}
    for path in odd:
        (pixels,) = pack.images(np.array([rows[f"sadness/{path.name}"]]))
        assert np.array_equal(pixels, decode_image(path, keep_grey=True))

    weights = faces.parent / "run" / "best.safetensors"
    result = fer_run("predict", *odd, "-m", weights, "--json", "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    predictor = Predictor(weights, device="cpu")
    for face, path in zip(json.loads(result.stdout), odd, strict=True):
        (expected,) = predictor(decode_image(path))
        assert face["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)


def png_of_size(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"\0\0\0\x09IDAT"
        + bytes(50)
    )


def truncate(path: Path) -> None:
    FACE.save(path, "JPEG", quality=95)
    path.write_bytes(path.read_bytes()[:700])


BAD = {
    "PostScript": lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
    "SVG": lambda path: path.write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    "ZIP archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(26)),
    "not a regular file": os.mkfifo,
    "symbolic links": lambda path: path.symlink_to(path),
    "50,000,000 pixels": lambda path: path.write_bytes(png_of_size(20_000, 20_000)),
    "truncated": truncate,
    "empty": lambda path: path.touch(),
}


@pytest.mark.parametrize(("words", "make"), BAD.items(), ids=list(BAD))
def test_bad_files_are_the_same_line_everywhere(faces, words, make) -> None:
    assert train(faces).exit_code == 0  # weights, and a pack that the bad file must not find
    bad = faces / "sadness" / "bad.png"
    make(bad)
    (bad.parent / "._bad.png").touch()  # hidden files are not images
    results = {
        "predict": fer_run("predict", bad.parent, "-m", faces.parent / "run", "--device", "cpu"),
        "train": train(faces, "another"),
    }
    for command, result in results.items():
        assert result.exit_code != 0, command
        assert "Traceback" not in result.stderr
    lines = {
        command: [line for line in result.stderr.splitlines() if str(bad) in line]
        for command, result in results.items()
    }
    report = json.loads(fer_run("data", "check", "folder", "--data", faces, "--json").stdout)
    (line,) = report["unreadable"].values()
    assert words in line
    assert line.startswith(f"cannot read {bad}: ")
    for command, (found,) in lines.items():
        assert found.endswith(line), command
