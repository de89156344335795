"""A directory of slices as a volume: which files belong to it, and parts of it in memory.

Here: reading plain TIFF slices of equal size by their bytes. What belongs here is the input of ``multires.py``. Not here: writing slices,
see ``tiff.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.errors import InputUnreadable, ShapeMismatch
from als_assets.recon.volume.levels import Triple

_AGAIN = "Run reconstruct again."
_KINDS = ("float32", "uint16", "uint8")


@dataclass(frozen=True)
class Stack:
    """A directory of slices of equal size: files in order of rows, ``shape`` (rows, height, width), and the byte in each file where the
    pixels begin. Their type is float32, or uint8 or uint16 that stand for ``offset`` + ``scale`` * pixel."""

    files: list[Path]
    shape: Triple
    offsets: list[int]
    dtype: np.dtype[Any]
    offset: float = 0.0
    scale: float = 1.0

    @classmethod
    def open(cls, folder: Path) -> Stack:
        """Raises InputUnreadable (no slices, gaps, not TIFF) and ShapeMismatch."""
        files = sorted(folder.glob("*_[0-9][0-9][0-9][0-9][0-9].tiff"))
        if not files or int(files[-1].stem[-5:]) != len(files) - 1:
            raise InputUnreadable(f"{folder} does not hold an unbroken series of slices (*_00000.tiff ...).", next_step=_AGAIN)
        pages = [_page(path) for path in files]
        shapes = {shape for shape, _ in pages}
        if len(shapes) != 1 or len(only := shapes.pop()) != 3 or only[2] not in _KINDS:
            raise ShapeMismatch(f"The slices in {folder} differ in size or are not plain {', '.join(_KINDS)}.", next_step=_AGAIN)
        return cls(files, (len(files), int(only[0]), int(only[1])), [offset for _, offset in pages], np.dtype(only[2]))

    def block(self, z: slice, y: slice) -> NDArray[np.float32]:
        """Values of the lines ``y`` of the slices ``z`` over their full width, float32. Raises InputUnreadable."""
        out = np.empty((z.stop - z.start, y.stop - y.start, self.shape[2]), self.dtype)
        for row, target in zip(range(z.start, z.stop), out, strict=True):
            with self.files[row].open("rb", buffering=0) as stream:
                stream.seek(self.offsets[row] + self.dtype.itemsize * y.start * self.shape[2])
                if stream.readinto(target.data.cast("B")) != target.nbytes:
                    raise InputUnreadable(f"{self.files[row]} ends before its pixels.", next_step=_AGAIN)
        if self.dtype == np.float32:
            return out
        return np.asarray(out.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset))

    def sample(self) -> NDArray[np.float32]:
        """Every fourth line of up to nine slices spread over the stack: what its values are like. Raises InputUnreadable."""
        rows = np.unique(np.linspace(0, self.shape[0] - 1, 9).astype(int))
        return np.concatenate([self.block(slice(row, row + 1), slice(0, self.shape[1]))[0, ::4] for row in rows])


def _page(path: Path) -> tuple[tuple[Any, ...], int]:
    """(height, width, kind of pixels) of a slice and where its pixels begin."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            plain = page.is_memmappable and tiff.byteorder == "<"
            return (*page.shape, str(page.dtype) if plain else "stored in another way"), int(page.dataoffsets[0])
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise InputUnreadable(f"{path} is not a readable slice: {error}.", next_step=_AGAIN) from error
