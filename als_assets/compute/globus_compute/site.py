"""What runs at a Globus Compute site: this file's text is registered there as one function, ``als_site``.

Here: starting a script once, saying how it is, stopping it, listing, tails and the check of a site, with the standard library of
Python 3.9 and JSON in and out. Not here: anything of ours; the text is executed far away, where this package is not installed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

_FIND_MODULES = "import importlib.util, sys; sys.exit(' '.join(m for m in sys.argv[1:] if importlib.util.find_spec(m) is None) or 0)"


def als_site(request: dict[str, Any]) -> dict[str, Any]:
    """Do what ``request["verb"]`` says. What the disk refuses is in the answer's ``error``, never an exception."""
    verbs = {"run": _run, "status": _status, "stop": _stop, "listing": _listing, "tail": _tail, "hello": _hello}
    try:
        return verbs[request["verb"]](request)
    except OSError as error:
        return {"state": "LAUNCH_FAILED", "error": f"{error.strerror}: {error.filename}"}


# --- one job: <log folder>/<name>.begun, .script, .sh, .out, .err, .stop and .end ---------------------------------------------------


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """Run the script under bash, unless this job was ever begun before: then say what became of it."""
    base = request["base"]
    Path(base).parent.mkdir(parents=True, exist_ok=True)
    if not _put(base + ".begun", {**_process(os.getpid()), "sent": request.get("sent")}):
        return {**_state(base, request["silent_s"]), "claimed": True}
    if Path(base + ".stop").exists():
        return _end(base, "CANCELLED", 0, 0, "")
    script = Path(base + ".sh")
    try:
        script.write_text(request["script"])
        with Path(base + ".out").open("ab") as out, Path(base + ".err").open("ab") as err:
            child = subprocess.Popen(["bash", str(script)], stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
    except OSError as error:
        return _end(base, "LAUNCH_FAILED", 0, 0, f"{error.strerror}: {error.filename}")
    _put(base + ".script", _process(child.pid))
    return _follow(base, child, float(request["limit_s"]), float(request["warning_s"]))


def _follow(base: str, child: subprocess.Popen[bytes], limit_s: float, warning_s: float) -> dict[str, Any]:
    """Watch the script until it ends, the limit, the stop file, or until somebody has declared this process dead."""
    began = beat = time.time()
    word, warned, kill_at = "", False, 0.0
    # Never in its first moments: a script that was not yet ready to hear the warning would die of it.
    warn_after_s = limit_s - min(warning_s, limit_s / 2)
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        now = time.time()
        if pid:
            break
        time.sleep(min(1.0, 0.02 + (now - began) / 20))
        if now - beat > 10:
            beat = now
            os.utime(base + ".begun")
        if not word and (Path(base + ".stop").exists() or Path(base + ".end").exists() or now - began > limit_s):
            word, kill_at = ("TIMEOUT" if now - began > limit_s else "CANCELLED"), now + 10
            _signal_group(child.pid, signal.SIGTERM)
        elif not word and not warned and now - began > warn_after_s:
            warned = True
            os.kill(child.pid, signal.SIGTERM)  # the script alone: its trap writes down that the time is nearly over
        elif word and now > kill_at:
            _signal_group(child.pid, signal.SIGKILL)
    _signal_group(child.pid, signal.SIGKILL)  # whatever the script left behind
    child.returncode = code = os.waitstatus_to_exitcode(status)
    return _end(base, word or ("COMPLETED" if code == 0 else "FAILED"), code, usage.ru_maxrss, "")


def _end(base: str, word: str, code: int, maxrss_kib: int, error: str) -> dict[str, Any]:
    """Write down how the job ended. The first such word is the last one."""
    begun = _read(base + ".begun") or {}
    end = {"state": word, "exit": max(code, 0), "signal": max(-code, 0), "maxrss_kib": maxrss_kib, "error": error}
    end.update(host=begun.get("host", ""), sent=begun.get("sent"), began=begun.get("at"), ended=time.time())
    _put(base + ".end", end)
    return _read(base + ".end") or end


def _state(base: str, silent_s: float) -> dict[str, Any]:
    """How the job is: its end, RUNNING while its process lives, UNKNOWN when it was never begun here."""
    begun = _read(base + ".begun")
    if begun is None:
        return {"state": "UNKNOWN"}
    end = _read(base + ".end")
    if end is not None:
        return end
    here = begun.get("host") == platform.node()
    gone = here and not _lives(begun)
    with contextlib.suppress(FileNotFoundError):
        gone = gone or time.time() - Path(base + ".begun").stat().st_mtime > silent_s
    if not gone:
        return {"state": "RUNNING", "host": begun.get("host", ""), "began": begun.get("at")}
    # The word first: a worker that lives after all sees its script killed, and must find that the end was told already.
    end = _read(base + ".end") or _end(base, "NODE_FAIL", 0, 0, "the process that ran the script is gone")
    script = _read(base + ".script")
    if here and script is not None and _lives(script):
        _signal_group(int(script["pid"]), signal.SIGKILL)
    return end


def _status(request: dict[str, Any]) -> dict[str, Any]:
    """States of many jobs, by their base path."""
    return {"states": {base: _state(base, request["silent_s"]) for base in request["bases"]}}


def _stop(request: dict[str, Any]) -> dict[str, Any]:
    """Have the job stopped, and wait a little to see that it is. One that was not begun never will be."""
    base = request["base"]
    Path(base).parent.mkdir(parents=True, exist_ok=True)
    Path(base + ".stop").touch()
    if _put(base + ".begun", {"host": platform.node(), "pid": 0, "started": 0, "at": None}):
        return _end(base, "CANCELLED", 0, 0, "")
    until = time.time() + request["wait_s"]
    while True:
        state = _state(base, request["silent_s"])
        if state["state"] != "RUNNING" or time.time() > until:
            return state
        time.sleep(0.1)


# --- files -----------------------------------------------------------------------------------------------------------------


def _listing(request: dict[str, Any]) -> dict[str, Any]:
    """Every file below a path with its size, packed: an answer may have 10 MB, and a volume has many files."""
    root, files = Path(request["path"]), None
    if root.is_file():
        files = {"": root.stat().st_size}
    elif root.is_dir():
        files = {str(f.relative_to(root)): f.stat().st_size for f in root.rglob("*") if f.is_file()}
    return {"files": base64.b64encode(zlib.compress(json.dumps(files).encode())).decode()}


def _tail(request: dict[str, Any]) -> dict[str, Any]:
    """The last lines of a text file, of its last 64 KiB."""
    try:
        with Path(request["path"]).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 65536))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    return {"text": "\n".join(text.splitlines()[-request["lines"] :])}


