"""The low-rank ring filter against its direct form, written here independently.

Here: promises of rings.py. What belongs here is sinograms with known stripes. Not here: slices.
"""

from __future__ import annotations

import numpy as np
import pytest
import pywt
from numpy.typing import NDArray
from recon_phantoms import SHEPP_LOGAN, sinogram

from als_assets.recon.fourier_wavelet import FourierWavelet
from als_assets.recon.rings import AllStripes, Smoothing, Sorting, StripeFilter, Titarenko

Images = NDArray[np.float32]


def direct(sinogram: Images, level: int, wavelet: str, sigma: float) -> Images:
    """Münch et al. (2009) as TomoPy pads it: damp the vertical details of each level along the angle."""
    angles, columns = sinogram.shape
    padded = np.zeros((angles + angles // 8, columns))
    start = (padded.shape[0] - angles) // 2
    padded[start : start + angles] = sinogram
    details = []
    for _ in range(level):
        padded, (h, v, d) = pywt.dwt2(padded, wavelet)
        order = (np.arange(-v.shape[0], v.shape[0], 2) + 1) / 2
        damping = -np.expm1(-(order**2) / (2 * sigma**2))
        spectrum = np.fft.fftshift(np.fft.fft(v, axis=0), axes=0) * damping[:, None]
        details.append((h, np.fft.ifft(np.fft.ifftshift(spectrum, axes=0), axis=0).real, d))
    for h, v, d in reversed(details):
        padded = pywt.idwt2((padded[: h.shape[0], : h.shape[1]], (h, v, d)), wavelet)
    return padded[start : start + angles, :columns].astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "level", "wavelet", "sigma"),
    [
        ((180, 256), 5, "db5", 3.0),
        ((181, 255), 4, "db5", 1.5),
        ((97, 130), 3, "haar", 2.0),
        ((200, 300), 6, "sym4", 4.0),
        ((61, 70), 3, "db2", 2.0),
    ],
)
def test_the_low_rank_form_equals_the_direct_one(shape: tuple[int, int], level: int, wavelet: str, sigma: float) -> None:
    theta = np.linspace(0, np.pi, shape[0])
    lines = sinogram(SHEPP_LOGAN, shape[1], theta, shape[1] / 2) / shape[1]
    lines = lines + np.random.default_rng(0).normal(scale=0.05, size=shape[1]).astype(np.float32)
    result = FourierWavelet(shape[0], level, wavelet, sigma).apply(lines)
    expected = direct(lines, level, wavelet, sigma)
    assert np.abs(result - expected).max() < 1e-4
    assert np.abs(expected - lines).max() > 0.01


def test_stripes_become_weaker_and_the_sample_stays() -> None:
    theta = np.linspace(0, np.pi, 360)
    clean = sinogram(SHEPP_LOGAN, 256, theta, 128) / 256
    stripes = np.zeros(256, np.float32)
    stripes[[80, 130, 131, 190]] = 0.1
    filtered = FourierWavelet(360, 6, "db5", 3.0)
    left = filtered.apply(clean + stripes) - filtered.apply(clean)
    assert np.abs(left[50:-50]).max() < 0.1 * 0.1  # near the first and last angle the padding of the method shows
    assert np.corrcoef(filtered.apply(clean).ravel(), clean.ravel())[0, 1] > 0.97


def slow_sorting(sinogram: Images, size: int) -> Images:
    """Vo et al. (2018), algorithm 3, one pixel at a time."""
    out = np.empty_like(sinogram)
    columns = [sorted(range(sinogram.shape[0]), key=lambda row, x=x: sinogram[row, x]) for x in range(sinogram.shape[1])]
    last, half = sinogram.shape[1] - 1, size // 2
    for rank in range(sinogram.shape[0]):
        line = [sinogram[columns[x][rank], x] for x in range(sinogram.shape[1])]
        for x in range(sinogram.shape[1]):
            near = [line[abs(i) if i <= last else 2 * last - i] for i in range(x - half, x + half + 1)]
            out[columns[x][rank], x] = np.median(near)
    return out


def test_sorting_equals_its_definition() -> None:
    lines = np.random.default_rng(3).normal(size=(70, 20)).astype(np.float32)
    assert np.array_equal(Sorting(5).apply(lines), slow_sorting(lines, 5))
    assert np.array_equal(Sorting(4).apply(lines), slow_sorting(lines, 5))
    assert Sorting(51).apply(lines).shape == lines.shape


@pytest.mark.parametrize("method", [Smoothing(9), Sorting(9), Titarenko(9), AllStripes(3, 31, 9)], ids=lambda m: type(m).__name__)
def test_a_stripe_on_a_sample_is_weakened_and_the_input_is_kept(method: StripeFilter) -> None:
    theta = np.linspace(0, np.pi, 180)
    clean = sinogram(SHEPP_LOGAN, 256, theta, 128) / 256
    striped = clean.copy()
    striped[:, 100] += 0.05
    before = striped.copy()
    left = (method.apply(striped) - method.apply(clean))[:, 100]
    assert abs(left.mean()) < 0.25 * 0.05
    assert np.array_equal(striped, before)
    assert np.corrcoef(method.apply(clean).ravel(), clean.ravel())[0, 1] > 0.97


