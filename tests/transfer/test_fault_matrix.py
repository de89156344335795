"""Every rule of the simulator x copying and deleting: nothing green that is wrong, nothing lost, nothing twice. The table is printed.

Each fault strikes once, or until it is cleared; it is cleared after some looks, or when the first attempt has become red. Then the work
is tried again until it is done, as a person would. A rule that the simulator learns without a row here fails the suite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from facility_in_a_box import PAUSE_S, RAW, Bench

from als_assets.errors import AlsError
from als_assets.ledger import Dataset, Replica, ReplicaState
from als_assets.simulator.faults import ACTIONS
from als_assets.transfer import globus_states

COPY, DELETE = "transfer", "delete"
LOOKS = 12  # so often a lasting fault is looked at before it is cleared
MORE: dict[str, dict[str, Any]] = {"slow": {"bytes_per_s": 400_000}, "fail_at_percent": {"percent": 99}}
CODES: dict[str, list[str]] = {
    "fail": ["ENDPOINT_ERROR", "EXPIRED", "A_CODE_OF_2031"],
    "error": ["FILE_NOT_FOUND", "PERMISSION_DENIED", "ENDPOINT_ERROR", "GC_NOT_CONNECTED", "A_CODE_OF_2031"],
}
CONSENT = {"code": "ConsentRequired", "message": "a consent", "required_scopes": ["urn:globus:some:scope"]}
LOST, ODD = {"after": True}, {"status": 200, "body": {"status": "DREAMING"}}
ONCE, LASTING = (False,), (True,)
BOTH = ONCE + LASTING
# What lasts until it is cleared although the first attempt is red at its first strike adds nothing.
STRIKES = {"error": BOTH, "flip": BOTH, "truncate": BOTH, "stall": LASTING, "pause": LASTING}
# What may happen to a request; POST stands for the submission of either kind.
ANSWERS: list[tuple[str, dict[str, Any], tuple[bool, ...]]] = [
    ("POST", {"status": 400, "code": "ClientError.BadRequest"}, ONCE),
    ("POST", {"status": 401, "code": "AuthenticationFailed"}, BOTH),
    ("POST", {"status": 403, "code": "PermissionDenied"}, ONCE),
    ("POST", {"status": 403, "body": CONSENT}, BOTH),
    ("POST", {"status": 429, "headers": {"Retry-After": "0"}}, ONCE),
    ("POST", {"status": 500}, LASTING),
    ("POST", {"status": "drop"}, LASTING),
    ("POST", {"status": 502, "code": "EndpointError"}, ONCE),
    ("POST", {"status": 500, **LOST}, BOTH),
    ("POST", {"status": "drop", **LOST}, BOTH),
    ("/v0.10/submission_id", {"status": 503}, LASTING),
    ("/v0.10/task/*", {"status": 404, "code": "TaskNotFound"}, BOTH),
    ("/v0.10/task/*", {"status": 503}, LASTING),
    ("/v0.10/task/*", {"status": "drop"}, ONCE),
    ("/v0.10/task/*", ODD, BOTH),
    ("*/stat", {"status": 502, "code": "ExternalError.Broken"}, LASTING),
    ("/v2/oauth2/token", {"status": 401, "body": {"error": "invalid_client"}}, ONCE),
    ("/v2/oauth2/token", {"status": 503}, LASTING),
]


@dataclass
class Case:
    act: str
    fault: dict[str, Any]
    name: str
    lasting: bool

    @property
    def rule(self) -> dict[str, Any]:
        return {**self.fault, "times": None if self.lasting else 1}

    def __str__(self) -> str:
        return f"{self.act}, {self.name}, {'lasting' if self.lasting else 'once'}"


def _cases() -> Iterator[Case]:
    for act in (COPY, DELETE):
        for action in sorted(ACTIONS[act]):
            for code in CODES.get(action, [""]):
                fault = {"where": act, "action": action, **MORE.get(action, {}), **({"code": code} if code else {})}
                for lasting in STRIKES.get(action, ONCE):
                    yield Case(act, fault, f"{action} {code}".strip(), lasting)
        for path, answer, strikes in ANSWERS:
            where = {"path": f"/v0.10/{act}", "method": "POST"} if path == "POST" else {"path": path}
            words = f"accepted, answer lost ({answer['status']})" if answer.get("after") else str(answer.get("status"))
            name = f"{path} {words} {'ConsentRequired' if answer.get('body') == CONSENT else answer.get('code', '')}".strip()
            for lasting in strikes:
                yield Case(act, {"where": "http", **where, **answer}, name, lasting)


@dataclass
class Work:
    """A copy or a deletion of one scan, and looks at what is true of it."""

    bench: Bench
    act: str
    scan: Dataset = field(init=False)
    waits: int = 0

    def __post_init__(self) -> None:
        self.scan = self.bench.admit(content=b"0123456789abcdef" * 4000)
        if self.act == DELETE:
            self.bench.ledger.replicas.move(self.replica.id, ReplicaState.DELETING, why="the test wants it gone")

    @property
    def replica(self) -> Replica:
        return self.bench.replica(self.scan, RAW if self.act == COPY else "spot832")

    def attempt(self) -> str:
        """The error's name, or "green"."""
        transfers, actor = self.bench.platform.transfers, self.bench.actor(wait=self._wait)
        try:
            if self.act == COPY:
                transfers.ensure_replica(actor, self.scan.key, "raw", RAW, self.scan.raw_path)
            else:
                transfers.delete_replica(actor, self.replica, {"because": "a test"})
        except AlsError as error:
            assert error.sentence and error.next_step
            return type(error).__name__
        return "green"

    def _wait(self, _seconds: float) -> None:
        self.waits += 1
        if self.waits == LOOKS:
            self.end_fault()
        time.sleep(PAUSE_S)

    def end_fault(self) -> None:
        self.bench.control.clear_faults()
        for task in self.tasks:
            if task["status"] == "INACTIVE":
                self.bench.control.resume(task["task_id"])
        # The task itself notices at its next look; until then every attempt would find it suspended still.
        self.bench.control.wait_for(lambda: all(task["status"] != "INACTIVE" for task in self.tasks), what="the resumed tasks")

    @property
    def tasks(self) -> list[dict[str, Any]]:
        return self.bench.tasks(self.scan, self.act.upper())

    def is_true(self) -> bool:
        """Whether what the record says now is so on the disks."""
        here, source = self.bench.raw_file(self.scan, RAW), self.bench.raw_file(self.scan, "spot832")
        if self.act == DELETE:
            return self.replica.state is not ReplicaState.DELETED or not source.exists()
        proven = self.replica.state is ReplicaState.VERIFIED
        return source.exists() and (not proven or here.read_bytes() == source.read_bytes())

    def assert_nothing_twice(self) -> None:
        """Every task belongs to one operation of ours, and at most one of them reached its end."""
        ours = [o.handle.get("task_id") for o in self.bench.ledger.operations.of(self.scan.key)]
        assert sorted(task["task_id"] for task in self.tasks) == sorted(filter(None, ours)), "a task that nobody knows of, or one too many"
        assert all(task["status"] in ("SUCCEEDED", "FAILED") for task in self.tasks if task["task_id"] != ours[0])


