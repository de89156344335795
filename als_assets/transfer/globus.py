"""The mover over Globus Transfer: one task per intent, checksums always on, every state mapped on purpose.

Here: requests and the reading of answers. Not here: waiting and the record (``ensure``), and the meaning of task states
(``globus_states``). Source: Globus Transfer API, https://docs.globus.org/api/transfer/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import globus_sdk
from globus_sdk import DeleteData, TransferData

from als_assets.errors import ServiceUnreachable, TransferFailed, TransferStateUnknown
from als_assets.facility.models import Globus
from als_assets.facility.places import Place
from als_assets.facility.policy import ExportGate
from als_assets.transfer.globus_client import GlobusClient
from als_assets.transfer.globus_outcomes import Says, outcome
from als_assets.transfer.globus_states import view_of
from als_assets.transfer.mover import DeleteRequest, FileFacts, History, TaskState, TaskView, TransferRequest, sizes

# Globus takes many more; so many keep a request small and its loss cheap.
_MOST_ITEMS = 200
_PAGE = 1000


class GlobusMover:
    """Copies and deletes through Globus with one service identity.

    The submission id is fetched first and stored by the caller; posting the same document with it again is answered with the
    same task (``Duplicate``), so an answer that was lost costs nothing.
    """

    def __init__(self, client: GlobusClient, gate: ExportGate, globus: Globus) -> None:
        self._client = client
        self._gate = gate
        self._web = globus.web_url
        self.poll_s = globus.poll_s
        self.most_items = _MOST_ITEMS

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def prepare(self) -> dict[str, Any]:
        with self._client.translated("asking for a submission id") as transfer:
            return {"submission_id": transfer.get_submission_id()["value"]}

    def start_transfer(self, request: TransferRequest, prepared: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ExportRefused before anything is sent."""
        self._gate.require(request.dataset_key, request.destination.location.site)
        source, destination = request.source, request.destination
        document = TransferData(
            str(source.location.collection),
            str(destination.location.collection),
            label=_label(request.label, prepared["submission_id"]),
            submission_id=prepared["submission_id"],
            sync_level="checksum",
            verify_checksum=True,
            preserve_timestamp=True,
            fail_on_quota_errors=True,
            skip_source_errors=False,
            notify_on_succeeded=False,
            notify_on_failed=False,
            notify_on_inactive=False,
        )
        document.add_item(source.mover_path, destination.mover_path, **_item_options(request))
        for pattern in request.excludes:
            document.add_filter_rule(pattern, method="exclude", type="file")
        with self._client.translated(f"submitting the transfer of {request.dataset_key}") as transfer:
            answer = transfer.submit_transfer(document)
        return {"task_id": answer["task_id"], "code": answer["code"]}

    def start_delete(self, request: DeleteRequest, prepared: Mapping[str, Any]) -> dict[str, Any]:
        document = DeleteData(
            str(request.place.location.collection),
            label=_label(request.label, prepared["submission_id"]),
            submission_id=prepared["submission_id"],
            recursive=request.is_directory,
            ignore_missing=False,
            notify_on_succeeded=False,
            notify_on_failed=False,
            notify_on_inactive=False,
        )
        for path in prepared.get("paths") or [request.place.mover_path]:
            document.add_item(path)
        with self._client.translated(f"submitting the deletion of {request.place.mover_path}") as transfer:
            answer = transfer.submit_delete(document)
        return {"task_id": answer["task_id"], "code": answer["code"]}

    def look(self, handle: Mapping[str, Any]) -> TaskView:
        task_id = handle["task_id"]
        link = f"{self._web}/activity/{task_id}"
        with self._client.translated(f"looking at task {task_id}") as transfer:
            task = _found(lambda: transfer.get_task(task_id))
            if task is None:
                return self._forgotten(transfer, task_id, link)
            view = view_of(task, link=link)
            if view.state in (TaskState.QUEUED, TaskState.ACTIVE, TaskState.WAITING, TaskState.SUCCEEDED):
                return view
            events = [_event(e) for e in transfer.task_event_list(task_id, limit=5).get("DATA") or []]
        return replace(view, facts={**view.facts, "events": events})

    def _forgotten(self, transfer: globus_sdk.TransferClient, task_id: str, link: str) -> TaskView:
        """Believed only when the list says the same: a task that is given up while it runs would be made a second time."""
        if _rows(transfer.task_list(limit=1, filter=f"task_id:{task_id}")):
            raise ServiceUnreachable(
                f"Globus says both that task {task_id} is there and that it is not.", next_step="It is looked at again."
            )
        row = outcome(Says.REQUEST, "404 TaskNotFound")
        words = f"Globus {row.words} {task_id} any more."
        return TaskView(TaskState.FAILED, words, {"task_id": task_id}, link, row.next_step)

    def find(self, prepared: Mapping[str, Any]) -> dict[str, Any] | None:
        # The API has no question for a submission id; our labels end with it.
        with self._client.translated("looking for a task whose answer was lost") as transfer:
            for task in _rows(transfer.task_list(limit=_PAGE, filter="status:ACTIVE,INACTIVE")):
                if str(task["label"] or "").endswith(_mark(prepared["submission_id"])):
                    return {"task_id": task["task_id"], "code": "Found"}
        return None

    def history(self, handle: Mapping[str, Any]) -> History:
        task_id = handle["task_id"]
        with self._client.translated(f"asking what task {task_id} did") as transfer:
            left_out = [f"{e['source_path']} ({e['error_code']})" for e in _rows(transfer.task_skipped_errors(task_id))]
            events = _rows(transfer.task_event_list(task_id, limit=_PAGE))
            began = [e["time"] for e in events if e["code"] == "STARTED"]
            asked = transfer.get_task(task_id)["request_time"]
        queued_s = (datetime.fromisoformat(began[-1]) - datetime.fromisoformat(asked)).total_seconds() if began else None
        return History(left_out, queued_s)

    def cancel(self, handle: Mapping[str, Any]) -> None:
        """Ask Globus to stop the task, and believe it only when Globus says that it is over."""
        with self._client.translated(f"cancelling task {handle['task_id']}") as transfer:
            transfer.cancel_task(handle["task_id"])

    def listing(self, place: Place) -> dict[str, int] | None:
        return sizes(self.files(place))

    def is_away(self, place: Place) -> bool:
        root = str(place.location.root)
        with self._client.translated(f"looking at {root}, the root of {place.location_name}") as transfer:
            found = _found(lambda: transfer.operation_ls(str(place.location.collection), root, show_hidden=True, limit=1))
        return found is None or not found["DATA"]

    def files(self, place: Place) -> dict[str, FileFacts] | None:
        with self._client.translated(f"looking at {place.mover_path} at {place.location_name}") as transfer:
            found = _found(lambda: transfer.operation_stat(str(place.location.collection), place.mover_path))
            if found is None:
                return None
            if found["type"] != "dir":
                return {"": _facts(found)}
            return self._walk(transfer, str(place.location.collection), place.mover_path)

    def size_of(self, place: Place, name: str) -> int | None:
        path = f"{place.mover_path}/{name}" if name else place.mover_path
        with self._client.translated(f"looking at {path} at {place.location_name}") as transfer:
            found = _found(lambda: transfer.operation_stat(str(place.location.collection), path))
        return int(found["size"]) if found is not None and found["type"] == "file" else None

    def _walk(self, transfer: globus_sdk.TransferClient, collection: str, root: str) -> dict[str, FileFacts]:
        """There is no recursive listing in the API: one request per folder."""
        files: dict[str, FileFacts] = {}
        folders = [""]
        while folders:
            folder = folders.pop()
            path = f"{root}/{folder}" if folder else root
            for entry in transfer.operation_ls(collection, path, show_hidden=True):
                name = f"{folder}/{entry['name']}" if folder else entry["name"]
                if entry["type"] == "dir":
                    folders.append(name)
                elif entry["type"] == "file":
                    files[name] = _facts(entry)
                else:
                    raise TransferFailed(
                        f"{path}/{entry['name']} is neither a file nor a folder but '{entry['type']}'.",
                        next_step="Remove it at that place; results hold plain files only.",
                    )
        return files


