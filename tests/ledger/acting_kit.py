"""An act that follows a script and writes down its remote calls, and the scene around it.

Here: the act, and actors whose waiting turns the clock. Not here: any promise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ledger_kit import Clock, never

from als_assets.errors import ServiceUnreachable
from als_assets.ledger import Ledger, Operation, OperationKind, OperationState
from als_assets.ledger.acting import Actor, Ended, Running, carry_out

S = OperationState
KEY = "transfer:far:sand"
DONE = Ended(S.SUCCEEDED, "copied and compared", {"files": 1})


def unreachable() -> ServiceUnreachable:
    return ServiceUnreachable("Globus does not answer.", next_step="It is tried again by itself.")


@dataclass
class ScriptedAct:
    """Answers ``poll`` from ``script`` (an exception is raised, a function is called first); ``sent`` are the remote calls."""

    ledger: Ledger
    script: list[Any]
    sent: list[str] = field(default_factory=list)
    refuse: list[Exception] = field(default_factory=list)
    key: str = KEY
    kind: OperationKind = OperationKind.TRANSFER
    dataset_key: str = "sand"
    replica_id: int | None = None
    poll_s: float = 7.0

    def request(self) -> dict[str, Any]:
        return {"to": "far"}

    def submit(self, operation: Operation) -> dict[str, Any]:
        row = self.ledger.operations.get(operation.id)
        self.sent.append(f"submit of {row.request['to']} held by {row.holder} in {row.state}")
        if self.refuse:
            raise self.refuse.pop(0)
        return {"task_id": "t1"}

    def poll(self, operation: Operation) -> Running | Ended:
        self.sent.append(f"poll of {operation.handle['task_id']}")
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        answer = answer() if callable(answer) else answer
        assert isinstance(answer, Running | Ended)
        return answer


@dataclass
class Scene:
    """A record, and actors whose waiting turns its clock."""

    ledger: Ledger
    clock: Clock
    told: list[str] = field(default_factory=list)
    while_waiting: list[Callable[[], object]] = field(default_factory=list)

    def actor(self, run: str = "run1", may_take_over: Callable[[str], bool] = never) -> Actor:
        return Actor(run, may_take_over, self.wait, self.told.append)

    def wait(self, seconds: float) -> None:
        self.clock.turn(seconds=seconds)
        if self.while_waiting:
            self.while_waiting.pop(0)()

    def act(self, *script: Any, **more: Any) -> ScriptedAct:
        return ScriptedAct(self.ledger, list(script), **more)

    def carry_out(self, act: ScriptedAct, run: str = "run1", may_take_over: Callable[[str], bool] = never, **more: Any) -> Operation:
        actor = more.pop("actor", None) or self.actor(run, may_take_over)
        return carry_out(self.ledger, actor, act, **{"after": self.ledger.operations.newest("sand"), **more})

    @property
    def operation(self) -> Operation:
        last = self.ledger.operations.last(KEY)
        assert last is not None
        return last
