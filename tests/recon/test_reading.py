"""Threaded reads at known offsets: the same bytes as the file, also in odd shapes, and honest about missing ones.

Here: promises of reading.py on plain files. What belongs here is bytes. Not here: HDF5.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from als_assets.recon.reading import ContiguousReader


@settings(max_examples=25, deadline=None)
@given(
    angles=st.integers(1, 40), rows=st.integers(1, 9), columns=st.integers(1, 33), lead=st.integers(0, 100), data=st.data(),
    kind=st.sampled_from(["u1", "u2", "f4", "f8"]),
)  # fmt: skip
def test_rows_are_the_file_s(
    tmp_path_factory: pytest.TempPathFactory, angles: int, rows: int, columns: int, lead: int, data: st.DataObject, kind: str
) -> None:
    path = tmp_path_factory.mktemp("r") / "file"
    volume = np.random.default_rng(angles * rows).integers(0, 255, (angles, rows, columns)).astype(kind)
    path.write_bytes(b"x" * lead + volume.tobytes() + b"tail")
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    reader = ContiguousReader(path, lead, volume.shape, volume.dtype)
    out = np.empty((angles, stop - start, columns), kind)
    reader.rows(start, stop, out)
    reader.close()
    assert np.array_equal(out, volume[:, start:stop])


def test_a_file_that_is_too_short_is_an_error_not_zeros(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10 * 4 * 6 * 2 - 1))
    reader = ContiguousReader(path, 0, (10, 4, 6), np.dtype("u2"))
    out = np.empty((10, 1, 6), "u2")
    reader.rows(2, 3, out)
    with pytest.raises(OSError, match="within projection 9"):
        reader.rows(3, 4, out)
    reader.close()


def test_close_gives_the_file_and_the_threads_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a list of open files, which iterdir would lengthen
    reader = ContiguousReader(path, 0, (5, 2, 5), np.dtype("u2"))
    reader.rows(0, 1, np.empty((5, 1, 5), "u2"))
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
