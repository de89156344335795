"""A full turn with the axis near one edge of the view: two views half a turn apart complete each other.

Here: how projections are widened and weighted so that each ray counts once. What belongs here is the geometry of such scans. Not
here: finding their axis, see ``center.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.engine import Geometry
from als_assets.recon.errors import BadParameters

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Stitch:
    """Widened projections have ``width`` columns, the measured ones from ``first`` on; ``center`` of the axis; ``weights`` (columns,).

    Where a ray and its opposite were both seen, their weights sum to one and fall smoothly to zero at the near edge of the view.
    Each projection keeps its own angle, so no pair has to lie exactly half a turn apart, and the axis need not be at a pixel: what
    is joined are rays, in Fourier space, not images. Source of the weights: Wang, Med. Phys. 29 (2002) 1634, for parallel rays.
    """

    width: int
    first: int
    center: float
    weights: Images

    @classmethod
    def of(cls, theta_deg: NDArray[np.float64], columns: int, center: float) -> Stitch:
        """Raises BadParameters where the scan is not a full turn, or the axis is not in the view."""
        turned = np.abs(theta_deg - theta_deg[0])
        step = float(np.median(np.abs(np.diff(theta_deg))))
        if turned.max() < 360 - 1.5 * step:
            raise BadParameters(
                f"stitch_360 needs a full turn, but the scan covers {turned.max():.1f} degrees.", next_step="Switch stitch_360 off."
            )
        near = min(center, columns - 1 - center)  # reach of the view on the short side of the axis
        if near <= 0:
            raise BadParameters(
                f"stitch_360 needs the axis within the view, but column {center:.1f} is not.", next_step="Give another --center."
            )
        far = max(center, columns - 1 - center)
        short_left = center < (columns - 1) / 2
        side = 1.0 if short_left else -1.0
        place = np.clip(side * (np.arange(columns) - center) / near, -1, 1)  # -1 at the near edge, 1 where only one view sees
        width = 2 * int(np.ceil(far) + 1)
        first = width - columns if short_left else 0
        return cls(width, first, center + first, (0.5 + 0.5 * np.sin(np.pi / 2 * place)).astype(np.float32))

    def widened(self, geometry: Geometry, mask_ratio: float) -> Geometry:
        """The geometry of the whole sample."""
        radius = mask_ratio * self.width / 2 if mask_ratio else float("inf")
        return replace(geometry, width=self.width, center=self.center, mask_radius=radius, period=2 * np.pi)

    def apply(self, sinograms: Images, out: Images) -> Images:
        """(rows, angles, columns) -> ``out`` (rows, angles, width), whose other columns stay as they are (zero)."""
        np.multiply(sinograms, self.weights, out=out[:, :, self.first : self.first + self.weights.size])
        return out
