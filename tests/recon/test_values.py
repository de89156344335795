"""Corrections of values, each on data with the defect that it is for, and on data without it.

Here: promises of kernels_values.py, phase.py, projections.py and stitching.py. What belongs here is a defect and a bound. Not here:
rings, see test_rings.py.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recon_phantoms import Ellipse, ScanFile, disc, distance, image, psnr, sinogram

from als_assets.recon import kernels_values
from als_assets.recon.chain import TOMOPY_SCALE, Chain, Corrector, pixel_size_mm
from als_assets.recon.engines import choose_engine
from als_assets.recon.errors import BadParameters, MissingField
from als_assets.recon.parameters import Parameters
from als_assets.recon.phase import Paganin
from als_assets.recon.projections import DISTANCE_MM, ENERGY_EV, prepared
from als_assets.recon.scan import Scan
from als_assets.recon.stitching import Stitch

Images = NDArray[np.float32]

GRAINS = (*disc(0.7, 0.05, 0.1), Ellipse(0.8, 0.1, 0.15, -0.3, 0.2, 20), Ellipse(-0.6, 0.12, 0.08, 0.3, -0.2))


def slices(path: Path, parameters: Parameters, center: float) -> Images:
    """All rows at once, through the whole chain."""
    marks = {"test": path.name}
    place = path.with_suffix(".projections")
    with Scan(path) as scan, prepared(scan, parameters, pixel_size_mm(scan, parameters), place, marks, 2, str) as source:
        chain = Chain(source, parameters, Corrector(source, parameters.transmission_floor), center, choose_engine())
        return chain.worker().slices(0, scan.shape.rows).copy()


def changed(path: Path, where: str, value: NDArray[np.generic]) -> Path:
    with h5py.File(path, "a") as file:
        file[where][...] = value
    return path


# --- outliers ----------------------------------------------------------------------------------------------------------


def sparks(path: Path) -> Path:
    """A thousandth of the pixels of the projections bright by 8000 counts."""
    with h5py.File(path) as file:
        data = file["/exchange/data"][()].astype(np.int64)
    hit = np.random.default_rng(0).random(data.shape) < 0.001
    return changed(path, "/exchange/data", np.minimum(data + 8000 * hit, 65_535).astype(np.uint16))


@pytest.mark.parametrize("parameters", [Parameters(outlier_2d=2000), Parameters(outlier_1d=0.05)], ids=["in projections", "along angle"])
def test_sparks_go_and_a_clean_scan_stays_as_it_is(tmp_path: Path, parameters: Parameters) -> None:
    scan_file = ScanFile(rows=5, width=96, angles=181, sample=GRAINS, attenuation_per_cm=4)
    clean = slices(scan_file.write(tmp_path / "clean.h5"), Parameters(), 47.5)
    hit = sparks(scan_file.write(tmp_path / "hit.h5"))
    before, after = (np.abs(slices(hit, p, 47.5) - clean)[2:].mean() for p in (Parameters(), parameters))
    assert after < 0.25 * before  # what replaces a spark on an edge is only near the truth
    assert np.abs(slices(tmp_path / "clean.h5", parameters, 47.5) - clean).max() < 1e-3 * clean.max()


def slow_sparks(picture: Images, half: int, limit: float) -> Images:
    wide = np.pad(picture, half, "edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (2 * half + 1,) * 2).reshape(*picture.shape, -1)
    usual = np.median(windows, axis=2).astype(np.float32)
    return np.where(picture - usual > limit, usual, picture)


@settings(max_examples=25, deadline=None)
@given(half=st.integers(1, 3), limit=st.floats(0.1, 3), seed=st.integers(0, 99), shape=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_outliers_are_replaced_as_defined(half: int, limit: float, seed: int, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    out = np.empty_like(picture)
    kernels_values.without_sparks(picture, half, np.float32(limit), out)
    assert np.array_equal(out, slow_sparks(picture, half, np.float32(limit)))
    kernels_values.without_dips(picture, half, np.float32(limit), out)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(picture, ((half, half), (0, 0)), "edge"), 2 * half + 1, axis=0)
    usual = np.median(windows, axis=2).astype(np.float32)
    assert np.array_equal(out, np.where(usual - picture > np.float32(limit), usual, picture))


# --- beam hardening, units ---------------------------------------------------------------------------------------------


def test_a_polynomial_takes_away_the_cupping_of_a_broad_spectrum(tmp_path: Path) -> None:
    theta = np.linspace(0, 180, 121)
    path_cm = sinogram(disc(0.7), 96, np.deg2rad(theta), 47.5) * 0.05 / 10
    weights, mu = np.array([0.5, 0.5]), np.array([3.0, 9.0])  # two energies
    measured = -np.log((weights[:, None, None] * np.exp(-mu[:, None, None] * path_cm)).sum(0))
    counts = np.rint(100 + 60_000 * np.exp(-measured))[:, None, :].astype(np.uint16)
    fields = {"/exchange/data": counts, "/exchange/data_white": np.full((1, 1, 96), 60_100, np.uint16), "/exchange/theta": theta}
    path = ScanFile(replace={**fields, "/exchange/data_dark": np.full((1, 1, 96), 100, np.uint16)}).write(tmp_path / "s.h5")
    lengths = np.linspace(0.01, path_cm.max(), 50)
    seen = -np.log((weights[:, None] * np.exp(-mu[:, None] * lengths)).sum(0))
    coefficients = np.linalg.lstsq(seen[:, None] ** np.arange(1, 5), mu @ weights * lengths, rcond=None)[0]
    away = distance(96)
    edge, middle = (away > 0.5) & (away < 0.6), away < 0.2
    raw = slices(path, Parameters(), 47.5)[0]
    flat = slices(path, Parameters(beam_hardening=tuple(coefficients)), 47.5)[0]
    assert raw[edge].mean() / raw[middle].mean() > 1.02
    assert flat[edge].mean() / flat[middle].mean() == pytest.approx(1, abs=0.004)
    assert flat[away < 0.6].mean() == pytest.approx(6.0, rel=0.01)


def test_the_polynomial_of_the_identity_changes_nothing() -> None:
    lines = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    same = lines.copy()
    kernels_values.polynomial(same, np.array([1, 0, 0], np.float32))
    assert np.array_equal(same, lines)
    kernels_values.polynomial(same, np.array([2, 0.5], np.float32))
    assert np.allclose(same, 2 * lines + 0.5 * lines**2, atol=1e-6)


def test_tomopy_scale_is_one_factor(small_scan: Path) -> None:
    plain, scaled = (slices(small_scan, Parameters(value_scale=kind), 31.5) for kind in ("1/cm", "tomopy"))
    assert np.allclose(scaled, TOMOPY_SCALE * plain, rtol=1e-4, atol=1e-6)


# --- tilt --------------------------------------------------------------------------------------------------------------


def tilted(path: Path, degrees: float) -> Path:
    """A soft ball whose axis leans in the projections."""
    rows, width, angles = 32, 64, 121
    theta = np.deg2rad(np.linspace(0, 180, angles))
    y, x = np.mgrid[:rows, :width] - np.array([(rows - 1) / 2, (width - 1) / 2])[:, None, None]
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    along, across = c * y - s * x, c * x + s * y
    square = along[None] ** 2 + (across[None] - 12 * np.cos(theta)[:, None, None]) ** 2
    lines = 0.5 * np.exp(-square / (2 * 4.0**2))
    counts = np.rint(100 + 60_000 * np.exp(-lines)).astype(np.uint16)
    fields = {"/exchange/data": counts, "/exchange/data_white": np.full((1, rows, width), 60_100, np.uint16)}
    return ScanFile(angles=angles, replace={**fields, "/exchange/data_dark": np.full((1, rows, width), 100, np.uint16),
                                            "/exchange/theta": np.rad2deg(theta)}).write(path)  # fmt: skip


def test_a_tilted_axis_is_set_upright(tmp_path: Path) -> None:
    upright = middle_slices(tilted(tmp_path / "a.h5", 0), Parameters())
    leaning = tilted(tmp_path / "b.h5", 4)
    before = np.abs(middle_slices(leaning, Parameters()) - upright).mean()
    after = np.abs(middle_slices(leaning, Parameters(tilt_deg=4)) - upright).mean()
    assert after < 0.35 * before
    assert np.abs(middle_slices(leaning, Parameters(tilt_deg=-4)) - upright).mean() > before


def middle_slices(path: Path, parameters: Parameters) -> Images:
    with Scan(path) as scan, prepared(scan, parameters, 0.05, path.with_suffix(".projections"), {}, 2, str) as source:
        chain = Chain(source, parameters, Corrector(source, 0.01), 31.5, choose_engine())
        return chain.worker().slices(8, 16).copy()


@settings(max_examples=10, deadline=None)
@given(angle=st.floats(-0.1, 0.1))
def test_turning_keeps_what_is_smooth(angle: float) -> None:
    y, x = np.mgrid[:20, :30] - np.array([9.5, 14.5])[:, None, None]
    plane = (0.3 * x + 0.2 * y).astype(np.float32)
    out = np.empty_like(plane)
    kernels_values.turned(plane, angle, out)
    c, s = np.cos(angle), np.sin(angle)
    truth = 0.3 * (c * x - s * y) + 0.2 * (s * x + c * y)
    assert np.abs(out - truth)[4:-4, 4:-4].max() < 1e-4
    if angle == 0:
        assert np.array_equal(out, plane)


# --- phase -------------------------------------------------------------------------------------------------------------


def fringes(thickness_um: Images, pixel_um: float, energy_kev: float, distance_mm: float, delta: float, beta: float) -> Images:
    """Intensity of one material after the distance by the transport of intensity equation, which Paganin's filter inverts."""
    wavelength = 1.239841984e-3 / energy_kev  # micrometres
    contact = np.exp(-4 * np.pi * beta / wavelength * thickness_um)
    fy, fx = (np.fft.fftfreq(n, pixel_um) for n in contact.shape)
    strength = np.pi * wavelength * distance_mm * 1000 * delta / beta
    return np.asarray(np.fft.ifft2(np.fft.fft2(contact) * (1 + strength * (fy[:, None] ** 2 + fx**2))).real, np.float32)


