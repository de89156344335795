"""The preview: pictures of a raw file that this machine sees, made at once by ``als_assets.recon`` in a process of its own.

Here: running it and reading what it left. Not here: the pictures' making (``recon``) and serving (``board``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from als_assets.errors import JobFailed

_LIMIT_S = 300
# In the order in which staff want to see them.
_PICTURES = ("preview_xy.jpg", "preview_xz.jpg", "preview_yz.jpg", "centers.jpg", "projection.jpg", "histogram.png")


@dataclass(frozen=True)
class Preview:
    """Pictures (title -> address on the board) and the numbers found on the way."""

    folder: Path
    pictures: Mapping[str, str]
    facts: Mapping[str, Any]


class PreviewMaker:
    """Makes previews into ``<state_dir>/media/<key>/``, from where the board serves them."""

    def __init__(self, state_dir: Path, board_url: str) -> None:
        self._media = state_dir / "media"
        self._environment = {"NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR") or str(state_dir / "numba")}
        self._board_url = board_url

    def make(self, dataset_key: str, raw: Path) -> Preview:
        """Raises JobFailed with the program's own sentence."""
        folder = self._media / dataset_key
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "als_assets.recon", "preview", str(raw), "--output", str(folder)]
        environment = {**self._environment, **os.environ}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False, env=environment)
        except subprocess.TimeoutExpired as error:
            raise JobFailed(
                f"The preview of {dataset_key} took longer than {_LIMIT_S} s and was stopped.",
                next_step="Re-execute from failure; if it repeats, the disk at data832 is slow or the file is damaged.",
            ) from error
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise JobFailed(
                f"The preview of {dataset_key} failed (exit code {done.returncode}): {lines[-1] if lines else 'it gave no reason'}",
                next_step="Look at the raw file, then re-execute from failure.",
                stderr_tail="\n".join(lines[-40:]),
            )
        return self.read(dataset_key)

    def read(self, dataset_key: str) -> Preview:
        """The preview that is there."""
        folder = self._media / dataset_key
        facts = json.loads((folder / "preview.json").read_text())
        base = f"{self._board_url}/media/{quote(dataset_key)}"
        names = [name for name in _PICTURES if (folder / name).exists()]
        pictures = {Path(name).stem.replace("_", " "): f"{base}/{name}" for name in names}
        return Preview(folder, pictures, facts)
