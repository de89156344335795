"""Thumbnails: small pictures of a scan or a reconstruction, as SciCat shows them.

Here: scaling and encoding within SciCat's limits; a picture that cannot be made is a warning, never an error. Not here: which
pictures a record gets, or reading scan files.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from als_assets.catalogue.model import Issue, Thumbnail
from als_assets.errors import ScanError

MAX_SIDE = 512
MAX_BYTES = 44_000  # 59 kB as the base64 text that SciCat stores
_MAX_SOURCE_PIXELS = 200_000_000
_QUALITIES = (85, 75, 60, 45, 30)


def thumbnail_of_pixels(pixels: NDArray[np.floating] | NDArray[np.integer], caption: str, issues: list[Issue]) -> Thumbnail | None:
    """A grey picture of a 2-D array between its 0.5 and 99.5 percentiles; None and a warning where there is nothing to see."""
    values = np.asarray(pixels, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if values.ndim != 2 or finite.size == 0:
        return _none(caption, f"its pixels have the shape {values.shape}, {finite.size} of them finite", issues)
    low, high = np.percentile(finite, (0.5, 99.5))
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-12)
    return _encode(Image.fromarray((np.clip(scaled, 0, 1) * 255).astype(np.uint8)), caption)


def thumbnail_read_by(read: Callable[[], NDArray[Any]] | None, caption: str, issues: list[Issue]) -> Thumbnail | None:
    """The picture that a scan's extract can read; None and a warning where it cannot be read, None where there is none."""
    if read is None:
        return None
    try:
        pixels = read()
    except (OSError, LookupError, ValueError, TypeError, AttributeError, ScanError) as error:  # h5py raises any of them for odd files
        return _none(caption, f"the scan cannot be read ({error})", issues)
    return thumbnail_of_pixels(pixels, caption, issues)


def thumbnail_of_image(content: bytes, caption: str, issues: list[Issue]) -> Thumbnail | None:
    """A small copy of a picture file (PNG, JPEG, TIFF ...); None and a warning where it is not one."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > _MAX_SOURCE_PIXELS:
                return _none(caption, f"it has {image.width} x {image.height} pixels", issues)
            return _encode(image.convert("RGB" if image.mode not in ("L", "1") else "L"), caption)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        return _none(caption, f"it cannot be read ({error})", issues)


def _encode(image: Image.Image, caption: str) -> Thumbnail:
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= MAX_BYTES:
                return Thumbnail(caption, "image/jpeg", buffer.getvalue())
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)))


def _none(caption: str, reason: str, issues: list[Issue]) -> Thumbnail | None:
    issues.append(Issue("warning", "thumbnail", f"There is no picture {caption!r}: {reason}"))
    return None
