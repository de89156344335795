"""Previews: the promised files, their sizes, the facts beside them, and what is visible.

Here: promises of preview.py and pictures.py. What belongs here is pictures and JSON. Not here: the quality of slices.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from recon_phantoms import Ellipse, ScanFile, disc

from als_assets.recon import pictures
from als_assets.recon.cli import main

NAMES = ["centers.jpg", "preview.json", "preview_xy.jpg", "preview_xz.jpg", "preview_yz.jpg", "projection.jpg"]
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
    assert len(facts["histogram"]["counts"]) <= 64
    assert len(facts["histogram"]["edges"]) == len(facts["histogram"]["counts"]) + 1
    assert sum(facts["histogram"]["counts"]) == width * width
    assert len(facts["centers_shown"]) == 9
    assert facts["centers_shown"][4] == pytest.approx(facts["center"]["value"], abs=0.001)
    for name, size in facts["images"].items():
        with Image.open(tmp_path / "p" / name) as picture:
            assert picture.size == (size["width_px"], size["height_px"])
        assert (tmp_path / "p" / name).stat().st_size <= 150_000


def test_the_bright_grain_is_where_it_should_be(tmp_path: Path) -> None:
    path = ScanFile(rows=8, width=128, angles=181, sample=SAMPLE).write(tmp_path / "s.h5")
    assert main(["preview", str(path), "--output", str(tmp_path)]) == 0
    with Image.open(tmp_path / "preview_xy.jpg") as picture:
        pixels = np.asarray(picture)
    grain = (slice(74, 80), slice(48, 54))  # x = -0.2, y = +0.2 of 64 pixels about pixel 64
    assert pixels[grain].min() > 200
    assert pixels[74:80, 74:80].max() < pixels[grain].min()


def test_the_right_centre_is_the_sharpest_of_nine(tmp_path: Path) -> None:
    path = ScanFile(rows=2, width=256, angles=361, sample=SAMPLE, attenuation_per_cm=3).write(tmp_path / "s.h5")
    assert main(["preview", str(path), "--output", str(tmp_path)]) == 0
    with Image.open(tmp_path / "centers.jpg") as picture:
        sheet = np.asarray(picture, np.float64)
    side = (sheet.shape[0] - 8) // 3
    corners = [(line * (side + 4), column * (side + 4)) for line in range(3) for column in range(3)]
    images = [sheet[y + 30 : y + side, x : x + side] for y, x in corners]
    # a wrong centre smears edges into arcs: less of the picture's variation is left in its sharpest gradients
    sharpness = [np.percentile(np.hypot(*np.gradient(image)), 99.5) for image in images]
    assert np.argmax(sharpness) in (3, 4, 5)
    assert sharpness[4] > max(sharpness[0], sharpness[8])


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
    width, height = pictures.save_jpeg(noise, path)
    assert path.stat().st_size <= pictures.LIMIT_BYTES
    assert max(width, height) <= 1024
    with Image.open(path) as picture:
        assert picture.size == (width, height)


def test_a_contact_sheet_holds_its_pictures_in_order() -> None:
    images = [np.full((40, 60), 20 * index, np.uint8) for index in range(5)]
    sheet = pictures.contact_sheet(images, list("abcde"))
    assert sheet.shape == (84, 188)
    assert [sheet[38, 58], sheet[38, 122], sheet[38, 186], sheet[82, 58], sheet[82, 122]] == [0, 20, 40, 60, 80]
