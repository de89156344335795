"""Processes that work on the record and are killed with -9 at a named line.

Here: a server that imports the platform once and forks a process for every case (so that a case costs no import), and the cases'
work. Not here: assertions. Each process is a real one: what it leaves is what a power cut leaves.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from als_assets.facility import Facility


class Zygote:
    """The server, seen from the test."""

    def __init__(self, facility_file: Path) -> None:
        self._facility_file = facility_file
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "ignore", __file__, str(self._facility_file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()

    def start(self, work: str, point: str = "", *, statement: str = "", report: str = "", **arguments: Any) -> int:
        """A process that does ``work``; it dies at ``point``: 'before|after module:Class.method [n-th call]', or when it comes to the
        ``statement`` ('file.py:line') between intent and outcome. ``report`` is a file for the statements that it came to. Its
        process id."""
        trace = {"statement": statement, "report": report}
        return int(self._ask({"work": work, "point": point, "arguments": arguments, "trace": trace}))

    def wait(self, pid: int) -> int:
        """The exit code, as subprocess says it (-9: killed)."""
        return int(self._ask({"wait": pid}))

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self.wait(pid) == -signal.SIGKILL

    def dies(self, work: str, point: str, **arguments: Any) -> None:
        """Do the work in a process that must be killed at the point."""
        code = self.wait(self.start(work, point, **arguments))
        assert code == -signal.SIGKILL, f"the process never came to '{point}' (exit code {code})"

    def _ask(self, question: dict[str, Any]) -> str:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def _arm(point: str) -> None:
    when, where, *nth = point.split()
    module_name, _, rest = where.partition(":")
    class_name, _, method_name = rest.partition(".")
    owner = getattr(importlib.import_module(f"als_assets.{module_name}"), class_name)
    setattr(owner, method_name, _deadly(getattr(owner, method_name), when, int(nth[0]) if nth else 1))


def _deadly(method: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    calls = 0

    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        value = method(*arguments, **options)
        if calls == nth and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    return wrapped


def _copy(platform: Any, actor: Any, key: str, location: str) -> None:
    dataset = platform.ledger.datasets.get(key)
    platform.transfers.ensure_replica(actor, key, "raw", location, dataset.raw_path)


def _delete(platform: Any, actor: Any, replica: int) -> None:
    platform.transfers.delete_replica(actor, platform.ledger.replicas.get(replica), {"because": "a test"})


def _delete_many(platform: Any, actor: Any, replicas: list[int]) -> None:
    doomed = [(platform.ledger.replicas.get(replica), {"because": f"a test of {replica}"}) for replica in replicas]
    for done in platform.transfers.delete_replicas(actor, doomed):
        if done.error is not None:
            raise done.error


def _prove(platform: Any, actor: Any, replica: int) -> None:
    platform.transfers.prove_again(actor, platform.ledger.replicas.get(replica), 0)


def _job(platform: Any, actor: Any, **job: Any) -> None:
    from small_jobs import do_job

    do_job(platform, actor, **job)


def _stream(platform: Any, _actor: Any, **service: Any) -> None:
    from stream_shop import service_at

    service_at(platform, **service).start("bl832", who="doomed")


def _live(facility: Facility, work: str, point: str, arguments: dict[str, Any], trace: dict[str, str]) -> int:
    """The life of one process: 0 when the work was done, 3 when it was refused."""
    from als_assets.errors import AlsError
    from als_assets.ledger.acting import Actor
    from als_assets.ledger.workers import Life
    from als_assets.platform import Platform

    platform = Platform(facility)
    ledger = platform.ledger
    if point:
        _arm(point)
    statements = None
    if trace["statement"] or trace["report"]:
        from statements import Statements  # in this folder

        statements = Statements(ledger.engine, trace["statement"])
    run_id = f"doomed-{os.getpid()}"
    ledger.workers.register(run_id, None)
    actor = Actor(run_id, lambda other: ledger.workers.life_of(other) is Life.GONE, wait=lambda _s: time.sleep(0.03))
    try:
        works = {"copy": _copy, "delete": _delete, "delete_many": _delete_many, "prove": _prove, "job": _job, "stream": _stream}
        works[work](platform, actor, **arguments)
    except AlsError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 3
    if statements is not None and trace["report"]:
        Path(trace["report"]).write_text(json.dumps(statements.stop()))
    return 0


def _warm_up(facility_file: Path) -> Facility:
    """Once, before any fork, what each process would do for itself: imports, mappings, the first look at the record. Nothing stays open."""
    sys.path[:0] = [str(Path(__file__).parent.parent / "compute"), str(Path(__file__).parents[2])]
    import small_jobs  # noqa: F401

    from als_assets.compute.private_key import private_key
    from als_assets.facility import load_facility
    from als_assets.platform import Platform
    from tests import certificates

    certificates.read_once()
    facility = load_facility(facility_file)
    rehearsal = Platform(facility)
    assert rehearsal.compute and rehearsal.transfers
    rehearsal.ledger.operations.open_ones()
    for identity in facility.identities.values():
        if identity.kind == "sfapi":
            private_key(identity.key)
    rehearsal.ledger.watching.states()
    rehearsal.close()
    gc.collect()
    gc.freeze()  # or the first collection of each process copies every page
    return facility


def main(facility_file: Path) -> None:
    facility = _warm_up(facility_file)
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            answer = os.waitstatus_to_exitcode(os.waitpid(question["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                os.dup2(2, 1)  # what the case writes is no answer to the test
                os._exit(_live(facility, **question))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
