"""A manifest: the files that make up one replica, with their sizes and (where known) checksums.

Here: the value, its compact stored form, and the comparison of what should be with what was found. Not here: how files are
listed (``transfer``) or hashed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, order=True)
class Entry:
    """One file: path relative to the replica ("" for a replica that is a single file), size in bytes, and where they are known its
    SHA-256 and when it was last modified (seconds since 1970, UTC; it differs from copy to copy and is no part of a comparison)."""

    path: str
    size_bytes: int
    sha256: str | None = None
    mtime_s: int | None = None


@dataclass(frozen=True)
class Manifest:
    """The files of a replica, sorted by path."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        return cls(tuple(sorted(entries, key=lambda e: e.path)))

    @classmethod
    def single(cls, size_bytes: int, sha256: str | None = None) -> Manifest:
        return cls((Entry("", size_bytes, sha256),))

    def with_times(self, times: Mapping[str, int | None]) -> Manifest:
        """The same files, each last modified when ``times`` (path -> seconds since 1970) says; where it says nothing, as before."""
        return Manifest(tuple(replace(e, mtime_s=times.get(e.path) or e.mtime_s) for e in self.entries))

    @property
    def files(self) -> int:
        return len(self.entries)

    @property
    def size_bytes(self) -> int:
        return sum(e.size_bytes for e in self.entries)

    @property
    def is_single_file(self) -> bool:
        return len(self.entries) == 1 and self.entries[0].path == ""

    @property
    def sha256(self) -> str | None:
        """That of a single file, where it is known."""
        return self.entries[0].sha256 if self.is_single_file else None

    def pack(self) -> bytes:
        """The stored form: columns instead of rows, deflated (10,000 TIFF files take about 40 kB)."""
        columns = {
            "path": [e.path for e in self.entries],
            "size": [e.size_bytes for e in self.entries],
            "sha256": [e.sha256 for e in self.entries] if any(e.sha256 for e in self.entries) else None,
            "mtime": [e.mtime_s for e in self.entries] if any(e.mtime_s is not None for e in self.entries) else None,
        }
        return zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), 6)

    @classmethod
    def unpack(cls, blob: bytes) -> Manifest:
        columns = json.loads(zlib.decompress(blob))
        unknown = [None] * len(columns["path"])
        rows = zip(columns["path"], columns["size"], columns["sha256"] or unknown, columns.get("mtime") or unknown, strict=True)
        return cls(tuple(Entry(*row) for row in rows))

    def differences(self, found: Mapping[str, int], limit: int = 5) -> list[str]:
        """What is wrong with ``found`` (path -> size in bytes), in words; empty when it is the same set of files."""
        wanted = {e.path: e.size_bytes for e in self.entries}
        missing = [f"{_name(p)} is missing" for p in sorted(wanted.keys() - found.keys())]
        extra = [f"{_name(p)} does not belong there" for p in sorted(found.keys() - wanted.keys())]
        wrong = [
            f"{_name(p)} has {found[p]} bytes instead of {wanted[p]}" for p in sorted(wanted.keys() & found.keys()) if wanted[p] != found[p]
        ]
        every = missing + wrong + extra
        return every if len(every) <= limit else [*every[:limit], f"and {len(every) - limit} more"]


def _name(path: str) -> str:
    return f"'{path}'" if path else "the file"
