"""PNG files whose bytes depend on the pixels alone.

Compressors differ between versions and builds, also at level 0; this writes deflate's *stored*
blocks itself (RFC 1950, 1951 and the PNG specification), so the same pixels are the same bytes
everywhere. Files are as large as the raw pixels, and quick to read.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_BLOCK = 65535  # most bytes that one stored block holds


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(raw: bytes) -> bytes:
    """A zlib stream that holds `raw` uncompressed."""
    parts = [b"\x78\x01"]
    for start in range(0, len(raw), _BLOCK):
        block = raw[start : start + _BLOCK]
        last = start + _BLOCK >= len(raw)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join(parts) + struct.pack(">I", zlib.adler32(raw))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image (H, W, 3) as the bytes of a PNG file."""
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # first byte of a row: filter "none"
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, no interlace
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in ((b"IHDR", header), (b"IDAT", _stored(rows.tobytes())), (b"IEND", b""))
    )
