"""Endpoints: they take tasks, let them wait, run them in processes, and report how they ended.

Here: one thread that looks at every live task, again and again, and writes what it finds to SQLite; a restart begins by looking. Not
here: the routes (``api``) and what a worker does (``worker``).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from als_assets.simulator import children
from als_assets.simulator.compute import worker
from als_assets.simulator.compute.nursery import Nursery
from als_assets.simulator.config import ComputeConfig, ComputeEndpoint
from als_assets.simulator.faults import FaultBook, LiveRule
from als_assets.simulator.store import Doc, Store

TASK, _OPEN, _STATUS = "compute_task", "compute_open", "compute_endpoint"
_TICK_S = 0.03
_START_GRACE_S = 5.0
_LOST = "parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of worker {number} on host {host}"
_MANAGER = "parsl.executors.high_throughput.errors.ManagerLost: Task failure due to loss of manager on host {host}"


class Endpoints:
    """All endpoints of one simulator, and their tasks."""

    def __init__(self, config: ComputeConfig, store: Store, faults: FaultBook, folder: Path) -> None:
        self._config, self._store, self._faults, self._folder = config, store, faults, folder
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._nursery = Nursery()

    def start(self) -> None:
        """Look after the tasks, also those that an earlier simulator left running."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._loop, name="compute", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; unless the configuration keeps tasks, kill what runs."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._nursery.close()
        if not self._config.keep_tasks:
            for task in self._live():
                if task["status"] == "running":
                    self._lose(task, _MANAGER)

    # --- what the API and the control plane do -------------------------------------------------------------------------

    def known(self, endpoint: str) -> bool:
        return endpoint in self._config.endpoints

    def status(self, endpoint: str) -> str:
        return str((self._store.get(_STATUS, endpoint) or {"status": "online"})["status"])

    def set_status(self, endpoint: str, status: str) -> None:
        self._store.put(_STATUS, endpoint, {"status": status})
        self._wake.set()

    def submit(self, endpoint: str, owner: str, group: str, code: str, payload: str, body: Doc) -> str:
        """Take a task; its id."""
        task_id = str(uuid.uuid4())
        task = {
            "task_id": task_id,
            "status": "waiting-for-ep",
            "endpoint": endpoint,
            "group": group,
            "payload": payload,
            "config": body.get("user_endpoint_config") or {},
            "serializers": body.get("result_serializers") or [],
            "submit": time.time(),
            "start": None,
            "_owner": owner,
            "_code": code,
            "_rules": [],
        }
        with self._store.transaction():
            self._store.put(TASK, task_id, task)
            self._store.put(_OPEN, task_id, {})
        self._wake.set()
        return task_id

    def tasks(self) -> list[Doc]:
        return self._store.all(TASK)

    # --- the loop ------------------------------------------------------------------------------------------------------

    def _live(self) -> list[Doc]:
        return [task for task in (self._store.get(TASK, key) for key in self._store.keys(_OPEN)) if task is not None]

    def _loop(self) -> None:
        while not self._stop.is_set():
            tasks = self._live()
            for task in tasks:
                running = sum(t["status"] == "running" and t["endpoint"] == task["endpoint"] for t in tasks)
                task.update(self._look(task, running))
            self._wake.wait(_TICK_S if tasks else None)
            self._wake.clear()

    def _look(self, task: Doc, running: int) -> Doc:
        """One look at one live task; the task as it is now."""
        endpoint = self._config.endpoints.get(task["endpoint"]) or ComputeEndpoint(name="gone")
        task, rules = self._struck(task)
        if task["status"] == "running":
            self._look_at_running(task, rules)
        elif self.status(task["endpoint"]) != "online":
            self._change(task, status="waiting-for-ep")
        elif missing := [word for word in endpoint.required if not task["config"].get(word)]:
            self._end(task, exception=f"Failed to start user endpoint: template error: {', '.join(missing)} is required")
        elif rule := next((r for r in rules if r.action == "fail"), None):
            self._end(task, exception=rule.message or "RuntimeError: injected fault")
        elif rule := next((r for r in rules if r.action in ("hold", "state") and self._faults.in_force(r.id)), None):
            self._change(task, status=rule.state or "waiting-for-nodes")
        elif running >= endpoint.slots or time.time() - task["submit"] < endpoint.queue_wait_s:
            self._change(task, status="waiting-for-nodes")
        else:
            self._begin(task, endpoint, rules)
        return self._store.get(TASK, task["task_id"]) or task

    def _struck(self, task: Doc) -> tuple[Doc, list[LiveRule]]:
        """The task with all rules that were ever taken for it."""
        known = [rule["id"] for rule in task["_rules"]]
        more: list[LiveRule] = []
        while rule := self._faults.take("task", but_not=[*known, *(one.id for one in more)], name=task["payload"]):
            more.append(rule)
        if more:
            task = self._store.update(TASK, task["task_id"], _rules=task["_rules"] + [rule.model_dump() for rule in more])
        return task, [LiveRule.model_validate(rule) for rule in task["_rules"]]

    def _change(self, task: Doc, **changes: Any) -> None:
        if any(task[key] != value for key, value in changes.items()):
            self._store.update(TASK, task["task_id"], **changes)

    def _begin(self, task: Doc, endpoint: ComputeEndpoint, rules: list[LiveRule]) -> None:
        # The state is written first: a simulator killed here finds a task without worker, which is lost, and starts nothing twice.
        self._store.update(TASK, task["task_id"], status="running", start=time.time())
        for number in range(2 if any(rule.action == "twice" for rule in rules) else 1):
            self._start_worker(task, endpoint, self._box(task) / str(number))

    def _start_worker(self, task: Doc, endpoint: ComputeEndpoint, box: Path) -> None:
        box.mkdir(parents=True, exist_ok=True)
        document = {"code": task["_code"], "payload": task["payload"], "serializers": task["serializers"]}
        (box / "task.json").write_text(json.dumps(document), encoding="utf-8")
        base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(box), "LANG": "C.UTF-8"}
        marks = {"GC_TASK_UUID": task["task_id"], "GC_TASK_SANDBOX_DIR": str(box)}
        environment = {**base, **endpoint.environment, **marks}
        if worker.needs_no_package(document["code"], task["payload"], task["serializers"]):
            self._nursery.start_worker(box, environment)
            return
        command = [sys.executable, "-I", worker.__file__, str(box)]
        with (box / "worker.log").open("ab") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=box, env=environment)

    # --- a running task ------------------------------------------------------------------------------------------------

    def _look_at_running(self, task: Doc, rules: list[LiveRule]) -> None:
        ran_s = time.time() - task["start"]
        answers = [children.read(box / "result.json") for box in self._boxes(task)]
        first = next((answer for answer in answers if answer is not None), None)
        if first is not None:
            if any(rule.action == "expire" for rule in rules):
                first = {}
            self._end(task, **first)
        elif any(rule.action == "lose_worker" and ran_s >= rule.delay_s for rule in rules):
            self._lose(task, _LOST)
        elif ran_s > _limit_s(task["config"]):
            self._lose(task, _MANAGER)
        elif self._gone(task, ran_s):
            self._lose(task, _LOST)

    def _lose(self, task: Doc, words: str) -> None:
        for box in self._boxes(task):
            if (worker_id := _living(box)) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker_id, signal.SIGKILL)
        kill_task(task["task_id"])
        self._end(task, exception=words.format(number=0, host=os.uname().nodename))

    def _end(self, task: Doc, **outcome: str) -> None:
        status = "failed" if "exception" in outcome else "success"
        details = {"os": sys.platform, "python_version": sys.version.split()[0], "dill_version": "0.3.9", "endpoint_id": task["endpoint"]}
        with self._store.transaction():
            self._store.update(TASK, task["task_id"], status=status, completion_t=str(time.time()), details=details, **outcome)
            self._store.drop(_OPEN, task["task_id"])

    def _box(self, task: Doc) -> Path:
        return self._folder / str(task["task_id"])

    def _boxes(self, task: Doc) -> list[Path]:
        box = self._box(task)
        return sorted(box.iterdir()) if box.exists() else []

    def _gone(self, task: Doc, ran_s: float) -> bool:
        """Whether no worker lives, and none that began has left a result."""
        boxes = self._boxes(task)
        if any(_living(box) is not None for box in boxes):
            return False
        began = [box for box in boxes if (box / "pids.json").exists()]
        return ran_s > _START_GRACE_S if not began else not any((box / "result.json").exists() for box in began)


def kill_task(task_id: str) -> None:
    """Kill everything that a task's workers ever started, as a node does when its job ends: it is known by its environment."""
    mark = f"GC_TASK_UUID={task_id}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def _limit_s(config: Doc) -> float:
    """The walltime that was asked for (``HH:MM:SS``); without one there is no limit."""
    found = re.fullmatch(r"(\d+):(\d+):(\d+)", str(config.get("walltime", "")))
    return float("inf") if found is None else int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])


def _living(box: Path) -> int | None:
    """The process id of the worker of a box, while that lives; process ids are used again."""
    pids = children.read(box / "pids.json")
    alive = pids is not None and children.started(int(pids["worker"])) == pids["started"]
    return int(pids["worker"]) if pids is not None and alive else None
