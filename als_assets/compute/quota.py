"""How full a site's scratch is for us, as a Lustre file system tells its users.

Here: the command, the reading of its answer, and from when on it is full. Not here: running the command (transports) and what follows
for a scan (``sites``). Over its quota a job writes nothing and loses its whole reconstruction, so a site is left alone before that.
Source: man page of ``lfs-quota``: without the header (-q), the file system and eight columns follow (kbytes, quota, limit, grace, and
the same of files); a number over its quota ends in '*', one that is not exact stands in brackets, and 0 means no limit.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from als_assets.words import size_words

# Above this share of bytes or files no further job is sent.
FULL = 0.95
_NUMBERS = re.compile(r"(?:^|\s)/\S*((?:\s+\S+){8})")


@dataclass(frozen=True)
class Quota:
    """What we use of a file system and may use; a limit of 0 is none."""

    path: str
    used_bytes: int
    most_bytes: int
    used_files: int
    most_files: int

    @property
    def full(self) -> bool:
        return max(_share(self.used_bytes, self.most_bytes), _share(self.used_files, self.most_files)) >= FULL

    @property
    def sentence(self) -> str:
        """'Our quota at /pscratch is used up to 96 % (19.2 TB of 20.0 TB) and 12 % of its files.'"""
        parts = []
        if self.most_bytes:
            share = _share(self.used_bytes, self.most_bytes)
            parts.append(f"{share:.0%} ({size_words(self.used_bytes)} of {size_words(self.most_bytes)})")
        if self.most_files:
            parts.append(f"{_share(self.used_files, self.most_files):.0%} of its files")
        return f"Our quota at {self.path} is used up to {' and '.join(parts)}." if parts else f"There is no quota at {self.path}."


def quota_command(path: PurePosixPath) -> str:
    return f'lfs quota -q -u "$(id -un)" {shlex.quote(str(path))}'


def read_quota(path: PurePosixPath, answer: str) -> Quota | None:
    """The quota in an answer of that command; None where there is none to be read."""
    found = _NUMBERS.search(answer)
    if found is None:
        return None
    columns = [word.strip("*[]") for word in found[1].split()]
    try:
        kbytes, soft, hard, files, files_soft, files_hard = (int(columns[n]) for n in (0, 1, 2, 4, 5, 6))
    except ValueError:
        return None
    return Quota(str(path), kbytes * 1024, (soft or hard) * 1024, files, files_soft or files_hard)


def _share(used: int, most: int) -> float:
    return used / most if most else 0.0
