"""The simulated detector: is the sample what it says it is. Here: files, counts and geometry. Not here: services."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from als_assets.beamlines.bl832 import BL832, layout
from als_assets.beamlines.bl832.writer import ScanHeader
from als_assets.errors import ScanFieldMissing
from als_assets.simulator.detector import Phantom, Sphere, grains_in_cylinder, rewrite_scan, synthetic_scan

TOOTH = Path(os.environ.get("ALS_TEST_TOOTH", Path(__file__).parents[3] / "shared/data/tooth.h5"))
needs_tooth = pytest.mark.skipif(not TOOTH.is_file(), reason=f"no real scan at {TOOTH} (set ALS_TEST_TOOTH)")


def corrected(path: Path) -> np.ndarray:
    """Minus log of the flat-fielded projections."""
    with h5py.File(path) as file:
        data, white, dark = (file[name][:].astype(float) for name in (layout.DATA, layout.WHITE, layout.DARK))
    return -np.log((data - dark.mean(0)) / (white.mean(0) - dark.mean(0)))


def test_a_synthetic_scan_is_a_complete_scan(tmp_path: Path) -> None:
    made = synthetic_scan(tmp_path / "sand.h5", rows=8, columns=64, angles=31, seed=3)
    facts = BL832.inspect(made.path)
    assert (facts.projections, facts.rows, facts.columns, facts.flats, facts.darks) == (31, 8, 64, 10, 5)
    assert facts.sample_name == "sand"
    assert facts.warnings == ()


def test_counts_look_like_a_camera(tmp_path: Path) -> None:
    made = synthetic_scan(tmp_path / "a.h5", rows=8, columns=64, angles=31)
    with h5py.File(made.path) as file:
        assert 90 < file[layout.DARK][:].mean() < 120
        assert 20_000 < file[layout.WHITE][:].mean() < 35_000
        data = file[layout.DATA][:]
    assert data.min() > 500, "light comes through everywhere"
    assert data.max() < 65_535, "nothing is saturated"


def test_projections_are_the_phantoms_line_integrals(tmp_path: Path) -> None:
    made = synthetic_scan(tmp_path / "a.h5", rows=8, columns=64, angles=31, noise=False)
    expected = made.phantom.line_integrals(made.theta_deg, made.centre)
    np.testing.assert_allclose(corrected(made.path), expected, atol=2e-3)


def test_line_integrals_agree_with_sums_over_the_true_slice() -> None:
    """Two independent ways to the same number: the formula, and adding up the pixels of the slice at 0 and 90 degrees."""
    phantom = grains_in_cylinder(9, 301, 0.00325, seed=5)
    centre = (phantom.columns - 1) / 2
    integrals = phantom.line_integrals(np.array([0.0, 90.0, 180.0]), centre)
    for row in (0, 4, 8):
        image = phantom.slice_per_cm(row) * phantom.pixel_cm
        for integral, axis in ((integrals[0, row], 0), (integrals[1, row], 1)):
            difference = integral - image.sum(axis=axis)
            assert np.sqrt(np.mean(difference**2)) < 0.01 * integral.max()
        np.testing.assert_allclose(integrals[2, row], integrals[0, row][::-1])


def test_mass_is_the_same_at_every_angle() -> None:
    phantom = grains_in_cylinder(6, 256, 0.00325, seed=1)
    masses = phantom.line_integrals(np.linspace(0, 180, 20), 127.5).sum(axis=2)
    np.testing.assert_allclose(masses, np.broadcast_to(masses[0], masses.shape), rtol=5e-3)


def test_the_axis_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    """The last projection is the mirror image of the first about the axis."""
    made = synthetic_scan(tmp_path / "a.h5", rows=4, columns=128, angles=19, centre_offset=4.0, noise=False)
    assert made.centre == 67.5
    first, last = corrected(made.path)[[0, -1]]
    mirrored = last[:, ::-1]
    shift = round(2 * made.centre - 127)
    np.testing.assert_allclose(first[:, shift:], mirrored[:, :-shift], atol=2e-3)


def test_grains_do_not_overlap_and_stay_in_the_cylinder() -> None:
    phantom = grains_in_cylinder(48, 256, 0.00325, seed=0)
    assert len(phantom.spheres) >= 40
    assert {s.contrast_per_cm > 0 for s in phantom.spheres} == {True, False}
    for i, a in enumerate(phantom.spheres):
        assert np.hypot(a.x, a.y) + a.radius < phantom.radius
        for b in phantom.spheres[:i]:
            assert np.hypot(np.hypot(a.x - b.x, a.y - b.y), a.z - b.z) > a.radius + b.radius
    assert phantom.slice_per_cm(24).min() == 0.0, "pores are empty, nothing is negative"
    assert np.unique(phantom.slice_per_cm(24)).size >= 3


def test_one_sphere_by_hand() -> None:
    phantom = Phantom(3, 21, 10.0, 0.0, 0.1, (Sphere(5.0, 0.0, 1.0, 4.0, 2.0),))
    integrals = phantom.line_integrals(np.array([0.0, 90.0]), 10.0)
    assert integrals[0, 1, 15] == pytest.approx(2 * 4.0 * 2.0 * 0.1)
    assert integrals[1, 1, 10] == pytest.approx(2 * 4.0 * 2.0 * 0.1)
    assert integrals[0, 0, 15] == pytest.approx(2 * np.sqrt(15) * 2.0 * 0.1)
    assert integrals[0, 1, 10] == 0


def test_ring_artefacts_stay_in_their_columns(tmp_path: Path) -> None:
    made = synthetic_scan(tmp_path / "a.h5", rows=16, columns=128, angles=31, seed=2)
    error = corrected(made.path) - made.phantom.line_integrals(made.theta_deg, made.centre)
    column_means = np.abs(error.mean(axis=(0, 1)))
    rings = column_means > 6 * np.median(column_means)
    assert 1 <= rings.sum() <= 4


def test_the_same_seed_gives_the_same_scan_and_another_one_another(tmp_path: Path) -> None:
    scans = {}
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        synthetic_scan(tmp_path / f"{name}.h5", rows=4, columns=32, angles=5, seed=seed)
        with h5py.File(tmp_path / f"{name}.h5") as file:
            scans[name] = file[layout.DATA][:]
    np.testing.assert_array_equal(scans["a"], scans["b"])
    assert (scans["a"] != scans["c"]).mean() > 0.9


def test_the_header_decides_geometry_and_names(tmp_path: Path) -> None:
    header = ScanHeader(sample_name="other", pixel_size_mm=0.0065, angle_range_deg=360.0)
    made = synthetic_scan(tmp_path / "a.h5", rows=4, columns=32, angles=9, header=header, pieces=3)
    facts = BL832.inspect(made.path)
    assert (facts.sample_name, facts.pixel_size_mm, facts.angle_range_deg) == ("other", 0.0065, 360.0)
    assert made.theta_deg[-1] == 360.0
    assert made.phantom.pixel_cm == pytest.approx(0.00065)


@needs_tooth
def test_a_real_scan_is_rewritten(tmp_path: Path) -> None:
    target = tmp_path / "tooth.h5"
    rewrite_scan(TOOTH, target)
    facts = BL832.inspect(target)
    assert (facts.projections, facts.rows, facts.columns, facts.flats, facts.darks) == (181, 2, 640, 10, 10)
    assert facts.angle_range_deg == pytest.approx(180.0)
    assert facts.warnings == ()
    with h5py.File(TOOTH) as before, h5py.File(target) as after:
        np.testing.assert_allclose(after[layout.DATA][:], before[layout.DATA][:], atol=0.5)
        np.testing.assert_array_equal(after[layout.THETA][:], before[layout.THETA][:])


def dx_file(path: Path, brightest: float) -> None:
    with h5py.File(path, "w") as file:
        for name, value in ((layout.DATA, brightest / 2), (layout.WHITE, brightest), (layout.DARK, 10.0)):
            file[name] = np.full((3, 2, 4), value, np.float32)
        file[layout.THETA] = np.array([0.0, 60.0, 120.0])


@pytest.mark.parametrize("brightest", [1000.0, 131_070.0])
def test_counts_beyond_16_bits_are_scaled_together(tmp_path: Path, brightest: float) -> None:
    dx_file(tmp_path / "dx.h5", brightest)
    rewrite_scan(tmp_path / "dx.h5", tmp_path / "a.h5", ScanHeader(sample_name="x"))
    facts = BL832.inspect(tmp_path / "a.h5")
    assert (facts.sample_name, facts.angle_range_deg) == ("x", 180.0)
    with h5py.File(tmp_path / "a.h5") as file:
        white, data = int(file[layout.WHITE][0, 0, 0]), int(file[layout.DATA][0, 0, 0])
    assert white == min(brightest, 65_535)
    assert data == pytest.approx(white / 2, abs=1)


def test_a_dx_file_without_flats_is_refused(tmp_path: Path) -> None:
    dx_file(tmp_path / "dx.h5", 1000.0)
    with h5py.File(tmp_path / "dx.h5", "r+") as file:
        del file[layout.WHITE]
    with pytest.raises(ScanFieldMissing, match=layout.WHITE):
        rewrite_scan(tmp_path / "dx.h5", tmp_path / "a.h5")