def _found(ask: Callable[[], globus_sdk.GlobusHTTPResponse]) -> dict[str, Any] | None:
    """What Globus answers, or None when it says that there is no such thing."""
    try:
        return dict(ask().data)
    except globus_sdk.TransferAPIError as error:
        if error.http_status == 404:
            return None
        raise


def _facts(entry: Mapping[str, Any]) -> FileFacts:
    """Of a file document; its time comes as '2026-03-02 12:00:00+00:00'."""
    told = entry.get("last_modified")
    return FileFacts(int(entry["size"]), int(datetime.fromisoformat(told).timestamp()) if told else None)


def _rows(answer: globus_sdk.GlobusHTTPResponse) -> list[dict[str, Any]]:
    """The rows of a list. Raises TransferStateUnknown for an answer that is none."""
    rows: list[dict[str, Any]] | None = answer.get("DATA")
    if rows is None:
        raise TransferStateUnknown("Globus answered a list without rows.", next_step="Re-execute from failure: it is asked again.")
    return rows


def _item_options(request: TransferRequest) -> dict[str, Any]:
    if request.is_directory:
        return {"recursive": True}
    if request.sha256:
        return {"external_checksum": request.sha256, "checksum_algorithm": "SHA256"}
    return {}


def _label(text: str, submission_id: str) -> str:
    """Globus allows 128 characters, one line, no blanks at the ends; letters outside ASCII show badly in its mails. The end is what
    a task is found by when the answer to its submission was lost."""
    plain = "".join(c if c.isascii() and c.isprintable() else "_" for c in text)
    mark = _mark(submission_id)
    return plain[: 128 - len(mark)].strip() + mark


def _mark(submission_id: str) -> str:
    return f" {submission_id}"


def _event(event: Mapping[str, Any]) -> str:
    details = str(event.get("details") or "")[:300]
    return f"{event.get('time')} {event.get('code')}: {event.get('description')} {details}".strip()
