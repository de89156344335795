"""Writing one slice as a baseline TIFF file.

Here: a header of fixed size before the bytes of the image, so that a slice is written in one go and a full disk is reported as
such. What belongs here is the format (TIFF revision 6.0, Adobe 1992). Not here: names and places of files, see ``output.py``.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 256
_SHORT, _LONG, _RATIONAL = 3, 4, 5


def write(path: Path, image: NDArray[Any], pixel_size_mm: float) -> None:
    """(height, width) float32, uint8 or uint16, one strip, little endian, with the resolution in pixels per centimetre. Raises OSError."""
    height, width = image.shape
    data = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
    with path.open("wb", buffering=0) as stream:
        stream.write(_header(height, width, 10 / pixel_size_mm, data.dtype))
        rest = data.data.cast("B")
        while rest:
            rest = rest[stream.write(rest) :]


def _header(height: int, width: int, pixels_per_cm: float, dtype: np.dtype[Any]) -> bytes:
    resolution = (min(round(pixels_per_cm * 1000), 2**32 - 1), 1000)
    entries = [
        (256, _LONG, width),
        (257, _LONG, height),
        (258, _SHORT, 8 * dtype.itemsize),  # bits
        (259, _SHORT, 1),  # not compressed
        (262, _SHORT, 1),  # black is zero
        (273, _LONG, HEADER_BYTES),
        (277, _SHORT, 1),  # samples
        (278, _LONG, height),
        (279, _LONG, dtype.itemsize * height * width),
        (282, _RATIONAL, HEADER_BYTES - 16),
        (283, _RATIONAL, HEADER_BYTES - 8),
        (296, _SHORT, 3),  # centimetre
        (339, _SHORT, 3 if dtype.kind == "f" else 1),  # IEEE floating point, or whole numbers from zero
    ]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + struct.pack("<I", 0)
    return head.ljust(HEADER_BYTES - 16, b"\0") + struct.pack("<IIII", *resolution, *resolution)
