"""Leftovers of our own at a destination: files of an earlier, larger version of a product, and temporary files.

Here: which files those are, and their recorded deletion before the copy is made again. Not here: files of anybody else. Those are
named in the error, and a person moves them; nothing is ever deleted beside a raw file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from als_assets.errors import DeleteFailed
from als_assets.ledger import Manifest, Operation, OperationKind, OperationState, Replica
from als_assets.ledger.acting import Ended, Running
from als_assets.transfer.acts import MoverAct
from als_assets.transfer.mover import DeleteRequest, TaskView

# Names under which programs of ours, Globus and rsync write what is not complete yet.
TEMPORARY = ("*.partial", "*.part", ".*.part", "*.tmp", ".*.tmp", ".*.swp")


def excludes(manifest: Manifest) -> tuple[str, ...]:
    """The patterns of temporary files that no file of the manifest fits: a product is never robbed of a file by its name."""
    names = {PurePosixPath(entry.path).name for entry in manifest.entries}
    return tuple(pattern for pattern in TEMPORARY if not any(fnmatchcase(name, pattern) for name in names))


def leftovers(found: Mapping[str, int], wanted: Manifest, before: Manifest | None) -> list[str]:
    """The extra files that are ours: in the manifest of the copy that lay here ``before``, or temporary by name."""
    known = {entry.path for entry in before.entries} if before is not None else set()
    temporary = excludes(wanted)
    extra = found.keys() - {entry.path for entry in wanted.entries} - {""}
    return sorted(name for name in extra if name in known or any(fnmatchcase(PurePosixPath(name).name, p) for p in temporary))


def tidy_key(replica: Replica, names: list[str]) -> str:
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    return f"tidy:{replica.location}:{replica.path}:{digest}"


@dataclass
class TidyAct(MoverAct):
    """Delete files of ours below a product's folder, each by its name and none recursively."""

    todo: DeleteRequest  # of the first file
    paths: list[str]  # of all, as the mover sees them
    names: list[str]
    kind = OperationKind.DELETE
    failure = DeleteFailed

    def request(self) -> dict[str, Any]:
        place = self.todo.place
        return {"delete": {"location": place.location_name, "path": place.path}, "leftovers": self.names}

    def _what(self) -> str:
        return f"The removal of {len(self.names)} leftover file(s) at {self.todo.place.location_name}"

    def _start(self, operation: Operation) -> dict[str, Any]:
        return self.mover.start_delete(self.todo, {**self.prepared(operation), "paths": self.paths})

    def _going_on(self, view: TaskView) -> Running:
        return Running(view.sentence or "Globus removes leftovers.", phase=f"tidying {view.sentence}")

    def _prove(self, operation: Operation, view: TaskView) -> Ended | Running:
        """What is left is found by the comparison of the copy that follows."""
        return Ended(OperationState.SUCCEEDED, f"removed {len(self.names)} leftover file(s)", {"task": dict(view.facts), "link": view.link})
