"""Faults by rule: what shall go wrong, where, and how many times.

Here: the one shape of a rule, its checks, and the atomic count-down in SQLite (so a rule survives a restart). Not here: how a
fault is carried out; each service asks for the rule that fits and acts on it.
"""

from __future__ import annotations

import fnmatch
import uuid
from collections.abc import Collection, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from als_assets.simulator.store import Doc, Store

_KIND = "fault"

Where = Literal["http", "transfer", "delete", "job", "task", "scicat"]

_SCICAT: Mapping[str, Doc] = {
    "stored_then_500": {"method": "POST", "path": "/api/v[34]/datasets", "after": True, "status": 500, "body": {}},
    "stored_then_drop": {"method": "POST", "path": "/api/v[34]/datasets", "after": True, "status": "drop"},
    "hang_login": {"method": "POST", "path": "/api/v3/auth/login", "delay_s": 3600.0},
    "expired": {
        "path": "/api/v[34]/[dopsi]*",
        "status": 401,
        "body": {"message": "SESSION_EXPIRED", "error": "Unauthorized", "statusCode": 401},
    },
    "bad_gateway": {
        "path": "/api/v[34]/*",
        "status": 502,
        "body": "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>",
        "headers": {"content-type": "text/html"},
    },
}
"""The named faults of SciCat are http faults with everything filled in; what a rule says itself wins."""

ACTIONS: Mapping[str, frozenset[str]] = {
    "http": frozenset({"answer"}),
    "transfer": frozenset({"fail", "error", "flip", "truncate", "inactive", "pause", "stall", "slow", "fail_at_percent", "quota"}),
    "delete": frozenset({"fail", "error", "inactive", "pause", "stall"}),
    "job": frozenset({"node_fail", "kill", "state", "exit", "lost", "refuse", "sacct_lag", "stale_cache", "hold"}),
    "task": frozenset({"fail", "lose_worker", "hold", "state", "expire", "twice"}),
    "scicat": frozenset(_SCICAT),
}
"""What may be asked of each place."""


class FaultRule(BaseModel):
    """One fault.

    Which: ``where``; ``method`` and ``path`` (glob) for http; ``collection`` (source or destination), ``source_path`` and
    ``label`` (globs) for transfer and delete; ``name`` (glob) for job, and for the arguments of a Globus Compute
    task. How often: ``times`` (None: until cleared).

    What: ``action``, one of ``ACTIONS[where]``. For http: wait ``delay_s``, then answer ``status`` with ``code``, ``message``,
    ``body`` and ``headers`` (status "drop": close the connection without an answer); with ``after`` the request is really
    carried out first and only its answer is lost. ``code`` is also the event code of a transfer fault; ``bytes_per_s`` belongs
    to slow, ``percent`` to fail_at_percent, ``state`` to state and hold, ``exit_code`` to exit, ``lag_s`` to sacct_lag and
    stale_cache (ended jobs are shown running for so long), ``message`` to refuse; ``delay_s`` is how long a job runs before
    node_fail, kill or state strikes.
    """

    model_config = ConfigDict(extra="forbid")

    where: Where
    times: int | None = Field(default=1, ge=1)
    method: str = "*"
    path: str = "*"
    collection: str | None = None
    source_path: str = "*"
    label: str = "*"
    name: str = "*"
    action: str = "answer"
    status: int | Literal["drop"] | None = None
    code: str | None = None
    message: str | None = None
    body: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    after: bool = False
    delay_s: float = Field(default=0.0, ge=0)
    bytes_per_s: int | None = Field(default=None, gt=0)
    percent: float = Field(default=99.0, gt=0, le=100)
    state: str | None = None
    exit_code: int | None = Field(default=None, ge=0, le=255)
    lag_s: float = Field(default=5.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("where") == "scicat":
            return {**_SCICAT.get(str(given.get("action")), {}), **given}
        return given

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.action not in ACTIONS[self.where]:
            known = ", ".join(sorted(ACTIONS[self.where]))
            raise ValueError(f"{self.where} has no fault named {self.action!r}; it has {known}")
        if self.where == "http" and self.status is None and not self.delay_s:
            raise ValueError("an http fault needs a status or a delay_s")
        if self.after and self.status is None:
            raise ValueError("after means that an answer is lost: say with status what comes instead of it")
        needs = {"slow": "bytes_per_s", "state": "state", "exit": "exit_code"}.get(self.action)
        if needs and getattr(self, needs) is None:
            raise ValueError(f"the fault {self.action} needs {needs}")
        return self

    def matches(self, facts: Mapping[str, Any]) -> bool:
        """Whether the rule is about this request, file or job."""
        if self.collection is not None and self.collection not in facts.get("collections", ()):
            return False
        globs = {"path": self.path, "source_path": self.source_path, "label": self.label, "name": self.name}
        if not all(fnmatch.fnmatchcase(str(facts.get(key) or ""), glob) for key, glob in globs.items()):
            return False
        return self.method in ("*", facts.get("method", "*"))


class LiveRule(FaultRule):
    """A rule in force: its id, and how often it will still strike (None: until cleared)."""

    id: str
    left: int | None


class FaultBook:
    """The rules of one simulator."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, rule: FaultRule) -> str:
        """Put a rule in force; its id."""
        identifier = uuid.uuid4().hex[:12]
        self._store.put(_KIND, identifier, {**rule.model_dump(), "id": identifier, "left": rule.times})
        return identifier

    def rules(self) -> list[Doc]:
        """All rules, also the spent ones (``left`` 0), in the order in which they were added."""
        return self._store.all(_KIND)

    def clear(self, identifier: str | None = None) -> int:
        """Remove one rule or all of them; whatever they hold up goes on. How many were removed."""
        return self._store.drop(_KIND, identifier)

    def in_force(self, identifier: str) -> bool:
        """Whether the rule was not cleared yet (a spent rule still holds up what it struck)."""
        return self._store.get(_KIND, identifier) is not None

    def take(self, where: Where, *, but_not: Collection[str] = (), **facts: Any) -> LiveRule | None:
        """The first rule that fits, counted down by one in the same transaction; None when nothing shall go wrong."""
        with self._store.transaction():
            for doc in self._store.all(_KIND):
                if doc["where"] != where or doc["left"] == 0 or doc["id"] in but_not:
                    continue
                rule = LiveRule.model_validate(doc)
                if not rule.matches(facts):
                    continue
                if rule.left is not None:
                    self._store.update(_KIND, rule.id, left=rule.left - 1)
                return rule
        return None
