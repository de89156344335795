"""What a mover is: something that copies and deletes bytes between locations and can be asked what became of it.

Here: the protocol and its values. Not here: any particular mover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from als_assets.errors import LocationAway
from als_assets.facility.places import Place


class TaskState(StrEnum):
    """What a mover says of a task, in our words. Anything unheard-of is UNKNOWN, and UNKNOWN is red."""

    QUEUED = "queued"
    ACTIVE = "active"
    WAITING = "waiting"  # paused, or a collection is away: the task is kept and goes on by itself
    DAMAGED = "damaged"  # checksums keep disagreeing
    HOPELESS = "hopeless"  # the source is missing, or access is denied; the mover would go on trying for a day
    NEEDS_PERSON = "needs person"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TaskView:
    """A look at one task. ``sentence`` and ``next_step`` are for staff (an ACTIVE task may have an empty sentence: nothing but its
    progress is to be told); ``facts`` are the mover's own numbers and last events; ``trouble`` is the code of an error that a
    location caused, not the task."""

    state: TaskState
    sentence: str
    facts: Mapping[str, Any]
    link: str = ""
    next_step: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class FileFacts:
    """One file as a mover sees it; ``mtime_s`` is when it was last modified, in seconds since 1970 (None: not told)."""

    size_bytes: int
    mtime_s: int | None = None


@dataclass(frozen=True)
class History:
    """What a mover tells of a task that succeeded: files that it left out, and how long it waited for its turn (None: unknown)."""

    left_out: list[str]
    queued_s: float | None


@dataclass(frozen=True)
class TransferRequest:
    """A copy from one place to another; ``sha256`` (of a single file) is what the destination must have; ``excludes`` are patterns
    of file names below a folder that stay behind."""

    dataset_key: str
    source: Place
    destination: Place
    is_directory: bool
    label: str
    sha256: str | None = None
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeleteRequest:
    """One replica to delete. ``prepared["paths"]`` may name more mover paths at the same location, deleted by the same task."""

    dataset_key: str
    place: Place
    is_directory: bool
    label: str


class Mover(Protocol):
    """A mover. ``prepare`` returns what must be on record before the first request (for Globus the submission id); ``start_*``
    with the same preparation twice starts one task. ``most_items`` is how many replicas one deletion may name."""

    poll_s: float
    most_items: int

    def prepare(self) -> dict[str, Any]: ...

    def start_transfer(self, request: TransferRequest, prepared: Mapping[str, Any]) -> dict[str, Any]: ...

    def start_delete(self, request: DeleteRequest, prepared: Mapping[str, Any]) -> dict[str, Any]: ...

    def find(self, prepared: Mapping[str, Any]) -> dict[str, Any] | None:
        """The handle of a task that still runs, accepted under this preparation although its answer was lost; None: there is none."""
        ...

    def look(self, handle: Mapping[str, Any]) -> TaskView: ...

    def history(self, handle: Mapping[str, Any]) -> History:
        """Of a transfer that succeeded. Raises TransferFailed when it is not told (Globus may need a moment)."""
        ...

    def cancel(self, handle: Mapping[str, Any]) -> None: ...

    def files(self, place: Place) -> dict[str, FileFacts] | None:
        """Files at a place: relative path -> what is seen of it ("" for a single file); None where nothing is there."""
        ...

    def listing(self, place: Place) -> dict[str, int] | None:
        """``files`` with nothing but their sizes in bytes."""
        ...

    def is_away(self, place: Place) -> bool:
        """Whether the root of the place's location is missing or empty, as that of a disk that is not mounted: then *nothing is there*
        says nothing about any file."""
        ...

    def size_of(self, place: Place, name: str) -> int | None:
        """Size in bytes of one file below a place, asked for by itself; None where no file is."""
        ...


def sizes(files: Mapping[str, FileFacts] | None) -> dict[str, int] | None:
    """What ``Mover.listing`` answers, from ``Mover.files``."""
    return None if files is None else {name: facts.size_bytes for name, facts in files.items()}


def away(place: Place) -> LocationAway:
    """The error for a place whose location cannot be seen."""
    return LocationAway(
        f"The location {place.location_name} cannot be looked at: its root is missing or empty, as that of a disk that is not mounted.",
        next_step=f"Mount it, then try again. Nothing is taken for lost because of this. If it really was emptied: als copy lost --at "
        f"{place.location_name}",
    )
