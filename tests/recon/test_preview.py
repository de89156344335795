"""Previews: the promised files, their sizes, the facts beside them, and what is visible.

Here: promises of preview.py and pictures.py. What belongs here is pictures and JSON. Not here: the quality of slices.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import recon_phantoms
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from recon_phantoms import Ellipse, ScanFile, disc

from als_assets.recon.cli import main
from als_assets.recon.views import look, pictures
from als_assets.recon.views.pictures import GAP, STRIP, Caption
from als_assets.recon.views.planes import binned, shifted, vertical_planes

NAMES = ["centers.jpg", "histogram.png", "preview.json", "preview_xy.jpg", "preview_xz.jpg", "preview_yz.jpg", "projection.jpg"]
SAMPLE = (*disc(0.5, 0.1, 0.1), Ellipse(2.0, 0.1, 0.1, -0.2, 0.2))


@pytest.mark.parametrize(("rows", "width", "angles"), [(1, 40, 31), (4, 64, 91), (40, 700, 121)])
def test_a_scan_gets_its_pictures_and_facts(tmp_path: Path, rows: int, width: int, angles: int) -> None:
    scan_file = ScanFile(rows=rows, width=width, angles=angles, center=width / 2 + 1, sample=SAMPLE)
    assert main(["preview", str(scan_file.write(tmp_path / "s.h5")), "--output", str(tmp_path / "p")]) == 0
    assert sorted(file.name for file in (tmp_path / "p").iterdir()) == NAMES
    facts = json.loads((tmp_path / "p" / "preview.json").read_bytes())
    assert facts["center"]["value"] == pytest.approx(width / 2 + 1, abs=0.25)
    assert set(facts["center"]["estimates"]) == {"pc", "vo"}
    assert facts["agreement_px"] < 0.5
    assert facts["estimated_seconds"] > 0
    assert len(facts["histogram"]["counts"]) == 96
    assert len(facts["histogram"]["edges"]) == len(facts["histogram"]["counts"]) + 1
    inside = (recon_phantoms.distance(width) <= 1).sum()
    assert 0.99 * inside <= sum(facts["histogram"]["counts"]) <= inside, "of the slice, without a few extremes"
    assert facts["shown"]["black"] < facts["shown"]["white"]
    assert len(facts["centers_shown"]) == 9
    assert facts["centers_shown"][4] == pytest.approx(facts["center"]["value"], abs=0.001)
    for name, size in facts["images"].items():
        with Image.open(tmp_path / "p" / name) as picture:
            assert picture.size == (size["width_px"], size["height_px"])
        assert (tmp_path / "p" / name).stat().st_size <= 150_000


def drawn(path: Path, side: int) -> NDArray[np.float64]:
    """The picture without its caption, in the middle of the canvas."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"), np.float64)
    start = (pixels.shape[1] - side) // 2
    return pixels[:side, start : start + side]


def test_the_bright_grain_is_where_it_should_be(tmp_path: Path) -> None:
    path = ScanFile(rows=8, width=128, angles=181, sample=SAMPLE).write(tmp_path / "s.h5")
    assert main(["preview", str(path), "--output", str(tmp_path)]) == 0
    pixels = drawn(tmp_path / "preview_xy.jpg", 128)
    grain = (slice(74, 80), slice(48, 54))  # x = -0.2, y = +0.2 of 64 pixels about pixel 64
    assert pixels[grain].min() > 200
    assert pixels[74:80, 74:80].max() < pixels[grain].min()


