"""Combined wavelet and Fourier filtering of stripes, in its exact low-rank form.

Here: what the filter is as matrices, made once for a number of angles, and their application to sinograms. What belongs here is this one
method. Not here: the other ones (``rings.py``) and the inner loops (``kernels_stripes.py``).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.engines import lanes
from als_assets.recon.pieces import spans

Images = NDArray[np.float32]
Array = NDArray[np.float64]

_TOLERANCE = 2e-5  # of singular values; the difference to the direct form stays under 1e-4 of a sinogram's range
_PIECES = (1, 2, 4, 8, 16, 32)  # of the angles


class _Scratch(threading.local):
    """Arrays that a thread uses again: fresh memory costs as much as the arithmetic in it."""

    def __init__(self) -> None:
        self._kept: dict[str, Images] = {}

    def array(self, name: str, shape: tuple[int, int]) -> Images:
        """With the values of whoever used the name last."""
        size = shape[0] * shape[1]
        if name not in self._kept or self._kept[name].size < size:
            self._kept[name] = np.empty(size, np.float32)
        return self._kept[name][:size].reshape(shape)


_SCRATCH = _Scratch()


class FourierWavelet:
    """The filter for sinograms of ``angles``; see ``StripeFilter``. Shared by threads.

    The filter is linear: per wavelet level a narrow low-pass along the angle times a band-pass along the detector. Few angular
    modes survive, so all levels share one small basis, and the wavelets run on its rows alone.
    Source: Muench et al., Opt. Express 17 (2009) 8567, with the padding of TomoPy's ``remove_stripe_fw``.
    """

    def __init__(self, angles: int, level: int, wavelet: str, sigma: float) -> None:
        import pywt

        analysis, synthesis = _angular_modes(angles, level, wavelet, sigma)
        strength_in, basis_in = _basis(np.concatenate(analysis))
        strength_out, basis_out = _basis(np.concatenate(synthesis, axis=1).T)
        self._maps = [(basis_out @ s @ (a @ basis_in.T)).T.astype(np.float32) for a, s in zip(analysis, synthesis, strict=True)]
        self._in, self._out = Blocks.of(strength_in, basis_in), Blocks.of(strength_out, basis_out)
        self._bank = tuple(np.array(taps, np.float32) for taps in pywt.Wavelet(wavelet).filter_bank)

    def apply(self, sinogram: Images, out: Images | None = None) -> Images:
        """See ``StripeFilter.apply``."""
        from als_assets.recon import kernels_stripes

        columns = sinogram.shape[1]
        wide = self._in.widened(sinogram)
        low, highs = self._in.gathered(wide, columns), []
        for _ in self._maps:
            low, high = kernels_stripes.split(low, *self._bank[:2])
            highs.append(high)
        stripes = np.zeros((highs[-1].shape[0], self._maps[-1].shape[1]), np.float32)
        for mapping, high in zip(reversed(self._maps), reversed(highs), strict=True):
            stripes = kernels_stripes.joined(stripes[: high.shape[0]], high @ mapping, *self._bank[2:])
        out = np.empty_like(sinogram) if out is None else out
        self._out.taken_off(wide, stripes[:columns], out)
        return out


@dataclass(frozen=True)
class Blocks:
    """A basis (modes, angles) in two factors, because a few neighbouring angles see even fewer modes.

    ``size`` neighbouring angles are a piece; ``joint`` (pieces * own modes, modes) leads from the modes of the basis to those of the
    pieces; ``gather`` and ``scatter`` are the latter in the order in which registers take them: (pieces, panels, angles, lanes) and
    (pieces, panels, own modes, lanes), where a panel is ``lanes`` own modes or angles.
    """

    size: int
    joint: Images
    gather: Images
    scatter: Images

    @classmethod
    def of(cls, strength: Array, basis: Array) -> Blocks:
        """The division into pieces that takes the fewest multiplications. ``strength`` of the modes says what may be left out."""
        (modes, angles), width = basis.shape, lanes()
        best: tuple[float, int, list[Array]] | None = None
        for count in _PIECES:
            size = _upwards(-(-angles // count), width)
            own = [_own_modes(strength[:, None] * basis[:, piece]) for piece in spans(angles, size)]
            most = _upwards(max(part.shape[0] for part in own), width)
            cost = most + modes * most * len(own) / angles
            if best is None or cost < best[0]:
                best = cost, size, [_filled(part, most, size) for part in own]
        assert best is not None
        _, size, own = best
        pairs = zip(own, spans(angles, size), strict=True)
        joint = np.concatenate([part[:, : piece.stop - piece.start] @ basis[:, piece].T for part, piece in pairs])
        stacked = np.stack(own)  # (pieces, own modes, angles)
        return cls(size, joint.astype(np.float32), -_panels(stacked, width), _panels(stacked.swapaxes(1, 2), width))

    def widened(self, sinogram: Images) -> Images:
        """With as many columns more as fill the last register."""
        missing = -sinogram.shape[1] % self.gather.shape[3]
        return np.ascontiguousarray(sinogram if missing == 0 else np.pad(sinogram, ((0, 0), (0, missing))))

    def gathered(self, wide: Images, columns: int) -> Images:
        """What a sinogram (angles, at least ``columns``) has of each mode: (columns, modes)."""
        from als_assets.recon import kernels_stripes

        own = _SCRATCH.array("own", (self.joint.shape[0], wide.shape[1]))
        kernels_stripes.gather(self.gather.shape[3])(wide, self.size, self.gather, own)
        return np.matmul(own[:, :columns].T, self.joint, out=_SCRATCH.array("modes", (columns, self.joint.shape[1])))

    def taken_off(self, wide: Images, stripes: Images, out: Images) -> None:
        """``out`` (angles, columns) = the sinogram without ``stripes`` (columns, modes)."""
        from als_assets.recon import kernels_stripes

        columns = stripes.shape[0]
        own = _SCRATCH.array("own", (self.joint.shape[0], wide.shape[1]))
        own[:, columns:] = 0
        np.matmul(self.joint, stripes.T, out=own[:, :columns])
        target = out if out.shape == wide.shape and out.flags.c_contiguous else np.empty_like(wide)
        kernels_stripes.scatter(self.scatter.shape[3])(own, self.size, self.scatter, wide, target)
        if target is not out:
            out[:] = target[:, :columns]


def _own_modes(rows: Array) -> Array:
    """Orthonormal rows that span ``rows`` but for what does not count."""
    _, strength, right = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(right[: max(1, int((strength > _TOLERANCE).sum()))], np.float64)


def _filled(part: Array, rows: int, columns: int) -> Array:
    """With zeros below and to the right."""
    return np.pad(part, ((0, rows - part.shape[0]), (0, columns - part.shape[1])))


def _panels(matrices: Array, width: int) -> Images:
    """(n, rows, k) -> (n, rows / width, k, width)."""
    n, rows, k = matrices.shape
    return np.ascontiguousarray(matrices.reshape(n, rows // width, width, k).swapaxes(2, 3), np.float32)


def _upwards(number: int, step: int) -> int:
    return -(-number // step) * step


def _angular_modes(angles: int, level: int, wavelet: str, sigma: float) -> tuple[list[Array], list[Array]]:
    """Per level, what is taken out along the angle, as a product: synthesis (angles, r) @ analysis (r, angles)."""
    import pywt

    padded = angles + angles // 8
    start = (padded - angles) // 2
    current = np.zeros((padded, angles))
    current[start + np.arange(angles), np.arange(angles)] = 1
    sizes, analysis, synthesis = [padded], [], []
    for _ in range(level):
        current, _ = pywt.dwt(current, wavelet, axis=0)
        sizes.append(current.shape[0])
        modes = _kept_modes(sizes[-1], sigma)
        back = modes
        for upper in reversed(sizes[:-1]):
            back = pywt.idwt(back, None, wavelet, axis=0)[:upper]
        analysis.append(modes.T @ current)
        synthesis.append(back[start : start + angles])
    return analysis, synthesis


def _kept_modes(size: int, sigma: float) -> Array:
    """(size, r) whose product with its own transpose is the low-pass of the filter: waves, scaled by the root of their weight."""
    order = (np.arange(-size, size, 2) + 1) / 2
    weight = np.fft.ifftshift(np.exp(-(order**2) / (2 * sigma**2)))
    weight = (weight + np.roll(weight[::-1], 1)) / 2  # the published form takes the real part, which evens out both signs
    frequency = np.arange(size // 2 + 1)
    kept = frequency[weight[: frequency.size] > _TOLERANCE**2]
    phase = 2 * np.pi * np.outer(np.arange(size), kept) / size
    norm = np.where((kept == 0) | (2 * kept == size), 1 / size, 2 / size)
    scale = np.sqrt(weight[kept] * norm)
    waves = np.concatenate([np.cos(phase) * scale, np.sin(phase) * scale], axis=1)
    return np.asarray(waves[:, np.abs(waves).max(0) > 0], np.float64)


def _basis(rows: Array) -> tuple[Array, Array]:
    """Orthonormal rows that span ``rows``, and how much each counts, 1 for the first."""
    _, strength, right = np.linalg.svd(rows, full_matrices=False)
    kept = int((strength > _TOLERANCE * strength[0]).sum())
    return strength[:kept] / strength[0], np.asarray(right[:kept], np.float64)
