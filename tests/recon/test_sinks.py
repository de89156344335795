"""The directory of TIFF files as a place for slabs: safe rows, order, threads, and what is told when it cannot be.

Here: promises of sinks.py and pixels.py. What belongs here is slabs in and files out. Not here: where slabs come from.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from als_assets.recon import sinks
from als_assets.recon.errors import DiskFull, OutputBusy, OutputIncomplete
from als_assets.recon.pixels import Pixels
from als_assets.recon.sinks import TiffSink, Volume

RECORD: dict[str, Any] = {"output": {"units": "1/cm"}}


def volume(folder: Path, rows: int = 12, mark: int = 1) -> Volume:
    return Volume("x", folder, (rows, 6, 6), 0.01, {"mark": mark})


def slab(first: int, count: int) -> NDArray[np.float32]:
    return np.arange(first * 36, (first + count) * 36, dtype=np.float32).reshape(count, 6, 6)


def test_slabs_of_several_threads_in_any_order_become_files(tmp_path: Path) -> None:
    with TiffSink(volume(tmp_path), Pixels()) as sink:
        memory = [slab(first, 4) for first in (8, 0, 4)]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(sink.write, (8, 0, 4), memory))
        for block in memory:
            block[:] = -1  # what was given is not needed any more
        product = sink.finish(RECORD)
    assert (product.path, product.files) == (tmp_path / "recx", 13)
    assert product.bytes == sum(path.stat().st_size for path in product.path.iterdir())
    for row in range(12):
        assert np.array_equal(tifffile.imread(sinks.tiff_path(product.path, "x", row)), slab(row, 1)[0])
    assert json.loads((product.path / "parameters.json").read_bytes())["output"] == {"units": "1/cm", "pixels": "float32"}


def test_what_a_killed_run_left_is_known_for_the_same_work_only(tmp_path: Path) -> None:
    with TiffSink(volume(tmp_path), Pixels()) as sink:
        assert not sink.has(0, 4)
        sink.write(0, slab(0, 4))
    with TiffSink(volume(tmp_path), Pixels()) as sink:
        assert sink.has(0, 4)
        assert not sink.has(0, 5)
        sink.write(4, slab(4, 8))
        assert sink.finish(RECORD).files == 13
    for other in (TiffSink(volume(tmp_path, mark=2), Pixels()), TiffSink(volume(tmp_path), Pixels(8, 0, 1))):
        with other as sink:
            assert not sink.has(0, 4)


def test_one_writer_at_a_time_and_enough_space(tmp_path: Path) -> None:
    with TiffSink(volume(tmp_path), Pixels()), pytest.raises(OutputBusy), TiffSink(volume(tmp_path), Pixels()):
        pass
    huge = Volume("y", tmp_path, (10**6, 10**5, 10**5), 0.01, {})
    with pytest.raises(DiskFull, match="GB free"), TiffSink(huge, Pixels()):
        pass
    with TiffSink(volume(tmp_path), Pixels()) as sink:  # nobody holds the lock any more
        assert not sink.has(0, 1)


def test_a_missing_row_is_not_success(tmp_path: Path) -> None:
    with TiffSink(volume(tmp_path), Pixels()) as sink:
        sink.write(0, slab(0, 8))
        sink.write(9, slab(9, 3))
        with pytest.raises(OutputIncomplete, match=r"x_00008\.tiff"):
            sink.finish(RECORD)
    assert not (tmp_path / "recx").exists()


def test_a_disk_that_refuses_late_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sinks, "sync", full)
    with TiffSink(volume(tmp_path), Pixels()) as sink:
        sink.write(0, slab(0, 12))
        with pytest.raises(DiskFull):
            sink.finish(RECORD)


@settings(deadline=None)
@given(st.sampled_from([8, 16]), st.floats(-50, 50), st.floats(0.5, 100), st.integers(0, 99))
def test_pixels_give_values_back_within_half_a_step(bits: int, low: float, span: float, seed: int) -> None:
    pixels = Pixels(bits, low, low + span)
    values = np.random.default_rng(seed).uniform(low - 0.2 * span, low + 1.2 * span, (5, 7)).astype(np.float32)
    told = pixels.described()
    back = told["offset"] + told["scale"] * pixels.stored(values).astype(np.float64)
    assert np.abs(back - np.clip(values, low, low + span)).max() <= 0.5 * told["scale"] + 1e-5 * (abs(low) + span)


def test_all_bits_are_not_touched() -> None:
    values = np.ones((2, 2), np.float32)
    assert Pixels().stored(values) is values