def test_planes_along_the_axis_show_the_sample_where_it_is() -> None:
    """A disc off the axis, the same in all rows: seen from the front at its x, from the side at its y, with its value."""
    width, theta = 128, np.linspace(0, np.pi, 181)
    lines = np.repeat(recon_phantoms.sinogram(disc(0.3, 0.4, -0.1), width, theta, 63.5)[:, None], 3, axis=1)
    along_x, along_y = vertical_planes(lines, theta, np.pi, 63.5)
    place = (np.arange(width) - width // 2) / (width / 2)
    for plane, middle, half in ((along_x, 0.4, np.sqrt(0.09 - 0.01)), (along_y, -0.1, 0.0)):
        if half:
            assert plane[1][np.abs(place - middle) < half - 0.06] == pytest.approx(1, abs=0.03)
        assert np.abs(plane[1][np.abs(place - middle) > 0.4]).max() < 0.05
        assert np.allclose(plane[0], plane[2])


@settings(deadline=None)  # the first example compiles
@given(rows=st.integers(1, 9), columns=st.integers(1, 40), by=st.integers(1, 9), kind=st.sampled_from(["u2", "f4"]))
def test_binning_is_summing(rows: int, columns: int, by: int, kind: str) -> None:
    image = np.random.default_rng(rows).integers(0, 250, (rows * by, columns * by)).astype(kind)
    truth = image.reshape(rows, by, columns, by).astype(np.float64).sum((1, 3))
    assert np.array_equal(binned(image, by, by), truth.astype(np.float32))


@settings(deadline=None)
@given(by=st.floats(-20, 20), bins=st.integers(1, 4))
def test_shifting_keeps_a_line_s_slope(by: float, bins: int) -> None:
    columns = 64 * bins
    moved = np.empty(64, np.float32)
    shifted(np.arange(columns, dtype=np.float32)[None], by, bins, moved[None])
    truth = np.arange(columns).reshape(-1, bins).mean(1) - by
    safe = (truth > bins) & (truth < columns - bins - 1) & (np.arange(64) > 22) & (np.arange(64) < 42)
    assert moved[safe] == pytest.approx(truth[safe], abs=1e-3)


def sheet_tiles(path: Path) -> list[NDArray[np.float64]]:
    """The nine pictures of a contact sheet, left to right and down."""
    with Image.open(path) as picture:
        sheet = np.asarray(picture, np.float64)
    side = (sheet.shape[1] - 4 * GAP) // 3
    starts = [(STRIP + line * (side + STRIP + GAP) + STRIP, GAP + column * (side + GAP)) for line in range(3) for column in range(3)]
    return [sheet[y : y + side, x : x + side] for y, x in starts]


def test_the_right_centre_is_the_sharpest_of_nine(tmp_path: Path) -> None:
    path = ScanFile(rows=2, width=256, angles=361, sample=SAMPLE, attenuation_per_cm=3).write(tmp_path / "s.h5")
    assert main(["preview", str(path), "--output", str(tmp_path)]) == 0
    images = sheet_tiles(tmp_path / "centers.jpg")
    # a wrong centre smears edges into arcs: less of the picture's variation is left in its sharpest gradients
    sharpness = [np.percentile(np.hypot(*np.gradient(image)), 99.5) for image in images]
    assert np.argmax(sharpness) in (3, 4, 5)
    assert sharpness[4] > max(sharpness[0], sharpness[8])


def test_the_part_with_edges_is_shown_not_the_noise() -> None:
    image = np.random.default_rng(0).normal(0, 1, (400, 400)).astype(np.float32)
    image[250:300, 40:90] += 20
    rows, columns = look.liveliest(image, 120)
    assert rows.start <= 250 and rows.stop >= 300 and columns.start <= 40 and columns.stop >= 90


def test_a_full_turn_with_the_axis_at_the_edge_is_seen_whole(tmp_path: Path) -> None:
    scan = ScanFile(rows=4, width=96, angles=361, center=75.0, sample=disc(0.7, 0.1, 0.0), theta_deg=np.linspace(0, 360, 361))
    path = scan.write(tmp_path / "s.h5")
    (tmp_path / "p.yaml").write_text("stitch_360: true\ncenter: 75.0\n")
    assert main(["preview", str(path), "--output", str(tmp_path / "p"), "--params", str(tmp_path / "p.yaml")]) == 0
    with Image.open(tmp_path / "p" / "preview_xy.jpg") as picture:
        assert picture.height > 96 + STRIP, "wider than one view"


def test_faults_have_their_codes(tmp_path: Path, small_scan: Path) -> None:
    assert main(["preview", str(tmp_path / "no.h5"), "--output", str(tmp_path)]) == 10
    assert main(["preview", str(small_scan), "--output", str(small_scan / "x")]) == 30
    dark = ScanFile(replace={"/exchange/data_white": np.zeros((2, 6, 64))}).write(tmp_path / "d.h5")
    assert main(["preview", str(dark), "--output", str(tmp_path)]) == 16


def test_grey_maps_the_window_and_clips() -> None:
    image = np.array([[-1.0, 0.0, 0.5, 1.0, 9.0]], np.float32)
    assert pictures.grey(image, 0, 1).tolist() == [[0, 0, 128, 255, 255]]
    assert pictures.grey(image, 2, 2).dtype == np.uint8


@settings(max_examples=5, deadline=None)
@given(side=st.integers(1, 1500), seed=st.integers(0, 100))
def test_even_noise_fits_the_limit(tmp_path_factory: pytest.TempPathFactory, side: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("j") / "n.jpg"
    noise = np.random.default_rng(seed).integers(0, 256, (side, 1500), dtype=np.uint8)
    width, height = pictures.save(lambda longest: pictures.captioned(noise, Caption("noise", "", 0.001), longest), path)
    assert path.stat().st_size <= pictures.LIMIT_BYTES
    assert max(width, height) <= 1024 + STRIP
    with Image.open(path) as picture:
        assert picture.size == (width, height)


def test_a_contact_sheet_holds_its_pictures_in_order_and_frames_one() -> None:
    images = [np.full((40, 40), 40 + 20 * index, np.uint8) for index in range(5)]
    sheet = np.asarray(pictures.contact_sheet(images, list("abcde"), "letters", marked=1, longest=3 * 40 + 4 * GAP))
    assert sheet.shape == (STRIP + 2 * (40 + STRIP + GAP), 3 * 40 + 4 * GAP)
    middles = [
        sheet[STRIP + line * (40 + STRIP + GAP) + STRIP + 20, GAP + column * (40 + GAP) + 20] for line in (0, 1) for column in (0, 1, 2)
    ]
    assert middles[:5] == [40, 60, 80, 100, 120]
    assert sheet[STRIP + STRIP + 20, GAP + 46 - 2] == 255, "a frame at the left of the second"
    assert sheet[STRIP + STRIP + 20, GAP - 2] != 255


@given(st.floats(1e-4, 1e4))
def test_scale_bars_have_round_lengths(limit: float) -> None:
    length = pictures.round_length(limit)
    digits = f"{length:.0e}"
    assert digits[0] in "125"
    assert limit / 2.51 <= length <= limit * (1 + 1e-6)


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    picture = pictures.captioned(np.zeros((400, 400), np.uint8), Caption("x", "", 0.001), 400)
    strip = np.asarray(picture)[400 + STRIP // 2]
    bar = np.flatnonzero(strip > 200)
    assert bar[-1] - 100 in bar and bar.size >= 100, "0.1 mm of pixels of 1 micrometre"


def test_a_histogram_says_which_values_there_are() -> None:
    counts, edges = np.histogram(np.random.default_rng(0).normal(5, 1, 10_000), 50)
    picture = np.asarray(pictures.histogram(counts, edges, (2.0, 8.0), "1/cm"))
    bars = (picture[:300] == 170).sum(0)
    assert bars[300:340].mean() > 2 * bars[30:60].mean(), "most values are in the middle"
