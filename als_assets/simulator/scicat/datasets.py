"""SciCat's datasets: create, find, change, lifecycle, delete; versions 3 and 4.

Here: the routes, the rights and the known habits of backends 4.27 and 5.2. Not here: what a body may hold (``rules``), and the
blocks and attachments below a dataset (``blocks``).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import ScicatConfig
from als_assets.simulator.faults import FaultBook, FaultRule
from als_assets.simulator.scicat import rules, search, shape
from als_assets.simulator.scicat.auth import RawError, ScicatAuth, ScicatError
from als_assets.simulator.scicat.units import with_si
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

DATASET = "scicat_dataset"
_MOST_BYTES = 16 << 20


class Datasets:
    """The routes below /api/v3/datasets and /api/v4/datasets."""

    def __init__(self, config: ScicatConfig, store: Store, auth: ScicatAuth, faults: FaultBook) -> None:
        self._store, self._auth, self._faults = store, auth, faults
        self._old, self._pid_pattern = config.personality == "4.27", config.pid_pattern

    def routes(self, base: str) -> list[BaseRoute]:
        """All routes of this class below ``base`` (/api/v3 or /api/v4)."""
        one = f"{base}/datasets/{{pid}}"
        return [
            route(f"{base}/datasets/isValid", self._is_valid, "POST"),
            route(f"{base}/datasets", self._create, "POST"),
            route(f"{base}/datasets", self._list),
            route(f"{base}/datasets/fullquery", self._full_query),
            route(f"{base}/datasets/count", self._count),
            route(f"{base}/datasets/findOne", self._find_one),
            route(f"{one}/datasetlifecycle", self._lifecycle, "GET", "PATCH"),
            route(one, self._show),
            route(one, self._change, "PATCH"),
            route(one, self._delete, "DELETE"),
        ]

    def find(self, call: Call, words: str = "dataset: {pid} not found") -> Doc:
        """The dataset in the path, readable or not. Raises ``ScicatError`` 404 with these words."""
        pid = unquote(call.param("pid"))
        dataset = self._store.get(DATASET, pid)
        if dataset is None:
            raise ScicatError(404, words.format(pid=pid))
        return dataset

    def read(self, call: Call) -> Doc:
        """The dataset in the path. Raises ``ScicatError`` 404, or 403 when the principal may not see it."""
        principal = self._auth.principal(call)
        dataset = self.find(call)
        if not principal.can_read(dataset):
            raise ScicatError(403, "Unauthorized access")
        return dataset

    # --- create --------------------------------------------------------------------------------------------------------

    def _create(self, call: Call) -> Response:
        principal, body, v4 = self._auth.principal(call, writing=True), call.json(), _is_v4(call)
        if not principal.creator:
            raise ScicatError(403, "Forbidden resource")
        if len(call.body) > _MOST_BYTES:
            raise RawError(500, "Internal server error")
        _refuse(rules.new_dataset(body, v4=v4, old=self._old), v4=v4)
        self._check_pid(body)
        if v4 and not body.get("owner"):
            raise RawError(500, {"message": "Dataset validation failed: owner: Path `owner` is required."})
        if body.get("datasetName") == "":
            errors = {"datasetName": {"name": "ValidatorError", "message": "Path `datasetName` is required."}}
            raise RawError(500, {"errors": errors})
        dataset = shape.new(body, principal.name)
        if not self._store.insert(DATASET, dataset["pid"], dataset):
            raise ScicatError(409, f"A dataset with pid {dataset['pid']} already exists!")
        if shape.has_null(dataset["scientificMetadata"]):
            self._after_null()
        return reply(shape.shown(dataset, v4=v4), 201)

    def _check_pid(self, body: Doc) -> None:
        if body.get("pid") and not re.search(self._pid_pattern, body["pid"]):
            raise ScicatError(400, "PID is not following required standards")

    def _after_null(self) -> None:
        """A null at the top of scientificMetadata: the record is stored, but 5.2 answers 500, and 4.27 answers and then dies."""
        if not self._old:
            raise RawError(500, {})
        self._faults.add(FaultRule(where="http", path="/api/v[34]/*", status="drop", times=None))

    def _is_valid(self, call: Call) -> Response:
        if not self._auth.principal(call).creator:
            raise ScicatError(403, "Forbidden resource")
        body = call.json()
        self._check_pid(body)
        found = rules.new_dataset(body, v4=_is_v4(call), old=self._old)
        # What would be refused as unknown is not looked at here.
        problems = {key: constraints for key, constraints in found.items() if "whitelistValidation" not in constraints}
        if not self._old and any("identifier" not in item for item in body.get("relationships") or []):
            problems["relationships"] = {}
        reason = {"error": "; ".join(_sentences(problems))} if problems else {}
        return reply({"valid": not problems, **reason})

    # --- find ----------------------------------------------------------------------------------------------------------

    def _visible(self, call: Call, where: Doc) -> list[Doc]:
        principal, where = self._auth.principal(call), search.as_read(where, old=self._old)
        readable = (dataset for dataset in self._store.all(DATASET) if principal.can_read(dataset))
        return [dataset for dataset in readable if search.matches(dataset, where)]

    def _list(self, call: Call) -> Response:
        query = search.json_parameter(call, "filter")
        found = self._visible(call, query.get("where") or {})
        page = search.page(found, query.get("limits") or query, 10 if _is_v4(call) else 100)
        return reply([_given(doc, call) for doc in page])

    def _full_query(self, call: Call) -> Response:
        found = self._visible(call, search.json_parameter(call, "fields"))
        return reply(search.page(found, search.json_parameter(call, "limits"), None))

    def _count(self, call: Call) -> Response:
        where = search.json_parameter(call, "filter").get("where") or {}  # a "where" of its own is not looked at
        return reply({"count": len(self._visible(call, where))})

    def _find_one(self, call: Call) -> Response:
        query = search.json_parameter(call, "filter")
        found = search.page(self._visible(call, query.get("where") or {}), query.get("limits") or {}, None)
        return reply(_given(found[0], call)) if found else Response(status_code=200)

    def _show(self, call: Call) -> Response:
        dataset, includes = self.read(call), call.queries("include")
        for name, kind in (("origdatablocks", "scicat_orig"), ("datablocks", "scicat_block"), ("attachments", "scicat_attachment")):
            if _is_v4(call) and (name in includes or "all" in includes):
                dataset[name] = [shape.shown(doc) for doc in self._store.all(kind) if dataset["pid"] in doc["_datasets"]]
        return reply(_given(dataset, call))

    # --- change --------------------------------------------------------------------------------------------------------

    def _change(self, call: Call) -> Response:
        principal, dataset = self._auth.principal(call, writing=True), self.find(call, "Not Found")
        if not (principal.creator or principal.owns(dataset)):
            raise ScicatError(403, "Forbidden resource")
        body, v4 = call.json(), _is_v4(call)
        _refuse(rules.changed_dataset(body, v4=v4), v4=v4)  # the backend looks at the body first, then at the owner
        if not principal.owns(dataset):
            raise ScicatError(403, "Unauthorized to update this dataset")
        poisoned = shape.has_null(dataset["scientificMetadata"])
        with self._store.edit(DATASET, dataset["pid"]) as record:
            self._check_unmodified(call, record)
            if "datasetlifecycle" in body:
                # What the body leaves out falls back to the defaults; only the lifecycle's own route merges.
                body["datasetlifecycle"] = {**shape.new_lifecycle(), **body["datasetlifecycle"]}
            if v4:
                record.update(size=0, numberOfFiles=0)
            if "scientificMetadata" in body:
                body["scientificMetadata"] = with_si(body["scientificMetadata"] or {})
            record.update({**body, **shape.pairs_of(body)}, updatedAt=clock.iso_millis(), updatedBy=principal.name)
        # It fails on a null that is there (and 5.2 also on one that was) after the change is stored.
        if shape.has_null(record["scientificMetadata"]) or (poisoned and not self._old):
            raise RawError(500, "Internal server error")
        return reply(shape.shown(record, v4=v4))

    def _check_unmodified(self, call: Call, record: Doc) -> None:
        """Backend 4.27 wants a time after the last change, 5.2 also takes that of the change; it is kept in milliseconds."""
        header = call.request.headers.get("if-unmodified-since")
        if not header:
            return
        known, changed = datetime.strptime(header, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC), clock.parse(record["updatedAt"])
        if known < changed or (self._old and known == changed):
            raise ScicatError(412, "Resource has been modified on server")

    def _lifecycle(self, call: Call) -> Response:
        if call.method == "GET":
            return reply(self.read(call)["datasetlifecycle"])
        principal, body = self._auth.principal(call, writing=True), call.json()
        dataset = self.find(call, "dataset with pid {pid} not found")
        if not (principal.creator or principal.lifecycle or principal.owns(dataset)):
            raise ScicatError(403, "Forbidden resource")
        if not body:
            raise ScicatError(400, "dataset lifecycle DTO must not be empty")
        if words := rules.changed_lifecycle(body):
            raise ScicatError(400, words)
        if not (principal.lifecycle or principal.owns(dataset)):
            raise ScicatError(403, "Unauthorized to update this dataset")
        if shape.has_null(dataset["scientificMetadata"]):
            raise RawError(500, "Internal server error")
        with self._store.edit(DATASET, dataset["pid"]) as record:
            record["datasetlifecycle"].update(body)
            record.update(updatedAt=clock.iso_millis(), updatedBy=principal.name)
        return reply(record["datasetlifecycle"])

    def _delete(self, call: Call) -> Response:
        principal = self._auth.principal(call, writing=True)
        if not principal.deleter:
            raise ScicatError(403, "Forbidden resource")
        dataset = self.find(call, "Not Found")
        # Blocks and attachments stay behind, as in the real backend.
        self._store.drop(DATASET, dataset["pid"])
        return reply(dataset)


def _is_v4(call: Call) -> bool:
    return call.path.startswith("/api/v4/")


def _given(doc: Doc, call: Call) -> Doc:
    """A record that was asked for: version 4 leaves the keys of its metadata encoded."""
    shown = shape.shown(doc, v4=_is_v4(call))
    return {**shown, "scientificMetadata": shape.encoded(shown["scientificMetadata"])} if _is_v4(call) else shown


def _sentences(problems: rules.Problems) -> list[str]:
    return [sentence for constraints in problems.values() for sentence in constraints.values()]


def _refuse(problems: rules.Problems, *, v4: bool) -> None:
    """Raise the refusal of a body: in v3 the list of problems is JSON text inside the message."""
    if problems and v4:
        raise ScicatError(400, _sentences(problems))
    if problems:
        listed = [_problem(key, constraints) for key, constraints in problems.items()]
        raise RawError(400, {"status": 400, "message": json.dumps(listed)})


def _problem(name: str, constraints: dict[str, str]) -> Doc:
    return {"property": name, **({} if "whitelistValidation" in constraints else {"children": []}), "constraints": constraints}