def _hello(request: dict[str, Any]) -> dict[str, Any]:
    """Python, host, and what is missing of the folders, programs and modules that jobs need."""
    missing = []
    for path in request["folders"]:
        with contextlib.suppress(OSError):
            Path(path).mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            missing.append(f"the folder {path} cannot be written")
    missing += [f"there is no program {name}" for name in request["programs"] if shutil.which(name) is None]
    if request["modules"] and shutil.which(request["python"]):
        look = subprocess.run([request["python"], "-c", _FIND_MODULES, *request["modules"]], capture_output=True, text=True)
        if look.returncode:
            missing.append(f"{request['python']} cannot import {look.stderr.strip().splitlines()[-1]}")
    return {"python": platform.python_version(), "host": platform.node(), "missing": missing}


# --- small things ----------------------------------------------------------------------------------------------------------


def _put(path: str, value: dict[str, Any]) -> bool:
    """Make a file that is complete at once and never overwritten; False when it exists."""
    new = f"{path}.{platform.node()}.{os.getpid()}"
    with Path(new).open("w") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    finally:
        Path(new).unlink()
    return True


def _read(path: str) -> dict[str, Any] | None:
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return None
    return dict(content)


def _process(pid: int) -> dict[str, Any]:
    return {"host": platform.node(), "pid": pid, "started": _started(pid), "at": time.time()}


def _started(pid: int) -> int:
    """When a process began, in ticks since its host did; 0 when there is none (any more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def _lives(process: dict[str, Any]) -> bool:
    return bool(process["started"]) and _started(int(process["pid"])) == int(process["started"])


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
