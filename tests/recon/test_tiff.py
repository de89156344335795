"""Slices on disk as independent readers see them.

Here: promises of tiff.py. What belongs here is bytes. Not here: which slices are written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from als_assets.recon import tiff


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 50), width=st.integers(1, 50), pixel_um=st.floats(0.1, 100))
def test_what_is_written_is_what_tifffile_and_pillow_read(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, pixel_um: float
) -> None:
    path = tmp_path_factory.mktemp("t") / "s.tiff"
    image = np.random.default_rng(height * width).normal(size=(height, width)).astype(np.float32)
    tiff.write(path, image, pixel_um / 1000)
    assert path.stat().st_size == tiff.HEADER_BYTES + 4 * height * width
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert np.array_equal(page.asarray(), image)
        assert page.is_memmappable
        assert page.resolution[0] == pytest.approx(1e4 / pixel_um, rel=1e-4)
        assert page.resolutionunit.name == "CENTIMETER"
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), image)


def test_other_memory_layouts_are_written_alike(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    tiff.write(tmp_path / "a.tiff", image.T, 0.001)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), image.T)
