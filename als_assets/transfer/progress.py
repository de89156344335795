"""How far a copy is, in a sentence and in numbers: bytes, files, rate and the time that is left.

Here: that arithmetic, for one act. Not here: how often it is told (``ledger.acting``) and to whom.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from als_assets.ledger.acting import Running
from als_assets.transfer.mover import TaskState, TaskView
from als_assets.words import duration_words, rate_words, size_words

# A task that says OK and moves nothing for so long is worth a word.
STALLED = timedelta(minutes=10)


@dataclass
class Progress:
    """The looks at one copy of so many files and bytes. The rate is that since the first look of this process."""

    files: int
    size_bytes: int
    _first: tuple[datetime, int] | None = field(default=None, init=False)
    _moved: tuple[datetime, int] | None = field(default=None, init=False)

    def running(self, view: TaskView, now: datetime) -> Running:
        if view.state is TaskState.QUEUED:
            return Running(view.sentence, phase="queued")
        moved, files = (int(view.facts.get(name) or 0) for name in ("bytes_transferred", "files_transferred"))
        self._first = self._first or (now, moved)
        if self._moved is None or moved != self._moved[1]:
            self._moved = now, moved
        seconds, gained = (now - self._first[0]).total_seconds(), moved - self._first[1]
        facts: dict[str, Any] = {"bytes": moved, "bytes in all": self.size_bytes, "files": files, "files in all": self.files}
        words = f"Globus has moved {size_words(moved)} of {size_words(self.size_bytes)} ({files} of {self.files} files)"
        if seconds > 0 and gained > 0:
            left_s = max(self.size_bytes - moved, 0) / (gained / seconds)
            words += f", {rate_words(gained, seconds)}, about {duration_words(left_s)} left"
            facts |= {"bytes per s": round(gained / seconds), "seconds left": round(left_s)}
        still = now - self._moved[0]
        if still >= STALLED:
            words += f"; nothing has moved for {duration_words(still.total_seconds())}"
        trouble = f"; {view.sentence}" if view.sentence else ""
        return Running(f"{words}{trouble}.", phase=f"moving{trouble}{' stalled' if still >= STALLED else ''}", facts=facts)
