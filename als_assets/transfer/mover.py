"""What a mover is: something that copies and deletes bytes between locations and can be asked what became of it.

Here: the protocol and its values. Not here: any particular mover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from als_assets.facility.places import Place


class TaskState(StrEnum):
    """What a mover says of a task, in our words. Anything unheard-of is UNKNOWN, and UNKNOWN is red."""

    QUEUED = "queued"
    ACTIVE = "active"
    DAMAGED = "damaged"  # checksums keep disagreeing
    HOPELESS = "hopeless"  # the mover would go on trying for a day: the source is missing, or access is denied
    NEEDS_PERSON = "needs person"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TaskView:
    """A look at one task. ``sentence`` is for staff; ``facts`` are the mover's own numbers and last events."""

    state: TaskState
    sentence: str
    facts: Mapping[str, Any]
    link: str = ""


@dataclass(frozen=True)
class TransferRequest:
    """A copy from one place to another; ``sha256`` (of a single file) is what the destination must have."""

    dataset_key: str
    source: Place
    destination: Place
    is_directory: bool
    label: str
    sha256: str | None = None


@dataclass(frozen=True)
class DeleteRequest:
    dataset_key: str
    place: Place
    is_directory: bool
    label: str


class Mover(Protocol):
    """A mover. ``prepare`` returns what must be on record before the first request (for Globus the submission id); ``start_*``
    with the same preparation twice starts one task."""

    poll_s: float

    def prepare(self) -> dict[str, Any]: ...

    def start_transfer(self, request: TransferRequest, prepared: Mapping[str, Any]) -> dict[str, Any]: ...

    def start_delete(self, request: DeleteRequest, prepared: Mapping[str, Any]) -> dict[str, Any]: ...

    def look(self, handle: Mapping[str, Any]) -> TaskView: ...

    def cancel(self, handle: Mapping[str, Any]) -> None: ...

    def listing(self, place: Place) -> dict[str, int] | None:
        """Files at a place: relative path -> size in bytes ("" -> size for a single file); None where nothing is there."""
        ...
