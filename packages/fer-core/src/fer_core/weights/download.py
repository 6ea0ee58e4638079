"""Files by HTTP, in the cache: resumed where a download broke off, and the same at every later use."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import re
import shlex
import shutil
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import SSLError
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock

from fer_core.cache import cache_root
from fer_core.data.progress import show_progress
from fer_core.errors import FerError, one_line
from fer_core.files import check_sha256, make_folder, sha256, write_text, written_atomically
from fer_core.records import Count, Record, Sha256, Text
from fer_core.weights.upstream.read import read_upstream

logger = logging.getLogger(__name__)
BLOCK, SNIFFED = 1 << 20, 512
TIMEOUT = 30
"""Seconds without an answer after which a server counts as unreachable."""
NETWORK = (HTTPException, URLError, TimeoutError, ConnectionError, SSLError, ValueError)
"""What a download raises that no disk causes; ValueError: an address that cannot be one."""
URL = "%/:?&=#+~@!$'()*,;[]"
"""What stays as it is in an address."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, or of a user's share of it, that is full."""
BROWSER = ("drive.google.com", "docs.google.com", "pan.baidu.com", "onedrive.live.com", "1drv.ms")
"""Hosts that give files to browsers only."""


class Fetched(Record):
    """A file of the cache: where it came from, and what it was when it came."""

    address: Text
    sha256: Sha256
    size: Count


def download(address: str, expected: str | None = None) -> Path:
    """The file at an `http(s)` address, from the cache where it is there.

    Args:
        address: Of the file.
        expected: Its sha256; None: the one that is recorded when the file is first downloaded.

    Raises:
        FerError: It cannot be downloaded or stored, only a browser can, or it is not the file that is expected.
    """
    if known := fetched(address, expected):
        if len(known) > 1:
            raise FerError(f"{address} has several files: name one, {' or '.join(map(str, known))}")
        return known[0]
    if needs_browser(address):
        raise FerError(f"{address} gives the file to a browser only: {_by_hand(address)}")
    path = _folder(address) / _name(address)
    folder = path.parent
    make_folder(folder.parent)
    lock = folder.with_name(f".{folder.name}.lock")  # beside the folder, which a failed download takes away
    try:
        with FileLock(lock):
            try:
                if not path.is_file():  # by another process meanwhile
                    _bring(address, path, expected)
            finally:
                with contextlib.suppress(OSError):  # Windows deletes no open file
                    lock.unlink()
    except OSError as error:  # of the disk: `_receive` says what the network does
        raise FerError(
            f"cannot store {address} in {folder} ({error.strerror or error}): free some space, correct the "
            "permissions, or set FER_CACHE to another folder"
        ) from error
    return path


def take(address: str, file: Path, expected: str | None = None) -> Path:
    """Copy a file that somebody downloaded from an address into the cache.

    Raises:
        FerError: There is no such file, it cannot be read or stored, is not the file that is expected, or holds no
            weights where none is known.
    """
    path, again = _folder(address) / file.name, f"download it again from {address}"
    wanted = expected or _recorded(path)
    try:
        if not file.is_file():
            raise FerError(f"{file} is not a file: name the one that was downloaded from {address}")
        with file.open("rb") as handle:
            if handle.read(SNIFFED).lstrip()[:1] == b"<":
                raise FerError(
                    f"{file} is a web page, not the file that the page offers: download that from {address}"
                )
        found = check_sha256(file, wanted, again)
    except OSError as error:
        raise FerError(f"{file} cannot be read ({error.strerror}): correct its permissions, or {again}") from error
    if wanted is None:
        read_upstream(file)  # what comes first is trusted ever after
    make_folder(path.parent)
    with written_atomically(path) as partial:
        shutil.copyfile(file, partial)
    _record(path, address, found)
    return path


def fetched(address: str, expected: str | None = None) -> list[Path]:
    """The files of an address in the cache; several where an address is that of a folder.

    Raises:
        FerError: One was altered since.
    """
    folder = _folder(address)
    found = sorted(path for path in folder.glob("*") if path.name[0] != ".") if folder.is_dir() else []
    for path in found:
        if (expected or _recorded(path)) not in (None, sha256(path)):
            raise FerError(f"{path} was altered since it came from {address}: delete it, and fetch it again")
    return found


def needs_browser(address: str) -> bool:
    """Whether an address is known to be a page rather than a file."""
    try:
        host, path = urlsplit(address).hostname or "", urlsplit(address).path
    except ValueError as error:
        raise FerError(f"{address} is not an address ({error}): correct it") from error
    return host in BROWSER or (host == "github.com" and re.fullmatch(r"/[^/]+/[^/]+/?", path) is not None)


def in_bytes(size: int | None) -> str:
    """A size as people read it."""
    return "of unknown size" if size is None else f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _folder(address: str) -> Path:
    return cache_root() / "files" / hashlib.sha256(address.encode()).hexdigest()[:16]


def _name(address: str) -> str:
    name = re.sub(r"[^\w.+-]", "_", unquote(urlsplit(address).path).rpartition("/")[2])
    return name.lstrip(".")[-120:] or "file"


