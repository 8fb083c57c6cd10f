"""A tiny sound COCO-format set to break in one place at a time."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

IMAGES = [
    {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30},
    {"id": 2, "file_name": "b.png", "width": 20, "height": 50},
    {"id": 9, "file_name": "none.jpg", "width": 16, "height": 16},  # without annotations
]
BOXES = [
    {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 40, 30], "area": 1200, "iscrowd": 0},
    {"id": 2, "image_id": 1, "category_id": 5, "bbox": [5, 6, 7, 8], "area": 50, "iscrowd": 0},
    {"id": 5, "image_id": 2, "category_id": 5, "bbox": [1.5, 2, 3, 4], "area": 12, "iscrowd": 1},
]
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]


@dataclass
class TinySet:
    """A set in `root`, split "val"; change `document`, then `save()`."""

    root: Path
    document: dict[str, Any]

    def save(self) -> None:
        self.annotations.write_text(json.dumps(self.document))

    @property
    def annotations(self) -> Path:
        return self.root / "annotations" / "val.json"

    def image(self, name: str) -> Path:
        return self.root / "images" / name

    def tree(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


def make_set(root: Path) -> TinySet:
    """The tiny set, written to a new folder."""
    made = TinySet(
        root, copy.deepcopy({"images": IMAGES, "annotations": BOXES, "categories": CATEGORIES})
    )
    for folder in ("annotations", "images"):
        (made.root / folder).mkdir(parents=True)
    for image in IMAGES:
        size = (image["width"], image["height"])
        Image.effect_noise(size, 60).convert("RGB").save(made.image(image["file_name"]))
    made.save()
    return made


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    return make_set(tmp_path / "set")


@pytest.fixture
def make_tiny() -> Callable[[Path], TinySet]:
    return make_set


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
