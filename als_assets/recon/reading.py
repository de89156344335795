"""Fast reads of detector rows from files whose projections lie in one piece.

Here: many small reads at known offsets, in threads, into memory that is used again; several times faster than through HDF5 on
a cold disk. What belongs here is the contiguous layout of 8.3.2. Not here: other layouts, which ``scan.py`` reads by h5py.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_THREADS = 8


class ContiguousReader:
    """Reads rows of a (angles, rows, columns) dataset that starts at byte ``offset`` of the file. Close it after use."""

    def __init__(self, path: Path, offset: int, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self._offset, self._shape, self._dtype = offset, shape, dtype
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._pool = ThreadPoolExecutor(_THREADS)

    def close(self) -> None:
        """Ends the threads and closes the file."""
        self._pool.shutdown()
        os.close(self._file)

    def announce(self, start: int, stop: int) -> None:
        """Lets the system read these rows while others are computed."""
        angles, rows, columns = self._shape
        line = columns * self._dtype.itemsize
        for angle in range(angles):
            place = self._offset + (angle * rows + start) * line
            os.posix_fadvise(self._file, place, (stop - start) * line, os.POSIX_FADV_WILLNEED)

    def rows(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fills ``out`` (angles, stop - start, columns), contiguous. Raises OSError, also when the file is too short."""
        angles = self._shape[0]
        share = -(-angles // _THREADS)
        jobs = [self._pool.submit(self._angles, at, min(at + share, angles), start, out) for at in range(0, angles, share)]
        for job in jobs:
            job.result()

    def _angles(self, first: int, last: int, row: int, out: NDArray[Any]) -> None:
        _, rows, columns = self._shape
        line = columns * self._dtype.itemsize
        for angle in range(first, last):
            target = out[angle].data.cast("B")
            place = self._offset + (angle * rows + row) * line
            done = 0
            while done < len(target):
                count = os.preadv(self._file, [target[done:]], place + done)
                if count == 0:
                    raise OSError(f"the file ends within projection {angle}")
                done += count
