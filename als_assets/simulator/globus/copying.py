"""The transfer of one task: which files, which of them need moving, and the bytes.

Here: recursive items, filters, sync levels, checksums, progress and the faults of a transfer, file by file. Not here: queues and
HTTP; a worker that is run again after a restart sends only what had not arrived.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from als_assets.simulator.faults import LiveRule
from als_assets.simulator.globus import documents, files
from als_assets.simulator.globus.documents import Task
from als_assets.simulator.globus.worker import Fatal, Tools, Trouble, Worker
from als_assets.simulator.store import Doc

_CHUNK_BYTES = 4 << 20
_FLUSH_S = 0.1
_SKIPPABLE = ("FILE_NOT_FOUND", "PERMISSION_DENIED")


@dataclass(frozen=True)
class File:
    """One file to carry: where it really is, and how the task calls it."""

    source: Path
    target: Path
    source_path: str
    target_path: str
    item: Doc


class TransferWorker(Worker):
    """Carries out a task of type TRANSFER."""

    def __init__(self, tools: Tools, task: Task) -> None:
        super().__init__(tools, task)
        self._source_id, self._target_id = self.document["source_endpoint"], self.document["destination_endpoint"]
        self._done: set[str] = set()
        self._totals: dict[int, tuple[int, int, int, int]] = {}
        self._moved_bytes = self._unflushed_bytes = 0
        self._flushed_at = 0.0

    def work(self) -> None:
        """Go round all items until each is complete; what fails is tried again in the next round."""
        self._remember()
        pending = list(enumerate(self.document["DATA"]))
        while pending:
            pending = [(index, item) for index, item in pending if not self._item(index, item)]
            if pending:
                self.wait(self.tools.config.retry_s)
        if "_fail_percent" in (doc := self.task.doc):
            raise Fatal(doc["_fail_code"], "the task failed near its end")

    def _remember(self) -> None:
        """What an earlier run of this task had already carried, and the counters that follow from it."""
        entries = self.tools.store.entries(documents.DONE, self.task.task_id)
        skipped = self.tools.store.entries(documents.SKIPPED, self.task.task_id)
        moved = [entry for entry in entries if not entry["_kept"]]
        self._done = {entry["destination_path"] for entry in (*entries, *skipped)}
        self._moved_bytes = sum(entry["size"] for entry in moved)
        self.task.set(
            bytes_transferred=self._moved_bytes,
            files_transferred=len(moved),
            files_skipped=len(entries) - len(moved),
            subtasks_succeeded=len(entries),
            subtasks_skipped_errors=len(skipped),
        )

    # --- items ---------------------------------------------------------------------------------------------------------

    def _item(self, index: int, item: Doc) -> bool:
        """Carry all of an item that can be carried; True when nothing of it is left."""
        try:
            found = self._expand(index, item)
        except Trouble as trouble:
            return self._cope(trouble, item["source_path"], item["destination_path"])
        complete = True
        for file in found:
            if file.target_path not in self._done:
                complete = self._attempt(file) and complete
        return complete

    def _expand(self, index: int, item: Doc) -> list[File]:
        source_path, target_path = item["source_path"], item["destination_path"]
        source = self.readable(self._source_id, source_path)
        if not source.exists():
            raise Trouble("FILE_NOT_FOUND", "No such file or directory", source_path, at_source=True)
        target = self.writable(self._target_id, target_path)
        recursive = item.get("recursive")
        if not source.is_dir():
            if recursive:
                raise Fatal("NOT_A_DIRECTORY", f"{source_path} is a file, but the item is recursive")
            self._count(index, files=1, size_bytes=source.stat().st_size)
            return [File(source, target, source_path, target_path, item)]
        if recursive is False:
            raise Fatal("IS_A_DIRECTORY", f"{source_path} is a directory, but the item is not recursive")
        tree = files.walk(source, self.document.get("filter_rules") or [])
        sizes = sum((source / relative).lstat().st_size for relative in tree.files)
        self._count(index, len(tree.files), sizes, len(tree.directories) + 1, tree.symlinks)
        for relative in (".", *tree.directories):
            _make_directory(target / relative, target_path)
        above, below = source_path.rstrip("/"), target_path.rstrip("/")
        return [File(source / path, target / path, f"{above}/{path}", f"{below}/{path}", item) for path in tree.files]

    def _count(self, index: int, files: int, size_bytes: int, directories: int = 0, symlinks: int = 0) -> None:
        self._totals[index] = (files, size_bytes, directories, symlinks)
        total, _, folders, links = (sum(column) for column in zip(*self._totals.values(), strict=True))
        pending = max(0, total - len(self._done))
        self.task.set(files=total, directories=folders, symlinks=links, subtasks_total=total, subtasks_pending=pending)

    # --- one file ------------------------------------------------------------------------------------------------------

    def _attempt(self, file: File) -> bool:
        try:
            self._carry(file)
        except Trouble as trouble:
            return self._cope(trouble, file.source_path, file.target_path)
        except OSError as error:
            code = {FileNotFoundError: "FILE_NOT_FOUND", PermissionError: "PERMISSION_DENIED"}.get(type(error), "ENDPOINT_ERROR")
            at_source = error.filename == str(file.source)
            told = Trouble(code, error.strerror or "", file.source_path, at_source=at_source)
            return self._cope(told, file.source_path, file.target_path)
        return True

    def _cope(self, trouble: Trouble, source_path: str, target_path: str) -> bool:
        """True when the trouble is skipped for good; otherwise tell it, and the next round tries again."""
        if not (self.document.get("skip_source_errors") and trouble.at_source and trouble.code in _SKIPPABLE):
            self.tell(trouble)
            return False
        entry = {
            "DATA_TYPE": "skipped_error",
            "error_code": trouble.code,
            "error_details": trouble.details,
            "error_time": self.task.doc["request_time"],
            "source_path": source_path,
            "destination_path": target_path,
            "is_directory": False,
            "is_symlink": False,
            "is_delete_destination_extra": False,
            "external_checksum": None,
            "checksum_algorithm": None,
        }
        with self.tools.store.transaction():
            self.tools.store.append(documents.SKIPPED, self.task.task_id, entry)
            self.task.add(subtasks_skipped_errors=1)
        self._done.add(target_path)
        return True

    def _carry(self, file: File) -> None:
        self.checkpoint()
        damage = self._strike(file)
        if self._in_step(file):
            return self._record(file, None, kept=True)
        if file.target.is_dir():
            raise Trouble("IS_A_DIRECTORY", "the destination is a directory", file.target_path)
        _make_directory(file.target.parent, file.target_path)
        checksum = self._copy(file, damage)
        verify = bool(self.document.get("verify_checksum"))
        if verify and files.digest(file.target, "sha256") != checksum:
            raise Trouble("VERIFY_CHECKSUM", "checksum verification failed", file.source_path, every=True)
        self._check_external(file)
        if self.document.get("preserve_timestamp"):
            info = file.source.stat()
            os.utime(file.target, ns=(info.st_atime_ns, info.st_mtime_ns))
        self._record(file, checksum if verify else None, kept=False)
        return None

    def _check_external(self, file: File) -> None:
        expected = file.item.get("external_checksum")
        if not expected:
            return
        algorithm = file.item.get("checksum_algorithm") or "MD5"
        if files.digest(file.target, files.hasher(algorithm)) != expected.lower():
            raise Fatal("VERIFY_CHECKSUM", f"{file.source_path} does not have the external checksum ({algorithm}) that was given")

    def _in_step(self, file: File) -> bool:
        """Whether the sync level finds that the file need not be moved."""
        level = self.document.get("sync_level")
        if level is None or not file.target.is_file():
            return False
        here, there = file.source.stat(), file.target.stat()
        if level == 0:
            return True
        if here.st_size != there.st_size:
            return False
        if level == 2:
            return int(here.st_mtime) <= int(there.st_mtime)
        if level == 3:
            self.task.add(bytes_checksummed=here.st_size)
            return files.digest(file.source, "sha256") == files.digest(file.target, "sha256")
        return True

    def _record(self, file: File, checksum: str | None, *, kept: bool) -> None:
        size = file.target.stat().st_size
        entry = {
            "DATA_TYPE": "successful_transfer",
            "source_path": file.source_path,
            "destination_path": file.target_path,
            "size": size,
            "checksum": checksum,
            "checksum_algorithm": "sha256" if checksum else None,
            "dynamic": None,
            "_kept": kept,
        }
        with self.tools.store.transaction():
            self.tools.store.append(documents.DONE, self.task.task_id, entry)
            counters = {"files_skipped": 1} if kept else {"files_transferred": 1, "bytes_checksummed": size if checksum else 0}
            self.task.add(subtasks_succeeded=1, subtasks_pending=-1, **counters)
            if self.task.doc["is_ok"] is False:
                self.task.nice("OK", "OK")
        self._done.add(file.target_path)

    # --- faults and bytes ----------------------------------------------------------------------------------------------

    def _strike(self, file: File) -> str | None:
        """Ask for a fault of this file and carry it out; "flip" and "truncate" are returned for the copy to do."""
        ends = {self._source_id, self._target_id}
        rule = self.tools.faults.take("transfer", collections=ends, source_path=file.source_path, label=self.label)
        if rule is None:
            return None
        self.obey(rule, file.source_path)
        if rule.action == "quota":
            self._quota(rule, file)
        elif rule.action == "slow":
            self.task.set(_bytes_per_s=rule.bytes_per_s)
        elif rule.action == "fail_at_percent":
            self.task.set(_fail_percent=rule.percent, _fail_code=rule.code or "ENDPOINT_ERROR")
        return rule.action if rule.action in ("flip", "truncate") else None

    def _quota(self, rule: LiveRule, file: File) -> None:
        code, words = rule.code or "QUOTA_EXCEEDED", "the destination's quota is exceeded"
        if self.document.get("fail_on_quota_errors"):
            raise Fatal(code, words)
        raise Trouble(code, words, file.target_path, every=True)

    def _copy(self, file: File, damage: str | None) -> str:
        """Write to the final name as the bytes come, as the real service does; the SHA-256 of the source."""
        checksum, began, sent_bytes = hashlib.sha256(), time.monotonic(), 0
        doc = self.task.doc
        limits = [limit for limit in (self.tools.config.bytes_per_s, doc.get("_bytes_per_s")) if limit]
        speed = min(limits, default=None)
        fail_at = sum(total[1] for total in self._totals.values()) * doc["_fail_percent"] / 100 if "_fail_percent" in doc else None
        chunk_bytes = min(_CHUNK_BYTES, max(4096, speed // 20)) if speed else _CHUNK_BYTES
        with file.source.open("rb") as source, file.target.open("wb", buffering=0) as target:
            while chunk := source.read(chunk_bytes):
                self.checkpoint()
                checksum.update(chunk)
                if fail_at is not None and self._moved_bytes + len(chunk) > fail_at:
                    target.write(chunk[: max(0, int(fail_at) - self._moved_bytes)])
                    raise Fatal(doc["_fail_code"], f"the task failed at {doc['_fail_percent']:g} % of its bytes")
                target.write(_damaged(chunk, damage if sent_bytes == 0 else None))
                sent_bytes += len(chunk)
                self._progress(len(chunk))
                if speed:
                    self.wait(began + sent_bytes / speed - time.monotonic())
            if damage == "truncate":
                target.truncate(sent_bytes // 2)
        self._progress(0, flush=True)
        return checksum.hexdigest()

    def _progress(self, size_bytes: int, *, flush: bool = False) -> None:
        self._moved_bytes += size_bytes
        self._unflushed_bytes += size_bytes
        if flush or time.monotonic() - self._flushed_at > _FLUSH_S:
            self.task.add(bytes_transferred=self._unflushed_bytes)
            self._unflushed_bytes, self._flushed_at = 0, time.monotonic()


def _damaged(chunk: bytes, damage: str | None) -> bytes:
    if damage != "flip":
        return chunk
    middle = len(chunk) // 2
    return chunk[:middle] + bytes([chunk[middle] ^ 1]) + chunk[middle + 1 :]


def _make_directory(path: Path, shown: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Trouble("ENDPOINT_ERROR", error.strerror or "cannot create a directory", shown) from error
