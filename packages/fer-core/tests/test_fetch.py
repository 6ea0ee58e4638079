"""`fer-run fetch`: licence, address and size first; browser's files by hand; the Hub; names that are unknown."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from fer_core.cli import main
from fer_core.plugin import Weights, WeightsSpec
from fer_core.plugins import Entry, Plugin, load_plugins
from fer_core.weights.address import local_file
from PIL import Image
from served import Server, serving

PAGE = "https://drive.google.com/file/d/1/view"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def authors(tiny, server, monkeypatch) -> Path:
    """The authors of `tiny` and of `small` published files; the folder is the current one."""
    entries = load_plugins().entries["models"]
    files = (
        Weights(name="tiny-bars", url=server.address("bars.pth"), licence="MIT", note="three bars"),
        Weights(name="tiny-face", url=PAGE, licence="not stated"),
        Weights(name="same", url=server.address("one.pth")),
    )
    (entry,) = entries["tiny"]
    monkeypatch.setitem(entries, "tiny", [replace(entry, value=replace(entry.value, weights=files))])
    other = replace(entry.value, name="small", weights=(Weights(name="same", url=server.address("two.pth")),))
    monkeypatch.setitem(entries, "small", [replace(entry, name="small", value=other)])
    return tiny


def fetch(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["fetch", *arguments])


def refused(*arguments: str) -> str:
    result = fetch(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr.splitlines()[-1]


def test_licence_address_and_size_come_before_the_file(authors, server) -> None:
    result = fetch("tiny-bars")
    assert result.stderr.splitlines() == [
        "weights  tiny-bars: three bars",
        "licence  MIT",
        f"address  {server.address('bars.pth')}, 1.0 MB",
    ]
    assert Path(result.stdout.strip()).read_bytes() == server.content
    server.status = 500
    assert fetch("tiny-bars").stdout == fetch("tiny/Tiny_Bars").stdout == result.stdout
    assert str(local_file(server.address("bars.pth"))) == result.stdout.strip()


def test_what_a_browser_has_to_download_is_taken_by_hand(authors) -> None:
    assert refused("tiny-face") == (
        f"Error: {PAGE} gives files to a browser only: download it there, then take the file with fer-run fetch "
        "tiny-face --file FILE"
    )
    torch.save({"weight": torch.ones(2)}, "face.pth")
    content = Path("face.pth").read_bytes()
    taken = fetch("tiny-face", "--file", "face.pth").stdout
    Path("face.pth").unlink()
    assert Path(taken.strip()).read_bytes() == content
    assert fetch("tiny-face").stdout == taken
    assert "is not a file: name the one that was downloaded" in refused("tiny-face", "--file", "face.pth")


def test_a_file_without_weights_is_not_taken_for_them(authors, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "empty"))
    Image.new("RGB", (9, 9)).save("face.png")
    Path("face.pth").write_bytes(Path("face.png").read_bytes())
    torch.save({"epoch": 7}, "figures.pth")
    for name in ("face.png", "face.pth", "figures.pth"):
        assert refused("tiny-face", "--file", name).startswith(f"Error: {name} cannot be used as weights (")
    assert not (tmp_path / "empty").exists()


def test_a_file_is_not_stored_for_an_address_whose_files_are_stored_elsewhere(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "empty"))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "own.pth")
    line = refused("hf://own/far@main/own.pth", "--file", str(tmp_path / "own.pth"))
    assert "--file is for http(s) addresses, not hf://own/far@main/own.pth: leave it out, or use" in line
    assert not (tmp_path / "empty").exists()


def test_names_that_mean_nothing_or_several_things_are_one_line(authors, server) -> None:
    assert refused("tiny-brs") == "Error: no model's authors published weights tiny-brs: did you mean tiny-bars?"
    assert refused("tiny") == "Error: tiny is a model: its files are tiny-bars, tiny-face, same"
    assert refused("same") == "Error: several models have weights same: write tiny/same or small/same"
    assert fetch("small/same").stdout.strip().endswith("two.pth")


def test_files_of_other_schemes_are_checked_against_their_sha256_too(authors, monkeypatch) -> None:
    path = Path("hub.pth")
    path.write_bytes(b"weights")
    monkeypatch.setattr("fer_core.weights.hub.download_from_hub", lambda address: path)
    (entry,) = load_plugins().entries["models"]["tiny"]
    far = Weights(name="far", url="hf://own/far", sha256=hashlib.sha256(b"weights").hexdigest())
    tiny = replace(entry.value, weights=(far,))
    monkeypatch.setitem(load_plugins().entries["models"], "tiny", [replace(entry, value=tiny)])
    assert fetch("far").stdout.strip() == "hub.pth"
    path.write_bytes(b"replaced")
    assert "delete it, so that hf://own/far is downloaded again" in refused("far")


def test_weights_of_a_package_that_lie_at_an_address_are_checked_against_its_sha256(authors, server) -> None:
    digest, own = hashlib.sha256(server.content).hexdigest(), Plugin("own", "own", "1")
    spec = WeightsSpec(
        name="far", model="tiny", file=server.address("far.safetensors"), card="a:b", summary="", sha256=digest
    )
    entries = load_plugins().entries["weights"]
    entries["far"] = [Entry("far", spec, own)]
    try:
        path = Path(fetch("far").stdout.strip())
        assert path.read_bytes() == server.content
        path.write_bytes(b"altered")
        assert f"{path} was altered since it came from {spec.file}" in refused("far")
        path.unlink()
        server.content = b"replaced"
        assert f"not {digest[:12]}...: it was altered or replaced, and is not kept" in refused("far")
        assert "far comes with a package: leave --file out" in refused("far", "--file", __file__)
    finally:
        del entries["far"]


def on_the_hub(server: Server, address: str, cache: Path) -> tuple[int, str]:
    """Status of `fer-run fetch` with this server as the Hub, and what it printed, or else logged."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.root,
        "HF_HOME": str(cache / "home"),
        "FER_CACHE": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-m", "fer_core", "fetch", address], env=environment, capture_output=True, text=True
    )
    return done.returncode, (done.stdout or done.stderr).strip()


def test_files_of_the_hub_are_downloaded_once(server, tmp_path) -> None:
    pytest.importorskip("huggingface_hub")
    server.files = {"/ada/faces/resolve/v2/model.safetensors": b"weights"}
    status, path = on_the_hub(server, "hf://ada/faces@v2", tmp_path)
    assert (status, Path(path).read_bytes()) == (0, b"weights")
    server.files, asked = {}, len(server.asked)
    assert on_the_hub(server, "hf://ada/faces@v2/model.safetensors", tmp_path) == (0, path)
    assert len(server.asked) == asked
    status, line = on_the_hub(server, "hf://ada/faces@v2/other.pth", tmp_path)
    assert status == 2
    assert line.startswith("Error: cannot download hf://ada/faces@v2/other.pth (404 ")


def test_addresses_of_the_hub_that_are_wrong_or_cannot_be_fetched_here(authors, monkeypatch) -> None:
    assert refused("hf://ada") == (
        "Error: hf://ada is not an address of the Hub: write hf://OWNER/NAME@REVISION/FILE"
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert refused("hf://ada/faces").endswith("needs huggingface_hub: pip install 'fer-core[hub]'")