@pytest.mark.parametrize("case", list(_cases()), ids=str)
def test_a_fault(bench: Bench, case: Case, told: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(globus_states, "SETTLE", timedelta(seconds=0.2))
    work = Work(bench, case.act)
    if "token" in case.name:
        bench.control.expire_tokens("globus")
    bench.control.add_fault(**case.rule)

    first = work.attempt()

    assert work.is_true(), f"{first}, but it is not so"
    state = work.replica.state
    assert (first == "green") is (state in (ReplicaState.VERIFIED, ReplicaState.DELETED))
    work.end_fault()
    attempts, last = 1, first
    while last != "green" and attempts < 4:
        last = work.attempt()
        attempts += 1
    assert last == "green", "lost"
    assert work.is_true() and work.replica.state in (ReplicaState.VERIFIED, ReplicaState.DELETED)
    work.assert_nothing_twice()
    kind = "lasting" if case.lasting else "once"
    told("Fault matrix", f"{case.act:<9} {case.name:<52} {kind:<8} first: {first:<21} tasks: {len(work.tasks)}  attempts: {attempts}  true")


def test_every_rule_has_a_row() -> None:
    rows = {(case.act, case.fault["action"]) for case in _cases() if case.fault["where"] != "http"}
    assert rows == {(act, action) for act in (COPY, DELETE) for action in ACTIONS[act]}
