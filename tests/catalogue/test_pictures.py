"""Thumbnails. Here: limits, types and odd input, with real image bytes. Not here: uploading them."""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from als_assets.beamlines.bl832 import layout
from als_assets.beamlines.bl832.extract import EXTRACTOR
from als_assets.beamlines.bl832.picture import middle_projection
from als_assets.beamlines.bl832.writer import ScanHeader, write_scan
from als_assets.catalogue.model import Issue, Thumbnail
from als_assets.catalogue.pictures import MAX_SIDE, thumbnail_of_image, thumbnail_of_pixels, thumbnail_read_by
from als_assets.simulator.detector import synthetic_scan


def decoded(thumbnail: Thumbnail | None) -> Image.Image:
    assert thumbnail is not None
    head, _, text = thumbnail.uri.partition(",")
    assert head == "data:image/jpeg;base64"
    assert len(thumbnail.uri) <= 60_000
    image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    image.load()
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize("shape", [(1, 1), (10, 2000), (2160, 2560), (512, 512)])
def test_even_noise_stays_within_the_limits(shape: tuple[int, int]) -> None:
    image = decoded(thumbnail_of_pixels(np.random.default_rng(0).random(shape), "noise", []))
    assert max(image.size) <= MAX_SIDE
    assert image.size[0] / image.size[1] == pytest.approx(shape[1] / shape[0], rel=0.5)


def test_contrast_is_stretched_and_outliers_do_not_matter() -> None:
    pixels = np.tile(np.linspace(5.0, 6.0, 200), (200, 1))
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = np.nan, np.inf, 1e9
    grey = np.asarray(decoded(thumbnail_of_pixels(pixels, "ramp", []))).astype(int)
    assert grey[100, 2] < 15
    assert grey[100, -3] > 240
    assert np.all(np.diff(grey[100].reshape(-1, 10).mean(axis=1)) > 0)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4)), np.full((4, 4), 7, np.uint16)])
def test_flat_pictures_are_pictures(pixels: np.ndarray) -> None:
    decoded(thumbnail_of_pixels(pixels, "flat", []))


@pytest.mark.parametrize("pixels", [np.full((3, 3), np.nan), np.zeros((2, 2, 2)), np.zeros((0, 5)), np.zeros(5)])
def test_nothing_to_see_is_a_warning(pixels: np.ndarray) -> None:
    issues: list[Issue] = []
    assert thumbnail_of_pixels(pixels, "nothing", issues) is None
    assert [(issue.severity, issue.field) for issue in issues] == [("warning", "thumbnail")]


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "L"), ("JPEG", "RGB"), ("TIFF", "F"), ("PNG", "1"), ("PNG", "P")])
def test_picture_files_are_made_small(kind: str, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (900, 300)).save(buffer, kind)
    assert decoded(thumbnail_of_image(buffer.getvalue(), "slice", [])).size == (512, 171)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_a_file_that_is_no_picture_is_a_warning(content: bytes) -> None:
    issues: list[Issue] = []
    assert thumbnail_of_image(content, "slice", issues) is None
    assert "'slice'" in issues[0].sentence


def test_the_middle_projection_is_flat_fielded_and_thinned(tmp_path: Path) -> None:
    made = synthetic_scan(tmp_path / "a.h5", rows=20, columns=300, angles=11, noise=False)
    full = middle_projection(made.path)
    expected = np.exp(-made.phantom.line_integrals(made.theta_deg[5:6], made.centre)[0])
    np.testing.assert_allclose(full, expected, atol=2e-3)
    thin = middle_projection(made.path, most_pixels=128)
    assert thin.shape == (7, 100)
    np.testing.assert_array_equal(thin, full[::3, ::3])
    assert decoded(thumbnail_read_by(EXTRACTOR.extract(made.path).thumbnail, "middle projection", [])).size == (300, 20)


def test_a_scan_that_cannot_be_read_gives_a_warning_and_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    issues: list[Issue] = []
    for name in ("gone.h5", "text.h5", "empty.h5"):
        assert thumbnail_read_by(partial(middle_projection, tmp_path / name), "middle projection", issues) is None
    assert [issue.severity for issue in issues] == ["warning"] * 3


def test_a_beamline_without_a_picture_gives_none_and_no_warning() -> None:
    issues: list[Issue] = []
    assert thumbnail_read_by(None, "frame", issues) is None
    assert issues == []


def test_dead_flats_do_not_divide_by_zero(tmp_path: Path) -> None:
    frames = np.full((2, 3, 4), 5, np.uint16)
    write_scan(tmp_path / "a.h5", frames, frames, frames, np.arange(2.0), ScanHeader(extra={layout.PI: None}))
    assert np.all(np.isfinite(middle_projection(tmp_path / "a.h5")))
