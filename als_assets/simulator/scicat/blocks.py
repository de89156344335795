"""What hangs below a SciCat dataset: origdatablocks, datablocks and attachments.

Here: their routes in versions 3 and 4, and what they do to the dataset's sizes. Not here: the dataset itself.
"""

from __future__ import annotations

import uuid
from functools import partial
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import ScicatConfig
from als_assets.simulator.scicat import rules, search
from als_assets.simulator.scicat.auth import Principal, RawError, ScicatAuth, ScicatError
from als_assets.simulator.scicat.datasets import DATASET, Datasets
from als_assets.simulator.scicat.shape import has_null, with_ids
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

ORIG, BLOCK, ATTACHMENT = "scicat_orig", "scicat_block", "scicat_attachment"
_MOST = 100
_NEWEST = 10


class Blocks:
    """The routes of everything that belongs to a dataset."""

    def __init__(self, config: ScicatConfig, store: Store, auth: ScicatAuth, datasets: Datasets) -> None:
        self._store, self._auth, self._datasets = store, auth, datasets
        self._old = config.personality == "4.27"

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        one = "/api/v3/datasets/{pid}"
        found: list[BaseRoute] = []
        for name, kind in (("origdatablocks", ORIG), ("datablocks", BLOCK), ("attachments", ATTACHMENT)):
            found += [
                route(f"{one}/{name}", partial(self._list, kind)),
                route(f"{one}/{name}", partial(self._create, kind), "POST"),
                route(f"{one}/{name}/{{id}}", partial(self._remove, kind), "DELETE"),
            ]
        return [
            *found,
            route(f"{one}/thumbnail", self._thumbnail),
            route("/api/v4/origdatablocks", partial(self._create, ORIG), "POST"),
            route("/api/v4/origdatablocks", self._search_blocks),
            route("/api/v4/attachments", self._create_attachment_v4, "POST"),
            route("/api/v4/attachments", self._search_attachments),
            route("/api/v4/attachments/{id}", self._show_attachment),
            route("/api/v4/attachments/{id}", self._change_attachment, "PATCH"),
        ]

    # --- read ----------------------------------------------------------------------------------------------------------

    def _list(self, kind: str, call: Call) -> Response:
        found = self._below(kind, self._datasets.read(call)["pid"])
        return reply(
            [_v3_attachment(doc) for doc in found[::-1][:_NEWEST]] if kind == ATTACHMENT else [_shown(doc) for doc in found[:_MOST]]
        )

    def _below(self, kind: str, pid: str) -> list[Doc]:
        index = self._store.get(f"{kind}_below", pid) or {"ids": []}
        found = (self._store.get(kind, identifier) for identifier in index["ids"])
        return [doc for doc in found if doc is not None and pid in doc["_datasets"]]

    def _index(self, kind: str, identifier: str, pids: list[str]) -> None:
        """What is below a dataset is found without reading everything there is."""
        for pid in pids:
            with self._store.transaction():
                index = self._store.get(f"{kind}_below", pid) or {"ids": []}
                self._store.put(f"{kind}_below", pid, {"ids": [*index["ids"], identifier]})

    def _thumbnail(self, call: Call) -> Response:
        attachments = self._below(ATTACHMENT, self._datasets.read(call)["pid"])
        thumbnails = [doc["thumbnail"] for doc in attachments if doc.get("thumbnail")]
        return reply({"thumbnail": thumbnails[0]} if thumbnails else {})

    def _search_blocks(self, call: Call) -> Response:
        return self._search(call, ORIG)

    def _search_attachments(self, call: Call) -> Response:
        return self._search(call, ATTACHMENT)

    def _search(self, call: Call, kind: str) -> Response:
        principal, query = self._auth.principal(call), search.json_parameter(call, "filter")
        found = [doc for doc in self._store.all(kind) if principal.can_read(doc)]
        found = [doc for doc in found if search.matches(doc, query.get("where") or {})]
        return reply([_shown(doc) for doc in search.page(found, query.get("limits") or query, _MOST)])

    def _show_attachment(self, call: Call) -> Response:
        principal, attachment = self._auth.principal(call), self._attachment(call)
        if not principal.can_read(attachment):
            raise ScicatError(403, "Unauthorized access")
        return reply(_shown(attachment))

    def _attachment(self, call: Call) -> Doc:
        identifier = unquote(call.param("id"))
        attachment = self._store.get(ATTACHMENT, identifier)
        if attachment is None:
            raise ScicatError(404, f"Attachment: {identifier} not found")
        return attachment

    # --- create --------------------------------------------------------------------------------------------------------

    def _create(self, kind: str, call: Call) -> Response:
        principal, body = self._auth.principal(call, writing=True), call.json()
        v4 = "pid" not in call.request.path_params
        dataset = self._parent(call, principal, body, v4=v4)
        if kind == ATTACHMENT:
            return self._create_attachment(principal, body, [dataset["pid"]], v4=False)
        if words := rules.new_block(body, original=kind == ORIG, v4=v4):
            raise ScicatError(400, words)
        return reply(_shown(self._add_block(kind, principal, dataset, body)), 201)

    def _parent(self, call: Call, principal: Principal, body: Doc, *, v4: bool) -> Doc:
        if v4:
            dataset = self._store.get(DATASET, str(body.get("datasetId")))
            if dataset is None:
                raise ScicatError(400, "Invalid datasetId")
        else:
            dataset = self._datasets.find(call)
        # Creators may add to any dataset, even to one that they cannot read.
        if not (principal.creator or principal.owns(dataset)):
            raise ScicatError(403, "Forbidden resource")
        return dataset

    def _add_block(self, kind: str, principal: Principal, dataset: Doc, body: Doc) -> Doc:
        if kind == BLOCK and any(block["archiveId"] == body["archiveId"] for block in self._store.all(BLOCK)):
            raise RawError(500, "Internal server error")
        groups = {"ownerGroup": dataset["ownerGroup"], "accessGroups": dataset["accessGroups"]}
        own = {"isPublished": False, "datasetId": dataset["pid"], "_datasets": [dataset["pid"]]}
        block = {**groups, **body, **_stamps(principal), **own, "dataFileList": with_ids(body["dataFileList"])}
        block["_id"] = block["id"] = str(uuid.uuid4())
        with self._store.transaction():
            self._store.put(kind, block["id"], block)
            self._index(kind, block["id"], block["_datasets"])
        if self._old and has_null(dataset["scientificMetadata"]):  # the block is there, the sizes are as they were
            raise RawError(500, "Internal server error")
        with self._store.transaction():
            self._count(kind, dataset["pid"], block, +1)
        return block

    def _count(self, kind: str, pid: str, block: Doc, sign: int) -> None:
        """The server sums sizes over the blocks; a size that was sent with the dataset is therefore counted twice."""
        if self._store.get(DATASET, pid) is None or kind == ATTACHMENT:
            return
        with self._store.edit(DATASET, pid) as dataset:
            size, files = ("size", "numberOfFiles") if kind == ORIG else ("packedSize", "numberOfFilesArchived")
            dataset[size] += sign * block["size" if kind == ORIG else "packedSize"]
            dataset[files] += sign * len(block["dataFileList"])

    def _create_attachment_v4(self, call: Call) -> Response:
        principal, body = self._auth.principal(call, writing=True), call.json()
        if not principal.pictures and (self._old or not principal.owns(body)):
            raise ScicatError(403, "Forbidden resource" if self._old else "Unauthorized to create this attachment")
        targets = [str(relation.get("targetId")) for relation in body.get("relationships") or []]
        return self._create_attachment(principal, body, targets, v4=True)

    def _create_attachment(self, principal: Principal, body: Doc, targets: list[str], *, v4: bool) -> Response:
        if words := rules.new_attachment(body, v4=v4):
            raise ScicatError(400, words)
        identifier = str(body.get("aid") or uuid.uuid4())  # the older route has no way to name one
        relations = [{"targetId": pid, "targetType": "dataset", "relationType": "is attached to"} for pid in targets]
        defaults = {"accessGroups": [], "isPublished": False, "thumbnail": "", "relationships": relations, "_datasets": targets}
        attachment = {**defaults, **body, **_stamps(principal), "aid": identifier, "id": identifier, "_id": identifier}
        if not self._store.insert(ATTACHMENT, identifier, attachment):
            raise RawError(500, "Internal server error")
        self._index(ATTACHMENT, identifier, targets)
        return reply(_shown(attachment) if v4 else _v3_attachment(attachment), 201)

    # --- change and remove ---------------------------------------------------------------------------------------------

    def _change_attachment(self, call: Call) -> Response:
        principal, attachment = self._auth.principal(call, writing=True), self._attachment(call)
        if not (principal.creator or principal.owns(attachment)):
            raise ScicatError(403, "Forbidden resource")
        body = call.json()
        if words := rules.new_attachment({**_needed(attachment), **body}, v4=True):
            raise ScicatError(400, words)
        with self._store.edit(ATTACHMENT, attachment["aid"]) as record:
            record.update(body, updatedAt=clock.iso_millis(), updatedBy=principal.name)
            if "relationships" in body:
                record["_datasets"] = [str(relation.get("targetId")) for relation in body["relationships"]]
        return reply(_shown(record))

    def _remove(self, kind: str, call: Call) -> Response:
        principal = self._auth.principal(call, writing=True)
        identifier, pid = unquote(call.param("id")), unquote(call.param("pid"))
        doc = self._store.get(kind, identifier)
        if doc is None or pid not in doc["_datasets"]:
            raise ScicatError(404, f"{identifier} not found")
        if not (principal.deleter or principal.owns(doc)):
            raise ScicatError(403, "Forbidden resource")
        with self._store.transaction():
            self._store.drop(kind, identifier)
            self._count(kind, pid, doc, -1)
        return reply(_shown(doc))


def _needed(attachment: Doc) -> Doc:
    """The mandatory fields of an attachment as they are, so that a partial change is checked as a whole."""
    return {key: attachment[key] for key in ("caption", "ownerGroup", "isPublished")}


def _stamps(principal: Principal) -> Doc:
    moment = clock.iso_millis()
    return {"createdBy": principal.name, "updatedBy": principal.name, "createdAt": moment, "updatedAt": moment}


def _v3_attachment(doc: Doc) -> Doc:
    """An attachment as version 3 shows it: one dataset, and no identifier of its own but the database's."""
    return {**{key: value for key, value in _shown(doc).items() if key not in ("aid", "relationships")}, "datasetId": doc["_datasets"][0]}


def _shown(doc: Doc) -> Doc:
    return {key: value for key, value in doc.items() if key != "_datasets"}