def test_paganin_gives_back_the_thickness() -> None:
    y, x = np.mgrid[:96, :128]
    thickness = (40 * np.exp(-((x - 60) ** 2 + (y - 50) ** 2) / 200)).astype(np.float32)
    seen = fringes(thickness, 0.65, 20, 100, 5e-7, 5e-10)
    beta_part = 4 * np.pi * 5e-10 / (1.239841984e-3 / 20)
    assert np.abs(-np.log(seen) / beta_part - thickness).max() > 20
    found = -np.log(Paganin((96, 128), 0.00065, 20, 100, 1000).apply(seen)) / beta_part
    assert np.abs(found - thickness)[8:-8, 8:-8].max() < 0.02 * 40


def test_paganin_keeps_a_flat_field_and_the_mean() -> None:
    phase = Paganin((20, 30), 0.001, 25, 50, 2000)
    flat = np.full((20, 30), 0.7, np.float32)
    assert np.allclose(phase.apply(flat), 0.7, atol=1e-5)


def test_phase_retrieval_takes_energy_and_distance_from_the_scan_or_asks_for_them(tmp_path: Path) -> None:
    scan_file = ScanFile(rows=6, width=64, sample=disc(0.5), attenuation_per_cm=4, pixel_size_mm=0.001, replace={
        ENERGY_EV: np.array([0.0, 20_000.0, 20_000.0]), DISTANCE_MM: np.array([0.0, 30.0])})  # fmt: skip
    wanted = Parameters(phase_retrieval="paganin", phase_delta_beta=200)
    path = scan_file.write(tmp_path / "s.h5")
    found = slices(path, wanted, 31.5)
    given_values = Parameters(phase_retrieval="paganin", phase_delta_beta=200, energy_kev=20, phase_distance_mm=30)
    bare = ScanFile(rows=6, width=64, sample=disc(0.5), attenuation_per_cm=4, pixel_size_mm=0.001).write(tmp_path / "bare.h5")
    assert np.allclose(found, slices(bare, given_values, 31.5), atol=1e-3)
    assert np.abs(np.diff(found[5], axis=1)).max() < 0.8 * np.abs(np.diff(slices(bare, Parameters(), 31.5)[5], axis=1)).max()
    with pytest.raises(MissingField, match="monochromator/energy") as caught:
        slices(bare, wanted, 31.5)
    assert "energy_kev" in caught.value.next_step


