"""The login node of the simulated machine: programs that every user finds there and this machine lacks.

Here: Lustre's ``lfs quota``, whose numbers the control plane sets. Not here: running commands (``api``).
"""

from __future__ import annotations

import os
from pathlib import Path

from als_assets.simulator.store import Store

QUOTA = "sfapi_quota"
_KIB = 1024
_USUAL = {"used_bytes": 10**12, "most_bytes": 20 * 10**12, "used_files": 10**5, "most_files": 10**7}
_LFS = """#!/bin/sh
# lfs quota -q -u USER PATH
[ "$1 $2 $3 $#" = "quota -q -u 5" ] || { echo "lfs: this is not simulated: $*" >&2; exit 2; }
printf '%15s\\n%s\\n' "$5" "$LFS_QUOTA"
"""


class LoginNode:
    """Programs in ``folder``, put in front of the others."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "lfs"
        program.write_text(_LFS)
        program.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """What a command is given to find them."""
        told = {**_USUAL, **(self._store.get(QUOTA, QUOTA) or {})}
        used, most = (int(told[name]) // _KIB for name in ("used_bytes", "most_bytes"))
        over = "*" if used > most else ""
        line = f"{used}{over} {most} {most + most // 2} - {told['used_files']} {told['most_files']} {told['most_files']} -"
        return {"PATH": f"{self._folder}:{os.environ.get('PATH', os.defpath)}", "LFS_QUOTA": line}
