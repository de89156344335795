"""What a store says about itself: axes, sizes in micrometres, the window for the eye, and where the volume came from.

Here: the OME-Zarr metadata of versions 0.4 (https://ngff.openmicroscopy.org/0.4/) and 0.5, and our own attributes beside it. What belongs
here is JSON. Not here: voxels (``pyramid.py``) and how arrays are stored (``zarr_store.py``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from als_assets.recon.output import write_atomically
from als_assets.recon.volume.levels import Triple, halvings, level_shapes
from als_assets.recon.volume.quantise import Scale
from als_assets.recon.volume.zarr_store import Form, level_path

UNITS = "1/cm"


@dataclass(frozen=True)
class Window:
    """Extremes of the smallest level and the range that holds 99.8 % of its voxels, in units of the values."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, coarse: NDArray[np.float32]) -> Window:
        """From the smallest level."""
        start, end = (float(value) for value in np.percentile(coarse, (0.1, 99.9)))
        return cls(float(coarse.min()), float(coarse.max()), start, end if end > start else start + 1.0)

    def stored(self, scale: Scale | None) -> dict[str, float]:
        """As viewers want it: in units of what is stored."""
        named = {"min": self.low, "max": self.high, "start": self.start, "end": self.end}
        return named if scale is None else {name: (value - scale.offset) / scale.step for name, value in named.items()}


@dataclass(frozen=True)
class Description:
    """Everything that a store's metadata is made of; ``provenance`` is stored as it is, under ``als_assets``."""

    name: str
    shape: Triple
    pixel_um: float
    window: Window
    scale: Scale | None
    provenance: dict[str, Any]

    def attributes(self, form: Form) -> dict[str, Any]:
        """The attributes of the store's root."""
        image: dict[str, Any] = {"multiscales": [self._multiscale()], "omero": self._omero()}
        if form.version == "0.5":
            ours = {"ome": {"version": "0.5", **image}}
        else:
            ours = image
            for part in (image["multiscales"][0], image["omero"]):
                part["version"] = "0.4"
        return {**ours, "als_assets": {**self.provenance, **self._quantisation()}}

    def _multiscale(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"],
            "datasets": [self._dataset(level) for level in range(len(level_shapes(self.shape)))],
            "type": "mean",
            "metadata": {"method": "mean of blocks of 2 x 2 x 2 voxels", "units": UNITS},
        }

    def _dataset(self, level: int) -> dict[str, Any]:
        # voxel centres move by half of what a block adds
        counts = halvings(self.shape, level)
        return {
            "path": level_path(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [self.pixel_um * 2**count for count in counts]},
                {"type": "translation", "translation": [self.pixel_um * (2**count - 1) / 2 for count in counts]},
            ],
        }

    def _omero(self) -> dict[str, Any]:
        label = f"linear attenuation ({UNITS})"
        channel = {"label": label, "color": "FFFFFF", "active": True, "window": self.window.stored(self.scale)}
        return {"name": self.name, "channels": [channel], "rdefs": {"model": "greyscale", "defaultZ": self.shape[0] // 2}}

    def _quantisation(self) -> dict[str, Any]:
        if self.scale is None:
            return {}
        return {"stored_as": {"value": "offset + step * stored", "offset": self.scale.offset, "step": self.scale.step, "units": UNITS}}

    def array_attributes(self) -> dict[str, Any]:
        """Of every level: the scale of stored integers, by the names of the CF conventions (https://cfconventions.org, chapter 8)."""
        return {} if self.scale is None else {"scale_factor": self.scale.step, "add_offset": self.scale.offset, "units": UNITS}


def write(store: Path, form: Form, description: Description) -> None:
    """All metadata but that of the arrays themselves, which exists already; the root comes last."""
    levels = range(len(level_shapes(description.shape)))
    extra = description.array_attributes()
    if form.version == "0.4":
        _write_v2(store, form, description.attributes(form), levels, extra)
    else:
        _write_v3(store, form, description.attributes(form), levels, extra)


def _write_v2(store: Path, form: Form, attributes: dict[str, Any], levels: range, extra: dict[str, Any]) -> None:
    documents: dict[str, Any] = {}
    for level in levels:
        documents[f"scale{level}/.zgroup"] = {"zarr_format": 2}
        documents[f"{level_path(level)}/.zattrs"] = {"_ARRAY_DIMENSIONS": ["z", "y", "x"], **extra}
    documents |= {".zgroup": {"zarr_format": 2}, ".zattrs": attributes}
    for place, content in documents.items():
        _put(store / place, content)
    for level in levels:
        documents[f"{level_path(level)}/.zarray"] = json.loads(form.array_metadata(store, level).read_bytes())
    _put(store / ".zmetadata", {"zarr_consolidated_format": 1, "metadata": documents})


def _write_v3(store: Path, form: Form, attributes: dict[str, Any], levels: range, extra: dict[str, Any]) -> None:
    for level in levels:
        _put(store / f"scale{level}" / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})
        if extra:
            place = form.array_metadata(store, level)
            _put(place, {**json.loads(place.read_bytes()), "attributes": extra})
    _put(store / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})


def _put(place: Path, content: dict[str, Any]) -> None:
    write_atomically(place, json.dumps(content, indent=1).encode())
