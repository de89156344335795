"""What SciCat accepts: the properties of each record, which of them are mandatory, and the words of a refusal.

Here: pure checks of request bodies. Not here: rights and storage.
"""

from __future__ import annotations

import re
from typing import Any

from als_assets.simulator import clock
from als_assets.simulator.store import Doc

Problems = dict[str, dict[str, str]]
"""Constraint sentences by property."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _names(
    "pid owner ownerEmail orcidOfOwner contactEmail sourceFolder sourceFolderHost size packedSize numberOfFiles "
    "numberOfFilesArchived creationTime type validationStatus keywords description datasetName classification license "
    "isPublished techniques sharedWith relationships datasetlifecycle scientificMetadata comment dataQualityMetrics "
    "ownerGroup accessGroups instrumentGroup proposalId runNumber version"
)
RAW = _COMMON | {"instrumentId", "principalInvestigator", "endTime", "creationLocation", "dataFormat", "sampleId"}
DERIVED = _COMMON | {"investigator", "inputDatasets", "usedSoftware", "jobParameters", "jobLogData"}
V4 = (_COMMON - {"proposalId"}) | _names(
    "principalInvestigators proposalIds sampleIds instrumentIds inputDatasets usedSoftware jobParameters jobLogData "
    "creationLocation dataFormat startTime endTime scientificMetadataSchema scientificMetadataValid"
)
LIFECYCLE = _names(
    "archivable retrievable publishable dateOfDiskPurging archiveRetentionTime dateOfPublishing publishedOn isOnCentralDisk "
    "archiveReturnMessage archiveStatusMessage retrieveReturnMessage retrieveStatusMessage exportedTo retrieveIntegrityCheck "
    "storageLocation"
)
_FLAGS = _names("archivable retrievable publishable isOnCentralDisk retrieveIntegrityCheck")
_LIFECYCLE_DATES = _names("dateOfDiskPurging archiveRetentionTime dateOfPublishing publishedOn")
_BASE = ("type", "owner", "ownerGroup", "contactEmail", "sourceFolder", "creationTime")
_RAW_NEEDS = (*_BASE, "principalInvestigator", "creationLocation")
_DERIVED_NEEDS = (*_BASE, "investigator", "inputDatasets", "usedSoftware")
_V4_NEEDS = ("type", "datasetName", "ownerGroup", "contactEmail", "sourceFolder", "creationTime")

_LISTS = _names(
    "keywords accessGroups techniques sharedWith relationships inputDatasets usedSoftware principalInvestigators proposalIds "
    "sampleIds instrumentIds"
)
_NUMBERS = frozenset({"size", "packedSize", "numberOfFiles", "numberOfFilesArchived"})
_OBJECTS = frozenset({"scientificMetadata", "datasetlifecycle", "jobParameters"})
_DATES = frozenset({"creationTime", "endTime", "startTime"})
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;.]+(\.[^@\s,;.]+)*\.[A-Za-z]{2,}")


def new_dataset(body: Doc, *, v4: bool, old: bool = False) -> Problems:
    """Problems of a dataset to be created; ``old``: to backend 4.27, which takes an empty group."""
    problems = _new_dataset(body, v4)
    if body.get("ownerGroup") == "" and not old:
        problems["ownerGroup"] = {"isNotEmpty": "ownerGroup should not be empty"}
    return problems


def _new_dataset(body: Doc, v4: bool) -> Problems:
    if v4:
        return _check(body, V4, _V4_NEEDS)
    if body.get("type") not in ("raw", "derived"):
        return {"type": {"isEnum": "type must be one of the following values: raw, derived"}}
    derived = body["type"] == "derived"
    return _check(body, DERIVED if derived else RAW, _DERIVED_NEEDS if derived else _RAW_NEEDS)


def changed_dataset(body: Doc, *, v4: bool) -> Problems:
    """Problems of a PATCH: type and pid cannot be changed, all else is optional."""
    return _check(body, (V4 if v4 else RAW | DERIVED) - {"pid", "type"}, ())


def changed_lifecycle(body: Doc) -> list[str]:
    """Sentences about a PATCH of a lifecycle."""
    words = [f"property {key} should not exist" for key in body if key not in LIFECYCLE]
    words += [f"{key} must be a boolean value" for key in body if key in _FLAGS and not isinstance(body[key], bool)]
    dates = [key for key in body if key in _LIFECYCLE_DATES and not is_date(body[key])]
    return words + [f"{key} must be a valid ISO 8601 date string" for key in dates]


def _check(body: Doc, allowed: frozenset[str], needed: tuple[str, ...]) -> Problems:
    problems: Problems = {}
    for key in body:
        if key not in allowed:
            problems[key] = {"whitelistValidation": f"property {key} should not exist"}
    for key in (*needed, *(key for key in body if key not in needed)):
        if key not in problems and (key in needed or body[key] is not None):
            problems.update(_check_value(key, body.get(key)))
    return problems


def _check_value(key: str, value: Any) -> Problems:
    if key == "contactEmail" and not is_email_list(value):
        return {key: {"customEmailList": f"Expected an email or a list of semicolon separated emails, got {value}"}}
    if key in _DATES and not is_date(value):
        return {key: {"isDateString": f"{key} must be a valid ISO 8601 date string"}}
    if key in _LISTS and not isinstance(value, list):
        return {key: {"isArray": f"{key} must be an array"}}
    if key == "techniques" and any(not isinstance(item, dict) or {"pid", "name"} - item.keys() for item in value):
        return {key: {"nestedValidation": "each value in techniques must have a pid and a name"}}
    if key in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int)):
        return {key: {"isInt": f"{key} must be an integer number"}}
    if key in _OBJECTS and not isinstance(value, dict):
        return {key: {"isObject": f"{key} must be an object"}}
    if key == "isPublished" and not isinstance(value, bool):
        return {key: {"isBoolean": f"{key} must be a boolean value"}}
    free = {*_LISTS, *_NUMBERS, *_OBJECTS, *_DATES, "isPublished", "dataQualityMetrics", "scientificMetadataValid"}
    if key not in free and not isinstance(value, str):
        return {key: {"isString": f"{key} must be a string"}}
    return {}


def is_date(value: object) -> bool:
    """Whether ``value`` is an ISO 8601 date or time."""
    if not isinstance(value, str):
        return False
    try:
        clock.parse(value)
    except ValueError:
        return False
    return True


def is_email_list(value: object) -> bool:
    """One address or several with semicolons between; commas and domains without a dot are refused."""
    return isinstance(value, str) and all(_EMAIL.fullmatch(part.strip()) for part in value.split(";"))


def new_block(body: Doc, *, original: bool, v4: bool) -> list[str]:
    """Sentences about an origdatablock (``original``) or a datablock to be created."""
    allowed = {"size", "dataFileList", "chkAlg"} | (set() if original else {"archiveId", "packedSize", "version"})
    # In v3 the dataset is in the path, and naming it (or its groups) again is refused.
    allowed |= {"datasetId", "ownerGroup", "accessGroups", "instrumentGroup", "isPublished"} if v4 else set()
    words = [f"property {key} should not exist" for key in body if key not in allowed]
    if not isinstance(body.get("size"), int):
        words.append("size must be an integer number")
    if not original:
        words += [f"{key} must be a string" for key in ("archiveId", "version") if not isinstance(body.get(key), str)]
        words += [] if isinstance(body.get("packedSize"), int) else ["packedSize must be an integer number"]
    if "chkAlg" in body and not isinstance(body["chkAlg"], str):
        words.append("chkAlg must be a string")
    files = body.get("dataFileList")
    if not isinstance(files, list) or not files:
        return [*words, "dataFileList should not be empty"]
    return words + [word for number, file in enumerate(files) for word in _file(number, file)]


def _file(number: int, file: Doc) -> list[str]:
    where = f"dataFileList.{number}"
    words = [] if isinstance(file.get("path"), str) and file["path"] else [f"{where}.path should not be empty"]
    words += [] if isinstance(file.get("size"), int) else [f"{where}.size must be an integer number"]
    words += [] if is_date(file.get("time")) else [f"{where}.time must be a valid ISO 8601 date string"]
    return words


def new_attachment(body: Doc, *, v4: bool) -> list[str]:
    """Sentences about an attachment to be created."""
    allowed = {"caption", "thumbnail", "ownerGroup", "accessGroups", "isPublished", "instrumentGroup"}
    allowed |= {"aid", "relationships"} if v4 else {"id", "datasetId", "proposalId", "sampleId"}
    words = [f"property {key} should not exist" for key in body if key not in allowed]
    words += [f"{key} must be a string" for key in ("caption", "ownerGroup") if not isinstance(body.get(key), str)]
    if v4 and not isinstance(body.get("isPublished"), bool):
        words.append("isPublished must be a boolean value")
    return words
