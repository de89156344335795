"""Writing all levels of a volume while its slices pass by once: band after band, each halved while it is in memory.

Here: the order of work, what is remembered of finished bands, and going on after a kill. What belongs here is the cascade from full
size to the smallest level. Not here: who has the slices (``zarrsink.py``, ``multires.py``) and storage (``zarr_store.py``).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.errors import OutputIncomplete, explained_output
from als_assets.recon.output import sync, write_atomically
from als_assets.recon.pieces import spans
from als_assets.recon.volume.levels import CHUNK, Band, Triple, bands_of, level_shapes
from als_assets.recon.volume.quantise import Scale
from als_assets.recon.volume.zarr_store import METADATA, Form

Images = NDArray[np.float32]
Strips = Callable[[slice], Images]
_JOURNAL = ".bands.json"
_THREADS = 4  # strips in work at a time, and files on their way to the disk; encoding is spread over all cores by tensorstore


class Pyramid:
    """The levels of one store under construction in ``store``; thread-safe.

    Bands of full size come in any order, each once. Finished bands are known again after a kill, but only where their files still have
    the sizes that were noted (after a power cut they may not). Files go to disk for good while later bands are made: waiting for each of
    them when it is written would cost as much time as all the rest.
    """

    def __init__(self, store: Path, shape: Triple, form: Form) -> None:
        self.shapes = level_shapes(shape)
        self.form = form
        self._store = store
        self._arrays = [form.create(store, level, each) for level, each in enumerate(self.shapes)]
        self._lock = threading.RLock()
        self._halves: dict[Band, _Half] = {}
        self._done: dict[Band, tuple[int, int]] = {}
        self._scale: Scale | None = None
        self._outside = 0
        self._disk = ThreadPoolExecutor(_THREADS)
        self._syncing: deque[Future[None]] = deque()
        self._read_journal()

    def has(self, band: Band) -> bool:
        """Whether the band is finished. Never waits for a band that is being written."""
        return band in self._done

    @property
    def scale(self) -> Scale | None:
        """What stored integers stand for; None where the values are stored as they are."""
        return self._scale

    def settle(self, sample: Images) -> None:
        """Chooses the scale from typical values, once; nothing to do for floating point or after a kill."""
        with self._lock:
            if self.form.pixels == "uint16" and self._scale is None:
                self._scale = Scale.fitting(sample)

    @property
    def outside(self) -> int:
        """Voxels of full size outside the scale's range."""
        return self._outside

    def write(self, band: Band, strips: Strips) -> None:
        """Writes a band and whatever becomes complete above it; ``strips`` gives lines (y) of it, each slice of lines once.

        (slices, lines, width) float32, contiguous. Raises DiskFull, OutputNotWritable.
        """
        with self._lock, explained_output(self._store):
            while self._syncing and self._syncing[0].done():
                self._syncing.popleft().result()
            # what a killed run left of it would be read before it is written again, and may be cut
            shutil.rmtree(self.form.band_folder(self._store, band.level, band.index), ignore_errors=True)
            half = self._half_of(band)
            pieces = spans(self.shapes[band.level][1], self.form.strip)
            with ThreadPoolExecutor(min(_THREADS, len(pieces))) as pool:
                jobs = [pool.submit(self._strip, band, piece, strips, half) for piece in pieces]
                outside = sum(_result(job, jobs) for job in jobs)
            self._outside += outside if band.level == 0 else 0
            self._finished(band)
            if half is not None:
                half.missing.discard(band)
                self._complete(band.parent)

    def finish(self) -> None:
        """Writes the bands above full size that a killed run left, and waits until all are on disk for good.

        Raises OutputIncomplete when full size is not complete, and OSError.
        """
        with self._lock:
            missing = [band.index for band in bands_of(self.shapes, 0) if band not in self._done]
            if missing:
                raise OutputIncomplete(f"Bands {missing} of the volume were never written.", next_step="Run the same command again.")
            for level in range(1, len(self.shapes)):
                for band in bands_of(self.shapes, level):
                    self._complete(band)
            while self._syncing:
                self._syncing.popleft().result()

    def read(self, level: int, z: slice, y: slice) -> Images:
        """What is stored, as values: (slices, lines, width)."""
        stored = np.asarray(self._arrays[level][z, y].read().result())
        return self._scale.values(stored) if self._scale is not None else stored.astype(np.float32, copy=False)

    def damaged(self) -> list[str]:
        """Bands whose files are not what was noted when they were written."""
        return [f"level {band.level}, band {band.index}" for band, noted in sorted(self._done.items()) if self._inventory(band) != noted]

    def close(self) -> None:
        """Removes the notes: the store, with its metadata, is ready to be published."""
        for path in self._store.rglob("*"):
            if path.name in METADATA:
                sync(path)
        (self._store / _JOURNAL).unlink()

    def stop(self) -> None:
        """Ends the threads; what is not on disk for good yet is left to the system."""
        self._disk.shutdown(cancel_futures=True)

    def _strip(self, band: Band, lines: slice, strips: Strips, half: _Half | None) -> int:
        block = strips(lines)
        stored, outside = self._scale.stored(block) if self._scale is not None else (block, 0)
        writing = self._arrays[band.level][band.rows(self.shapes), lines].write(stored)
        if half is not None:
            half.add(band, lines, block)
        _on_disk(writing)
        return outside

    def _half_of(self, band: Band) -> _Half | None:
        parent = band.parent
        if parent.level == len(self.shapes) or parent in self._done:
            return None
        if parent not in self._halves:
            self._halves[parent] = _Half(parent, self.shapes, self.form.strip)
        return self._halves[parent]

    def _complete(self, parent: Band) -> None:
        """Writes a band of halved slices when all that it is made of is there."""
        children = parent.children(self.shapes)
        if parent in self._done or any(child not in self._done for child in children):
            return
        half = self._half_of(children[0])
        assert half is not None  # the parent is not done
        for child in sorted(half.missing):  # an earlier run wrote them
            for lines in spans(self.shapes[child.level][1], self.form.strip):
                half.add(child, lines, np.ascontiguousarray(self.read(child.level, child.rows(self.shapes), lines)))
        del self._halves[parent]
        self.write(parent, half.strips)

    def _finished(self, band: Band) -> None:
        self._done[band] = self._inventory(band)
        self._sync_later(band)
        notes = {
            "bands": [[band.level, band.index, *size] for band, size in sorted(self._done.items())],
            "scale": [self._scale.offset, self._scale.step] if self._scale is not None else None,
            "outside": self._outside,
        }
        write_atomically(self._store / _JOURNAL, json.dumps(notes).encode())

    def _read_journal(self) -> None:
        journal = self._store / _JOURNAL
        notes: dict[str, Any] = json.loads(journal.read_bytes()) if journal.exists() else {}
        noted = {Band(level, index): (files, size) for level, index, files, size in notes.get("bands", [])}
        self._done = {band: size for band, size in noted.items() if self._inventory(band) == size}
        self._scale = Scale(*notes["scale"]) if notes.get("scale") else None
        self._outside = int(notes.get("outside", 0)) if self._done else 0
        for band in self._done:
            self._sync_later(band)  # the killed run may not have come to it

    def _sync_later(self, band: Band) -> None:
        self._syncing.extend(self._disk.submit(sync, path) for path in self._files(band))

    def _inventory(self, band: Band) -> tuple[int, int]:
        """Number and bytes of a band's files. Blocks of zeros have none: readers take them for zeros."""
        sizes = [path.stat().st_size for path in self._files(band)]
        return len(sizes), sum(sizes)

    def _files(self, band: Band) -> list[Path]:
        folder = self.form.band_folder(self._store, band.level, band.index)
        return [Path(place) / name for place, _, names in os.walk(folder) for name in names]


