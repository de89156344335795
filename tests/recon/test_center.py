"""The centre of rotation against the truth of phantoms, and the faults that prevent finding it.

Here: promises of center.py and of the search in chain.py. What belongs here is one number and its error. Not here: slices.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recon_phantoms import SHEPP_LOGAN, Ellipse, ScanFile, disc, sinogram

from als_assets.recon import center as centers
from als_assets.recon import chain
from als_assets.recon.chain import Corrector, find_center
from als_assets.recon.errors import CenterNotFound
from als_assets.recon.scan import Scan
from als_assets.recon.sharpness import sharpest

SAMPLE = (*disc(0.5, 0.15, 0.2), Ellipse(1.5, 0.08, 0.1, -0.3, 0.1), Ellipse(-0.5, 0.1, 0.2, 0.2, 0.2, 40))


@pytest.mark.parametrize("offset", [0.0, 0.25, 7.3, -11.6])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("method", ["pc", "vo", "auto"])
def test_a_scan_s_centre_is_found_within_a_quarter_pixel(tmp_path: Path, method: str, closed: bool, offset: float) -> None:
    truth = 63.5 + offset
    theta = np.linspace(0, 180, 181, endpoint=closed)
    scan_file = ScanFile(rows=8, width=128, angles=181, theta_deg=theta, center=truth, sample=SAMPLE, attenuation_per_cm=3)
    with Scan(scan_file.write(tmp_path / "s.h5")) as scan:
        found = find_center(scan, Corrector(scan, 0.01), method)
    assert abs(found.value - truth) < 0.25
    assert found.method == ("pc" if method == "auto" else method)
    assert set(found.estimates) == {"pc", "vo"}
    assert found.confidence == "high"


@pytest.mark.parametrize("offset", [0.0, -20.4])
def test_vo_on_a_wide_sinogram(offset: float) -> None:
    theta = np.linspace(0, 180, 361)
    lines = sinogram(tuple(SHEPP_LOGAN), 720, np.deg2rad(theta), 359.5 + offset, oversampling=2)
    assert abs(centers.vo(lines, theta) - (359.5 + offset)) < 0.25


def test_vo_with_noise() -> None:
    theta = np.linspace(0, 180, 181)
    lines = sinogram(SAMPLE, 256, np.deg2rad(theta), 131.2) / 256
    noisy = lines + np.random.default_rng(1).normal(scale=0.02, size=lines.shape).astype(np.float32)
    assert abs(centers.vo(noisy, theta) - 131.2) < 0.25


@pytest.mark.parametrize("offset", [0.0, -20.4])
def test_a_sample_wider_than_the_view(tmp_path: Path, offset: float) -> None:
    grains = ((0.5, 0.3, 0.2, 10), (-0.6, -0.4, 0.5, 50), (0.7, 0.1, -0.7, 80), (0.4, -0.7, -0.3, 0), (0.8, 0.9, 0.4, 20))
    sample = (*disc(1.4, 0.1, 0.05), *(Ellipse(value, 0.1, 0.06, x, y, turn) for value, x, y, turn in grains))
    scan_file = ScanFile(width=256, angles=361, center=128 + offset, sample=sample)
    with Scan(scan_file.write(tmp_path / "s.h5")) as scan:
        found = find_center(scan, Corrector(scan, 0.01), "auto")
    assert abs(found.value - (128 + offset)) < 0.25
    assert abs(found.estimates["vo"] - (128 + offset)) < 1.5


def test_a_full_turn_is_enough_for_both(tmp_path: Path) -> None:
    scan_file = ScanFile(width=128, angles=361, theta_deg=np.linspace(0, 360, 361), center=66.0, sample=SAMPLE)
    with Scan(scan_file.write(tmp_path / "s.h5")) as scan:
        found = find_center(scan, Corrector(scan, 0.01), "auto")
    assert found.estimates["pc"] == pytest.approx(66.0, abs=0.25)
    assert found.estimates["vo"] == pytest.approx(66.0, abs=0.25)


def test_a_given_number_is_taken(small_scan: Path) -> None:
    with Scan(small_scan) as scan:
        found = find_center(scan, Corrector(scan, 0.01), 30.25)
    assert (found.value, found.method, found.confidence) == (30.25, "given", "given")


def test_without_half_a_turn_there_is_no_centre(tmp_path: Path) -> None:
    path = ScanFile(theta_deg=np.linspace(0, 120, 91)).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        corrector = Corrector(scan, 0.01)
        for method, words in (("pc", "half a turn after"), ("vo", "120.0 degrees"), ("auto", "No method")):
            with pytest.raises(CenterNotFound, match=words):
                find_center(scan, corrector, method)


def test_an_empty_scan_has_no_centre(tmp_path: Path) -> None:
    path = ScanFile(sample=()).write(tmp_path / "s.h5")
    with Scan(path) as scan, pytest.raises(CenterNotFound):
        find_center(scan, Corrector(scan, 0.01), "auto")


def test_opposite_says_how_far_it_is_beyond_half_a_turn() -> None:
    assert centers.opposite(np.array([0.0, 90.0, 180.0])) == (2, 0.0)
    index, beyond = centers.opposite(np.array([10.0, 60.0, 189.0, 350.0]))
    assert (index, beyond) == (2, pytest.approx(-1.0))
    assert centers.opposite(np.array([0.0, -90.0, -180.0])) == (2, 0.0)


def test_agreement_is_confidence() -> None:
    assert centers.judge({"pc": 10.0, "vo": 10.5}, "auto").confidence == "high"
    assert centers.judge({"pc": 10.0, "vo": 11.5}, "auto").confidence == "medium"
    assert centers.judge({"pc": 10.0, "vo": 14.0}, "vo") == centers.Center(14.0, "vo", {"pc": 10.0, "vo": 14.0}, "low")
    assert centers.judge({"vo": 3.0}, "auto").confidence == "low"
    with pytest.raises(CenterNotFound):
        centers.judge({}, "auto")


def test_what_two_methods_say_outweighs_a_third() -> None:
    found = centers.judge({"pc": 40.0, "vo": 63.4, "image": 63.6}, "auto")
    assert (found.value, found.method, found.confidence) == (63.4, "vo", "high")
    assert centers.judge({"pc": 40.0, "vo": 63.4, "image": 80.0}, "auto").confidence == "low"


def counted(lines: np.ndarray, seed: int) -> np.ndarray:
    """With the noise of 20 000 counts, and columns that are up to a percent too sensitive (rings)."""
    random = np.random.default_rng(seed)
    scaled = lines * 1.5 / lines.max()
    counts = random.poisson(20_000 * np.exp(-scaled)) * (1 + 0.005 * random.normal(size=lines.shape[-1]))
    return np.asarray(-np.log(np.maximum(counts, 1) / 20_000), np.float32)


@pytest.mark.parametrize("offset", [0.3, -9.6])
def test_every_method_stands_noise_and_rings_over_half_a_turn(offset: float) -> None:
    truth, theta = 95.5 + offset, np.linspace(0, 180, 181)
    lines = counted(sinogram(SAMPLE, 192, np.deg2rad(theta), truth, 4), 3)
    assert centers.vo(lines, theta) == pytest.approx(truth, abs=0.25)
    assert sharpest(lines, theta) == pytest.approx(truth, abs=0.25)
    assert centers.overlap([(lines[:1], lines[-1:])]) == pytest.approx(truth, abs=0.25)
    assert centers.phase_correlation(lines[:1], lines[-1:]) == pytest.approx(truth, abs=0.25)


@pytest.mark.parametrize("offset", [50.3, -48.2])
def test_auto_finds_an_axis_near_the_edge_of_a_full_turn(tmp_path: Path, offset: float) -> None:
    truth, theta = 63.5 + offset, np.linspace(0, 360, 361)
    wide = tuple(Ellipse(e.value, 1.6 * e.a, 1.6 * e.b, 1.6 * e.x, 1.6 * e.y, e.turn) for e in SAMPLE)
    lines = counted(np.repeat(sinogram(wide, 128, np.deg2rad(theta), truth, 4)[:, None], 6, 1), 4)
    counts = np.rint(100 + 50_000 * np.exp(-lines)).astype(np.uint16)
    flats, darks = np.full((1, 6, 128), 50_100, np.uint16), np.full((1, 6, 128), 100, np.uint16)
    fields = {"/exchange/data": counts, "/exchange/data_white": flats, "/exchange/data_dark": darks, "/exchange/theta": theta}
    with Scan(ScanFile(replace=fields).write(tmp_path / "s.h5")) as scan:
        corrector = Corrector(scan, 0.01)
        found = find_center(scan, corrector, "overlap")
        assert (found.method, found.value) == ("overlap", pytest.approx(truth, abs=0.25))
        by_itself = find_center(scan, corrector, "auto")
    assert (by_itself.method, by_itself.value) == ("overlap", found.value)
    assert by_itself.confidence == "low"  # no other method can see it


def test_the_image_is_asked_only_where_the_others_disagree(small_scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setitem(chain._METHODS, "image", lambda scan, corrector: asked.append(1) or 31.4)
    with Scan(small_scan) as scan:
        corrector = Corrector(scan, 0.01)
        assert find_center(scan, corrector, "auto").confidence == "high"
        assert not asked
        monkeypatch.setitem(chain._METHODS, "pc", lambda scan, corrector: 20.0)
        found = find_center(scan, corrector, "auto")
    assert asked == [1]
    assert (found.method, found.confidence) == ("vo", "high")


def test_nothing_to_look_at_is_told_by_every_method() -> None:
    empty = np.zeros((91, 40), np.float32)
    for method in (centers.vo, sharpest):
        with pytest.raises(CenterNotFound, match="empty"):
            method(empty, np.linspace(0, 180, 91))
    with pytest.raises(CenterNotFound, match="empty"):
        centers.overlap([(empty[:1], empty[-1:])])


def test_the_tooth_is_centred_alike_by_both_methods(tooth: Path) -> None:
    with Scan(tooth) as scan:
        found = find_center(scan, Corrector(scan, 0.01), "auto")
    assert found.estimates["pc"] == pytest.approx(found.estimates["vo"], abs=0.25)
    assert 295 < found.value < 297
