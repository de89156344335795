"""What a catalogue record consists of, and its identifier.

Here: the plain parts of a record and the deterministic pid. Not here: how fields are filled (``records``) or sent
(``client``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Literal

from pyscicat.model import Dataset

Json = dict[str, Any]

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://als.lbl.gov/als-assets")
INGEST = "ingest"
"""The key of scientificMetadata that says which ingest created the record; never compared, never changed."""
LOCATIONS = "locations"
"""The key of scientificMetadata that lists the copies; set at creation, afterwards only by ``lifecycle``."""


@dataclass(frozen=True)
class Issue:
    """One thing that is not as it should be. A warning is listed with the record; an error keeps it from being written."""

    severity: Literal["warning", "error"]
    field: str
    sentence: str


def warn(issues: list[Issue], field: str, sentence: str) -> None:
    """List something odd that keeps nothing from being written."""
    issues.append(Issue("warning", field, sentence))


@dataclass(frozen=True)
class FileEntry:
    """A file (or the root folder of a store) of a dataset; ``path`` is relative to the dataset's source folder."""

    path: str
    size_bytes: int
    modified_at: datetime
    sha256: str | None = None


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a dataset."""

    caption: str
    mime: str
    content: bytes = field(repr=False)

    @property
    def uri(self) -> str:
        """The picture as the data URI that SciCat stores."""
        return f"data:{self.mime};base64,{base64.b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True)
class Copy:
    """Where a copy of the dataset is, in which state, and when that was last checked."""

    site: str
    path: str
    state: str
    checked_at: datetime


@dataclass(frozen=True)
class Record:
    """One dataset of the catalogue, ready to be written unless ``errors`` says otherwise.

    ``dataset_key`` is the scan the record is about (the export gate is asked with it); ``file_blocks`` become one
    origdatablock each.
    """

    pid: str
    dataset_key: str
    dataset: Dataset
    file_blocks: tuple[tuple[FileEntry, ...], ...]
    thumbnails: tuple[Thumbnail, ...] = ()
    issues: tuple[Issue, ...] = ()

    @property
    def errors(self) -> tuple[Issue, ...]:
        """The issues that keep the record from being written."""
        return tuple(issue for issue in self.issues if issue.severity == "error")

    @property
    def warnings(self) -> tuple[Issue, ...]:
        """The issues that are only listed."""
        return tuple(issue for issue in self.issues if issue.severity == "warning")

    def body(self) -> Json:
        """The dataset as SciCat's JSON, without the fields that are not set."""
        fields: Json = self.dataset.model_dump(mode="json")
        return {name: _encodable(value) for name, value in fields.items() if value is not None}

    def attachment_id(self, thumbnail: Thumbnail) -> str:
        """The identifier of a thumbnail: the same one for the same caption, so that it can be added only once."""
        return str(_uuid(f"attachment|{self.pid}|{thumbnail.caption}"))


def location_rows(copies: Sequence[Copy]) -> list[Json]:
    """Copies as they are written into a record."""
    return [{"site": c.site, "path": c.path, "state": c.state, "checked_at": iso(c.checked_at)} for c in copies]


def raw_pid(prefix: str, beamline: str, relative_path: PurePosixPath) -> str:
    """The identifier of a scan's raw record: the same for the same file of the same beamline, for ever."""
    return f"{prefix}/{_uuid(f'raw|{beamline}|{relative_path}')}"


def derived_pid(prefix: str, input_pid: str, kind: str, parameters: Mapping[str, Any]) -> str:
    """The identifier of a product of ``input_pid``: another one for other parameters."""
    return f"{prefix}/{_uuid(f'derived|{input_pid}|{kind}|{parameters_digest(parameters)}')}"


def parameters_digest(parameters: Mapping[str, Any]) -> str:
    """SHA-256 over the parameters as canonical JSON (already cleaned: no NaN)."""
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def encodable(text: str) -> str:
    """The text as it can be sent: names on disks may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return {name: _encodable(item) for name, item in value.items()} if isinstance(value, dict) else value


def _uuid(text: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, text.encode("utf-8", "backslashreplace").decode("utf-8"))


def iso(time: datetime) -> str:
    """A time as SciCat gives it back: UTC, milliseconds, Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(value: object) -> datetime | None:
    """A time that SciCat gave, in UTC and to the millisecond (which is what it keeps); None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
