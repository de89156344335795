"""Grey pictures from arrays: windows, contact sheets and JPEG files of bounded size.

Here: eight-bit images. What belongs here is everything about pixels for the eye. Not here: what is shown, see ``preview.py``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.output import write_atomically

Images = NDArray[np.float32]
Grey = NDArray[np.uint8]
LIMIT_BYTES = 150_000


def grey(image: Images, low: float, high: float) -> Grey:
    """``low`` becomes black and ``high`` white."""
    span = high - low if high > low else 1.0
    return np.asarray(np.clip((image - low) * (255 / span) + 0.5, 0, 255), np.uint8)


def window(image: Images) -> tuple[float, float]:
    """Values between which all but the extreme 0.4 % of the pixels lie."""
    low, high = np.percentile(image, (0.2, 99.8))
    return float(low), float(high)


def save_jpeg(image: Grey, path: Path, longest: int = 1024) -> tuple[int, int]:
    """Writes a JPEG file of at most 150 kB whose sides are at most ``longest`` pixels; returns its width and height."""
    from PIL import Image

    picture = Image.fromarray(image)
    quality = 88
    while True:
        scale = min(1.0, longest / max(picture.size))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        shown = picture.resize(size, Image.Resampling.BOX) if size != picture.size else picture
        stream = io.BytesIO()
        shown.save(stream, "JPEG", quality=quality)
        if stream.tell() <= LIMIT_BYTES:
            write_atomically(path, stream.getvalue())
            return size
        quality, longest = (quality - 12, longest) if quality > 60 else (quality, int(longest * 0.85))


def contact_sheet(images: Sequence[Grey], labels: Sequence[str], columns: int = 3) -> Grey:
    """Pictures of equal size in rows of ``columns``, each with its label in the upper left corner."""
    from PIL import Image, ImageDraw

    height, width = images[0].shape
    lines = -(-len(images) // columns)
    sheet = Image.new("L", (columns * (width + 4) - 4, lines * (height + 4) - 4), 255)
    draw = ImageDraw.Draw(sheet)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        corner = ((index % columns) * (width + 4), (index // columns) * (height + 4))
        sheet.paste(Image.fromarray(image), corner)
        box = draw.textbbox((corner[0] + 4, corner[1] + 4), label)
        draw.rectangle((box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2), fill=0)
        draw.text((corner[0] + 4, corner[1] + 4), label, fill=255)
    return np.asarray(sheet, np.uint8)
