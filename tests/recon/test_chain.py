"""Corrections between file and slice: light, dead pixels, units, padding and rings.

Here: promises of chain.py on small scans. What belongs here is values. Not here: files of the result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recon_phantoms import ScanFile, disc, distance

from als_assets.recon.chain import Chain, Corrector, geometry, pixel_size_mm, ring_filter
from als_assets.recon.engines import choose_engine
from als_assets.recon.errors import MissingField, ZeroFlats
from als_assets.recon.fourier_wavelet import FourierWavelet
from als_assets.recon.parameters import Parameters
from als_assets.recon.rings import Smoothing, Sorting
from als_assets.recon.scan import Scan

WIDTH, ROWS = 64, 4


def test_line_integrals_are_the_logarithm_of_transmission(tmp_path: Path) -> None:
    data = np.full((5, 2, 8), 600, np.uint16)
    data[:, 1, :] = 100
    data[0, 1, 3] = 50
    flats, darks = np.full((2, 2, 8), 1100, np.uint16), np.full((1, 2, 8), 100, np.uint16)
    fields = {"/exchange/data": data, "/exchange/data_white": flats, "/exchange/data_dark": darks}
    path = ScanFile(angles=5, replace={**fields, "/exchange/theta": np.linspace(0, 180, 5)}).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        lines = Corrector(scan, 0.01).sinograms(scan.rows(0, 2), 0)
    assert lines.shape == (2, 5, 8)
    assert lines.dtype == np.float32
    assert np.allclose(lines[0], -np.log(0.5), atol=1e-6)
    assert np.allclose(lines[1], -np.log(0.01), atol=1e-5)


def test_rows_in_the_middle_use_their_own_flats(tmp_path: Path) -> None:
    with Scan(ScanFile(rows=5, width=32).write(tmp_path / "s.h5")) as scan:
        corrector = Corrector(scan, 0.01)
        everything = corrector.sinograms(scan.rows(0, 5), 0)
        assert np.array_equal(corrector.sinograms(scan.rows(2, 4), 2), everything[2:4])


def test_float_and_integer_scans_give_the_same(tmp_path: Path) -> None:
    found = []
    for kind in ("u2", "f4", "f8", "u1"):
        path = ScanFile(rows=2, width=32, dtype="u2").write(tmp_path / f"{kind}.h5")
        with Scan(path) as scan:
            corrector = Corrector(scan, 0.01)
            raw = scan.rows(0, 2)
            found.append(corrector.sinograms((raw // 256 * 0 + raw).astype(kind) if kind != "u1" else raw, 0))
    assert all(np.allclose(found[0], other, atol=1e-5) for other in found[1:])


def test_dead_pixels_are_bridged_from_both_sides_and_at_the_edge(tmp_path: Path) -> None:
    flats = np.full((1, 2, 8), 1100, np.uint16)
    flats[0, 0, [0, 3, 4]] = 100
    flats[0, 1, :] = 100
    data = np.tile((100 + 1000 * np.exp(-np.arange(8) / 10)).astype(np.float32), (5, 2, 1))
    darks = np.full((1, 2, 8), 100, np.uint16)
    fields = {"/exchange/data": data, "/exchange/data_white": flats, "/exchange/data_dark": darks}
    theta = {"/exchange/theta": np.linspace(0, 180, 5)}
    flats[0, 1, :4] = 1100
    with Scan(ScanFile(replace={**fields, **theta}).write(tmp_path / "s.h5")) as scan:
        lines = Corrector(scan, 0.01).sinograms(scan.rows(0, 2), 0)
    assert np.allclose(lines[0, 0], [0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], atol=1e-4)
    assert np.allclose(lines[1, 0], [0.0, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3], atol=1e-4)


def test_a_row_without_any_light_becomes_zero_not_noise(tmp_path: Path) -> None:
    flats = np.full((1, 4, 8), 1100, np.uint16)
    flats[0, 2] = 100
    fields = {"/exchange/data": np.full((5, 4, 8), 600, np.uint16), "/exchange/data_white": flats}
    more = {"/exchange/data_dark": np.full((1, 4, 8), 100, np.uint16), "/exchange/theta": np.linspace(0, 180, 5)}
    with Scan(ScanFile(replace={**fields, **more}).write(tmp_path / "s.h5")) as scan:
        lines = Corrector(scan, 0.01).sinograms(scan.rows(0, 4), 0)
    assert (lines[2] == 0).all()
    assert (lines[1] > 0.5).all()


def test_dark_flats_are_refused(tmp_path: Path) -> None:
    path = ScanFile(replace={"/exchange/data_white": np.full((2, 6, 64), 90, np.uint16)}).write(tmp_path / "s.h5")
    with Scan(path) as scan, pytest.raises(ZeroFlats, match="100%") as caught:
        Corrector(scan, 0.01)
    assert str(path) in caught.value.sentence


def slices(path: Path, parameters: Parameters, center: float) -> np.ndarray:
    with Scan(path) as scan:
        corrector = Corrector(scan, parameters.transmission_floor)
        chain = Chain(scan, parameters, corrector, center, choose_engine())
        return chain.worker().slices(0, scan.shape.rows)


@pytest.mark.parametrize("pixel_size_mm", [0.002, 0.05])
def test_values_are_attenuation_per_centimetre(tmp_path: Path, pixel_size_mm: float) -> None:
    scan_file = ScanFile(
        rows=ROWS, width=WIDTH, sample=disc(0.5), attenuation_per_cm=0.8 / pixel_size_mm, pixel_size_mm=pixel_size_mm, dtype="f8"
    )
    result = slices(scan_file.write(tmp_path / "s.h5"), Parameters(), (WIDTH - 1) / 2)
    for row in range(ROWS):
        expected = 0.8 / pixel_size_mm * (row + 1) / ROWS
        assert result[row][distance(WIDTH) < 0.4].mean() == pytest.approx(expected, rel=0.01)


def test_parameters_overrule_the_pixel_size_of_the_scan(tmp_path: Path) -> None:
    path = ScanFile().write(tmp_path / "s.h5")
    with Scan(path) as scan:
        assert pixel_size_mm(scan, Parameters()) == 0.05
        assert geometry(scan, Parameters(pixel_size_mm=0.1), 3.0).scale == pytest.approx(100)
    bare = ScanFile(drop=["/measurement/instrument/detector/pixel_size"]).write(tmp_path / "bare.h5")
    with Scan(bare) as scan:
        assert pixel_size_mm(scan, Parameters(pixel_size_mm=0.1)) == 0.1
        with pytest.raises(MissingField, match="pixel_size") as caught:
            pixel_size_mm(scan, Parameters())
    assert "--params" in caught.value.next_step


def test_mask_ratio_zero_is_no_mask(small_scan: Path) -> None:
    corner = slices(small_scan, Parameters(mask_ratio=0), 31.5)[0][0, 0]
    assert corner != 0
    assert slices(small_scan, Parameters(), 31.5)[0][0, 0] == 0


def test_ring_removal_weakens_a_stripe(tmp_path: Path) -> None:
    path = ScanFile(rows=1, width=128, angles=181, sample=disc(0.7), attenuation_per_cm=2).write(tmp_path / "s.h5")
    with Scan(path) as scan:
        flats = np.repeat(scan.fields()[0][None], 2, 0)
    flats[:, :, 90] *= 1.02
    other = ScanFile(rows=1, width=128, angles=181, sample=disc(0.7), attenuation_per_cm=2, replace={"/exchange/data_white": flats})
    other.write(tmp_path / "t.h5")
    clean = slices(path, Parameters(), 63.5)[0]
    rings = slices(tmp_path / "t.h5", Parameters(), 63.5)[0]
    strong = Parameters(ring_removal="fourier-wavelet", ring_level=5)
    left = slices(tmp_path / "t.h5", strong, 63.5)[0] - slices(path, strong, 63.5)[0]
    near = abs(distance(128) * 64 - 26) < 3
    assert left[near].std() < 0.5 * (rings - clean)[near].std()
    assert ring_filter(Parameters(), 100) is None


@pytest.mark.parametrize(("name", "kind"), [("fourier-wavelet", FourierWavelet), ("smoothing", Smoothing), ("sorting", Sorting)])
def test_each_named_ring_removal_is_the_method_of_that_name(name: str, kind: type) -> None:
    assert type(ring_filter(Parameters.model_validate({"ring_removal": name, "ring_level": 3}), 60)) is kind


def test_the_tooth_has_enamel_denser_than_dentine_and_air_near_zero(tooth: Path) -> None:
    result = slices(tooth, Parameters(pixel_size_mm=0.01), 295.9)[0]
    air = (distance(640) > 0.9) & (distance(640) < 0.98)
    assert result[distance(640) < 0.4].mean() > 20 * abs(result[air].mean())


@pytest.mark.parametrize(("ours_name", "theirs_name"), [("ramp", None), ("hann", "hann")])
def test_the_tooth_agrees_with_back_projection_in_real_space_by_algotom(tooth: Path, ours_name: str, theirs_name: str | None) -> None:
    """Algotom has the axis in the middle of the pixels, we at pixel width // 2: with one more column both are at pixel 320."""
    from algotom.rec.reconstruction import fbp_reconstruction

    with Scan(tooth) as scan:
        lines = Corrector(scan, 0.01).sinograms(scan.rows(0, 1), 0)[0]
        theta = np.deg2rad(scan.theta_deg)
    wider = np.pad(lines, ((0, 0), (0, 1)), "edge")
    turned = fbp_reconstruction(wider, 295.9, angles=theta, apply_log=False, filter_name=theirs_name, ratio=None, gpu=False)
    theirs = turned[::-1][:640, :640]  # the image's rows downwards
    ours = slices(tooth, Parameters(pixel_size_mm=10, filter=ours_name), 295.9)[0]  # per pixel
    inside = distance(640) < 0.85
    assert np.corrcoef(ours[inside], theirs[inside])[0, 1] >= 0.99
    assert np.polyfit(theirs[inside], ours[inside], 1)[0] == pytest.approx(1, abs=0.02)
