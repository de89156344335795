"""SFAPI's calls about files, commands and jobs, with their asynchronous tasks.

Here: the routes, the jail of paths, and tasks that a restart goes on with. Not here: the scheduler (``jobs``) and the tables
(``tables``).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import stat
import subprocess
import threading
import uuid
from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute

from als_assets.simulator import clock
from als_assets.simulator.backends import Backend
from als_assets.simulator.config import SfapiConfig
from als_assets.simulator.sfapi.auth import SfapiAuth, SfapiError
from als_assets.simulator.sfapi.login import LoginNode
from als_assets.simulator.sfapi.script import ScriptRefused
from als_assets.simulator.sfapi.tables import UnknownFilter
from als_assets.simulator.store import Doc, Store
from als_assets.simulator.web import Call, reply, route

BASE = "/api/v1.2"
MACHINES = ("perlmutter", "dtns", "dtn01")
MOST_BYTES = 5_242_880
_TASK = "sfapi_task"


class SfapiFiles:
    """The routes below /api/v1.2/utilities (but for commands)."""

    def __init__(self, config: SfapiConfig, auth: SfapiAuth) -> None:
        self._roots, self._user, self._auth = [root.resolve() for root in config.roots], config.user, auth

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        return [
            route(f"{BASE}/utilities/ls/{{machine}}/{{path:path}}", self._ls),
            route(f"{BASE}/utilities/download/{{machine}}/{{path:path}}", self._download),
            route(f"{BASE}/utilities/upload/{{machine}}/{{path:path}}", self._upload, "PUT"),
        ]

    def jailed(self, shown: str) -> Path:
        """The real path, if it lies below a root. Raises PermissionError."""
        path = Path(os.path.normpath("/" + shown.lstrip("/")))
        real = path.resolve()
        if not any(real == root or root in real.parents for root in self._roots):
            raise PermissionError(str(path))
        return path

    def _ls(self, call: Call) -> Response:
        machine(call, self._auth)
        shown = "/" + call.param("path").lstrip("/")
        try:
            path = self.jailed(shown)
            if path.is_dir():
                names = [(".", path), ("..", path.parent), *((below.name, below) for below in sorted(path.iterdir()))]
            else:
                names = [(f"{path} -> {path.readlink()}" if path.is_symlink() else str(path), path)]
            entries = [self._entry(name, found) for name, found in names]
        except PermissionError:
            return _failed(f"ls: cannot access '{shown}': Permission denied", entries=[])
        except FileNotFoundError:
            return _failed(f"ls: cannot access '{shown}': No such file or directory", entries=[])
        return reply({"status": "OK", "entries": entries, "error": None})

    def _entry(self, name: str, path: Path) -> Doc:
        info = path.lstat()
        when = clock.listing(info.st_mtime).removesuffix("+00:00")
        mode = {"perms": stat.filemode(info.st_mode), "hardlinks": info.st_nlink, "user": self._user, "group": "als"}
        return {**mode, "size": float(info.st_size), "date": when.replace(" ", "T"), "name": name}

    def _download(self, call: Call) -> Response:
        machine(call, self._auth)
        shown, binary = "/" + call.param("path").lstrip("/"), call.query("binary").lower() == "true"
        try:
            path = self.jailed(shown)
            if path.stat().st_size > MOST_BYTES:
                return _failed(f"File is larger than {MOST_BYTES} bytes, use Globus", file=None, is_binary=binary)
            content = path.read_bytes()
        except OSError as error:
            return _failed(f"{shown}: {_words(error)}", file=None, is_binary=binary)
        text = base64.b64encode(content).decode() if binary else content.decode("utf-8", "replace")
        return reply({"status": "OK", "file": text, "is_binary": binary, "error": None})

    def _upload(self, call: Call) -> Response:
        machine(call, self._auth)
        shown, content = "/" + call.param("path").lstrip("/"), call.upload("file")
        if len(content) > MOST_BYTES:
            return _failed(f"File is larger than {MOST_BYTES} bytes, use Globus", output=None)
        try:
            self.jailed(shown).write_bytes(content)
        except OSError as error:
            return _failed(f"{shown}: {_words(error)}", output=None)
        return reply({"status": "OK", "output": "", "error": None})


class SfapiApi:
    """The routes of jobs, commands and tasks."""

    def __init__(self, config: SfapiConfig, store: Store, auth: SfapiAuth, files: SfapiFiles, scheduler: Backend, login: LoginNode) -> None:
        self._config, self._store, self._auth, self._login = config, store, auth, login
        self._files, self._scheduler = files, scheduler
        self._commands: dict[str, subprocess.Popen[str]] = {}
        self._threads: list[threading.Thread] = []

    def routes(self) -> list[BaseRoute]:
        """All routes of this class."""
        jobs = f"{BASE}/compute/jobs/{{machine}}"
        return [
            route(jobs, self._submit, "POST"),
            route(jobs, self._jobs),
            route(f"{jobs}/{{id}}", self._jobs),
            route(f"{jobs}/{{id}}", self._cancel, "DELETE"),
            route(f"{BASE}/utilities/command/{{machine}}", self._command, "POST"),
            route(f"{BASE}/tasks", self._tasks),
            route(f"{BASE}/tasks/{{id}}", self._task),
            route(f"{BASE}/tasks/{{id}}", self._cancel_task, "DELETE"),
        ]

    def start(self) -> None:
        """Go on with submissions that were accepted but not carried out; commands cut off by a kill have failed."""
        for task in self._store.all(_TASK):
            if task["status"] == "new" and task["_kind"] == "submit":
                self._carry_out_submission(task["id"])
            elif task["status"] == "new":
                self._store.update(_TASK, task["id"], status="failed", result=_result("error", error="interrupted"))

    def stop(self) -> None:
        """Kill the commands that still run; their tasks show exit code -9."""
        for process in list(self._commands.values()):
            _kill(process)
        for thread in self._threads:
            thread.join()

    # --- jobs ----------------------------------------------------------------------------------------------------------

    def _submit(self, call: Call) -> Response:
        machine(call, self._auth)
        form = call.fields()
        text, arguments = form.get("job", ""), [value for key, value in call.field_list() if key == "args"]
        if form.get("isPath", "false").lower() == "true":
            try:
                text = self._files.jailed(text).read_text(encoding="utf-8")
            except OSError as error:
                return _failed(f"sbatch: error: Unable to open file {text}: {_words(error)}", task_id=None)
        task_id = self._new_task("submit", text=text, arguments=arguments)
        self._carry_out_submission(task_id)
        return reply({"task_id": task_id, "status": "OK", "error": None})

    def _carry_out_submission(self, task_id: str) -> None:
        with self._store.edit(_TASK, task_id) as task:
            try:
                job_id = self._scheduler.submit(task["_text"], task["_arguments"])
            except ScriptRefused as refused:
                task.update(status="completed", result=_result("error", error=str(refused), jobid=None))
            else:
                task.update(status="completed", result=_result("ok", jobid=job_id, error=None))

    def _jobs(self, call: Call) -> Response:
        machine(call, self._auth)
        filters = dict(text.partition("=")[::2] for text in call.queries("kwargs"))
        if "id" in call.request.path_params:
            filters["jobid"] = call.param("id")
        sacct = call.query("sacct").lower() == "true"
        try:
            found = self._scheduler.rows(filters, sacct=sacct)
        except UnknownFilter as error:
            return _failed(str(error), output=None)
        return reply({"status": "OK", "output": found, "error": None})

    def _cancel(self, call: Call) -> Response:
        machine(call, self._auth)
        if not self._scheduler.cancel(call.param("id")):
            return _failed("scancel: error: Invalid job id specified", output=None)
        return reply({"status": "OK", "output": "", "error": None})

    # --- commands and tasks --------------------------------------------------------------------------------------------

    def _command(self, call: Call) -> Response:
        machine(call, self._auth)
        task_id = self._new_task("command")
        thread = threading.Thread(target=self._run_command, args=(task_id, call.fields().get("executable", "")), daemon=True)
        self._threads = [*(running for running in self._threads if running.is_alive()), thread]
        thread.start()
        return reply({"task_id": task_id, "status": "OK", "error": None})

    def _run_command(self, task_id: str, command: str) -> None:
        home = str(self._config.roots[0]) if self._config.roots else "/"
        base = {**self._login.environment(), "USER": self._config.user, "HOME": home}
        with subprocess.Popen(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=home,
            env={**base, **self._config.environment},
            start_new_session=True,
        ) as process:
            self._commands[task_id] = process
            output, error = process.communicate()
        del self._commands[task_id]
        word, code = ("error", process.returncode) if process.returncode else ("ok", 0)
        result = _result(word, output=output, error=error if code else None, exit_code=code)
        with self._store.edit(_TASK, task_id) as task:
            if task["status"] == "new":
                task.update(status="completed", result=result)

    def _new_task(self, kind: str, **facts: object) -> str:
        task_id = str(uuid.uuid4())
        task = {"id": task_id, "status": "new", "result": None, "_kind": kind}
        self._store.put(_TASK, task_id, {**task, **{f"_{key}": value for key, value in facts.items()}})
        return task_id

    def _tasks(self, call: Call) -> Response:
        self._auth.client(call)
        return reply({"tasks": [_public(task) for task in self._store.all(_TASK)]})

    def _task(self, call: Call) -> Response:
        self._auth.client(call)
        task = self._store.get(_TASK, call.param("id"))
        if task is None:
            raise SfapiError(404, f"Task {call.param('id')} not found")
        return reply(_public(task))

    def _cancel_task(self, call: Call) -> Response:
        self._task(call)
        with self._store.edit(_TASK, call.param("id")) as task:
            if task["status"] == "new":
                task["status"] = "cancelled"
        _kill(self._commands.get(call.param("id")))
        return reply({"status": "OK"})


def machine(call: Call, auth: SfapiAuth) -> str:
    """The machine in the path, after the check of the token. Raises ``SfapiError``."""
    auth.client(call)
    name = call.param("machine")
    if name not in MACHINES:
        raise SfapiError(422, f"unknown machine {name}")
    return name


def _kill(process: subprocess.Popen[str] | None) -> None:
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _public(task: Doc) -> Doc:
    return {key: task[key] for key in ("id", "status", "result")}


def _result(status: str, **facts: object) -> str:
    return json.dumps({"status": status, **facts})


def _failed(error: str, **empty: object) -> Response:
    return reply({"status": "ERROR", **empty, "error": error})


def _words(error: OSError) -> str:
    return error.strerror or "Permission denied"
