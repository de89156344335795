"""What the tests of SciCat share: a record, a file list, and the way to a record. Here: values. Not here: fixtures or tests."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

TIME = "2026-11-22T10:00:00.000Z"
RAW: dict[str, Any] = {
    "pid": "als/scan-1",
    "type": "raw",
    "owner": "Jane",
    "ownerGroup": "ALS-12345",
    "accessGroups": ["ingestor"],
    "contactEmail": "jane@lbl.gov",
    "sourceFolder": "/data/raw",
    "creationTime": TIME,
    "principalInvestigator": "Jane",
    "creationLocation": "8.3.2",
    "datasetName": "scan-1",
}
BLOCK = {"size": 12, "dataFileList": [{"path": "f.h5", "size": 12, "time": TIME}]}


def pid_path(pid: str = "als/scan-1", below: str = "", version: str = "v3") -> str:
    return f"/{version}/datasets/{quote(pid, safe='')}{below}"
