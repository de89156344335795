"""Globus Transfer's calls about tasks: submit, look, list, change, cancel, and what a task did.

Here: the checks of a submitted document and the pages of the answers. Not here: the work itself (``tasks`` and its workers).
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.config import GlobusConfig
from als_assets.simulator.globus import documents, files
from als_assets.simulator.globus.auth import GlobusAuth, GlobusError, request_id
from als_assets.simulator.globus.operations import Operations
from als_assets.simulator.globus.tasks import TaskQueue
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

_LABEL_LENGTH = 128
_BAD = "ClientError.BadRequest"


class TransferApi:
    """The routes of tasks. A task is visible only to the identity that submitted it."""

    def __init__(self, config: GlobusConfig, store: Store, auth: GlobusAuth, operations: Operations, queue: TaskQueue) -> None:
        self._config, self._store, self._auth = config, store, auth
        self._operations, self._queue = operations, queue

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        task = "/v0.10/task/{id}"
        return [
            route("/v0.10/submission_id", self._submission_id),
            route("/v0.10/transfer", self._transfer, "POST"),
            route("/v0.10/delete", self._delete, "POST"),
            route("/v0.10/task_list", self._list),
            route(task, self._show),
            route(task, self._update, "PUT"),
            route(f"{task}/cancel", self._cancel, "POST"),
            route(f"{task}/event_list", self._events),
            route(f"{task}/successful_transfers", self._successful),
            route(f"{task}/skipped_errors", self._skipped),
            route(f"{task}/pause_info", self._pause_info),
        ]

    # --- submit --------------------------------------------------------------------------------------------------------

    def _submission_id(self, call: Call) -> Response:
        self._auth.client(call)
        return reply({"value": self._queue.new_submission_id()})

    def _transfer(self, call: Call) -> Response:
        client, document = self._auth.client(call), call.json()
        if document.get("delete_destination_extra"):
            raise GlobusError(501, "NotImplemented", "The simulator does not delete extra files at the destination")
        for item in self._checked(document, "A transfer requires at least one item", ("source_path", "destination_path")):
            if item.get("external_checksum"):
                _algorithm(item)
        for key in ("source_endpoint", "destination_endpoint"):
            self._operations.collection(str(document.get(key)))
            self._auth.require_data_access(client, document[key])
        if document.get("sync_level") not in (None, 0, 1, 2, 3):
            raise GlobusError(400, _BAD, f"Invalid sync_level '{document['sync_level']}'")
        return self._accept(call, "TRANSFER", client, document)

    def _delete(self, call: Call) -> Response:
        client, document = self._auth.client(call), call.json()
        self._checked(document, "A delete requires at least one item", ("path",))
        self._operations.collection(str(document.get("endpoint")))
        self._auth.require_data_access(client, document["endpoint"])
        return self._accept(call, "DELETE", client, document)

    def _checked(self, document: Doc, empty: str, paths: tuple[str, ...]) -> list[Doc]:
        """The items of a document that has all it needs; ``GlobusError`` 400 otherwise."""
        items = document.get("DATA")
        if not items:
            raise GlobusError(400, f"{_BAD}.NoTransferItems", empty)
        for item in items:
            if not all(isinstance(item.get(key), str) and item[key] for key in paths):
                raise GlobusError(400, _BAD, f"Every item needs {' and '.join(paths)}")
        _check_label_and_deadline(document)
        listed: list[Doc] = items
        return listed

    def _accept(self, call: Call, kind: str, client: str, document: Doc) -> Response:
        code, task_id = self._queue.submit(kind, client, document)
        word = kind.lower()
        accepted = f"The {word} has been accepted and a task has been created and queued for execution"
        duplicate = "A task with the same submission_id has already been accepted"
        link = {"DATA_TYPE": "link", "href": f"/v0.10/task/{task_id}?format=json", "rel": "related"}
        doc = {
            "DATA_TYPE": f"{word}_result",
            "code": code,
            "message": accepted if code == "Accepted" else duplicate,
            "request_id": request_id(),
            "resource": call.path,
            "submission_id": document["submission_id"],
            "task_id": task_id,
            "task_link": {**link, "resource": "task", "title": "related task"},
        }
        return reply(doc, 202)

    # --- one task ------------------------------------------------------------------------------------------------------

    def _task(self, call: Call) -> Doc:
        client, task_id = self._auth.client(call), call.param("id")
        task = self._store.get(documents.TASK, task_id)
        if task is None or task["owner_id"] != client:
            raise GlobusError(404, "TaskNotFound", f"No task found with id '{task_id}'")
        return task

    def _show(self, call: Call) -> Response:
        return reply(documents.public(self._task(call)))

    def _update(self, call: Call) -> Response:
        task, body = self._task(call), call.json()
        if task["status"] in documents.ENDED:
            raise GlobusError(409, "Conflict", "The task has ended and cannot be changed")
        _check_label_and_deadline(body)
        changes = {key: body[key] for key in ("label", "deadline") if key in body}
        self._store.update(documents.TASK, task["task_id"], **changes)
        return _result(call, "Updated", "Updated successfully")

    def _cancel(self, call: Call) -> Response:
        code = self._queue.cancel(self._task(call)["task_id"])
        words = {
            "Canceled": "The task has been cancelled successfully.",
            "TaskComplete": "The task completed before the cancel request was processed.",
        }
        return _result(call, code, words[code])

    def _pause_info(self, call: Call) -> Response:
        paused = self._task(call)["is_paused"]
        message = "Paused by the administrator of the collection." if paused else None
        rules = [{"DATA_TYPE": "pause_rule_limited", "id": "0", "message": message}] if paused else []
        doc = {"DATA_TYPE": "pause_info_limited", "pause_rules": rules}
        return reply({**doc, "source_pause_message": message, "destination_pause_message": None, "source_pause_message_share": None})

    # --- lists ---------------------------------------------------------------------------------------------------------

    def _events(self, call: Call) -> Response:
        entries = self._store.entries(documents.EVENTS, self._task(call)["task_id"], newest_first=True)
        if "is_error:1" in call.query("filter"):
            entries = [entry for entry in entries if entry["is_error"]]
        return reply(_page(call, "event_list", [_without_ours(entry) for entry in entries], limit=10))

    def _successful(self, call: Call) -> Response:
        task = self._task(call)
        if task["type"] != "TRANSFER":
            raise GlobusError(400, _BAD, "Only transfer tasks have successful transfers")
        entries = [entry for entry in self._store.entries(documents.DONE, task["task_id"]) if not entry["_kept"]]
        return reply(_marked(call, "successful_transfers", entries))

    def _skipped(self, call: Call) -> Response:
        entries = self._store.entries(documents.SKIPPED, self._task(call)["task_id"])
        return reply(_marked(call, "skipped_errors", entries))

    def _list(self, call: Call) -> Response:
        client = self._auth.client(call)
        tasks = [documents.public(task) for task in self._store.all(documents.TASK) if task["owner_id"] == client]
        for text in call.queries("filter"):
            for clause in filter(None, text.split("/")):
                tasks = [task for task in tasks if _fits(task, clause)]
        orderby = call.query("orderby", "request_time desc")
        # Newest first also among tasks of the same second.
        tasks = files.ordered(tasks[::-1] if orderby.lower() == "request_time desc" else tasks, orderby)
        return reply(_page(call, "task_list", tasks, limit=10))


def _fits(task: Doc, clause: str) -> bool:
    key, colon, value = clause.partition(":")
    if not colon or key not in ("task_id", "status", "type", "label", "request_time", "completion_time", "is_paused"):
        raise GlobusError(400, _BAD, f"Invalid filter '{clause}'")
    if key in ("request_time", "completion_time"):
        first, _, last = (part.strip() for part in value.partition(","))
        actual = task[key]
        return actual is not None and (not first or actual >= first) and (not last or actual[: len(last)] <= last)
    if key == "is_paused":
        return bool(task[key]) == (value.lower() in ("1", "true"))
    return files.matches_text(task[key] or "", value)


def _page(call: Call, data_type: str, entries: list[Doc], limit: int) -> Doc:
    offset, limit = call.number("offset", 0), min(call.number("limit", limit), 1000)
    page = entries[offset : offset + limit]
    counts: dict[str, Any] = {"length": len(page), "limit": limit, "offset": offset, "total": len(entries)}
    return {"DATA_TYPE": data_type, **counts, "DATA": page}


def _marked(call: Call, data_type: str, entries: list[Doc], page_length: int = 100) -> Doc:
    """A page of a list that is read on with a marker (our entry numbers)."""
    marker = call.number("marker", 0)
    left = [entry for entry in entries if entry["number"] > marker]
    page = left[:page_length]
    after = page[-1]["number"] if len(left) > page_length else None
    return {"DATA_TYPE": data_type, "marker": marker, "next_marker": after, "DATA": [_without_ours(entry) for entry in page]}


def _without_ours(entry: Doc) -> Doc:
    return {key: value for key, value in entry.items() if key != "number" and not key.startswith("_")}


def _check_label_and_deadline(document: Doc) -> None:
    label, deadline = document.get("label"), document.get("deadline")
    if label is not None and (len(label) > _LABEL_LENGTH or "\n" in label or label != label.strip()):
        raise GlobusError(400, _BAD, f"Invalid label: at most {_LABEL_LENGTH} characters, no newline, no blanks around it")
    try:
        clock.parse(deadline or clock.iso_seconds())
    except ValueError as error:
        raise GlobusError(400, _BAD, f"Invalid deadline '{deadline}'") from error


def _algorithm(item: Doc) -> None:
    try:
        files.hasher(item.get("checksum_algorithm") or "MD5")
    except ValueError as error:
        raise GlobusError(400, _BAD, str(error)) from error


def _result(call: Call, code: str, message: str) -> Response:
    doc = {"DATA_TYPE": "result", "code": code, "message": message, "request_id": request_id(), "resource": call.path}
    return reply(doc)
