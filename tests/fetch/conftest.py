"""A web server on this machine that misbehaves as told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Site(ThreadingHTTPServer):
    """Serves ``files``; each request for a path takes the next of its ``faults``.

    A fault is "truncate" (half of what is left, then the end), "stall" (half, then silence),
    "corrupt" (every byte changed), "no-range" (all from the start), a status code, or bytes, the
    whole answer word for word, the last of them again and again where they end in an ellipsis.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Site = self.server  # type: ignore[assignment]
        wanted = self.headers.get("Range")
        site.asked.append((self.path, wanted))
        faults = site.faults.get(self.path, [])
        fault = faults.pop(0) if faults else None
        if isinstance(fault, bytes):
            answer = fault.removesuffix(b"...")
            self.wfile.write(answer)
            with contextlib.suppress(OSError):  # the client hangs up
                while answer != fault and not site.over.is_set():
                    self.wfile.write(answer[-1:] * 4096)
            self.close_connection = True
            return
        if isinstance(fault, int) or self.path not in site.files:
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        whole = site.files[self.path]
        begin = int(wanted[6:-1]) if wanted and fault != "no-range" else 0
        if begin and begin >= len(whole):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(whole)}")
            self.end_headers()
            return
        body = whole[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}")
        self.end_headers()
        if fault == "corrupt":
            body = bytes(byte ^ 1 for byte in body)
        self.wfile.write(body[: len(body) // 2] if fault in ("truncate", "stall") else body)
        self.wfile.flush()
        if fault == "stall":
            site.over.wait(20)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join(10)
