"""Pictures and numbers of previews: which there are, and their bytes by address.

Here: the folder ``<state>/media/<key>/`` and the jail around it. Not here: how pictures are made (``recon``), and pages. Nothing but
known kinds of plain files directly in a scan's folder is ever opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from als_assets.beamlines.keys import KEY_PATTERN
from als_assets.words import duration_words

TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".json": "application/json"}
NUMBERS = "preview.json"
_TITLES = {
    "preview_xy": "Slice across the axis of rotation",
    "preview_xz": "Slice along the axis, from the front",
    "preview_yz": "Slice along the axis, from the side",
    "projection": "One projection",
    "centers": "The middle slice with nine centres of rotation",
    "histogram": "How often values occur in the middle slice",
}


@dataclass(frozen=True)
class Picture:
    """``size_px`` is (width, height), None where the numbers do not tell it."""

    title: str
    url: str
    size_px: tuple[int, int] | None


@dataclass(frozen=True)
class Preview:
    """``made_at`` is None where no preview is complete."""

    pictures: tuple[Picture, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    made_at: datetime | None = None


class Media:
    """The previews below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def file(self, key: str, name: str) -> Path | None:
        """The plain file of that name in a scan's folder; None for anything else, links and other ways out included."""
        if not KEY_PATTERN.fullmatch(key) or Path(name).suffix not in TYPES or name != Path(name).name or "\0" in name:
            return None
        wanted = self._root.resolve() / key / name
        try:
            real = wanted.resolve(strict=True)
        except OSError:
            return None
        return real if real == wanted and real.is_file() else None

    def made_at(self, key: str) -> datetime | None:
        """When the preview was completed: its numbers are written last."""
        numbers = self.file(key, NUMBERS)
        return datetime.fromtimestamp(numbers.stat().st_mtime, UTC) if numbers is not None else None

    def preview(self, key: str) -> Preview:
        """What there is to show of a scan."""
        made_at = self.made_at(key)
        if made_at is None:
            return Preview()
        numbers = self._numbers(key)
        names = sorted(path.name for path in (self._root / key).iterdir() if path.suffix in (".jpg", ".png"))
        order = list(_TITLES)
        names.sort(key=lambda name: order.index(Path(name).stem) if Path(name).stem in order else len(order))
        pictures = tuple(_picture(key, name, numbers) for name in names if self.file(key, name) is not None)
        return Preview(pictures, tuple(_facts(numbers)), made_at)

    def _numbers(self, key: str) -> Mapping[str, Any]:
        try:
            content = json.loads((self._root / key / NUMBERS).read_bytes())
        except ValueError:
            return {}  # the pictures are still worth showing
        return content if isinstance(content, dict) else {}

    def answer(self, request: Request) -> Response | None:
        """The bytes of a picture, or 304 where the browser has them; None where there is no such file."""
        path = self.file(request.path_params["key"], request.path_params["name"])
        if path is None:
            return None
        status = path.stat()
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type=TYPES[path.suffix], headers=headers, stat_result=status)


def _picture(key: str, name: str, numbers: Mapping[str, Any]) -> Picture:
    stem = Path(name).stem
    images = numbers.get("images")
    size = images.get(name) if isinstance(images, dict) else None
    pair = (size.get("width_px"), size.get("height_px")) if isinstance(size, dict) else (None, None)
    size_px = (pair[0], pair[1]) if isinstance(pair[0], int) and isinstance(pair[1], int) else None
    return Picture(_TITLES.get(stem, stem.replace("_", " ")), f"/media/{key}/{quote(name)}", size_px)


def _facts(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    center = numbers.get("center")
    rows: list[tuple[str, str]] = []
    if isinstance(center, dict) and isinstance(center.get("value"), (int, float)):
        how = ", ".join(str(center[name]) for name in ("method", "confidence") if center.get(name))
        rows.append(("Centre of rotation", f"{center['value']:.2f} px ({how})" if how else f"{center['value']:.2f} px"))
    shown = numbers.get("centers_shown")
    if isinstance(shown, list) and shown and all(isinstance(c, (int, float)) for c in shown):
        rows.append(("Centres shown", f"{shown[0]:.2f} to {shown[-1]:.2f} px, left to right and down"))
    seconds = numbers.get("estimated_seconds")
    if isinstance(seconds, (int, float)):
        rows.append(("Full reconstruction", f"about {duration_words(seconds)} on this machine"))
    return rows
