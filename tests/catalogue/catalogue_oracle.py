"""What the real SciCat would say to a request body: its own published request models, and two rules that those lack.

Here: checks for tests only. Not here: the platform's rules.
"""

from __future__ import annotations

from typing import Any

from scicat_sdk_py.models.create_attachment_v3_dto import CreateAttachmentV3Dto
from scicat_sdk_py.models.create_attachment_v4_dto import CreateAttachmentV4Dto
from scicat_sdk_py.models.create_dataset_datablock_dto import CreateDatasetDatablockDto
from scicat_sdk_py.models.create_dataset_orig_datablock_dto import CreateDatasetOrigDatablockDto
from scicat_sdk_py.models.create_derived_dataset_obsolete_dto import CreateDerivedDatasetObsoleteDto
from scicat_sdk_py.models.create_raw_dataset_obsolete_dto import CreateRawDatasetObsoleteDto
from scicat_sdk_py.models.partial_update_dataset_lifecycle_dto import PartialUpdateDatasetLifecycleDto
from scicat_sdk_py.models.partial_update_derived_dataset_obsolete_dto import PartialUpdateDerivedDatasetObsoleteDto
from scicat_sdk_py.models.partial_update_raw_dataset_obsolete_dto import PartialUpdateRawDatasetObsoleteDto

from als_assets.catalogue.clean import is_email

_V3 = {"raw": CreateRawDatasetObsoleteDto, "derived": CreateDerivedDatasetObsoleteDto}
_V3_PATCH = {"raw": PartialUpdateRawDatasetObsoleteDto, "derived": PartialUpdateDerivedDatasetObsoleteDto}
# The generated classes hold fields of both types; what v3 refuses is written down here from measurements.
_REFUSED = {
    "raw": {"investigator", "inputDatasets", "usedSoftware", "jobParameters", "jobLogData"},
    "derived": {"sampleId", "instrumentId", "creationLocation", "principalInvestigator"},
}


def _accept(model: Any, body: dict[str, Any]) -> None:
    read = model.from_dict(body)
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
    _accept(CreateDatasetOrigDatablockDto, body)
    assert body["size"] == sum(file["size"] for file in body["dataFileList"])


def accept_attachment(body: dict[str, Any], version: str) -> None:
    _accept(CreateAttachmentV4Dto if version == "v4" else CreateAttachmentV3Dto, body)


def accept_datablock(body: dict[str, Any]) -> None:
    _accept(CreateDatasetDatablockDto, body)


def accept_lifecycle(body: dict[str, Any]) -> None:
    _accept(PartialUpdateDatasetLifecycleDto, body)
