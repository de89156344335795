"""The statements that a process executes between intent and outcome, and its death at one of them.

Here: a tracer over the code of transfers and of the loop that drives them. Not here: what is asserted. Between two effects (a commit
to the record, a request over HTTP) the world outside the process is the same, so statements are numbered by the effects before them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import requests
import sqlalchemy as sa

import als_assets
from als_assets.ledger.operations import Operations

_ROOT = Path(als_assets.__file__).parent
_TRACED = {str(path) for path in (_ROOT / "transfer").glob("*.py")} | {str(_ROOT / "ledger" / f"{n}.py") for n in ("acting", "operations")}


class Statements:
    """Traces from its construction on; dies at ``deadly`` ('file.py:line') when it comes there between intent and outcome."""

    def __init__(self, engine: sa.Engine, deadly: str) -> None:
        self._deadly = deadly
        self._open: set[int] = set()
        self._effects = 0
        self.effects_before: dict[str, int] = {}
        sa.event.listen(engine, "commit", self._effect)
        _after(requests.Session, "send", lambda _answer: self._effect())
        _after(Operations, "begin", lambda operation: self._open.add(operation.id))
        _after(Operations, "finish", lambda operation: self._open.discard(operation.id))
        sys.settrace(self._call)

    def stop(self) -> dict[str, int]:
        """Statement -> effects before it was first reached."""
        sys.settrace(None)
        return self.effects_before

    def _effect(self, *_: object) -> None:
        self._effects += 1

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._line if frame.f_code.co_filename in _TRACED else None

    def _line(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line" and self._open:
            statement = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
            self.effects_before.setdefault(statement, self._effects)
            if statement == self._deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line


def _after(owner: type, name: str, deed: Callable[[Any], object]) -> None:
    method = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        value = method(*arguments, **options)
        deed(value)
        return value

    setattr(owner, name, wrapped)
