"""Runs one function as an endpoint's worker does, and writes down its result; a process of its own, which outlives the simulator.

Here: the wire formats of code, arguments and results; JSON and source text without help, all others by the SDK's own serializer. Not
here: queues and states; the simulator reads ``pids.json`` and ``result.json`` of the task's directory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess  # noqa: F401 - most functions want it, and a fork has it for nothing
import sys
import traceback
from pathlib import Path
from typing import Any

_SOURCE, _JSON, _AS_JSON = "st\n", "11\n", ["globus_compute_sdk.serialize.JSONData"]


def main(folder: Path) -> None:
    """Run the task in ``folder``/task.json, detached from the caller."""
    if os.fork():
        return  # the caller need not wait for the task, nor reap it
    work(folder)


def serve() -> None:
    """Fork a worker for each line of standard input: ``{"folder": ..., "environment": {...}}``."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        order = json.loads(line)
        folder = Path(order["folder"])
        if os.fork():
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(folder)
        log = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, opened in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
            os.dup2(opened, number)
        try:
            work(folder)
        finally:
            sys.stdout.flush()
            os._exit(0)


def work(folder: Path) -> None:
    """In a session of its own: read the task, run it, write down its result."""
    os.setsid()
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    started = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
    write(folder / "pids.json", {"worker": os.getpid(), "started": started})
    try:
        function, positional, named = (load(buffer) for buffer in unpack(task["code"] + task["payload"]))
        answer = {"result": dump(function(*positional, **named), task["serializers"])}
    except BaseException:  # noqa: BLE001 - whatever the function raises is its result
        answer = {"exception": traceback.format_exc()}
    write(folder / "result.json", answer)


def unpack(packed: str) -> list[str]:
    """The buffers of a payload: each stands behind its length and a line break."""
    buffers = []
    while packed:
        length, _, rest = packed.partition("\n")
        buffers.append(rest[: int(length)])
        packed = rest[int(length) :]
    return buffers


def needs_no_package(code: str, payload: str, serializers: list[str]) -> bool:
    """Whether code and arguments can be read, and the result written, without the SDK."""
    return serializers[:1] == _AS_JSON and all(buffer.startswith((_SOURCE, _JSON)) for buffer in unpack(code + payload))


def load(buffer: str) -> Any:
    """What a buffer holds, by its three first characters."""
    if buffer.startswith(_JSON):
        return json.loads(buffer.removeprefix(_JSON))
    if buffer.startswith(_SOURCE):
        name, _, source = buffer.removeprefix(_SOURCE).partition(":")
        space: dict[str, Any] = {}
        exec(source, space)  # noqa: S102 - to run what it is sent is what an endpoint is for
        return space[name]
    from globus_compute_sdk.serialize import ComputeSerializer

    return ComputeSerializer().deserialize(buffer)


def dump(value: Any, serializers: list[str]) -> str:
    """A result in the first form that was asked for."""
    if serializers[:1] == _AS_JSON:
        return _JSON + json.dumps(value)
    from globus_compute_sdk.serialize import ComputeSerializer

    return str(ComputeSerializer.serialize_from_list(value, serializers))


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a file that is either complete or absent."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.rename(path)


if __name__ == "__main__":
    main(Path(sys.argv[1])) if len(sys.argv) > 1 else serve()
