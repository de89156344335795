"""Pictures for the eye from arrays: grey values, captions with a scale bar, contact sheets, histograms, files of bounded size.

Here: eight-bit images and what is drawn around them. What belongs here is everything about pixels that people look at. Not here: what is
shown, see ``preview.py`` and ``sweep.py``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.output import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Images = NDArray[np.float32]
Grey = NDArray[np.uint8]
LIMIT_BYTES = 150_000
GAP = 6  # pixels between the pictures of a contact sheet
STRIP = 30  # height of a caption
_PAPER, _INK, _FAINT, _MARK = 20, 235, 150, 255


def grey(image: Images, low: float, high: float) -> Grey:
    """``low`` becomes black and ``high`` white."""
    span = high - low if high > low else 1.0
    return np.asarray(np.clip((image - low) * (255 / span) + 0.5, 0, 255), np.uint8)


def window(image: Images) -> tuple[float, float]:
    """Values between which all but the extreme 0.4 % of the pixels lie."""
    low, high = np.percentile(image, (0.2, 99.8))
    return float(low), float(high)


@dataclass(frozen=True)
class Caption:
    """What stands under a picture: a ``title``, a fainter ``note``, and a scale bar where the size of a pixel in mm is known."""

    title: str
    note: str = ""
    pixel_mm: float | None = None


def captioned(image: Grey, caption: Caption, longest: int) -> Picture:
    """The picture, at most ``longest`` pixels wide and high, above its caption."""
    from PIL import Image, ImageDraw

    shown, zoom = _fitted(image, longest)
    canvas = Image.new("L", (max(shown.width, 240), shown.height + STRIP), _PAPER)
    canvas.paste(shown, ((canvas.width - shown.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    middle, right = shown.height + STRIP // 2, canvas.width - 10
    if caption.pixel_mm is not None:
        right = _scale_bar(draw, right, middle, caption.pixel_mm / zoom, shown.width)
    draw.text((10, middle), caption.title, fill=_INK, font=_font(15), anchor="lm")
    start = 10 + draw.textlength(caption.title, font=_font(15)) + 14
    if start + draw.textlength(caption.note, font=_font(13)) < right:
        draw.text((start, middle), caption.note, fill=_FAINT, font=_font(13), anchor="lm")
    return canvas


def contact_sheet(images: Sequence[Grey], labels: Sequence[str], header: str, marked: int | None = None, longest: int = 1024) -> Picture:
    """Pictures of equal size in rows of three below a ``header``, each under its label; one may be ``marked`` by a frame."""
    from PIL import Image, ImageDraw

    across = min(3, len(images))
    side = (longest - GAP * (across + 1)) // across
    tiles = [_fitted(image, side, enlarge=True)[0] for image in images]
    width, height = tiles[0].size
    lines = -(-len(tiles) // across)
    sheet = Image.new("L", (across * (width + GAP) + GAP, STRIP + lines * (height + STRIP + GAP)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP + 4, STRIP // 2), header, fill=_FAINT, font=_font(14), anchor="lm")
    for index, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        x, y = GAP + (index % across) * (width + GAP), STRIP + (index // across) * (height + STRIP + GAP)
        sheet.paste(tile, (x, y + STRIP))
        if index == marked:
            draw.rectangle((x - 3, y, x + width + 2, y + STRIP + height + 2), outline=_MARK, width=3)
        draw.text((x + width // 2, y + STRIP // 2), label, fill=_INK, font=_font(18 if width > 150 else 13), anchor="mm")
    return sheet


def histogram(counts: NDArray[Any], edges: NDArray[Any], shown: tuple[float, float], units: str) -> Picture:
    """How often values occur: bars over their axis, logarithmic, with the range that is ``shown`` from black to white."""
    from PIL import Image, ImageDraw

    width, height, left, foot = 640, 300, 16, 62
    canvas = Image.new("L", (width, height + foot), _PAPER)
    draw = ImageDraw.Draw(canvas)
    low, high = float(edges[0]), float(edges[-1])
    place = (width - 2 * left) / (high - low if high > low else 1.0)
    tall = np.log1p(counts.astype(np.float64))
    tall *= (height - 30) / max(float(tall.max()), 1e-9)
    for count, start, stop in zip(tall, edges[:-1], edges[1:], strict=True):
        box = (left + (float(start) - low) * place, height - float(count), left + (float(stop) - low) * place - 1, height)
        draw.rectangle((box[0], box[1], max(box[2], box[0]), box[3]), fill=170)
    draw.line((left, height, width - left, height), fill=_INK)
    for value in _ticks(low, high):
        x = left + (value - low) * place
        draw.line((x, height, x, height + 5), fill=_INK)
        draw.text((x, height + 8), f"{value:g}", fill=_INK, font=_font(13), anchor="ma")
    for x in range(width - 2 * left):
        value = low + x / place
        tone = grey(np.array([value], np.float32), *shown)[0]
        draw.line((left + x, height + 28, left + x, height + 38), fill=int(tone))
    words = f"{units}, counts logarithmic; the slices show {shown[0]:.3g} as black and {shown[1]:.3g} as white"
    draw.text((left, height + 52), words, fill=_FAINT, font=_font(13), anchor="lm")
    return canvas


def save(draw: Callable[[int], Picture], path: Path, longest: int = 1024) -> tuple[int, int]:
    """Writes what ``draw`` makes of a longest side in pixels as a JPEG or PNG file of at most 150 kB; returns its width and height."""
    qualities, quality = [88, 76, 64, 52], 0
    while True:
        picture = draw(longest)
        stream = io.BytesIO()
        if path.suffix == ".png":
            picture.save(stream, "PNG", optimize=True)
        else:
            picture.save(stream, "JPEG", quality=qualities[quality])
        if stream.tell() <= LIMIT_BYTES:
            write_atomically(path, stream.getvalue())
            return picture.size
        quality, longest = (quality + 1, longest) if quality < len(qualities) - 1 else (quality, int(longest * 0.85))


def _fitted(image: Grey, longest: int, enlarge: bool = False) -> tuple[Picture, float]:
    """The image with its longer side at most (or, to ``enlarge``, exactly) ``longest`` pixels, and how much that magnifies."""
    from PIL import Image

    picture = Image.fromarray(image)
    zoom = longest / max(picture.size)
    if zoom >= 1 and not enlarge:
        return picture, 1.0
    size = (max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom)))
    return picture.resize(size, Image.Resampling.BOX if zoom < 1 else Image.Resampling.BICUBIC), zoom


def _scale_bar(draw: Any, right: int, middle: int, pixel_mm: float, width: int) -> int:
    """A bar of a round length, about a fifth of the picture; returns where it begins."""
    length_mm = round_length(pixel_mm * width / 4)
    words = f"{length_mm:g} mm"
    start = right - round(length_mm / pixel_mm)
    draw.rectangle((start, middle - 2, right, middle + 1), fill=_INK)
    words_start = start - 8 - draw.textlength(words, font=_font(13))
    draw.text((words_start, middle), words, fill=_INK, font=_font(13), anchor="lm")
    return int(words_start) - 10


def round_length(at_most: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50 ... (and their parts) that is not above ``at_most``."""
    power = 10.0 ** math.floor(math.log10(at_most))
    return next(step * power for step in (5, 2, 1) if step * power <= at_most * (1 + 1e-9))


def _ticks(low: float, high: float) -> list[float]:
    step = round_length(max(high - low, 1e-9) / 5)
    return [float(value) * step for value in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
