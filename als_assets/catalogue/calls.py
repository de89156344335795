"""The requests about one dataset record: itself, its lifecycle, its file lists, archive blocks and pictures.

Here: routes, bodies and which of them may be repeated. Not here: login, retries and the export gate (``client``), and what to do
when something is there already (``ensure``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from als_assets.catalogue.client import CatalogueClient
from als_assets.catalogue.model import Json, moment
from als_assets.errors import CatalogueRefused, ServiceUnreachable

_MOST_PICTURES = 1000


class DatasetCalls:
    """The requests of ``client`` about the record ``pid``, which is about the scan ``dataset_key``.

    Every method raises what ``CatalogueClient.request`` raises.
    """

    def __init__(self, client: CatalogueClient, dataset_key: str, pid: str) -> None:
        self._client = client
        self._key = dataset_key
        self.pid = pid
        self._path = f"datasets/{quote(pid, safe='')}"

    def create(self, body: Json) -> Json:
        """Create the record; repeated on outages, because its pid makes a second creation a conflict."""
        answer = self._client.request("POST", "datasets", f"create the record {self.pid}", dataset_key=self._key, body=body, creating=True)
        if not isinstance(answer, dict) or answer.get("pid") != self.pid:
            raise ServiceUnreachable(
                f"SciCat answered the creation of {self.pid} with something else than the record",
                next_step="Check that the configured address is SciCat's API and that the account may give its own identifiers",
            )
        return answer

    def get(self) -> Json | None:
        """The record, None where SciCat has none (and knows who is asking)."""
        found: Json | None = self._read(self._path, f"show the record {self.pid}")
        return found

    def patch(self, changes: Json, *, unmodified_since: object = None) -> None:
        """Replace single fields (v3: it keeps sizes on every version).

        ``unmodified_since`` is the record's ``updatedAt`` as it was read: CatalogueConflict (412) where somebody changed it since.
        """
        action = f"change the record {self.pid}"
        headers = _unmodified(unmodified_since)
        self._client.request("PATCH", self._path, action, dataset_key=self._key, body=changes, headers=headers)

    def patch_lifecycle(self, changes: Json) -> None:
        """Change single fields of the lifecycle by its own route, which keeps the others (a PATCH of the record resets them)."""
        action = f"change the lifecycle of {self.pid}"
        self._client.request("PATCH", f"{self._path}/datasetlifecycle", action, dataset_key=self._key, body=changes)

    def delete(self) -> None:
        """Delete the record itself; file lists and pictures would stay behind. Only for the test record of ``als scicat check``."""
        self._client.request("DELETE", self._path, f"delete the record {self.pid}", dataset_key=self._key)

    def origdatablocks(self) -> list[Json]:
        """The file lists of the record."""
        return list(self._read(f"{self._path}/origdatablocks", f"list the files of {self.pid}") or [])

    def add_origdatablock(self, body: Json) -> None:
        """Add a file list; not repeated, because SciCat would count the files twice."""
        self._client.request(
            "POST", f"{self._path}/origdatablocks", f"add files to {self.pid}", dataset_key=self._key, body=body, repeat=False
        )

    def datablocks(self) -> list[Json]:
        """The archived copies of the record."""
        return list(self._read(f"{self._path}/datablocks", f"list the archive blocks of {self.pid}") or [])

    def add_datablock(self, body: Json) -> None:
        """Add an archived copy; its archiveId can be there only once."""
        action = f"add an archive block to {self.pid}"
        self._client.request("POST", f"{self._path}/datablocks", action, dataset_key=self._key, body=body, repeat=False)

    def attachments(self) -> list[Json]:
        """Identifier and caption of every picture: from v4, or the newest ten by the older route where v4 shows none."""
        query = {"where": {"relationships.targetId": self.pid}, "fields": ["aid", "caption"], "limits": {"limit": _MOST_PICTURES}}
        action, found = f"list the pictures of {self.pid}", None
        with suppress(CatalogueRefused):
            params = {"filter": json.dumps(query)}
            found = self._client.request("GET", "attachments", action, version="v4", dataset_key=self._key, params=params)
        return list(found or self._read(f"{self._path}/attachments", action) or [])

    def add_attachment(self, attachment_id: str, body: Json) -> None:
        """Add a picture under its own identifier (v4), which a second one with the same identifier cannot do. Where the account lacks the
        right to that, by the older route, for which the right to create datasets is enough and SciCat makes up an identifier."""
        action = f"add a picture to {self.pid}"
        if self._client.names_pictures:
            relation = {"targetId": self.pid, "targetType": "dataset", "relationType": "is attached to"}
            full = {**body, "aid": attachment_id, "isPublished": False, "relationships": [relation]}
            try:
                self._client.request("POST", "attachments", action, version="v4", dataset_key=self._key, body=full, repeat=False)
                return
            except CatalogueRefused as refused:
                if refused.details.get("status") not in (403, 404):
                    raise
                self._client.names_pictures = False
        self._client.request("POST", f"{self._path}/attachments", action, dataset_key=self._key, body=body, repeat=False)

    def _read(self, path: str, action: str) -> Any:
        answer = self._client.request("GET", path, action, dataset_key=self._key)
        if not answer and not self._client.trust_empty():
            answer = self._client.request("GET", path, action, dataset_key=self._key)
        return answer


def file_list(entries: Sequence[Json], algorithm: str | None) -> Json:
    """The body of an origdatablock; the algorithm is text (pyscicat's model wants a number, which SciCat refuses)."""
    body: Json = {"size": sum(entry["size"] for entry in entries), "dataFileList": list(entries)}
    return {**body, "chkAlg": algorithm} if algorithm else body


def _unmodified(since: object) -> dict[str, str] | None:
    """The header takes whole seconds, and SciCat keeps milliseconds: the next second is the earliest that is not refused for nothing."""
    known = moment(since)
    if known is None:
        return None
    return {"If-Unmodified-Since": format_datetime(known.replace(microsecond=0) + timedelta(seconds=1), usegmt=True)}
