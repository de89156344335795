"""The documents of Globus Transfer: tasks with their events, and collections.

Here: their fields as the real answers have them, and the changes that a worker may make to a task. Not here: when those changes
happen; names that begin with "_" are ours and never leave the simulator.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from als_assets.simulator import clock
from als_assets.simulator.config import Collection, GlobusConfig
from als_assets.simulator.store import Doc, Store

TASK, OPEN = "globus_task", "globus_open"
EVENTS, DONE, SKIPPED = "globus_event", "globus_done", "globus_skipped"
ENDED = ("SUCCEEDED", "FAILED")


def _names(text: str) -> list[str]:
    return text.split()


_ZERO = _names(
    "files directories symlinks files_transferred files_skipped bytes_transferred bytes_checksummed "
    "effective_bytes_per_second faults subtasks_total subtasks_pending subtasks_retrying subtasks_succeeded "
    "subtasks_failed subtasks_canceled subtasks_expired subtasks_skipped_errors"
)
_NONE = _names("completion_time nice_status_details nice_status_expires_in is_ok fatal_error canceled_by_admin canceled_by_admin_message")
_OPTIONS = _names("delete_destination_extra encrypt_data fail_on_quota_errors preserve_timestamp skip_source_errors")


def new_task(kind: str, owner: str, document: Doc, config: GlobusConfig) -> Doc:
    """The document of a task that was just accepted. ``kind`` is TRANSFER or DELETE."""
    source = document.get("source_endpoint") or document.get("endpoint")
    target = document.get("destination_endpoint")
    return {
        "DATA_TYPE": "task",
        "task_id": str(uuid.uuid4()),
        "type": kind,
        "status": "ACTIVE",
        "label": document.get("label"),
        "owner_id": owner,
        "username": f"u_{owner}",
        "command": "API 0.10",
        "request_time": clock.iso_seconds(),
        "deadline": document.get("deadline") or clock.iso_seconds(clock.now() + timedelta(days=1)),
        **_side("source", source, config),
        **_side("destination", target, config),
        "nice_status": "Queued",
        "nice_status_short_description": "queued",
        "is_paused": False,
        "history_deleted": False,
        "recursive_symlinks": "ignore",
        "sync_level": document.get("sync_level"),
        "verify_checksum": bool(document.get("verify_checksum", False)),
        "filter_rules": document.get("filter_rules"),
        **dict.fromkeys(_ZERO, 0),
        **dict.fromkeys(_NONE),
        **{name: bool(document.get(name, False)) for name in _OPTIONS},
        "_document": document,
        "_cancel": False,
        "_held_by": None,
        "_started": False,
    }


def _side(word: str, collection_id: str | None, config: GlobusConfig) -> Doc:
    collection = config.collections.get(collection_id or "")
    name = collection.name if collection else None
    return {f"{word}_endpoint": name, f"{word}_endpoint_id": collection_id, f"{word}_endpoint_display_name": name}


def public(task: Doc) -> Doc:
    """A task as the service shows it."""
    return {key: value for key, value in task.items() if not key.startswith("_")}


class Task:
    """One stored task, for the worker that carries it out and for the calls that change it."""

    def __init__(self, store: Store, task_id: str) -> None:
        self._store, self.task_id = store, task_id

    @property
    def doc(self) -> Doc:
        """The document as it is now."""
        doc = self._store.get(TASK, self.task_id)
        if doc is None:
            raise KeyError(self.task_id)
        return doc

    def set(self, **changes: Any) -> Doc:
        """Change fields."""
        return self._store.update(TASK, self.task_id, **changes)

    def add(self, **amounts: int) -> None:
        """Add to counters."""
        with self._store.edit(TASK, self.task_id) as doc:
            for name, amount in amounts.items():
                doc[name] += amount

    def event(self, code: str, description: str, details: str = "", *, is_error: bool = False) -> None:
        """Write an event; an error is also counted and becomes the task's nice status."""
        entry = {"DATA_TYPE": "event", "code": code, "is_error": is_error, "description": description, "details": details}
        with self._store.transaction():
            self._store.append(EVENTS, self.task_id, {**entry, "time": clock.iso_seconds()})
            if is_error:
                self.add(faults=1)
                self.nice(code, description, details)

    def nice(self, code: str | None, description: str | None = None, details: str | None = None) -> None:
        """Set the nice status; "OK" and None say that nothing is wrong."""
        is_ok = {"OK": True, None: None}.get(code, False)
        self.set(nice_status=code, nice_status_short_description=description, nice_status_details=details, is_ok=is_ok)

    def finish(self, status: str, code: str | None = None, description: str = "") -> None:
        """End the task: SUCCEEDED, or FAILED with a fatal error. A task that has ended stays as it is."""
        with self._store.edit(TASK, self.task_id) as doc:
            if doc["status"] in ENDED:
                return
            moment = clock.iso_seconds()
            seconds = max(1.0, (datetime.now(UTC) - clock.parse(doc["request_time"])).total_seconds())
            doc.update(status=status, completion_time=moment, is_paused=False, _held_by=None, is_ok=None)
            doc.update(effective_bytes_per_second=int(doc["bytes_transferred"] / seconds))
            if status == "SUCCEEDED":
                doc.update(nice_status=None, nice_status_short_description=None, nice_status_details=None)
            else:
                doc.update(fatal_error={"code": code, "description": description}, nice_status=code)
                doc.update(nice_status_short_description=description, is_ok=False, subtasks_failed=doc["subtasks_pending"])
            doc.update(subtasks_pending=0)
            self._store.drop(OPEN, self.task_id)
        self.event(status if status == "SUCCEEDED" else code or "FAILED", description or "succeeded")


def endpoint(collection_id: str, collection: Collection) -> Doc:
    """The document of a collection."""
    absent = _names(
        "organization description globus_connect_setup_key gcp_connected gcp_paused s3_url host_endpoint_id host_path "
        "myproxy_server myproxy_dn non_functional_endpoint_display_name non_functional_endpoint_id oauth_server "
        "default_directory subscription_id user_message contact_email department info_link keywords"
    )
    no = _names(
        "public french_english_bilingual is_globus_connect s3_owner_activated disable_verify disable_anonymous_writes "
        "force_verify force_encryption mfa_required non_functional activated shareable acl_available acl_editable in_use "
        "high_assurance"
    )
    return {
        "DATA_TYPE": "endpoint",
        "id": collection_id,
        "display_name": collection.name,
        "entity_type": collection.entity_type,
        "username": "als",
        "owner_id": "als",
        "owner_string": "als",
        "expires_in": -1,
        "expire_time": None,
        **dict.fromkeys(absent),
        **dict.fromkeys(no, False),
        "DATA": [],
    }
