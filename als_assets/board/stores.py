"""Multi-resolution volumes as files behind addresses: what a store says about itself, and its bytes, jailed.

Here: one store on a disk of this machine, whoever wrote it (OME-Zarr 0.4 or 0.5). Not here: which store belongs to a scan (``volumes``)
and the program that draws it (``neuroglancer``). Nothing but metadata and blocks of plain name below the store is ever opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from als_assets.errors import ConfigError

_METADATA = (".zattrs", ".zgroup", ".zarray", ".zmetadata", "zarr.json")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Store:
    """An OME-Zarr store. ``zarr`` is its generation, 2 or 3; ``image`` its multiscales entry, ``omero`` how to show it."""

    folder: Path
    zarr: int
    image: Mapping[str, Any]
    omero: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Raises ConfigError, which says what the folder lacks."""
        real = folder.resolve()
        for name, generation in ((".zattrs", 2), ("zarr.json", 3)):
            if (real / name).is_file():
                attributes = _attributes(real / name)
                found = attributes.get("multiscales")
                if isinstance(found, list) and found and isinstance(found[0], dict):
                    omero = attributes.get("omero")
                    return cls(real, generation, found[0], omero if isinstance(omero, dict) else {})
        raise ConfigError(
            f"{folder} is not an OME-Zarr image: it has no .zattrs or zarr.json with multiscales.",
            next_step="Give the folder that ends in .zarr, as reconstruct --zarr or multires wrote it.",
        )

    def file(self, path: str) -> Path | None:
        """The plain file at a path below the store; None for anything else, links and other ways out included."""
        parts = path.split("/")
        plain = all(_PLAIN.fullmatch(part) for part in parts[:-1]) and (parts[-1] in _METADATA or _PLAIN.fullmatch(parts[-1]))
        if not plain or len(path) > 500:
            return None
        wanted = self.folder.joinpath(*parts)
        try:
            real = wanted.resolve(strict=True)
        except (OSError, ValueError):
            return None
        return real if real == wanted and real.is_file() else None

    def answer(self, request: Request, path: str) -> Response:
        """The bytes, or the part of them that is asked for (Range); 404 for a block that is not there: it holds zeros."""
        found = self.file(path)
        if found is None:
            return Response(status_code=404)
        kind = "application/json" if found.name in _METADATA else "application/octet-stream"
        return FileResponse(found, media_type=kind, headers={"Cache-Control": "no-cache"}, stat_result=found.stat())


def _attributes(place: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    if place.name == "zarr.json":
        content = content.get("attributes", {}).get("ome") if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}
