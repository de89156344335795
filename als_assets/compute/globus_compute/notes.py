"""What this machine remembers of a Globus Compute site between processes: function ids, task groups, and the last good check.

Here: one small file each below the state folder, complete or absent. Not here: anything that cannot be found out again; all of it
may be deleted at any time, because the claim files at the site keep a job from running twice.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

_KEPT_S = 30 * 86400.0


class Notes:
    """Notes about one site, by kind and name (both fit for file names)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, kind: str, name: str, max_age_s: float = _KEPT_S) -> dict[str, Any] | None:
        """The note, or None where there is none, or an older one, or one that cannot be read."""
        path = self._folder / kind / name
        try:
            if time.time() - path.stat().st_mtime > max_age_s:
                return None
            content = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def write(self, kind: str, name: str, content: dict[str, Any]) -> None:
        """Write a note, and drop those of its kind that nobody needs any more."""
        folder = self._folder / kind
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".{name}.{os.getpid()}"
        with fresh.open("w") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(folder / name)
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > _KEPT_S:
                old.unlink(missing_ok=True)
