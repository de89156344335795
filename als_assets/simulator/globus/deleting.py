"""The deletion of one task's paths.

Here: files, links and whole trees, missing paths, and the faults of a deletion. Not here: queues and HTTP; a worker that is run
again after a restart takes a path that it had begun to delete, and that is gone, as deleted.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from als_assets.simulator.globus import documents
from als_assets.simulator.globus.worker import Fatal, Trouble, Worker
from als_assets.simulator.store import Doc


class DeleteWorker(Worker):
    """Carries out a task of type DELETE."""

    def work(self) -> None:
        """Go round all paths until each is gone; what fails is tried again in the next round."""
        entries = self.tools.store.entries(documents.DONE, self.task.task_id)
        begun = {entry["path"] for entry in entries}
        pending: list[Doc] = list(self.document["DATA"])
        self.task.set(subtasks_total=len(pending), subtasks_pending=len(pending))
        while pending:
            pending = [item for item in pending if not self._attempt(item["path"], begun)]
            if pending:
                self.wait(self.tools.config.retry_s)

    def _attempt(self, path: str, begun: set[str]) -> bool:
        self.checkpoint()
        try:
            self._remove(path, begun)
        except Trouble as trouble:
            self.tell(trouble)
            return False
        self.task.add(subtasks_succeeded=1, subtasks_pending=-1)
        return True

    def _remove(self, path: str, begun: set[str]) -> None:
        collection_id = self.document["endpoint"]
        rule = self.tools.faults.take("delete", collections={collection_id}, source_path=path, label=self.label)
        if rule is not None:
            self.obey(rule, path)
        real = self.writable(collection_id, path, follow=False)
        if real == self.tools.config.collections[collection_id].root.resolve():
            raise Fatal("PERMISSION_DENIED", "the root of a collection cannot be deleted")
        if not real.is_symlink() and not real.exists():
            if path not in begun and not self.document.get("ignore_missing"):
                raise Fatal("FILE_NOT_FOUND", f"No such file or directory: {path}")
            return
        self.tools.store.append(documents.DONE, self.task.task_id, {"path": path})
        try:
            self._unlink(real, path)
        except OSError as error:
            raise Trouble("PERMISSION_DENIED", error.strerror or "cannot delete", path) from error

    def _unlink(self, real: Path, path: str) -> None:
        if real.is_dir() and not real.is_symlink():
            if not self.document.get("recursive"):
                raise Fatal("IS_A_DIRECTORY", f"{path} is a directory, but the task is not recursive")
            count = sum(1 for below in real.rglob("*") if not below.is_dir())
            shutil.rmtree(real)
            self.task.add(files=count, directories=1)
        else:
            real.unlink()
            self.task.add(files=1)
