"""Processes at one record, forked from one that has imported everything: a fresh interpreter takes longer than what they do.

Here: the process that forks them, as a test sees it (``Warm``) and as it runs, and their work. Not here: any judgement.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ledger_kit import always, never, new_scan

from als_assets.errors import HeldElsewhere, PruneBlocked
from als_assets.ledger import Ledger, OperationKind, OperationState, ReplicaState

EVERY = 10
BLOCKED = 3  # exit code of a process that met PruneBlocked


class Warm:
    """The process that forks, seen from a test. What it has started and nobody waited for is killed at the end."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "ignore", __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._running: set[int] = set()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill_all()
        self._process.communicate(timeout=20)

    def start(self, address: str, command: str, *arguments: object, gate: Path | None = None) -> int:
        """A process that does this at a record once the file ``gate`` is there; its process id."""
        question = {"address": address, "command": command, "arguments": list(map(str, arguments)), "gate": str(gate or "")}
        self._running.add(pid := self._ask(question))
        return pid

    def wait(self, pid: int) -> int:
        """Its exit code, negative for a signal."""
        self._running.discard(pid)
        return self._ask({"wait": pid})

    def kill_all(self) -> None:
        for pid in list(self._running):
            os.kill(pid, signal.SIGKILL)
            self.wait(pid)

    def _ask(self, question: dict[str, Any]) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def work(ledger: Ledger, name: str, scans: int, rounds: int) -> None:
    """Admit the same scans as everybody, each beginning with another one; then operations of its own, and the same shared ones as
    everybody: who takes one carries it to its end. Of ``EVERY`` rounds the first goes that far, the others leave intents."""
    for i in range(scans):
        key = f"scan{(i + int(name)) % scans}"
        assert ledger.datasets.admit(new_scan(key)).key == key
    ledger.datasets.admit(new_scan("sand"))
    for i in range(rounds):
        own = ledger.operations.begin(f"own:{name}:{i}", OperationKind.JOB, "sand", {"n": i})
        shared = ledger.operations.begin(f"shared:{i}", OperationKind.TRANSFER, "sand", {"by": name})
        if i % EVERY:
            continue
        own = ledger.operations.submitted(ledger.operations.take(own.id, name, never), job=i)
        ledger.operations.finish(own, OperationState.SUCCEEDED, why="done", outcome={"n": i})
        try:
            mine = ledger.operations.take(shared.id, name, never)
        except HeldElsewhere:
            continue
        if mine.state is OperationState.INTENT:
            mine = ledger.operations.submitted(mine, by=name)
            ledger.operations.finish(mine, OperationState.SUCCEEDED, why="done", outcome={"by": name})


def prune(ledger: Ledger, name: str, other: int) -> None:
    """Claim the deletion of the copy ``name``, for which the copy ``other`` is the proof."""
    ledger.replicas.move(int(name), ReplicaState.DELETING, why="due", while_verified=[other])


def die(ledger: Ledger, name: str, step: int) -> None:
    """Come as far as ``step`` and be killed, as by a power cut."""
    steps = [
        lambda: ledger.operations.begin("transfer:far:sand", OperationKind.TRANSFER, "sand", {"to": "far"}),
        lambda: ledger.operations.take(ledger.operations.open_with("transfer:far:sand").id, name, always),
        lambda: ledger.operations.annotate(ledger.operations.open_with("transfer:far:sand"), prepared={"submission_id": "s1"}),
        lambda: ledger.operations.submitted(ledger.operations.open_with("transfer:far:sand"), task_id="t1"),
    ]
    for action in steps[: step + 1]:
        action()
    os.kill(os.getpid(), signal.SIGKILL)


def register(ledger: Ledger, name: str, _number: int) -> None:
    """Register as a worker and go on until killed."""
    ledger.workers.register(name, "sand")
    time.sleep(300)


def live(question: dict[str, Any]) -> int:
    """The life of one process; its exit code."""
    while question["gate"] and not Path(question["gate"]).exists():
        time.sleep(0.001)
    commands = {"work": work, "prune": prune, "die": die, "register": register}
    name, *numbers = question["arguments"]
    try:
        ledger = Ledger.open(question["address"])
        commands[question["command"]](ledger, name, *map(int, numbers))
        ledger.close()
    except PruneBlocked:
        return BLOCKED
    return 0


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            answer = os.waitstatus_to_exitcode(os.waitpid(question["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                os._exit(live(question))  # what else it meets ends it with a traceback and the exit code 1
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
