"""Directories that are complete or absent: built beside their place, kept when killed, and put there in one step.

Here: staging, locking, resuming, publishing and the names of files. What belongs here is anything about the file system. Not
here: what is in the files, see ``reconstruct.py`` and ``multires.py``.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from als_assets.recon.errors import BadName, DiskFull, OutputBusy, explained_output

_STATE = ".state.json"
_LOCK = ".lock"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def checked_name(name: str) -> str:
    """``name`` if files can bear it. Raises BadName."""
    longest = len(os.fsencode(f".rec{name}.zarr.partial"))
    if not name or name in (".", "..") or "/" in name or "\0" in name or not name.isprintable():
        raise BadName(f"The name {name!r} cannot be part of a file name.", next_step="Give another one with --name.")
    if longest > 255:
        raise BadName(f"The name {name[:40]!r}... is too long for file names by {longest - 255} bytes.", next_step="Give --name.")
    return name


class Staged:
    """A directory under construction beside ``target``; a context manager that holds its lock.

    ``fingerprint`` says what is being built: what a killed run left of the same is kept (``resumed``), anything else removed.
    Raises OutputBusy, OutputNotWritable, DiskFull.
    """

    def __init__(self, target: Path, fingerprint: dict[str, Any]) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.partial")
        self.resumed = False
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self._lock: int | None = None

    def __enter__(self) -> Staged:
        with explained_output(self.target):
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            state = self.path / _STATE
            self.resumed = state.exists() and _json_or_none(state) == self._fingerprint
            if not self.resumed:
                for entry in self.path.iterdir():
                    if entry.name != _LOCK:
                        _remove(entry)
                write_atomically(state, json.dumps(self._fingerprint).encode())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def require_space(self, needed_bytes: int) -> None:
        """Raises DiskFull if the disk has less than ``needed_bytes`` beyond what is already there."""
        present = sum(entry.stat().st_size for entry in self.path.rglob("*") if entry.is_file())
        free = shutil.disk_usage(self.path).free
        if free + present < needed_bytes:
            raise DiskFull(
                f"The result needs {needed_bytes / 1e9:.1f} GB, the disk of {self.target.parent} has {free / 1e9:.1f} GB free.",
                next_step="Free space or choose another --output.",
            )

    def publish(self) -> None:
        """Puts the directory in its place, atomically where the file system can exchange two names."""
        with explained_output(self.target):
            for name in (_STATE, _LOCK):
                (self.path / name).unlink()
            sync(self.path)
            if self.target.exists():
                old = self.target.with_name(f".{self.target.name}.old")
                _remove(old)
                if _exchange(self.path, self.target):
                    self.path.rename(old)
                else:
                    self.target.rename(old)
                    self.path.rename(self.target)
                _remove(old)
            else:
                self.path.rename(self.target)
            sync(self.target.parent)

    def discard(self) -> None:
        """Removes what was built: it was needed on the way only."""
        with explained_output(self.path):
            _remove(self.path)

    def _take_lock(self) -> None:
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputBusy(
                f"Another process is writing {self.target}.", next_step="Wait for it, or end it and run the command again."
            ) from error


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """The file under a temporary name first, so that a killed run leaves no half file under ``path``."""
    temporary = path.with_name(f".{path.name}.tmp" if len(os.fsencode(path.name)) < 250 else ".tmp")
    if callable(content):
        content(temporary)
    else:
        temporary.write_bytes(content)
    temporary.rename(path)


def sync(path: Path) -> None:
    """Waits until a file or directory is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(first: Path, second: Path) -> bool:
    """Swaps two names in one step; False where the C library or the file system cannot (some network file systems)."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    return bool(function(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _json_or_none(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None
