"""One of several processes at one record: ``ledger_worker.py ADDRESS COMMAND ARGUMENTS``.

Here: what the tests of many processes and of killed processes run outside of pytest. Not here: any judgement.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from ledger_kit import always, never, new_scan

from als_assets.errors import HeldElsewhere
from als_assets.ledger import Ledger, OperationKind, OperationState, ReplicaState

EVERY = 10


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
    print("ready", flush=True)
    sys.stdin.readline()
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
    print("registered", flush=True)
    time.sleep(300)


def crowd(address: str, processes: int, scans: int, rounds: int) -> None:
    """That many processes, which open the record and work on it at once. They are forked: only importing takes longer."""
    children = []
    for name in range(processes):
        children.append(os.fork())
        if children[-1] == 0:
            ledger = Ledger.open(address)
            work(ledger, str(name), scans, rounds)
            ledger.close()
            os._exit(0)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(0 if codes == [0] * processes else f"exit codes {codes}")


if __name__ == "__main__":
    if sys.argv[2] == "crowd":
        crowd(sys.argv[1], *map(int, sys.argv[3:]))
    opened = Ledger.open(sys.argv[1])
    commands = {"work": work, "prune": prune, "die": die, "register": register}
    commands[sys.argv[2]](opened, sys.argv[3], *map(int, sys.argv[4:]))
    opened.close()
