"""A record as JSON that waits in the outbox, and back: everything that is sent, pictures included.

Here: the two directions. Not here: what a record says, and the outbox itself.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from pyscicat.model import Dataset, RawDataset

from als_assets.catalogue.model import FileEntry, Issue, Json, Record, Thumbnail
from als_assets.catalogue.records import DerivedWithProposal


def to_json(record: Record) -> Json:
    """The record as JSON; ``from_json`` gives an equal one."""
    return {
        "pid": record.pid,
        "dataset_key": record.dataset_key,
        "dataset": record.body(),
        "file_blocks": [[_file(entry) for entry in block] for block in record.file_blocks],
        "thumbnails": [
            {"caption": t.caption, "mime": t.mime, "content": base64.b64encode(t.content).decode("ascii")} for t in record.thumbnails
        ],
        "issues": [{"severity": i.severity, "field": i.field, "sentence": i.sentence} for i in record.issues],
    }


def from_json(body: Json) -> Record:
    """The record that ``to_json`` wrote."""
    return Record(
        body["pid"],
        body["dataset_key"],
        _dataset(body["dataset"]),
        tuple(tuple(_entry(item) for item in block) for block in body["file_blocks"]),
        tuple(Thumbnail(t["caption"], t["mime"], base64.b64decode(t["content"])) for t in body["thumbnails"]),
        tuple(Issue(**item) for item in body["issues"]),
    )


def _dataset(fields: dict[str, Any]) -> Dataset:
    return (DerivedWithProposal if fields["type"] == "derived" else RawDataset)(**fields)


def _file(entry: FileEntry) -> Json:
    return {"path": entry.path, "size": entry.size_bytes, "time": entry.modified_at.isoformat(), "sha256": entry.sha256}


def _entry(item: Json) -> FileEntry:
    return FileEntry(item["path"], item["size"], datetime.fromisoformat(item["time"]), item["sha256"])