def test_smoothing_takes_out_what_the_mean_has_over_its_neighbours() -> None:
    lines = np.zeros((10, 9), np.float32)
    lines[:, 4] = 3
    assert Smoothing(3).apply(lines)[0].tolist() == pytest.approx([0, 0, 0, 1, 1, 1, 0, 0, 0], abs=1e-6)
    assert (Smoothing(3).apply(np.ones((4, 8), np.float32)) == 1).all()


ALL = [FourierWavelet(180, 5, "db5", 3.0), Smoothing(9), Titarenko(9), Sorting(9), AllStripes(3, 31, 9)]


@pytest.mark.parametrize("method", ALL, ids=lambda m: type(m).__name__)
def test_a_clean_soft_sample_changes_by_less_than_two_percent_and_in_place_is_the_same(method: StripeFilter) -> None:
    """Nothing in it is as narrow as a stripe, so nothing should be taken away."""
    theta = np.linspace(0, np.pi, 180)[:, None]
    place = np.arange(256) - 128
    clean = sum(np.exp(-((place - 60 * np.cos(theta - turn)) ** 2) / (2 * 18.0**2)) for turn in (0.3, 1.7)).astype(np.float32)
    result = method.apply(clean)
    bound = 0.02 if not isinstance(method, FourierWavelet) else 0.1  # this one takes slow changes along the angle for stripes
    assert np.abs(result - clean)[20:-20].mean() < bound * clean.max()
    assert method.apply(clean, out=clean) is clean
    assert np.array_equal(clean, result)


def test_titarenko_is_the_least_sum_of_squares() -> None:
    mean = np.random.default_rng(0).normal(size=30)
    lines = np.tile(mean, (7, 1)).astype(np.float32)
    corrected = Titarenko(5).apply(lines)[0].astype(np.float64)
    difference = np.diff(np.eye(30), axis=0)
    exact = np.linalg.solve(difference.T @ difference + np.eye(30) / 25, mean / 25)
    assert np.abs(corrected - exact).max() < 1e-5


def noisy(angles: int = 200, width: int = 180) -> Images:
    theta = np.linspace(0, np.pi, angles)
    lines = sinogram(SHEPP_LOGAN, width, theta, width / 2, 2) / width
    return np.asarray(lines + np.random.default_rng(5).normal(scale=0.01, size=lines.shape), np.float32)


@pytest.fixture(scope="module")
def all_kinds() -> tuple[Images, Images]:
    """A noisy sinogram without and with a dead, a wide and a small stripe."""
    clean = noisy()
    striped = clean.copy()
    striped[:, 60] = 0.4  # does not answer to light
    striped[:, 101:105] += 0.25
    striped[:120, 140] += 0.05
    return clean, striped


def test_dead_wide_and_small_stripes_go_together(all_kinds: tuple[Images, Images]) -> None:
    clean, striped = all_kinds
    result = AllStripes(3, 31, 9).apply(striped)
    for columns in ([60], [101, 102, 103, 104]):
        assert np.abs(result - clean)[:, columns].mean() < 0.25 * np.abs(striped - clean)[:, columns].mean()
    kept = np.r_[10:50, 70:95, 112:130, 150:170]
    assert np.abs(result - clean)[:, kept].mean() < 0.02


def test_all_stripes_does_as_algotom_does(all_kinds: tuple[Images, Images]) -> None:
    from algotom.prep.removal import remove_all_stripe, remove_stripe_based_sorting

    clean, striped = all_kinds
    theirs = remove_all_stripe(striped, snr=3.0, la_size=31, sm_size=9)
    ours = AllStripes(3, 31, 9).apply(striped)
    inside = slice(20, -20)  # at the edges the windows are mirrored in another way
    assert np.abs(ours - theirs)[:, inside].mean() < 2e-3
    assert np.corrcoef(ours[:, inside].ravel(), theirs[:, inside].ravel())[0, 1] > 0.999
    sorted_only = remove_stripe_based_sorting(clean, 9)  # without equal values, whose order is not defined
    assert np.abs(Sorting(9).apply(clean) - sorted_only)[:, inside].max() < 1e-5


def test_a_sinogram_without_noise_or_contrast_is_left_alone_by_the_detectors() -> None:
    flat = np.full((40, 60), 0.5, np.float32)
    assert np.allclose(AllStripes(3, 31, 9).apply(flat), 0.5, atol=1e-6)
    assert not AllStripes(3, 31, 9).apply(np.zeros((40, 60), np.float32)).any()