class _Half:
    """A band in the making from the slices of its children, in strips of lines as it will be written."""

    def __init__(self, band: Band, shapes: list[Triple], strip: int) -> None:
        self.missing = set(band.children(shapes))
        self._band, self._shapes, self._step = band, shapes, strip
        rows, (_, height, width) = band.rows(shapes), shapes[band.level]
        self._strips: list[Images] = [
            np.empty((rows.stop - rows.start, piece.stop - piece.start, width), np.float32) for piece in spans(height, strip)
        ]

    def add(self, child: Band, lines: slice, block: Images) -> None:
        """Halves ``lines`` of a child into their place; several threads at once, each with lines of its own."""
        from als_assets.recon import kernels

        factors = [min(2, side) for side in self._shapes[child.level]]
        depth, height = (-(-size // factor) for size, factor in zip(block.shape[:2], factors[:2], strict=True))
        mean = np.empty((depth, height, self._shapes[self._band.level][2]), np.float32)
        kernels.halve(block, mean, *factors)
        top = lines.start // factors[1]
        z = (child.index * CHUNK) // factors[0] - self._band.index * CHUNK
        self._strips[top // self._step][z : z + depth, top % self._step : top % self._step + height] = mean

    def strips(self, lines: slice) -> Images:
        """See ``Strips``."""
        strip: Images = self._strips[lines.start // self._step]
        return strip


def _on_disk(writing: Any) -> None:
    """Waits for a write; tensorstore's refusals become the operating system's again, which have numbers."""
    try:
        writing.result()
    except ValueError as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise


def _result(job: Any, jobs: list[Any]) -> int:
    """Of one strip; after a failure the strips that have not begun are left."""
    try:
        return int(job.result())
    except BaseException:
        for other in jobs:
            other.cancel()
        raise


def pyramid_bytes(shape: Triple, strip: int) -> int:
    """Memory of a pyramid in work, without the slices of full size: half bands of all levels, and strips on their way to disk."""
    shapes = level_shapes(shape)
    halves = sum(4 * min(CHUNK, depth) * height * width for depth, height, width in shapes[1:])
    return halves + 2 * _THREADS * 4 * min(CHUNK, shape[0]) * min(strip, shape[1]) * shape[2]
