"""What the real SciCat would say to a request body: its own published request models, and two rules that those lack.

Here: checks for tests only. Not here: the platform's rules.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from als_assets.catalogue.clean import is_email

# Of scicat_sdk_py.models, which take seconds to import: every worker of the suite imports this file, and few use it.
_V3 = {
    "raw": "create_raw_dataset_obsolete_dto:CreateRawDatasetObsoleteDto",
    "derived": "create_derived_dataset_obsolete_dto:CreateDerivedDatasetObsoleteDto",
}
_V3_PATCH = {
    "raw": "partial_update_raw_dataset_obsolete_dto:PartialUpdateRawDatasetObsoleteDto",
    "derived": "partial_update_derived_dataset_obsolete_dto:PartialUpdateDerivedDatasetObsoleteDto",
}
_FILES = "create_dataset_orig_datablock_dto:CreateDatasetOrigDatablockDto"
_ATTACHMENT = {"v3": "create_attachment_v3_dto:CreateAttachmentV3Dto", "v4": "create_attachment_v4_dto:CreateAttachmentV4Dto"}
_DATABLOCK = "create_dataset_datablock_dto:CreateDatasetDatablockDto"
_LIFECYCLE = "partial_update_dataset_lifecycle_dto:PartialUpdateDatasetLifecycleDto"
# The generated classes hold fields of both types; what v3 refuses is written down here from measurements.
_REFUSED = {
    "raw": {"investigator", "inputDatasets", "usedSoftware", "jobParameters", "jobLogData"},
    "derived": {"sampleId", "instrumentId", "creationLocation", "principalInvestigator"},
}


def _accept(model: str, body: dict[str, Any]) -> None:
    read = resolve_name(f"scicat_sdk_py.models.{model}").from_dict(body)
    unknown = body.keys() - read.to_dict().keys()
    assert not unknown, f"unknown properties {unknown}"


def accept_dataset(body: dict[str, Any]) -> None:
    kind = body["type"]
    _accept(_V3[kind], body)
    assert not body.keys() & _REFUSED[kind]
    assert not body.keys() & {"size", "numberOfFiles", "packedSize", "numberOfFilesArchived"}, "the server sums sizes itself"
    assert body["datasetName"]
    assert all(is_email(part.strip()) for part in body["contactEmail"].split(";"))
    assert None not in body.get("scientificMetadata", {}).values()


def accept_patch(kind: str, body: dict[str, Any]) -> None:
    _accept(_V3_PATCH[kind], body)
    assert not body.keys() & {"pid", "type", "size", "numberOfFiles"}
    assert None not in body.get("scientificMetadata", {}).values()


def accept_files(body: dict[str, Any]) -> None:
    _accept(_FILES, body)
    assert body["size"] == sum(file["size"] for file in body["dataFileList"])


def accept_attachment(body: dict[str, Any], version: str) -> None:
    _accept(_ATTACHMENT[version], body)


def accept_datablock(body: dict[str, Any]) -> None:
    _accept(_DATABLOCK, body)


def accept_lifecycle(body: dict[str, Any]) -> None:
    _accept(_LIFECYCLE, body)
