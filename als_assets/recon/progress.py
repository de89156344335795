"""Plain progress lines: how much is done, at which rate, and how long it may still take.

Here: counting and wording. What belongs here is one line a second at most, fit for a job's log. Not here: where lines go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Say = Callable[[str], None]


class Progress:
    """Counts ``total`` things; thread-safe. ``done_before`` were finished by an earlier run and do not count for the rate."""

    def __init__(self, say: Say, what: str, total: int, done_before: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._what, self._total, self._clock = say, what, total, clock
        self._done = self._before = done_before
        self._started = clock()
        self._last = float("-inf")
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        """``count`` more are finished."""
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._last < 1 and self._done < self._total:
                return
            self._last = now
            fresh = self._done - self._before
            rate_s = (now - self._started) / fresh if fresh else 0.0
            left = (self._total - self._done) * rate_s
            self._say(f"{self._what} {self._done}/{self._total}, {rate_s * 1e3:.1f} ms each, about {left:.0f} s left")