def test_corrected_projections_are_kept_for_a_killed_run_and_removed_after_a_finished_one(tmp_path: Path, small_scan: Path) -> None:
    parameters, place = Parameters(outlier_2d=500), tmp_path / "recx.projections"
    kept = tmp_path / ".recx.projections.partial"

    def start() -> list[str]:
        said: list[str] = []
        with Scan(small_scan) as scan, prepared(scan, parameters, 0.05, place, {"same": 1}, 2, said.append) as source:
            raw = scan.projections(3, 5).astype(np.float64)
            assert np.allclose(source.projections(3, 5)[:, 2], ((raw - 100) / (scan.fields()[0] - 100))[:, 2], atol=2e-3)
            assert np.array_equal(source.rows(1, 3), source.projections(0, 91)[:, 1:3])
            if not said:
                return said
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start()
    assert (kept / "complete").exists()
    assert start() == []
    assert not kept.exists()


# --- full turn with the axis near an edge ------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [40.0, -37.3, 20.5])
@pytest.mark.parametrize(("angles", "closed"), [(361, True), (360, False), (401, False)])
def test_a_full_turn_off_centre_shows_the_whole_sample(tmp_path: Path, offset: float, angles: int, closed: bool) -> None:
    center, width = 63.5 + offset, 128
    theta = np.linspace(0, 360, angles, endpoint=closed)
    reach = max(center, width - 1 - center) * 2 / width  # of the view, in units of half its width
    sample = tuple(Ellipse(e.value, 0.9 * reach * e.a, 0.9 * reach * e.b, 0.9 * reach * e.x, 0.9 * reach * e.y, e.turn) for e in GRAINS)
    path = ScanFile(
        rows=1, width=width, angles=angles, theta_deg=theta, center=center, sample=sample, attenuation_per_cm=1, dtype="f8"
    ).write(tmp_path / "s.h5")
    result = slices(path, Parameters(stitch_360=True), center)[0]
    wide = result.shape[0]
    assert wide == Stitch.of(theta, width, center).width > 1.2 * width
    scaled = tuple(Ellipse(e.value, *(v * width / wide for v in (e.a, e.b, e.x, e.y)), e.turn) for e in sample)
    truth = image(scaled, wide)
    assert psnr(result, truth) > 24
    inside = np.hypot(*(np.mgrid[:wide, :wide] - wide // 2)) < 10
    assert result[inside].mean() == pytest.approx(truth[inside].mean(), abs=0.01)
    outside = (distance(wide) > 0.85) & (distance(wide) < 0.97)
    assert abs(result[outside].mean()) < 0.01


@settings(deadline=None, max_examples=50)
@given(st.integers(8, 500), st.floats(0.05, 0.95))
def test_a_ray_and_its_opposite_count_once(columns: int, share: float) -> None:
    center = share * (columns - 1)
    stitch = Stitch.of(np.linspace(0, 360, 37), columns, center)
    place = np.arange(columns) - center
    for at, weight in zip(place, stitch.weights, strict=True):
        seen_twice = -center <= -at <= columns - 1 - center
        other = np.interp(-at, place, stitch.weights) if seen_twice else 0.0
        assert weight + other == pytest.approx(1, abs=0.02 if columns > 60 else 0.3)
    assert stitch.first + columns <= stitch.width
    assert abs(stitch.center - stitch.width / 2) < 2.5


def test_stitching_needs_a_full_turn_and_the_axis_in_the_view() -> None:
    with pytest.raises(BadParameters, match=r"covers 180\.0 degrees"):
        Stitch.of(np.linspace(0, 180, 91), 64, 40)
    with pytest.raises(BadParameters, match=r"column 70\.0 is not"):
        Stitch.of(np.linspace(0, 360, 91), 64, 70)


def test_a_clean_centred_scan_is_the_same_with_and_without_stitching(tmp_path: Path) -> None:
    theta = np.linspace(0, 360, 361)
    path = ScanFile(rows=1, width=96, angles=361, theta_deg=theta, center=48, sample=GRAINS, attenuation_per_cm=1, dtype="f8")
    plain = slices(path.write(tmp_path / "s.h5"), Parameters(mask_ratio=0), 48)[0]
    joined = slices(tmp_path / "s.h5", Parameters(mask_ratio=0, stitch_360=True), 48)[0]
    first = joined.shape[0] // 2 - 48
    same = joined[first : first + 96, first : first + 96]
    assert np.abs(same - plain)[distance(96) < 0.9].mean() < 0.01
