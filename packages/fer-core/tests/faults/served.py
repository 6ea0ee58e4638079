"""A server of files on the loopback interface that resumes, breaks off or refuses as a test asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Attributes are what it does; `asked` lists the `Range` of every request, None for the whole file."""

    def __init__(self) -> None:
        self.content = bytes(range(256)) * 4096
        self.tag: str | None = '"first"'
        self.kind = "application/octet-stream"
        self.status: int | None = None
        self.sent: int | None = None
        """After so many bytes of an answer the connection is closed."""
        self.released = threading.Event()
        """Set, unless the connection shall be kept open until it is."""
        self.released.set()
        self.shift = 0
        """How far behind the asked byte an answer begins."""
        self.asked: list[str | None] = []
        self.files: dict[str, bytes] | None = None
        """By path, as the Hub has them; everything else is missing then."""
        self.root = ""

    def address(self, name: str = "weights.pth") -> str:
        return f"{self.root}/{name}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked, begin = handler.headers.get("Range"), 0
        self.asked.append(asked)
        if self.files is not None:
            self._answer_as_the_hub(handler, self.files)
            return
        if self.status is not None:
            handler.send_error(self.status)
            return
        if asked and self.tag and handler.headers.get("If-Range") == self.tag:
            begin = int(asked.removeprefix("bytes=").removesuffix("-")) + self.shift
            if begin >= len(self.content):
                handler.send_error(416)
                return
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        if self.tag:
            handler.send_header("ETag", self.tag)
        handler.send_header("Content-Type", self.kind)
        handler.send_header("Content-Length", str(len(self.content) - begin))
        handler.end_headers()
        rest = self.content[begin:]
        handler.wfile.write(rest if self.sent is None else rest[: self.sent])
        handler.wfile.flush()
        self.released.wait()

    def _answer_as_the_hub(self, handler: BaseHTTPRequestHandler, files: dict[str, bytes]) -> None:
        content = files.get(handler.path)
        handler.send_response(404 if content is None else 200)
        handler.send_header("X-Repo-Commit", "c" * 40)
        handler.send_header("X-Error-Code", "EntryNotFound")
        handler.send_header("ETag", self.tag or "")
        handler.send_header("Content-Length", str(len(content or b"")))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(content or b"")


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a thread of its own."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def do_HEAD(self) -> None:
            server.answer(self)

        def log_message(self, *given: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.root = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        http.shutdown()
        thread.join()
