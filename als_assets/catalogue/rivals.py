"""Leaving a record that somebody else is writing to its writer: what is added twice would count twice.

Here: waiting, for a while, until what we would add is there. Not here: what that is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Container, Set
from typing import TypeVar

C = TypeVar("C", bound=Container[str])
_POLLS = 30


def found_or_awaited(look: Callable[[], C], wanted: Set[str], patience_s: float | None) -> C | None:
    """What ``look`` finds, looked for again until all that is ``wanted`` is in it, or for ``patience_s`` (0: one look). None without a
    look where ``patience_s`` is None, because the record was made just now."""
    if patience_s is None:
        return None
    deadline = time.monotonic() + patience_s * random.uniform(1.0, 1.3)  # waiters must not all give up at once
    found = look()
    while time.monotonic() < deadline and not all(name in found for name in wanted):
        time.sleep(patience_s / _POLLS)
        found = look()
    return found