def _record_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _record(path: Path, address: str, digest: str) -> None:
    write_text(_record_of(path), Fetched(address=address, sha256=digest, size=path.stat().st_size).text())


def _recorded(path: Path) -> str | None:
    """The sha256 that a file had when it came first; None where it never did."""
    record = _record_of(path)
    return Fetched.read(record, f"delete {record}").sha256 if record.is_file() else None


def _keep(path: Path, partial: Path, address: str, expected: str | None) -> None:
    """Put a downloaded file in its place. Raises FerError where it is not the one that is expected."""
    found = sha256(partial)
    if (wanted := expected or _recorded(path)) not in (None, found):
        partial.unlink()
        raise FerError(
            f"{address} gave a file with the sha256 {found[:12]}..., not {str(wanted)[:12]}...: it was altered or "
            "replaced, and is not kept; ask its authors, or download it by hand"
        )
    partial.replace(path)
    _record(path, address, found)


def _bring(address: str, path: Path, expected: str | None) -> None:
    """Download a file to its place. A try that fails leaves what can be resumed, or else nothing."""
    partial = path.with_name(f".{path.name}.part")
    make_folder(path.parent)
    try:
        _receive(address, partial)
        _keep(path, partial, address, expected)
    except OSError as error:
        if error.errno in FULL:  # what is there could be resumed, but others need the disk
            partial.unlink(missing_ok=True)
            _tag_of(partial).unlink(missing_ok=True)
        raise
    finally:
        with contextlib.suppress(OSError):  # unless something is in it
            path.parent.rmdir()


def _tag_of(partial: Path) -> Path:
    """Where the tag is by which the server knows the file that was begun."""
    return partial.with_name(f"{partial.name}.tag")


def _receive(address: str, partial: Path) -> None:
    """Download into a file, after what is there of an earlier try, where the server can resume.

    Raises:
        FerError: The server cannot be reached, has no such file, breaks off or sends a page.
        OSError: The file cannot be written.
    """
    tag = _tag_of(partial)
    try:
        response, begun = _open(address, partial, tag)
        with response:
            _check_kind(address, response.headers)
            size = _size(response.headers, begun)
            resumed = f", resumed at {in_bytes(begun)}" if begun else ""
            logger.info(f"address  {address}, {in_bytes(size)}{resumed}")
            if size is not None and size - begun > (free := shutil.disk_usage(partial.parent).free):
                raise OSError(errno.ENOSPC, f"{in_bytes(size - begun)} do not fit in {in_bytes(free)}")
            with partial.open("ab" if begun else "wb") as out:
                if not begun:  # what was there is gone: a tag never stands beside bytes of another file
                    tag.write_text(_tag(response.headers), encoding="utf-8")
                received = begun + _copy(address, response, out, size, begun)
    except NETWORK as error:
        raise _unreachable(address, error, partial) from error
    if size is not None and received != size:
        raise _unreachable(address, ConnectionError("the connection was closed"), partial)
    tag.unlink()


def _open(address: str, partial: Path, tag: Path) -> tuple[HTTPResponse, int]:
    """The answer of a server, and how many bytes of the file stand before it."""
    begun = partial.stat().st_size if partial.is_file() else 0
    known = tag.read_text(encoding="utf-8") if tag.is_file() else ""
    headers = {"User-Agent": "fer-core", "Accept-Encoding": "identity"}
    if begun and known:
        headers |= {"Range": f"bytes={begun}-", "If-Range": known}
    try:
        response: HTTPResponse = urlopen(Request(quote(address, safe=URL), headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
    else:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            return response, 0
        if response.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
            return response, begun
        response.close()
    partial.unlink()
    return _open(address, partial, tag)


def _copy(address: str, response: HTTPResponse, out: BinaryIO, size: int | None, begun: int) -> int:
    received = 0
    with show_progress(f"downloading {_name(address)}", size) as advance:
        while block := response.read(BLOCK):
            out.write(block)
            received += len(block)
            advance(begun + received)
    return received


def _size(headers: Message, begun: int) -> int | None:
    length = headers.get("Content-Length", "")
    return begun + int(length) if length.isdecimal() else None


def _tag(headers: Message) -> str:
    """What `If-Range` takes: a strong validator, or none."""
    strong = headers.get("ETag", "")
    return headers.get("Last-Modified", "") if strong[:2] in ("", "W/") else strong


def _check_kind(address: str, headers: Message) -> None:
    if headers.get_content_type() == "text/html":
        raise FerError(f"{address} is a web page, not a file: {_by_hand(address)}")


def _by_hand(address: str) -> str:
    return f"download it in a browser, then take it with fer-run fetch {shlex.quote(address)} --file FILE"


def _unreachable(address: str, error: Exception, partial: Path) -> FerError:
    if isinstance(error, HTTPError):
        return FerError(
            f"cannot download {address} (the server answers {error.code} {error.reason}): correct the address, or "
            f"{_by_hand(address)}"
        )
    reason = one_line(str(getattr(error, "reason", error)) or type(error).__name__)
    kept = partial.stat().st_size if partial.is_file() else 0
    resumed = f"; {in_bytes(kept)} are kept, and the same command resumes there" if kept else ""
    return FerError(f"cannot download {address} ({reason}): connect to the network, or try again later{resumed}")
