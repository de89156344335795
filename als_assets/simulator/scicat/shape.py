"""What a SciCat dataset looks like in the database, and how it is given out.

Here: pure functions over records. Not here: rights, storage, and what a body may hold (``rules``).
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from als_assets.simulator import clock
from als_assets.simulator.scicat.units import with_si
from als_assets.simulator.store import Doc

_PAIRS = {
    "proposalId": "proposalIds",
    "sampleId": "sampleIds",
    "instrumentId": "instrumentIds",
    "principalInvestigator": "principalInvestigators",
}
_KEPT_IN_KEYS = "!'()*~-_"


def new(body: Doc, creator: str | None) -> Doc:
    """A dataset as the backend creates it from a body that it accepted."""
    pid, moment = body.get("pid") or f"20.500.12345/{uuid.uuid4()}", clock.iso_millis()
    counts = dict.fromkeys(("size", "packedSize", "numberOfFiles", "numberOfFilesArchived"), 0)
    lists: Doc = {key: [] for key in ("accessGroups", "keywords", "techniques", "sharedWith", "relationships")}
    return {
        **counts,
        **lists,
        "isPublished": False,
        "classification": "IN=medium,AV=low,CO=low",
        **body,
        "scientificMetadata": with_si(body.get("scientificMetadata") or {}),
        **pairs_of(body),
        "pid": pid,
        "_id": pid,
        "techniques": with_ids(body.get("techniques") or []),
        "datasetlifecycle": {**new_lifecycle(), **body.get("datasetlifecycle", {})},
        "version": "3",
        "createdBy": creator,
        "updatedBy": creator,
        "createdAt": moment,
        "updatedAt": moment,
    }


def pairs_of(body: Doc) -> Doc:
    """Version 3 has one proposal, sample, instrument and investigator, version 4 lists of them; both are kept."""
    pairs: Doc = {}
    if "investigator" in body:
        body = {**body, "principalInvestigator": body["investigator"]}
        pairs["principalInvestigator"] = body["investigator"]
    for one, many in _PAIRS.items():
        if one in body:
            pairs[many] = [body[one]]
        elif body.get(many):
            pairs[one] = body[many][0]
    return pairs


def new_lifecycle() -> Doc:
    """The lifecycle of a dataset that nobody said anything about."""
    moment = clock.iso_millis()
    return {
        "archivable": True,
        "retrievable": False,
        "publishable": False,
        "isOnCentralDisk": True,
        "archiveStatusMessage": "datasetCreated",
        "retrieveStatusMessage": "",
        "retrieveIntegrityCheck": False,
        "dateOfDiskPurging": moment,
        "archiveRetentionTime": moment,
        "dateOfPublishing": moment,
        "publishedOn": moment,
    }


def has_null(metadata: Doc) -> bool:
    """Whether a value at its top is null, which the backend does not survive."""
    return None in metadata.values()


def with_ids(items: list[Doc]) -> list[Doc]:
    """The items as the database keeps them, each with an identifier."""
    return [{**item, "_id": uuid.uuid4().hex[:24]} for item in items]


def shown(doc: Doc, *, v4: bool = True) -> Doc:
    """A record as it is given out; version 3 shows the investigator of a result only as its principalInvestigator."""
    return {key: value for key, value in doc.items() if key != "_datasets" and (v4 or key != "investigator")}


def encoded(metadata: Any) -> Any:
    """The metadata with every key as the database keeps it: URL-encoded, dots included, at any depth of objects."""
    if not isinstance(metadata, dict):
        return metadata
    return {quote(str(key), safe=_KEPT_IN_KEYS).replace(".", "%2E"): encoded(value) for key, value in metadata.items()}
