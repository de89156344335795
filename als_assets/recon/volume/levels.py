"""The levels of a multi-resolution volume: their shapes, and the bands of slices in which they are written.

Here: whole numbers alone, so that writers, readers and tests agree about them. What belongs here is the geometry of halving. Not
here: voxels (``pyramid.py``) and files (``zarr_store.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

Triple = tuple[int, int, int]
CHUNK = 128  # voxels along each side of a block that a viewer fetches, and slices of a band
SMALLEST = 128  # a level whose sides all fit into this is the last one


def level_shapes(shape: Triple) -> list[Triple]:
    """Shapes (depth, height, width) from full size down; each side is halved (rounded up) while it is longer than one voxel."""
    shapes = [shape]
    while max(shapes[-1]) > SMALLEST:
        depth, height, width = shapes[-1]
        shapes.append(((depth + 1) // 2, (height + 1) // 2, (width + 1) // 2))
    return shapes


def halvings(shape: Triple, level: int) -> Triple:
    """How often each side was really halved on the way to ``level``; a side of one voxel is not halved any further."""
    above = level_shapes(shape)[:level]
    z, y, x = (sum(1 for upper in above if upper[axis] > 1) for axis in range(3))
    return z, y, x


@dataclass(frozen=True, order=True)
class Band:
    """Slices ``CHUNK * index`` to ``CHUNK * (index + 1)`` of a level: what is written, and remembered as written, at once."""

    level: int
    index: int

    @property
    def parent(self) -> Band:
        """The band of the next level that the halved slices belong to."""
        return Band(self.level + 1, self.index // 2)

    def rows(self, shapes: list[Triple]) -> slice:
        """Its slices in its level."""
        return slice(self.index * CHUNK, min((self.index + 1) * CHUNK, shapes[self.level][0]))

    def children(self, shapes: list[Triple]) -> list[Band]:
        """The bands of the finer level that it is the mean of; none for full size."""
        if self.level == 0:
            return []
        finer = bands_of(shapes, self.level - 1)
        return [band for band in finer if band.parent == self]


def bands_of(shapes: list[Triple], level: int) -> list[Band]:
    """All bands of a level, from the first slice on."""
    return [Band(level, index) for index in range(-(-shapes[level][0] // CHUNK))]
