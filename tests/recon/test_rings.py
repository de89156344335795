"""The low-rank ring filter against its direct form, written here independently.

Here: promises of rings.py. What belongs here is sinograms with known stripes. Not here: slices.
"""

from __future__ import annotations

import numpy as np
import pytest
import pywt
from numpy.typing import NDArray
from recon_phantoms import SHEPP_LOGAN, sinogram

from als_assets.recon.rings import FourierWavelet, Smoothing, Sorting

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
    [((180, 256), 5, "db5", 3.0), ((181, 255), 4, "db5", 1.5), ((97, 130), 3, "haar", 2.0), ((200, 300), 6, "sym4", 4.0)],
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


@pytest.mark.parametrize("method", [Smoothing(9), Sorting(9)])
def test_a_stripe_on_a_sample_is_weakened_and_the_input_is_kept(method: Smoothing | Sorting) -> None:
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
