"""A file server on loopback that can misbehave the way real ones do."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server has, how it misbehaves, and what it was asked.

    Attributes:
        files: content by path, for example `/a.zip`.
        ignore_range: answer 200 with the whole file whatever range was asked for.
        cut_after: bytes after which to cut the connection, one entry used up per answer.
        status: answer every request with this status instead.
        ranges: the Range header of each request so far, None where there was none.
    """

    files: dict[str, bytes]
    ignore_range: bool = False
    cut_after: list[int] = field(default_factory=list)
    status: int | None = None
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[Behaviour]:
    """Serve in a thread; `behaviour.url` is the base address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, behaviour)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    behaviour.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> str:
    """The address of a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _answer(handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
    asked = handler.headers.get("Range")
    behaviour.ranges.append(asked)
    content = behaviour.files.get(handler.path)
    if behaviour.status or content is None:
        handler.send_error(behaviour.status or 404)
        return
    match = None if behaviour.ignore_range else re.fullmatch(r"bytes=(\d+)-", asked or "")
    start = int(match[1]) if match else 0
    if start >= len(content):
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.end_headers()
        return
    handler.send_response(206 if match else 200)
    if match:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    limit = behaviour.cut_after.pop(0) if behaviour.cut_after else len(content)
    handler.wfile.write(content[start : start + limit])
