"""The mover for folders that this machine sees: copy beside, fsync, compare checksums, rename.

Here: copying and deleting on mounted file systems. Not here: anything remote. A copy becomes visible under its name only when it is
complete and proven, so a process killed in the middle leaves a ``.partial`` beside it and nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from als_assets.errors import DeleteFailed, PathOutsideLocation, TransferDamaged, TransferFailed
from als_assets.facility.places import Place
from als_assets.facility.policy import ExportGate
from als_assets.transfer.mover import DeleteRequest, FileFacts, History, TaskState, TaskView, TransferRequest, away, sizes

_BLOCK_BYTES = 1 << 22


def sha256_of(path: Path, beat: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file, read in blocks of 4 MiB; ``beat(bytes_so_far)`` is called after each."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if beat is not None:
                beat(done)
    return digest.hexdigest()


def files_under(path: Path) -> dict[str, FileFacts] | None:
    """Relative path -> size and time of every file ("" for a single file); None where nothing is there.

    Raises:
        TransferFailed: something that is neither file nor folder lies there (a link could lead outside).
    """
    if path.is_symlink():
        raise _neither(path)
    if path.is_file():
        return {"": _facts(path)}
    if not path.is_dir():
        return None
    found: dict[str, FileFacts] = {}
    for folder, _folders, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if file.is_symlink() or not file.is_file():
                raise _neither(file)
            found[str(file.relative_to(path))] = _facts(file)
    return found


def _facts(file: Path) -> FileFacts:
    seen = file.stat()
    return FileFacts(seen.st_size, int(seen.st_mtime))


def _neither(path: Path) -> TransferFailed:
    return TransferFailed(f"{path} is neither a plain file nor a folder.", next_step="Remove or replace it; results hold plain files only.")


class PosixMover:
    """Copies between mounted locations. The work is done inside ``start_*``; ``look`` reports what was stored."""

    poll_s = 1.0
    most_items = 1

    def __init__(self, gate: ExportGate) -> None:
        self._gate = gate

    def prepare(self) -> dict[str, Any]:
        return {}

    def start_transfer(self, request: TransferRequest, prepared: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ExportRefused, TransferFailed (disk), TransferDamaged (the copy differs)."""
        self._gate.require(request.dataset_key, request.destination.location.site)
        source, target = _local(request.source), _local(request.destination)
        if source.is_symlink():
            raise _neither(source)
        partial = target.with_name(target.name + ".partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove(partial)
            moved = _copy_tree(source, partial) if request.is_directory else _copy_file(source, partial)
            _remove_expected(target, is_directory=request.is_directory)
            partial.rename(target)
            _sync(target.parent)
        except OSError as error:
            raise TransferFailed(
                f"Copying {source} to {target} failed: {error.strerror}.",
                next_step="Check free space and rights at the destination, then re-execute from failure.",
            ) from error
        return {"bytes": moved}

    def start_delete(self, request: DeleteRequest, prepared: Mapping[str, Any]) -> dict[str, Any]:
        target = _local(request.place)
        if not target.exists() and self.is_away(request.place):
            raise away(request.place)
        try:
            _remove_expected(target, is_directory=request.is_directory)
        except OSError as error:
            raise DeleteFailed(
                f"Deleting {target} failed: {error.strerror}.",
                next_step="Check the rights of the folder, then run prune again.",
            ) from error
        return {"bytes": 0}

    def look(self, handle: Mapping[str, Any]) -> TaskView:
        facts = {"bytes_transferred": handle["bytes"]}
        return TaskView(TaskState.SUCCEEDED, "Copied and compared.", facts)

    def cancel(self, handle: Mapping[str, Any]) -> None:
        """Nothing runs outside ``start_*``."""

    def find(self, prepared: Mapping[str, Any]) -> dict[str, Any] | None:
        return None

    def history(self, handle: Mapping[str, Any]) -> History:
        return History([], 0.0)

    def files(self, place: Place) -> dict[str, FileFacts] | None:
        return files_under(_local(place))

    def listing(self, place: Place) -> dict[str, int] | None:
        return sizes(self.files(place))

    def is_away(self, place: Place) -> bool:
        root = Path(place.location.site_root)
        return not root.is_dir() or next(root.iterdir(), None) is None

    def size_of(self, place: Place, name: str) -> int | None:
        file = _local(place) / name if name else _local(place)
        return file.stat().st_size if file.is_file() and not file.is_symlink() else None


def _local(place: Place) -> Path:
    """The path on this machine; links on the way must not lead out of the location."""
    root = Path(place.location.site_root / place.location.prefix)
    path = Path(place.site_path)
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise PathOutsideLocation(
            f"{path} leads out of the location {place.location_name} through a link; nothing was done.",
            next_step="Remove the link.",
        )
    return path


def _copy_file(source: Path, target: Path) -> int:
    digest, size_bytes = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(_BLOCK_BYTES):
            digest.update(block)
            writer.write(block)
            size_bytes += len(block)
        writer.flush()
        os.fsync(writer.fileno())
    shutil.copystat(source, target)
    if sha256_of(target) != digest.hexdigest():
        target.unlink()
        raise TransferDamaged(
            f"The copy of {source} read back differently from what was written.",
            next_step="The destination disk is not to be trusted: tell an operator before you try again.",
        )
    return size_bytes


def _copy_tree(source: Path, target: Path) -> int:
    return sum(_copy_file(source / name, target / name) for name in sorted(files_under(source) or {}))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_expected(path: Path, *, is_directory: bool) -> None:
    """Remove what lies there, if it is of the kind that the record knows: a whole folder never goes in place of one file."""
    if path.is_dir() and not path.is_symlink() and not is_directory:
        raise IsADirectoryError(errno.EISDIR, "a folder is where a file was expected", str(path))
    _remove(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
