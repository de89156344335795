"""Where slices go: what the run asks of any kind of result, and the directory of TIFF files.

Here: the protocol that keeps the reconstruction apart from its results, and the plainest of them. What belongs here is one row
after the other on disk. Not here: OME-Zarr stores, see ``zarrsink.py``, nor how directories are staged, see ``output.py``.
"""

from __future__ import annotations

import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from als_assets.recon import tiff
from als_assets.recon.errors import OutputIncomplete, explained_output
from als_assets.recon.output import Staged, sync, write_atomically
from als_assets.recon.pixels import Pixels

_ON_THEIR_WAY = 64  # files written but not yet known to be on disk


@dataclass(frozen=True)
class Volume:
    """What is to be stored: ``shape`` (rows, width, width) of float32 in 1/cm; results go into ``folder`` as rec<name>...

    ``fingerprint`` tells this piece of work from any other; a killed run is resumed only by the same.
    """

    name: str
    folder: Path
    shape: tuple[int, int, int]
    pixel_size_mm: float
    fingerprint: dict[str, Any]


@dataclass(frozen=True)
class Product:
    """A result that is complete and was read back."""

    path: Path
    files: int
    bytes: int


class SlabSink(Protocol):
    """A kind of result; a context manager that holds the lock on its place."""

    @property
    def memory_bytes(self) -> int:
        """The most memory it holds beside the slabs that it is given."""
        ...

    def __enter__(self) -> SlabSink:
        """Takes the lock and checks the space. Raises OutputBusy, OutputNotWritable, DiskFull."""
        ...

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Lets go; what is not finished stays for the next run."""
        ...

    def has(self, first_row: int, stop_row: int) -> bool:
        """Whether these rows are safe from an earlier run; they are then not written again. Asked before the first write."""
        ...

    def write(self, first_row: int, slab: NDArray[np.float32]) -> None:
        """Takes (rows, width, width) float32 in 1/cm, valid during the call only; by several threads at once, each row once.

        Slabs come in rising order up to the few that threads hold. Raises DiskFull, OutputNotWritable.
        """
        ...

    def finish(self, record: dict[str, Any]) -> Product:
        """Completes, reads back and publishes. ``record`` says how it was made. Raises OutputIncomplete and as ``write``."""
        ...


def tiff_path(folder: Path, name: str, row: int) -> Path:
    """The file of one row."""
    return folder / f"{name}_{row:05d}.tiff"


class TiffSink:
    """``folder/rec<name>/<name>_00000.tiff ...``, one a row, and ``parameters.json``; see ``SlabSink``."""

    memory_bytes = 0

    def __init__(self, volume: Volume, pixels: Pixels) -> None:
        self._volume, self._pixels = volume, pixels
        self._staged = Staged(volume.folder / f"rec{volume.name}", {**volume.fingerprint, "pixels": str(pixels)})
        self._held = ExitStack()
        self._pool = ThreadPoolExecutor(2)  # the disk works while the next slab is computed
        self._syncing: deque[Future[None]] = deque()

    def __enter__(self) -> TiffSink:
        with ExitStack() as held:
            held.enter_context(self._staged)
            rows, height, width = self._volume.shape
            self._staged.require_space(rows * (height * width * self._pixels.bytes + tiff.HEADER_BYTES))
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._held.close()

    def has(self, first_row: int, stop_row: int) -> bool:
        """See ``SlabSink.has``."""
        paths = [self._path(row) for row in range(first_row, stop_row)]
        if not all(path.exists() for path in paths):
            return False
        self._syncing.extend(self._pool.submit(sync, path) for path in paths)  # the killed run may not have come to it
        return True

    def write(self, first_row: int, slab: NDArray[np.float32]) -> None:
        """See ``SlabSink.write``."""
        for row, image in enumerate(slab, first_row):
            target = self._path(row)
            with explained_output(target):
                stored = self._pixels.stored(image)
                write_atomically(target, partial(tiff.write, image=stored, pixel_size_mm=self._volume.pixel_size_mm))
                self._syncing.append(self._pool.submit(sync, target))
                while len(self._syncing) > _ON_THEIR_WAY:
                    self._syncing.popleft().result()

    def finish(self, record: dict[str, Any]) -> Product:
        """See ``SlabSink.finish``."""
        with explained_output(self._staged.target):
            while self._syncing:
                self._syncing.popleft().result()
            content = {**record, "output": {**record["output"], **self._pixels.described()}}
            write_atomically(self._staged.path / "parameters.json", json.dumps(content, indent=2, default=str).encode())
        size = self._verify()
        self._staged.publish()
        return Product(self._staged.target, self._volume.shape[0] + 1, size)

    def _path(self, row: int) -> Path:
        return tiff_path(self._staged.path, self._volume.name, row)

    def _verify(self) -> int:
        """Reopens every file (header and size) and reads some whole; returns all bytes. Raises OutputIncomplete."""
        import tifffile

        rows = self._volume.shape[0]
        total = (self._staged.path / "parameters.json").stat().st_size
        for row in range(rows):
            path = self._path(row)
            try:
                total += path.stat().st_size
                with tifffile.TiffFile(path) as file:
                    page = file.pages.first
                    sound = page.shape == self._volume.shape[1:] and page.dtype == self._pixels.dtype
                    sound = sound and path.stat().st_size >= page.dataoffsets[-1] + page.databytecounts[-1]
                    sound = sound and (row not in (0, rows // 2, rows - 1) or bool(np.isfinite(page.asarray()).all()))
            except (tifffile.TiffFileError, OSError, ValueError, IndexError) as error:
                raise _incomplete(path, str(error)) from error
            if not sound:
                raise _incomplete(path, "size, shape or values are not as written")
        return total


def _incomplete(path: Path, reason: str) -> OutputIncomplete:
    return OutputIncomplete(
        f"{path.name} does not read back: {reason}.", next_step="Check the disk, remove the partial directory and run again."
    )
