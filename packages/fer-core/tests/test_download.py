"""Downloads: resumed where they broke off, checked, the same ever after; one line for whatever goes wrong."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from fer_core import FerError
from fer_core.weights.address import local_file
from fer_core.weights.download import download, in_bytes, needs_browser, take
from safetensors.torch import save_file
from served import Server, serving

SHA = "0" * 64


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[Server]:
    """A server, and an empty cache at `tmp_path/cache`."""
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    with serving() as found:
        yield found


def visible(cache: Path) -> list[str]:
    """Names of the files in the cache that are not hidden."""
    return [path.name for path in cache.rglob("*") if path.is_file() and path.name[0] != "."]


def refused(address: str, sha256: str | None = None) -> str:
    with pytest.raises(FerError) as caught:
        download(address, sha256)
    return str(caught.value)


def test_a_file_is_downloaded_once_and_no_network_is_needed_again(server, tmp_path, lines) -> None:
    address = server.address("some%20weights.pth?download=1")
    path = local_file(address)
    assert (path.name, path.read_bytes()) == ("some_weights.pth", server.content)
    assert lines == [f"address  {address}, 1.0 MB"]
    server.status = 500
    assert local_file(address) == download(address, hashlib.sha256(server.content).hexdigest()) == path
    assert server.asked == [None]
    assert [name for name in path.parent.iterdir() if "part" in name.name] == []


def test_what_broke_off_is_resumed_where_it_did(server, tmp_path, lines) -> None:
    server.sent = 300_000
    line = refused(server.address())
    assert line == (
        f"cannot download {server.address()} (the connection was closed): connect to the network, or try again "
        "later; 0.3 MB are kept, and the same command resumes there"
    )
    assert visible(tmp_path) == []
    server.sent = None
    assert download(server.address()).read_bytes() == server.content
    assert server.asked == [None, "bytes=300000-"]
    assert lines[-1] == f"address  {server.address()}, 1.0 MB, resumed at 0.3 MB"


def test_two_that_want_the_same_file_download_it_once(server) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(download, [server.address()] * 2)
    assert first == second
    assert server.asked == [None]


@pytest.mark.parametrize("change", ["another file", "no tag", "a weak tag", "another place", "a shorter file"])
def test_what_cannot_be_resumed_begins_anew(server, change: str) -> None:
    if change in ("no tag", "a weak tag"):
        server.tag = None if change == "no tag" else 'W/"first"'
    server.sent = 300_000
    refused(server.address())
    server.sent = None
    if change == "another file":
        server.tag, server.content = '"second"', server.content[::-1]
    elif change == "another place":
        server.shift = 5
    elif change == "a shorter file":
        server.content = server.content[:200_000]
    assert download(server.address()).read_bytes() == server.content


def test_bytes_of_an_earlier_file_are_not_resumed_where_the_new_one_did_not_begin(server, monkeypatch) -> None:
    server.sent = 300_000
    refused(server.address())
    server.sent, server.tag, server.content = None, '"second"', server.content[::-1]

    def write_and_stop(path: Path, text: str, **options: str) -> None:
        path.write_bytes(text.encode())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            download(server.address())
    assert download(server.address()).read_bytes() == server.content


def test_a_download_that_is_interrupted_leaves_nothing_that_looks_whole(server, tmp_path, monkeypatch) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fer_core.weights.download._copy", stop)
    with pytest.raises(KeyboardInterrupt):
        download(server.address())
    assert visible(tmp_path) == []
    monkeypatch.undo()
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    assert download(server.address()).read_bytes() == server.content


def test_a_download_whose_process_is_killed_is_resumed(server, tmp_path, wait_for) -> None:
    server.content, server.sent = server.content * 4, 2_500_000
    server.released.clear()
    script = "import sys; from fer_core.weights.address import local_file; local_file(sys.argv[1])"
    command = [sys.executable, "-c", script, server.address()]

    def begun() -> bool:
        return any(path.stat().st_size for path in tmp_path.rglob("*.part"))

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        wait_for(begun, process)
        process.kill()
    server.released.set()
    assert visible(tmp_path) == []
    server.sent = None
    assert download(server.address()).read_bytes() == server.content
    whole, rest = server.asked
    assert (whole, int(rest.removeprefix("bytes=").removesuffix("-")) > 0) == (None, True)


def test_a_file_that_is_not_the_expected_one_is_not_kept(server, tmp_path) -> None:
    found = hashlib.sha256(server.content).hexdigest()
    assert refused(server.address(), SHA) == (
        f"{server.address()} gave a file with the sha256 {found[:12]}..., not {SHA[:12]}...: it was altered or "
        "replaced, and is not kept; ask its authors, or download it by hand"
    )
    assert visible(tmp_path) == []
    path = download(server.address(), found)
    path.unlink()
    server.content, server.tag = server.content[1:], '"second"'
    assert f"not {found[:12]}...: it was altered or replaced" in refused(server.address())


def test_a_file_that_was_altered_in_the_cache_is_not_used(server) -> None:
    path = download(server.address())
    path.write_bytes(server.content[:-1])
    assert refused(server.address()) == (
        f"{path} was altered since it came from {server.address()}: delete it, and fetch it again"
    )
    path.unlink()
    assert download(server.address()).read_bytes() == server.content


@pytest.mark.parametrize("status", [404, 403, 503])
def test_what_the_server_answers_is_said(server, tmp_path, status: int) -> None:
    server.status = status
    line = refused(server.address())
    assert f"(the server answers {status} " in line
    assert line.endswith(
        "correct the address, or download it in a browser, then take it with fer-run fetch "
        f"{server.address()} --file FILE"
    )
    assert list((tmp_path / "cache" / "files").iterdir()) == []


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9/a.pth", "http://nowhere.invalid/a.pth", "http://127.0.0.1:x/a.pth", "http:///a.pth"],
)
def test_without_network_it_is_one_line(server, tmp_path, address: str) -> None:
    line = refused(address)
    assert line.startswith(f"cannot download {address} (")
    assert line.endswith("connect to the network, or try again later")
    assert list((tmp_path / "cache" / "files").iterdir()) == []


def test_an_address_that_cannot_be_one_is_one_line(server) -> None:
    assert refused("http://[a/b.pth") == "http://[a/b.pth is not an address (Invalid IPv6 URL): correct it"


def test_a_page_is_not_taken_for_a_file(server, tmp_path) -> None:
    server.kind = "text/html; charset=utf-8"
    assert refused(server.address()) == (
        f"{server.address()} is a web page, not a file: download it in a browser, then take it with fer-run "
        f"fetch {server.address()} --file FILE"
    )
    assert visible(tmp_path) == []
    page = "https://drive.google.com/uc?id=1&export=download"
    assert refused(page) == (
        f"{page} gives the file to a browser only: download it in a browser, then take it with fer-run fetch "
        f"'{page}' --file FILE"
    )
    assert needs_browser("https://github.com/owner/name")
    assert not needs_browser("https://github.com/owner/name/raw/HEAD/a.pth")


def test_what_does_not_fit_on_the_disk_is_not_begun(server, tmp_path, monkeypatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000))
    line = refused(server.address())
    assert "(1.0 MB do not fit in 0.0 MB): free some space, correct the permissions, or set FER_CACHE" in line
    assert list((tmp_path / "cache" / "files").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_disk_that_fills_up_is_one_line_and_gets_its_space_back(server, tmp_path) -> None:
    path = download(server.address())
    path.unlink()
    partial = path.with_name(f".{path.name}.part")
    partial.symlink_to("/dev/full")
    line = refused(server.address())
    assert line.startswith(f"cannot store {server.address()} in {path.parent} (No space left on device)")
    assert [each.name for each in path.parent.iterdir()] == [f".{path.name}.json"]
    assert download(server.address()).read_bytes() == server.content


def test_a_file_that_was_downloaded_by_hand_is_copied_and_recorded(server, tmp_path) -> None:
    page, own = "https://drive.google.com/drive/folders/1", tmp_path / "ir50.pth"
    save_file({"weight": torch.ones(2)}, own)
    path = take(page, own)
    assert path.read_bytes() == own.read_bytes()
    assert download(page) == path
    save_file({"weight": torch.zeros(2)}, own)
    with pytest.raises(FerError, match=r"ir50.pth has the sha256 .* download it again from https://drive"):
        take(page, own)
    other = own.rename(own.with_name("mobile.pth"))
    take(page, other)
    assert refused(page).startswith(f"{page} has several files: name one, {path} or ")
    other.write_bytes(b"\n<!DOCTYPE html>")
    with pytest.raises(FerError, match="is a web page, not the file that the page offers"):
        take(page, other)
    with pytest.raises(FerError, match="is not a file: name the one that was downloaded from"):
        take(page, tmp_path / "gone.pth")
    with pytest.raises(FerError, match="is not a file: name the one that was downloaded from"):
        take(page, tmp_path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="/proc/self/mem is Linux's")
def test_a_file_by_hand_that_cannot_be_read_is_one_line(server) -> None:
    with pytest.raises(FerError) as caught:
        take(server.address(), Path("/proc/self/mem"))  # it opens, but has no first byte
    assert str(caught.value) == (
        "/proc/self/mem cannot be read (Input/output error): correct its permissions, or download it again from "
        f"{server.address()}"
    )


def test_sizes_are_written_as_people_read_them() -> None:
    assert [in_bytes(size) for size in (None, 0, 43_210_000, 2_345_678_901)] == [
        "of unknown size",
        "0.0 MB",
        "43.2 MB",
        "2.35 GB",
    ]
