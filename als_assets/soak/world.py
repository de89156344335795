"""A world of places and bytes inside this process, behind the mover protocol: tasks with ids, outages, lies, and a memory of the truth.

Here: what lies where, what spoils it, and a mover that answers as Globus would. Not here: the record, and whether what is asked for is
right (``watch``). Bytes are real and tiny; places that are mounted are real folders, so that checksums are read from files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from als_assets.errors import ServiceUnreachable
from als_assets.facility import Facility
from als_assets.facility.places import Place
from als_assets.transfer.mover import DeleteRequest, FileFacts, History, TaskState, TaskView, TransferRequest, sizes

Files = dict[str, bytes]  # relative path -> content ("" for a single file)
What = tuple[str, str, str]  # dataset key, product, variant


class PowerCut(BaseException):
    """The process is gone at this line. Nothing of the platform may catch it."""


@dataclass
class Task:
    """A task as the service knows it. ``effect`` happens when it is done."""

    number: str
    done_at: datetime
    effect: Callable[[], dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)
    over: bool = False
    failed: str = ""


@dataclass
class World:
    """``draw(event)`` decides which fault hits an event ("transfer", "delete" or "call"; "" for none); ``clock`` is the true time;
    ``set_clock_back`` is the fault of that name; ``audits()`` numbers the moments of the record (no clock can); ``on_delete`` is told
    of every deletion before it happens, ``on_passed_on`` of every copy that was made from a spoilt one."""

    facility: Facility
    clock: Callable[[], datetime]
    draw: Callable[[str], str]
    set_clock_back: Callable[[], None]
    audits: Callable[[], int]
    on_delete: Callable[[str, bool], None] = lambda _path, _recursive: None
    on_passed_on: Callable[[str], None] = lambda _path: None
    poll_s: float = 60.0
    most_items: int = 50
    blobs: dict[str, Files] = field(default_factory=dict)
    truth: dict[What, Files] = field(default_factory=dict)
    owner: dict[str, What] = field(default_factory=dict)
    spoiled: dict[str, str] = field(default_factory=dict)
    spoiled_after: dict[str, int] = field(default_factory=dict)  # the newest audit row then
    arrived_spoiled: set[str] = field(default_factory=set)
    down: dict[str, datetime] = field(default_factory=dict)
    unmounted: set[str] = field(default_factory=set)  # locations that read as empty folders
    faults: dict[str, int] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)  # scans whose bytes changed
    ever_spoiled: set[str] = field(default_factory=set)  # scans of which any copy ever was
    _tasks: dict[str, Task] = field(default_factory=dict)
    _by_submission: dict[str, str] = field(default_factory=dict)
    _numbers: int = 0

    def place(self, location: str, path: str) -> Place:
        return Place(location, self.facility.location(location), path)

    def put(self, place: Place, what: What, files: Files) -> None:
        key = place.mover_path
        self.blobs[key], self.owner[key] = files, what
        self.spoiled.pop(key, None)
        self.arrived_spoiled.discard(key)
        self._mirror(key)

    def intact(self, key: str) -> bool:
        return self.blobs.get(key) is not None and self.blobs[key] == self.truth.get(self.owner[key])

    def spoil(self, key: str, how: str) -> None:
        """The world destroys a copy: "gone", "empty" (a zero-byte namesake), "older" (an earlier version of another size) or "rot" (the
        same size, other bytes)."""
        self._note_spoiled(key, how)
        self.faults[how] = self.faults.get(how, 0) + 1
        if how == "gone":
            self._remove(key)
            return
        change = {"empty": lambda _b: b"", "older": lambda b: b[: len(b) // 2] or b"-", "rot": _rotten}[how]
        name = sorted(self.blobs[key])[0]
        self.blobs[key] = {**self.blobs[key], name: change(self.blobs[key][name])}
        self._mirror(key)

    def _note_spoiled(self, key: str, how: str, *, arriving: bool = False) -> None:
        self.spoiled[key], self.spoiled_after[key] = how, self.audits()
        self.ever_spoiled.add(self.owner[key][0])
        (self.arrived_spoiled.add if arriving else self.arrived_spoiled.discard)(key)

    def unmount(self, location: str) -> None:
        """The location reads as an empty folder. Where this machine sees its disk, it is only this machine that misses it."""
        if location not in self.unmounted:
            self.unmounted.add(location)
            disk, root = self._disk(location), self._root(location)
            if disk is not None:
                root.mkdir(exist_ok=True)
                root.rename(disk)
                root.mkdir()

    def mount(self, location: str) -> None:
        if location in self.unmounted:
            disk = self._disk(location)
            self.unmounted.discard(location)
            if disk is not None:
                self._root(location).rmdir()
                disk.rename(self._root(location))

    def _disk(self, location: str) -> Path | None:
        """Where the bytes of a location are on this machine; None where they are not."""
        root = self._root(location)
        if not self.facility.location(location).mounted:
            return None
        return root.with_name(f"{root.name} (unmounted)") if location in self.unmounted else root

    def _root(self, location: str) -> Path:
        return Path(self.facility.location(location).site_root)

    def _remove(self, key: str) -> None:
        self.blobs.pop(key, None)
        self._mirror(key)

    def _mirror(self, key: str) -> None:
        """What a mounted place shows. Every change of bytes comes by here."""
        self.touched.add(self.owner[key][0])
        disk = self._disk(key.split("/")[1])
        if disk is None:
            return
        path = disk.joinpath(*key.split("/")[2:])
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        for name, content in self.blobs.get(key, {}).items():
            file = path / name if name else path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    # --- the mover protocol ----------------------------------------------------------------------------------------------

    def prepare(self) -> dict[str, Any]:
        self._call()
        self._numbers += 1
        return {"submission_id": f"submission-{self._numbers}"}

    def start_transfer(self, request: TransferRequest, prepared: Mapping[str, Any]) -> dict[str, Any]:
        self._call(request.source, request.destination)
        return self._accept("transfer", prepared, lambda fault: lambda: self._transfer(request, fault))

    def start_delete(self, request: DeleteRequest, prepared: Mapping[str, Any]) -> dict[str, Any]:
        self._call(request.place)
        paths = prepared.get("paths") or [request.place.mover_path]

        def effect(fault: str) -> Callable[[], dict[str, Any]]:
            for path in paths:
                self.on_delete(path, request.is_directory)
            return lambda: self._delete(paths, fault)

        return self._accept("delete", prepared, effect)

    def _accept(self, event: str, prepared: Mapping[str, Any], effect: Callable[[str], Callable[[], dict[str, Any]]]) -> dict[str, Any]:
        submission = prepared["submission_id"]
        if submission in self._by_submission:
            return {"task_id": self._by_submission[submission], "code": "Duplicate"}
        fault = self._drawn(event)
        number = f"task-{len(self._tasks) + 1}"
        done_at = self.clock() + (timedelta(minutes=20) if fault == "slow" else timedelta(0))
        self._tasks[number] = task = Task(number, done_at, effect(fault))
        self._by_submission[submission] = number
        if fault == "fails":
            task.over, task.failed = True, "the service gave up"
        self._settle(task)
        if fault == "answer lost":
            raise _unreachable("the answer was lost")
        if fault == "cut":
            raise PowerCut
        return {"task_id": number, "code": "Accepted"}

    def find(self, prepared: Mapping[str, Any]) -> dict[str, Any] | None:
        self._call()
        number = self._by_submission.get(prepared["submission_id"], "")
        return {"task_id": number} if number and not self._tasks[number].over else None

    def look(self, handle: Mapping[str, Any]) -> TaskView:
        self._call()
        task = self._tasks[handle["task_id"]]
        self._settle(task)
        facts = {"task_id": task.number, **task.facts}
        if task.failed:
            return TaskView(TaskState.FAILED, f"The task failed ({task.failed}).", facts)
        return TaskView(TaskState.SUCCEEDED if task.over else TaskState.ACTIVE, "", facts)

    def history(self, handle: Mapping[str, Any]) -> History:
        self._call()
        return History([], 0.0)

    def cancel(self, handle: Mapping[str, Any]) -> None:
        self._call()
        task = self._tasks[handle["task_id"]]
        if not task.over:
            task.over, task.failed = True, "cancelled"

    def files(self, place: Place) -> dict[str, FileFacts] | None:
        self._call(place)
        files = None if place.location_name in self.unmounted else self.blobs.get(place.mover_path)
        return None if files is None else {name: FileFacts(len(content)) for name, content in files.items()}

    def listing(self, place: Place) -> dict[str, int] | None:
        return sizes(self.files(place))

    def is_away(self, place: Place) -> bool:
        return place.location_name in self.unmounted

    def size_of(self, place: Place, name: str) -> int | None:
        return (self.listing(place) or {}).get(name)

    # --- what tasks do ---------------------------------------------------------------------------------------------------

    def _settle(self, task: Task) -> None:
        if not task.over and self.clock() >= task.done_at:
            task.facts, task.over = task.effect(), True
            task.failed = task.facts.pop("failed", "")

    def _transfer(self, request: TransferRequest, fault: str) -> dict[str, Any]:
        """A checksum sync: files that are there with the same bytes are left alone."""
        source, target = self.blobs.get(request.source.mover_path), request.destination.mover_path
        if source is None:
            return {"failed": "FILE_NOT_FOUND"}
        if request.sha256 and sha256(source.get("", b"")).hexdigest() != request.sha256:
            return {"failed": "the source has another SHA-256 than the one that was given"}
        if self._unseen(request.source) or self._unseen(request.destination):
            return {"failed": "FILE_NOT_FOUND"}
        there = self._there(target)
        moved = [name for name, content in source.items() if there.get(name) != content]
        if fault != "nothing" and moved:
            self.put(request.destination, self.owner[request.source.mover_path], {**there, **source})
            if not self.intact(request.source.mover_path):
                self._note_spoiled(target, self.spoiled.get(request.source.mover_path, "rot"), arriving=True)
                self.on_passed_on(target)
        if fault == "corrupt" and moved:
            self.spoil(target, "rot")
            self.arrived_spoiled.add(target)
        counts = {"files_transferred": len(moved), "files_skipped": len(source) - len(moved)}
        return {**counts, "bytes_transferred": sum(len(source[name]) for name in moved)}

    def _unseen(self, place: Place) -> bool:
        """Whether the collection itself misses the disk of a location."""
        return place.location_name in self.unmounted and not place.location.mounted

    def _there(self, key: str) -> Files:
        """What lies there; what the platform itself has removed from a folder of this machine is gone."""
        disk = self._disk(key.split("/")[1])
        if disk is not None and key in self.blobs and not disk.joinpath(*key.split("/")[2:]).exists():
            del self.blobs[key]
        return self.blobs.get(key, {})

    def _delete(self, paths: list[str], fault: str) -> dict[str, Any]:
        if (location := paths[0].split("/")[1]) in self.unmounted and self._disk(location) is None:
            return {"failed": f"FILE_NOT_FOUND {paths[0]}"}
        missing = [path for path in paths if path not in self.blobs]
        if fault == "disk goes":  # and nothing is deleted
            self.unmount(location)
        elif fault != "kept":
            for path in paths:
                if path in self.blobs:  # what was destroyed before stays known as destroyed
                    self._remove(path)
                    self.spoiled.pop(path, None)
        return {"failed": f"FILE_NOT_FOUND {missing[0]}"} if missing else {}

    def _call(self, *places: Place) -> None:
        """Any request: its site may be down, and the process may die before it."""
        for place in places:
            if self.down.get(place.location.site, self.clock()) > self.clock():
                raise _unreachable(f"{place.location.site} is down")
        if (fault := self._drawn("call")) == "cut":
            raise PowerCut
        if fault == "clock set back":
            self.set_clock_back()

    def _drawn(self, event: str) -> str:
        if fault := self.draw(event):
            self.faults[f"{event} {fault}"] = self.faults.get(f"{event} {fault}", 0) + 1
        return fault


def _rotten(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:] if content else b""


def _unreachable(why: str) -> ServiceUnreachable:
    return ServiceUnreachable(f"The service did not answer: {why}.", next_step="It is tried again by itself.")
